"""Answers given before, for requests that ask the same: `AnswerCache`, what a user meets.

    AnswerCache()                                    equal questions, in this process
    AnswerCache(semantic=True)                       and those that say the same in other form
    AnswerCache(store="redis://cache", ttl_s=3600)   shared by a fleet

    request ─► partition ─► the same question? ─► fit to be given?  ─────────────────► an answer
               (partition)   (exact, reading)     (fitness)              ▲
                                  └ no ─► a near one? ─► gate ─► acceptance ─► else None

What fails here is counted and logged, and is a miss: a cache never takes an answer away.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from pickllm.cache.acceptance import BANDS, Acceptance
from pickllm.cache.agreeing import say_the_same
from pickllm.cache.entry import Entry
from pickllm.cache.finding import Finding, Kind
from pickllm.cache.fitness import Fitness
from pickllm.cache.gate import compare
from pickllm.cache.partition import circle_of, key_of, partition_of, question_of
from pickllm.cache.reading import Reading, read
from pickllm.cache.shelf import ShelfLike, shelf_of
from pickllm.cache.shelved import Shelved, remember
from pickllm.cache.verifying import Verifying
from pickllm.embedding import HashingEmbedder
from pickllm.errors import ConfigError
from pickllm.features import featurizer_name
from pickllm.lock import Lock
from pickllm.numeric import checked_vector
from pickllm.protocols import Featurizer
from pickllm.types import NO_FEATURES, Kept, Request, Vector

__all__ = ["AnswerCache"]

logger = logging.getLogger("pickllm")

T = TypeVar("T")

_REST_S = 5.0
"""A store that failed is left alone so long."""
_NEIGHBOURS = 4
_REMEMBERED = 2_000
"""Findings, with their answers: for `explain`, and for what is said of a hit soon after."""
_FLOOR = 0.5
_REASONS: dict[Kind, str] = {
    "exact": "the very question was answered before",
    "same": "a question that reads alike was answered before",
    "added": "a near question was answered before, and such answers proved right",
    "replaced": "a near question was answered before, and such answers proved right",
}


class AnswerCache:
    """Keeps answers, and gives them again where that is safe. Threads may share it.

    It is a `pickllm.protocols.Cache`, for ``Router(answers=…)`` and its like.
    """

    def __init__(
        self,
        *,
        store: ShelfLike = "memory://",
        semantic: bool | Featurizer = False,
        namespace: str = "default",
        context: str = "",
        ttl_s: float | None = 86_400.0,
        max_entries: int = 100_000,
        max_chars: int = 100_000,
        min_score: float | None = None,
        unscored: bool | None = None,
        evict_below: float = 0.5,
        acceptance: Acceptance | None = None,
        verified_share: float = 0.05,
        agrees: Callable[[str, str], bool] = say_the_same,
        secret: str | bytes | None = None,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Put a cache together.

        Args:
            store: Where answers stand: "memory://", "sqlite:///FILE", "redis://HOST", or a shelf.
            semantic: Whether questions that read alike share an answer, and near ones do where that
                was learnt; True compares hashed words, or give an embedder.
            namespace: Which part of the store is this cache's.
            context: What else shapes answers, such as the version of a corpus: another context
                never sees these answers.
            ttl_s: Answers older than this are not given, in seconds; None is never too old.
            max_entries: Beyond it, the least recently used answers go, a hundredth late at most.
            max_chars: Longer questions and answers are not kept.
            min_score: What an answer's score must reach, in [0, 1]; None is 0.5.
            unscored: Whether answers without a score may be given; None is yes, unless
                ``min_score`` is stated.
            evict_below: Feedback below this lets an answer go at once.
            acceptance: How few near answers may be wrong, and with what confidence.
            verified_share: Of the requests that an answer to another question could serve, how many
                are answered by a model all the same, to see whether it is right; in [0, 1].
            agrees: Whether two answers say the same, for that.
            secret: Seals answers in a store that others can write to, and makes keys unguessable;
                None seals nothing.
            seed: Makes the draws repeatable; None draws a fresh one.
            clock: Seconds since the epoch.

        Raises:
            ConfigError: A setting that cannot work.
        """
        if max_entries < 1:
            raise ConfigError(f"max_entries must be at least 1; it is {max_entries}")
        if not 0.0 <= evict_below <= 1.0:
            raise ConfigError(f"evict_below must lie in [0, 1]; it is {evict_below}")
        if secret is not None and not secret:
            raise ConfigError("secret is empty and would seal nothing: give one, or None")
        self.namespace = namespace
        self.context = context
        self.max_entries = max_entries
        self.evict_below = evict_below
        self.fitness = Fitness(
            ttl_s=ttl_s,
            min_score=_FLOOR if min_score is None else min_score,
            unscored=min_score is None if unscored is None else unscored,
            max_chars=max_chars,
        )
        self._embedder = _embedder_of(semantic)
        self._secret = secret.encode() if isinstance(secret, str) else secret or b""
        self._clock = clock
        self._shelved = Shelved(
            shelf_of(store, namespace=namespace),
            secret=self._secret,
            clock=clock,
            count=self._count,
        )
        self._verifying = Verifying(
            self._shelved,
            acceptance=acceptance or Acceptance(),
            share=verified_share,
            agrees=agrees,
            seed=seed,
            remembered=_REMEMBERED,
            count=self._count,
        )
        self._rests_until_s = float("-inf")
        self._counts: Counter[str] = Counter()
        self._lock = Lock()
        self._id_to_finding: OrderedDict[str, Finding] = OrderedDict()

    def __repr__(self) -> str:
        """Nothing of the store's address, nor of the secret."""
        how = "exact" if self._embedder is None else f"semantic by {self._embedder_name}"
        return f"AnswerCache({how}, namespace={self.namespace!r})"

    def __deepcopy__(self, memo: object) -> "AnswerCache":
        """Itself: copies of a router share their answers."""
        return self

    # The protocol

    def recall(self, request: Request) -> Kept | None:
        """An answer that may serve, or None; see `pickllm.protocols.Cache`."""
        unasked: tuple[Finding, Entry | None] = Finding(reason="the store cannot be asked"), None
        finding, entry = self._tried(lambda: self._found(request), unasked)
        drawn = finding.kept is not None and self._verifying.draws(finding)
        if entry is not None and (drawn or finding.refused == "acceptance"):
            self._verifying.await_answer(request.id, finding, entry.kept.text)
        if drawn:
            reason = "a model is asked, to verify it"
            finding = replace(finding, kept=None, refused="chance", reason=reason)
        with self._lock:
            remember(self._id_to_finding, request.id, finding, most=_REMEMBERED)
            self._counts[_outcome(finding)] += 1
        return finding.kept

    def keep(self, request: Request, kept: Kept) -> None:
        """Keep an answer, if it is fit to be given again; see `pickllm.protocols.Cache`."""
        question = question_of(request)
        awaited = self._verifying.awaited(request.id)
        if question is None or not self.fitness.may_be_kept(question, kept):
            self._count("not kept")
            return
        if awaited is not None:
            self._tried(partial(self._verifying.compare, awaited, kept.text), None)
        self._tried(partial(self._put, request, question, kept), None)

    def judged(self, decision_id: str, value: float) -> None:
        """Hear how good an answer was; a bad one goes at once, out of every worker's reach."""
        right = value >= self.evict_below
        with self._lock:
            finding = self._id_to_finding.get(decision_id, Finding())
        if finding.is_lesson:
            self._tried(partial(self._verifying.judged, decision_id, finding, right=right), None)
        if not right:
            key = finding.key if finding.kept is not None else ""
            self._evict(key=key, decision_id=decision_id)

    # For operators

    def look(self, request: Request) -> Finding:
        """What would serve this request, and why; nothing comes of it."""
        return self._found(request)[0]

    def explain(self, request_id: str) -> Finding:
        """What was found for a request, and why it served or not; the newest are remembered."""
        with self._lock:
            return self._id_to_finding.get(request_id, Finding(reason="it was not seen here"))

    def forget(self, arm: str) -> None:
        """Let every answer of an arm go: the model behind it has changed."""
        self._evict(arm=arm)

    def clear(self) -> None:
        """Let everything go, learnt pairs among it."""
        with self._lock:
            self._id_to_finding.clear()
        self._verifying.clear()
        self._shelved.clear()

    def stats(self) -> dict[str, int]:
        """What happened how often: hits by kind, misses, refusals, kept, evicted, errors."""
        with self._lock:
            return dict(self._counts)

    def size(self) -> int:
        """How many answers are kept."""
        return self._shelved.shelf.size()

    def close(self) -> None:
        """Let go of files and connections."""
        self._shelved.shelf.close()

    # Finding

    def _found(self, request: Request) -> tuple[Finding, Entry | None]:
        self._shelved.pay()
        question = question_of(request)
        if question is None or len(question) > self.fitness.max_chars:
            return Finding(reason="its answer hangs on more than text that can be compared"), None
        reading = self._read(question)
        place = self._place(request, reading)
        entry = self._shelved.entry(place.key)
        if entry is None:
            return self._near(request, question, reading, place)
        if entry.question == question:
            return self._weighed(replace(place, kind="exact"), entry, request), entry
        if compare(reading, self._read(entry.question)).same:
            return self._weighed(replace(place, kind="same"), entry, request), entry
        return replace(place, reason="another question stands under its key"), None

    def _near(
        self, request: Request, question: str, reading: Reading, place: Finding
    ) -> tuple[Finding, Entry | None]:
        """The nearest question that passes the gate, and what comes of it."""
        nothing = replace(place, reason="nothing like it was kept")
        if self._embedder is None or not reading.prose:
            return nothing, None
        known = self._shelved.neighbours(place.partition, dim=self._embedder.dim)
        if not known:
            return nothing, None
        for near in known.nearest(self._vector(self._embedder, question), _NEIGHBOURS):
            verdict = compare(reading, near.reading)
            if near.similarity < BANDS[-1]:
                break
            if not verdict.near:
                nothing = replace(
                    place, refused="gate", reason=verdict.reason, similarity=near.similarity
                )
                continue
            entry = self._shelved.entry(near.key)
            if entry is not None:
                finding = replace(
                    place, kind=verdict.kind, key=near.key, similarity=near.similarity
                )
                return self._weighed(finding, entry, request), entry
            known.forget(near.key)
        return nothing, None

    def _weighed(self, finding: Finding, entry: Entry, request: Request) -> Finding:
        """The finding with the answer, or with what refuses it."""
        refusal = self.fitness.refusal(entry.kept, request, now_s=self._clock())
        if refusal is None and not self._verifying.accepts(finding):
            refusal = "acceptance", "it is not known that such answers are right often enough"
        if refusal is not None:
            return replace(finding, refused=refusal[0], reason=refusal[1])
        return replace(finding, kept=entry.kept, reason=_REASONS[finding.kind])

    # Keeping

    def _put(self, request: Request, question: str, kept: Kept) -> None:
        now_s, ttl_s = self._clock(), self.fitness.ttl_s
        place = self._place(request, self._read(question))
        gone = self._shelved.put(
            place.key,
            Entry(
                question=question,
                kept=kept if kept.time_s > 0.0 else replace(kept, time_s=now_s),
                vector=self._vector(self._embedder, question) if self._embedder else NO_FEATURES,
            ),
            partition=place.partition,
            expires_s=None if ttl_s is None else now_s + ttl_s,
            most=self.max_entries,
        )
        self._count("kept")
        self._count("evicted", gone)

    def _evict(self, *, key: str = "", decision_id: str = "", arm: str = "") -> None:
        self._shelved.owe(key=key, decision_id=decision_id, arm=arm)
        self._tried(self._shelved.pay, None)

    # Inside

    @property
    def _embedder_name(self) -> str:
        return featurizer_name(self._embedder) if self._embedder is not None else ""

    def _vector(self, embedder: Featurizer, question: str) -> Vector:
        """Of a question; empty where the embedder fails: equal ones are found all the same."""
        try:
            return checked_vector(embedder.features(question), dim=embedder.dim)
        except Exception as error:
            self._count("embedder failures")
            logger.warning("the embedder failed (%s); nothing near is found", type(error).__name__)
            return NO_FEATURES

    def _read(self, question: str) -> Reading:
        return Reading(words=(question,)) if self._embedder is None else read(question)

    def _place(self, request: Request, reading: Reading) -> Finding:
        """Where an answer to this request stands, and nothing found there yet."""
        walls = (self.namespace, self.context, self._embedder_name)
        partition = partition_of(request, *walls, secret=self._secret)
        return Finding(
            key=key_of(partition, *reading.words, secret=self._secret),
            partition=partition,
            circle=circle_of(request, *walls, secret=self._secret) if self._embedder else "",
        )

    def _tried(self, run: Callable[[], T], otherwise: T) -> T:
        """What ``run`` gives; ``otherwise`` where it fails, or where the store is left alone."""
        if self._clock() < self._rests_until_s:
            self._count("left alone")
            return otherwise
        try:
            return run()
        except Exception as error:  # a cache that fails is a miss
            self._rests_until_s = self._clock() + _REST_S
            self._count("errors")
            name = type(error).__name__
            logger.warning("kept answers cannot be used (%s); next try in %.0f s", name, _REST_S)
            logger.debug("kept answers cannot be used", exc_info=error)  # it may quote a prompt
            return otherwise

    def _count(self, what: str, amount: int = 1) -> None:
        if amount:
            with self._lock:
                self._counts[what] += amount


def _outcome(finding: Finding) -> str:
    if finding.kept is not None:
        return f"hits {finding.kind}"
    return f"refused by {finding.refused}" if finding.refused else "misses"


def _embedder_of(semantic: bool | Featurizer) -> Featurizer | None:
    if isinstance(semantic, bool):
        return HashingEmbedder(size=256) if semantic else None
    if isinstance(semantic, type) or not hasattr(semantic, "features"):
        raise ConfigError(
            "semantic must be True, False or an embedder, such as HashingEmbedder(); it is "
            f"{type(semantic).__name__}"
        )
    return semantic
