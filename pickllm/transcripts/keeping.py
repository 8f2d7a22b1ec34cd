"""Keeps transcripts in a store, for so long and so many for each tenant, and deletes them for good.

Whatever goes wrong is counted and logged, and takes no answer with it; only reading and deleting
raise. Where they stand, and how they are deleted: `deleting.py`.

>>> from pickllm.types import Said
>>> transcripts = Transcripts("memory://", clock=lambda: 100.0)
>>> asked = (Said(role="user", text="2 + 2 ="),)
>>> said = Transcript(decision_id="d1", turns=asked, answer="4", arm="large", time_s=99.0)
>>> transcripts.add(said), transcripts.judged("d1", 1.0, "user")
(True, True)
>>> [(each.answer, each.score()) for each in transcripts.read()]
[('4', 1.0)]
>>> transcripts.forget("d1"), [*transcripts.read()]
(True, [])
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from pickllm.errors import ConfigError, StateConflict, StoreUnavailable
from pickllm.lock import Lock
from pickllm.numeric import check_counts, check_numbers
from pickllm.stores import StoreLike, store_of
from pickllm.transcripts.deleting import Shelves, time_s_of
from pickllm.transcripts.redaction import Redact
from pickllm.transcripts.transcript import Transcript, decode, encode, redacted, transcript_of
from pickllm.types import Routed

__all__ = ["Transcripts"]

logger = logging.getLogger("pickllm")

_DAY_S = 86_400.0
_REST_S = 5.0
"""How long a store that failed is left alone."""
_PRUNE_AFTER = 256
"""Transcripts after which a tenant's oldest are looked through."""
_PRUNE_ALL_S = 3_600.0
"""How often all tenants' are."""
_TRIES = 5
"""How often a judgement is written again because somebody else wrote one meanwhile."""


class Transcripts:
    """Keeps transcripts in a store. Safe to share between threads, and between workers."""

    def __init__(
        self,
        store: StoreLike,
        *,
        namespace: str = "default",
        tenants: Collection[str] | None = None,
        redact: Redact | None = None,
        keep_s: float = 30 * _DAY_S,
        max_per_tenant: int = 10_000,
        max_chars: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the store.

        Args:
            store: A store or its address; it may be the router's own.
            namespace: Which part of the store.
            tenants: Whose transcripts are kept; None is everybody's. A request without a tenant
                belongs to the tenant "".
            redact: What every text goes through before it is kept, such as
                `pickllm.transcripts.redact_pii`; where it fails, nothing is kept.
            keep_s: How long a transcript is kept, above 0.
            max_per_tenant: How many, the newest, at least 1; some hundreds more for a while.
            max_chars: Longer ones are not kept, for half of a text teaches the wrong thing.
            clock: Seconds since the epoch.

        Raises:
            ConfigError: There is no such store, or a limit is out of range.
        """
        if isinstance(tenants, str):
            raise ConfigError("tenants is a collection of names, such as {'acme'}")
        if redact is not None and not callable(redact):
            raise ConfigError(
                "redact is a function of a text, such as pickllm.transcripts.redact_pii; it is of "
                f"type {type(redact).__name__}"
            )
        check_numbers(keep_s=keep_s)
        check_counts(max_per_tenant=max_per_tenant, max_chars=max_chars)
        if not keep_s > 0.0 or max_per_tenant < 1 or max_chars < 1:
            raise ConfigError("keep_s must be above 0, max_per_tenant and max_chars at least 1")
        self._store = store_of(store)
        self._shelves = Shelves(
            store=self._store, base=f"pickllm/{namespace}/transcripts", clock=clock
        )
        self._tenants = None if tenants is None else frozenset(tenants)
        self._redact = redact
        self._keep_s = keep_s
        self._max_per_tenant = max_per_tenant
        self._max_chars = max_chars
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._since_pruned = 0
        self._pruned_s = -float("inf")
        self._rest_until_s = -float("inf")
        self._lock = Lock()

    # Keeping

    def keep(self, routed: Routed, source_to_score: Mapping[str, float] | None = None) -> bool:
        """Keep what came of a request, if `transcript_of` finds something. Never raises.

        ``source_to_score`` is what was said of the answer already.
        """
        transcript = transcript_of(routed, source_to_score)
        return self.add(transcript) if transcript is not None else self._left_out("not_text")

    def add(self, transcript: Transcript) -> bool:
        """Keep a transcript; whether it is kept. Never raises."""
        if self._tenants is not None and transcript.tenant not in self._tenants:
            return False
        texts = [*(turn.text for turn in transcript.turns), transcript.answer]
        if sum(map(len, texts)) > self._max_chars:
            return self._left_out("too_long")
        try:
            ready = redacted(transcript, self._redact) if self._redact else transcript
            value = encode(ready)
        except Exception as error:  # what is not redacted must not be kept
            self._count("redaction_failures")
            logger.warning("a transcript was not kept: %s", type(error).__name__)
            return False
        return self._unless_away(lambda: self._written(ready, value))

    def judged(self, decision_id: str, value: float, source: str = "user") -> bool:
        """Note what a source says of an answer; whether its transcript is held. Never raises."""
        return self._unless_away(lambda: self._noted(decision_id, value, source))

    # Reading

    def find(self, decision_id: str) -> Transcript | None:
        """The transcript of a decision, or None."""
        with self._asking():
            place = self._shelves.place_of(decision_id)
            found = None if place is None else self._store.get(place)
        return None if found is None else self._readable(found.value)

    def read(self, *, after: str = "") -> Iterator[Transcript]:
        """All that are held, those of each tenant by their times; one at a time.

        ``after`` is the `place` of one: then those that follow it.
        """
        with self._asking():
            places = [
                place for place in self._store.scan(self._shelves.everything) if place > after
            ]
        for place in places:
            if time_s_of(place) < self._clock() - self._keep_s:
                continue
            with self._asking():
                entry = self._store.get(place)
            transcript = None if entry is None else self._readable(entry.value)
            if transcript is not None:
                yield transcript

    def place(self, transcript: Transcript) -> str:
        """Where it stands in the order of `read`."""
        return self._shelves.place(transcript)

    # Deleting

    def forget(self, decision_id: str) -> bool:
        """Delete the transcript of a decision, and whatever of it is being written now.

        Raises:
            StoreUnavailable: The store failed, and it may still be there: say it again.
        """
        with self._asking():
            return self._shelves.forget(decision_id)

    def forget_tenant(self, tenant: str) -> int:
        """Delete all transcripts of a tenant, and what is being written now; returns how many.

        Requests that are decided later are kept again, unless ``tenants`` leaves this one out.

        Raises:
            StoreUnavailable: The store failed, and some may still be there: say it again.
        """
        with self._asking():
            return self._shelves.forget_tenant(tenant)

    def prune(self) -> int:
        """Delete what is too old, and of each tenant what is too much; returns how many."""
        with self._asking():
            return self._prune(self._shelves.everything)

    def stats(self) -> dict[str, int]:
        """What happened how often."""
        with self._lock:
            return dict(self._counts)

    # Inside

    def _unless_away(self, write: Callable[[], bool]) -> bool:
        """Write, unless the store has just failed; whatever goes wrong is counted."""
        if self._clock() < self._rest_until_s:
            return self._left_out("store_away")
        try:
            return write()
        except Exception as error:  # the answer is there: nothing may take it away
            self._rest_until_s = self._clock() + _REST_S
            self._count("transcript_failures")
            logger.warning("a transcript was not kept: %s", type(error).__name__)
            return False

    def _written(self, transcript: Transcript, value: bytes) -> bool:
        if not self._shelves.write(transcript, value):
            return self._left_out("deleted_meanwhile")
        self._count("transcripts_kept")
        self._prune_at_times(transcript.tenant)
        return True

    def _noted(self, decision_id: str, value: float, source: str) -> bool:
        for _ in range(_TRIES):
            place = self._shelves.place_of(decision_id)
            entry = None if place is None else self._store.get(place)
            before = None if entry is None else self._readable(entry.value)
            if place is None or entry is None or before is None:
                return False
            scores = {**before.source_to_score, source: value}
            try:
                self._store.put(
                    place, encode(replace(before, source_to_score=scores)), expect=entry.version
                )
            except StateConflict:  # judged by somebody else, or deleted
                continue
            return True
        return self._left_out("contended")

    def _prune_at_times(self, tenant: str) -> None:
        now_s = self._clock()
        with self._lock:
            self._since_pruned += 1
            everything = now_s - self._pruned_s > _PRUNE_ALL_S
            if not everything and self._since_pruned < min(_PRUNE_AFTER, self._max_per_tenant):
                return
            self._since_pruned = 0
            if everything:
                self._pruned_s = now_s
        self._prune(self._shelves.everything if everything else self._shelves.of_tenant(tenant))

    def _prune(self, prefix: str) -> int:
        return self._shelves.prune(prefix, keep_s=self._keep_s, max_per_tenant=self._max_per_tenant)

    def _readable(self, value: bytes) -> Transcript | None:
        """None for what only a newer program can read."""
        try:
            return decode(value)
        except StateConflict:
            self._count("transcripts_unreadable")
            return None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (ConfigError, StoreUnavailable):
            raise
        except Exception as error:  # a store may fail in any way
            raise StoreUnavailable(
                f"the store of transcripts failed ({type(error).__name__}): see whether it runs, "
                "and say it again"
            ) from error

    def _left_out(self, why: str) -> bool:
        self._count(f"transcripts_{why}")
        return False

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1
