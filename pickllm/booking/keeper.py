"""Keeps what is decided and learnt in a store, and learns from it what other workers did.

    events of this worker ──► waiting ──► journal ──► fold ──► common state ──► snapshot, at times
                                             ▲
    events of the others ────────────────────┘

A store's troubles never reach an answer: events wait, bounded and counted, and a store that failed
is left alone for a while. At the start, a store that cannot be read is an error.
"""

import contextlib
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from pickllm.booking.events import Event, Traced, decode, encode
from pickllm.booking.fold import Fold, Snapshot, decoded_or_none, lessons_of
from pickllm.booking.lessons import Teaching
from pickllm.booking.together import Together
from pickllm.errors import PickLLMError, StateConflict, StoreUnavailable
from pickllm.lock import Lock
from pickllm.protocols import KeepsJournal, Note, Noted, Policy, is_additive
from pickllm.stores.codec import decode as decode_state
from pickllm.stores.codec import encode as encode_state

__all__ = ["Keeper"]

logger = logging.getLogger("pickllm")

_SYNC_S = 1.0
"""How old what is known of other workers may get while requests come in."""
_STALE_S = 10.0
"""And how old when, after a pause, one comes in again."""
_WAITING = 10_000
"""Events kept for a store that is away; the oldest go first."""
_AT_ONCE = 500
"""Events written, or read, in one go."""
_BEHIND = 500
"""Events after which a new snapshot is worth writing, or reading another worker's."""
_BYTES_TO_LEARN = 500
"""Of a snapshot are read in the time that it takes to learn from an event."""
_REMEMBERED = 100_000
"""Events before the snapshot that a journal keeps, for late feedback."""
_REST_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""How long a store is left alone after so many failures in a row."""


class Keeper:
    """One router's journal and snapshot in a store; without a store it keeps nothing."""

    def __init__(
        self,
        store: KeepsJournal | None,
        *,
        namespace: str,
        policy: Policy[Any],
        state_name: str,
        fresh: object,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.journal = f"pickllm/{namespace}"
        digest = blake2b(state_name.encode(), digest_size=8).hexdigest()
        self.key = f"pickllm/{namespace}/state/{digest}"
        self._epoch_key = f"pickllm/{namespace}/epoch"
        self._epoch = b""
        self._store = store
        self._policy = policy
        self._state_name = state_name
        self._fresh = fresh
        self._clock = clock
        self._fold = self._fold_from(Snapshot(state=fresh))
        self._waiting: deque[Note] = deque()
        self._unread: dict[str, Event] = {}
        """Events of ours that the fold has not come to yet, by key."""
        self._news: list[Event] = []
        self._version = 0
        self._snapshot_position = 0
        self._snapshot_bytes = 0
        self._synced_s = clock()
        self._failures = 0
        self._retry_s = 0.0
        self._counts: Counter[str] = Counter()
        self._lock = Lock()
        self._append: Together[Note, bool] = Together(self._written, most=_AT_ONCE)

    @property
    def keeps(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    @property
    def waits(self) -> bool:
        """Whether something has not been written yet."""
        return bool(self._waiting)

    @property
    def due(self) -> bool:
        """Whether there is something to write, or it is time to look what others wrote."""
        return self._may_try() and (bool(self._waiting) or self._age_s() > _SYNC_S)

    @property
    def stale(self) -> bool:
        """Whether nobody has looked for long."""
        return self._may_try() and self._age_s() > _STALE_S

    def load(self) -> object:
        """The state that the store holds, or the fresh one where it holds none.

        Raises:
            StoreUnavailable: It cannot be asked.
            StateConflict: What it holds cannot be read.
        """
        if self._store is not None:
            try:
                self._begin(self._store)
            except PickLLMError:
                raise
            except Exception as error:  # a store may fail in any way
                raise StoreUnavailable(
                    f"{type(self._store).__name__} cannot be asked ({type(error).__name__}), and a "
                    "router does not begin without what it has learnt: see that the store runs at "
                    "the address given in store=, or leave store= out"
                ) from error
        return self._fold.state

    def note(self, event: Event) -> None:
        """Have an event written with the next `save`."""
        note = self._noted(event)
        if note is not None:
            self._wait(note)

    def claim(self, event: Event) -> bool:
        """Write an event now; False where one with its key stands there already.

        Where the store fails it waits, as with `note`, and may still prove to be a second one.
        """
        note = self._noted(event)
        if note is None:
            return True
        if not self._may_try():
            self._wait(note)
            return True
        try:
            new = self._append(note)
        except Exception as error:  # a store may fail in any way
            self._failed(error)
            self._wait(note)
            return True
        if not new:
            self._unread.pop(note.key, None)
        return new

    def save(self, *, look: bool = False) -> bool:
        """Write what waits, and read what others wrote; whether the common state is another now.

        With ``look`` it reads however short ago it did.
        """
        if self._store is None:
            return False
        with self._lock:
            if not self._may_try():
                return False
            position = self._fold.position
            try:
                self._flush(self._store)
                if look or self._age_s() > _SYNC_S:
                    self._catch_up(self._store)
                    self._write_snapshot(self._store, at_least=_BEHIND)
            except Exception as error:  # a store may fail in any way
                self._failed(error)
            else:
                self._failures = 0
            return self._fold.position != position

    def insist(self) -> None:
        """Try the store again at once, however short ago it failed."""
        self._retry_s = 0.0

    def finish(self) -> None:
        """Write a snapshot of all that was read; what could not be written is lost, and told."""
        if self._store is None:
            return
        with self._lock:
            try:
                self._write_snapshot(self._store, at_least=1)
            except Exception as error:  # a store may fail in any way
                self._failed(error)
        if self._waiting:
            logger.warning("%d events of %r were not written", len(self._waiting), self.journal)

    def common(self) -> tuple[int, object, list[Event]]:
        """What all workers have learnt together, up to a position, and the news.

        News are the events of others, each told once.
        """
        with self._lock:
            news, self._news = self._news, []
            return self._fold.position, self._fold.state, news

    def ours(self) -> list[Teaching]:
        """Lessons of this worker that are not in the common state yet."""
        unread = tuple(self._unread.values())
        return [teaching for event in unread for teaching in lessons_of(event, self._policy)]

    def recall(self, any_id: str) -> list[Event]:
        """What the journal says of a decision, or of all decisions inside a run; in order.

        Raises:
            StoreUnavailable: The store fails, or is left alone for a while.
        """
        if self._store is None or not _can_be_kept(any_id):
            return []
        if not self._may_try():
            raise StoreUnavailable("the store cannot be asked now: say it again in some seconds")
        try:
            events = self._about(self._store, any_id)
            inside = [event.decision_id for event in events if isinstance(event, Traced)]
            for decision_id in inside:
                events += self._about(self._store, decision_id)
        except Exception as error:  # a store may fail in any way
            self._failed(error)
            raise StoreUnavailable("the store failed: say it again in some seconds") from error
        return events

    def stats(self) -> dict[str, int]:
        """What went wrong, how often, and how much waits for the store."""
        waiting = {"store_waiting": len(self._waiting)} if self._waiting else {}
        return {**{k: n for k, n in (self._counts + self._fold.counts).items() if n}, **waiting}

    def _begin(self, store: KeepsJournal) -> None:
        self._epoch = self._epoch_of(store)
        self._read_snapshot(store)
        self._catch_up(store)
        self._news.clear()

    def _fold_from(self, snapshot: Snapshot[Any]) -> Fold:
        return Fold(self._policy, snapshot, fresh=self._fresh, about=self._notes_about)

    def _notes_about(self, decision_id: str) -> list[Noted]:
        return self._store.find(self.journal, decision_id) if self._store else []

    def _about(self, store: KeepsJournal, any_id: str) -> list[Event]:
        """What was noted about an id in this session, but for what only newer programs can read."""
        events: list[Event] = []
        for noted in store.find(self.journal, any_id):
            if noted.position > self._fold.begun_at:
                with contextlib.suppress(StateConflict):
                    events.append(decode(noted.value))
        return events

    def _noted(self, event: Event) -> Note | None:
        """The event as it is written; None where there is no store, or it cannot be written.

        They are written in their order, so one that no store takes must not wait among them.
        """
        if self._store is None:
            return None
        try:
            "".join(event.about).encode()  # an id that is no text can stand in no store
            note = Note(key=event.key, value=encode(event), about=event.about)
        except (ValueError, TypeError) as error:
            self._counts["store_unwritable"] += 1
            logger.warning("an event cannot be written (%s)", type(error).__name__)
            return None
        self._unread[note.key] = event
        return note

    def _wait(self, note: Note) -> None:
        self._waiting.append(note)
        while len(self._waiting) > _WAITING:
            self._unread.pop(self._waiting.popleft().key, None)
            self._counts["store_dropped"] += 1

    def _written(self, notes: list[Note]) -> list[bool]:
        return [] if self._store is None else self._store.append(self.journal, notes)

    def _flush(self, store: KeepsJournal) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            try:
                new = store.append(self.journal, batch)
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise
            for note, written in zip(batch, new, strict=True):
                if not written:
                    self._unread.pop(note.key, None)
                    self._counts["store_repeated"] += 1

    def _catch_up(self, store: KeepsJournal) -> None:
        if self._epoch_of(store) != self._epoch:
            self._begin_again(store)
        while True:
            noted = store.read(self.journal, after=self._fold.position, limit=_AT_ONCE)
            if noted and noted[0].position > self._fold.position + 1:
                self._skip(store, noted[0].position)
                continue
            if len(noted) >= _BEHIND and self._jump(store):
                continue
            for note in noted:
                self._heard(self._fold.read(note))
            if len(noted) < _AT_ONCE:
                break
        self._synced_s = self._clock()

    def _heard(self, event: Event | None) -> None:
        """An event of ours is read; one of the others' is news."""
        if event is not None and self._unread.pop(event.key, None) is None:
            self._news.append(event)

    def _jump(self, store: KeepsJournal) -> bool:
        """Take what others have learnt from the next events, where that is less work; True then.

        Policies that cannot unlearn keep their newest lessons, so they learn each themselves.
        """
        if not is_additive(self._policy) or self._snapshot_bytes > _BEHIND * _BYTES_TO_LEARN:
            return False
        found = self._newer_snapshot(store)
        if found is None or found.position < self._fold.position + _BEHIND:
            return False
        events, position = [], self._fold.position
        while position < found.position:
            limit = min(found.position - position, _AT_ONCE)
            noted = store.read(self.journal, after=position, limit=limit)
            if len(noted) < limit or noted[0].position > position + 1:
                return False
            events += [decoded_or_none(note) for note in noted]
            position = noted[-1].position
        self._go_on_from(found)
        for event in events:  # once nothing can fail any more
            self._heard(event)
        return True

    def _skip(self, store: KeepsJournal, first: int) -> None:
        """What is missing was trimmed while nobody read here: a snapshot has learnt from it."""
        self._counts["journal_gaps"] += 1
        self._read_snapshot(store)
        if self._fold.position + 1 < first:
            logger.warning("events of %r are gone that nobody here has read", self.journal)
            self._fold = self._fold_from(
                Snapshot(state=self._fold.state, position=first - 1, begun_at=self._fold.begun_at)
            )

    def _begin_again(self, store: KeepsJournal) -> None:
        """The store was emptied, or is another: the first worker to see it brings what is known.

        Each worker writes again what it had written and not yet read.
        """
        self._counts["journal_lost"] += 1
        logger.warning("the journal %r is not what it was: it goes on from here", self.journal)
        known = self._fold.state
        self._epoch = self._epoch_of(store)
        self._version = self._snapshot_position = 0
        self._fold = self._fold_from(Snapshot(state=known))
        if store.get(self.key) is None:
            self._write_snapshot(store, at_least=0)
        else:
            self._read_snapshot(store)
        ours = [self._noted(event) for event in tuple(self._unread.values())]
        self._waiting = deque(note for note in ours if note is not None)
        self._flush(store)

    def _epoch_of(self, store: KeepsJournal) -> bytes:
        """What tells this journal from one that stood in its place before."""
        entry = store.get(self._epoch_key)
        if entry is None:
            with contextlib.suppress(StateConflict):
                store.put(self._epoch_key, uuid.uuid4().hex.encode(), expect=0)
            entry = store.get(self._epoch_key)
        return entry.value if entry else b""

    def _read_snapshot(self, store: KeepsJournal) -> None:
        found = self._newer_snapshot(store)
        if found is not None:
            self._go_on_from(found)

    def _newer_snapshot(self, store: KeepsJournal) -> Snapshot[Any] | None:
        """The one that stands in the store, where it has not fallen behind what is known here."""
        entry = store.get(self.key)
        if entry is None:
            return None
        like = Snapshot(state=self._fresh)
        try:
            found = decode_state(entry.value, like=like, policy=self._state_name)
        except StateConflict as error:
            raise StateConflict(
                f"the snapshot under {self.key!r} in {type(store).__name__} cannot be read: {error}"
                ". Once it is deleted, by delete(key) of the store, the next router learns anew "
                "from the journal; another namespace= leaves it and begins with nothing"
            ) from error
        self._version, self._snapshot_bytes = entry.version, len(entry.value)
        return found if found.position >= self._fold.position else None

    def _go_on_from(self, snapshot: Snapshot[Any]) -> None:
        counts = self._fold.counts
        self._fold = self._fold_from(snapshot)
        self._fold.counts = counts
        self._snapshot_position = snapshot.position

    def _write_snapshot(self, store: KeepsJournal, *, at_least: int) -> None:
        snapshot = self._fold.snapshot()
        if snapshot.position - self._snapshot_position < at_least:
            return
        data = encode_state(snapshot, policy=self._state_name)
        self._snapshot_bytes = len(data)
        try:
            self._version = store.put(self.key, data, expect=self._version)
        except StateConflict:  # another worker has written one: as good
            entry = store.get(self.key)
            self._version = entry.version if entry else 0
        else:
            if snapshot.position > _REMEMBERED:
                store.trim(self.journal, upto=snapshot.position - _REMEMBERED)
        self._snapshot_position = snapshot.position

    def _age_s(self) -> float:
        return self._clock() - self._synced_s

    def _may_try(self) -> bool:
        return self._store is not None and self._clock() >= self._retry_s

    def _failed(self, error: Exception) -> None:
        if not self._may_try():
            return  # another thread has met the same failure
        self._counts["store_failures"] += 1
        if not self._failures:
            logger.warning(
                "the store of %r failed (%s); what is learnt waits for it",
                self.journal,
                type(error).__name__,
            )
        self._retry_s = self._clock() + _REST_S[min(self._failures, len(_REST_S) - 1)]
        self._failures += 1


def _can_be_kept(any_id: str) -> bool:
    """Whether an id can stand in a store: half a surrogate pair, for one, is no text of UTF-8."""
    try:
        any_id.encode()
    except (AttributeError, UnicodeEncodeError):
        return False
    return True
