"""The seams of PickLLM: everything pluggable implements one of these. Contracts stand here, once.

Policy      how to choose, and how to learn              policies/
Estimator   what each arm is worth                       estimators/
Observer    a policy that books what calls took          policies/contextual.py
Additive    learning that can be undone and merged       estimators/
Renewable   a policy that can be told of a changed arm   policies/contextual.py
Brings…     a policy with a featurizer of its own        ranking/routing.py
Explorer    how to choose among estimates                explorers/
Featurizer  a prompt as a vector                         features/, embedded.py
Scorer      how good an answer is                        scoring/
Reward      score, cost and latency in one number        rewards.py
Cascade     whether an answer will do, and whom to ask   cascading/
Cache       answers given before                         cache/
Adaptation  what an arm reads in place of the prompt     prompting/
Store       bytes under keys, with versions              stores/
Journal     what was decided and said, in one order      stores/
Port        one framework's models                       langchain_pickllm, llamaindex_pickllm
"""

from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from pickllm.rng import Rng
from pickllm.steps import Call, Step
from pickllm.types import (
    Arm,
    Choice,
    Decision,
    Draft,
    Estimate,
    Experience,
    Kept,
    Move,
    Observation,
    Piece,
    Reply,
    Request,
    Said,
    Situation,
    Vector,
)

__all__ = [
    "Adaptation",
    "Additive",
    "Asking",
    "BringsFeatures",
    "Cache",
    "Cascade",
    "Entry",
    "Estimator",
    "Explorer",
    "Featurizer",
    "Journal",
    "KeepsJournal",
    "Note",
    "Noted",
    "Observer",
    "Policy",
    "Port",
    "Renewable",
    "Reward",
    "Scorer",
    "Store",
    "is_additive",
    "state_name",
]

T = TypeVar("T")
S = TypeVar("S")

Asking: TypeAlias = Generator[Step, Any, T]
"""Code that may ask, then returns ``T``. It never waits itself: a driver does, sync or async."""


class Policy(Protocol[S]):
    """How to choose an arm, and how to learn from what came of it.

    The policy itself holds settings only and never changes. What is learnt is a state: a dataclass
    of numbers, strings and mappings that every method takes as a value and none changes in place.
    Arms are known by their names, so a pool may grow and shrink while the state lives.

    Where the settings name arms, a property ``names_arms`` tells which, and a router refuses names
    that its pool does not have; ``ranks_arms`` tells which a ranker knows: one of them must be in
    the pool, and the router warns of arms that it does not know.
    """

    @property
    def name(self) -> str:
        """Name and settings in one line; written into every decision."""

    def init(self, arms: Sequence[str], dim: int) -> S:
        """State before anything is learnt. ``dim`` is the length of the features, 0 for none."""

    def decide(self, state: S, situation: Situation, rng: Rng) -> Choice:
        """How likely each eligible arm is, exactly: the router draws with these very numbers."""

    def learn(self, state: S, experience: Experience) -> S:
        """State after one more experience; ``state`` stays as it was."""


@runtime_checkable
class Observer(Protocol[S]):
    """A policy that also learns what calls take: tokens, cost, latency. Judged or not."""

    def observe(self, state: S, observation: Observation) -> S:
        """State after one more attempt of an arm has ended; ``state`` stays as it was."""


@runtime_checkable
class Additive(Protocol[S]):
    """A policy or estimator whose state is made of sums, so that order means nothing.

    ``init`` is the zero of these sums: merged into any state it changes nothing. Where that hangs
    on the settings, a property ``additive`` says whether it holds; ask `is_additive`.
    """

    def unlearn(self, state: S, experience: Experience) -> S:
        """State as if ``experience`` had never been learnt; what `Policy.learn` did, undone."""

    def merge(self, states: Sequence[S]) -> S:
        """What all of these have learnt, each apart and from a fresh start; at least one."""


@runtime_checkable
class Renewable(Protocol[S]):
    """A policy that can be told that the model behind an arm is not what it was."""

    def model_updated(self, state: S, arm: str, time_s: float) -> S:
        """State in which what was learnt of ``arm`` until ``time_s`` counts for little."""


@runtime_checkable
class BringsFeatures(Protocol):
    """A policy that needs features of its own making, so that giving the policy is enough."""

    def featurizer_with(self, given: "Featurizer | None") -> "Featurizer":
        """What it looks at; ``given`` is the featurizer that the user has set, if any."""


def is_additive(given: object) -> bool:
    """Whether a policy or estimator keeps the promises of `Additive`."""
    return isinstance(given, Additive) and bool(getattr(given, "additive", True))


def state_name(policy: Policy[Any]) -> str:
    """What kept state is known by: that part of a policy's settings that shapes what is learnt.

    A policy says so in a property ``state_name``; one without it is known by all its settings.
    """
    return str(getattr(policy, "state_name", policy.name))


class Estimator(Protocol[S]):
    """What each arm is worth, from the rewards seen. Same rules for the state as for `Policy`."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""

    def init(self, arms: Sequence[str], dim: int) -> S:
        """State before anything is learnt."""

    def estimate(self, state: S, situation: Situation) -> Estimate:
        """What each eligible arm is worth for this request, and how sure that is."""

    def learn(self, state: S, experience: Experience) -> S:
        """State after one more experience; ``state`` stays as it was."""


class Explorer(Protocol):
    """How to choose among estimates: a trade of what pays now against what would be learnt."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""

    def probabilities(self, estimate: Estimate, steps: int, rng: Rng) -> tuple[float, ...]:
        """How likely each arm is, ``[arms]``, sum 1. ``steps`` counts the rewards learnt so far."""


class Featurizer(Protocol):
    """A prompt as a vector, for policies that look at it. It may take its time, and may block.

    One that takes less time than handing it to a thread would says so in a property ``instant``;
    a property ``name`` tells kept state of other features apart. One that reads more of a request
    than its ``text``, such as the turns before, says what in a method ``text_of(request) -> str``.
    """

    @property
    def dim(self) -> int:
        """Length of the vectors, at least 1."""

    def features(self, text: str) -> Vector:
        """The prompt's features, ``[dim]`` float32."""


class Scorer(Protocol):
    """How good an answer is. A scorer that asks a model yields a `Call`, like any flow."""

    def score(self, request: Request, reply: Reply) -> Asking[float | None]:
        """Quality in [0, 1], or None when it cannot tell: silence is not zero."""


class Reward(Protocol):
    """Score, cost and latency in one number for the policies that learn from one."""

    def __call__(self, *, score: float, cost_usd: float | None, latency_s: float) -> float:
        """Reward in [0, 1]. A cost of None is unknown, and is left out of it."""


class Cascade(Protocol):
    """Whether an answer is good enough, and whom to ask next where it is not. Settings only."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""

    @property
    def scorer(self) -> Scorer:
        """What scores each draft."""

    @property
    def hold_back_chars(self) -> int:
        """How much of a stream is read before it is scored and shown, or left; at least 1."""

    def move(self, situation: Situation, drafts: Sequence[Draft], rng: Rng) -> Move:
        """What to do now. Without drafts it names the arm to begin with.

        It asks only arms of ``situation`` that have no draft yet; and a draft that is partial can
        be shown only while it is the newest.
        """


class Cache(Protocol):
    """Answers given before, for requests like those. May block; safe to share between threads.

    It keeps apart, whatever it deems similar: tenants, and requests whose ``call_digest``, system
    messages or earlier turns differ.
    """

    def recall(self, request: Request) -> Kept | None:
        """An answer that may serve, or None."""

    def keep(self, request: Request, kept: Kept) -> None:
        """Keep an answer, if it is fit to be given again."""

    def judged(self, decision_id: str, value: float) -> None:
        """Hear how good an answer was, in [0, 1], by the decision that it was given in."""


class Adaptation(Protocol):
    """What an arm reads in place of the conversation: fewer examples, fewer words. May block."""

    @property
    def name(self) -> str:
        """Name and settings in one line; part of what answers are kept under."""

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation as ``arm`` shall read it; ``request.turns`` where nothing is gained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a store holds under a key."""

    value: bytes
    version: int
    """1 for the first write, one more for each later one."""


class Store(Protocol):
    """Bytes under keys, with versions. Synchronous: a driver puts it in a thread where needed."""

    def get(self, key: str) -> Entry | None:
        """What stands under ``key``, or None."""

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """Write, and return the new version.

        With ``expect``, write only over that version (0: only where nothing stands), else raise
        `StateConflict` and leave the store as it is.
        """

    def delete(self, key: str) -> None:
        """Forget ``key``; nothing happens where it is not there."""

    def scan(self, prefix: str) -> Iterator[str]:
        """Keys that begin with ``prefix``, sorted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What is to be written in a journal."""

    key: str
    """A journal takes each key once."""
    value: bytes
    about: tuple[str, ...] = ()
    """Ids under which it is found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """What stands in a journal."""

    position: int
    """Higher than that of all that was written before, by whichever writer."""
    value: bytes


class Journal(Protocol):
    """Lists that only grow, each under a name, with an order that all readers share.

    What is written is written for good when `append` returns, as far as the store keeps anything:
    a writer that dies in the middle has written all of its notes or none.
    """

    def append(self, name: str, notes: Sequence[Note]) -> list[bool]:
        """Write those notes whose keys are new; for each note, whether it was."""

    def read(self, name: str, *, after: int, limit: int) -> list[Noted]:
        """The notes that follow that position (0: the beginning), at most ``limit``, in order."""

    def find(self, name: str, about: str) -> list[Noted]:
        """The notes about an id, in order."""

    def trim(self, name: str, *, upto: int) -> None:
        """Forget the notes up to that position, and their keys; none for 0 and below."""


class KeepsJournal(Store, Journal, Protocol):
    """Both: what a router needs to keep what it learns, and to share it."""


class Port(Protocol):
    """One framework's models, bound to the messages of one request.

    An arm's failure may leave it as any exception; the driver makes an `ArmError` of it. What is
    not an `Exception` (cancellation, interrupts) is nobody's failure and passes through.
    """

    def call(self, call: Call) -> Reply:
        """Ask an arm."""

    async def acall(self, call: Call) -> Reply:
        """Ask an arm without blocking the loop."""

    def stream(self, call: Call) -> Iterator[Piece]:
        """Ask an arm for its answer piece by piece. Closing the iterator stops the arm."""

    def astream(self, call: Call) -> AsyncIterator[Piece]:
        """Ask an arm for its answer piece by piece without blocking the loop."""

    def join(self, call: Call, pieces: Sequence[Piece]) -> Reply:
        """The answer from its pieces, of which there is at least one; of its first ones, a part."""

    def release(self, decision: Decision, reply: Reply) -> None:
        """Tell who watches arms' runs that this reply, held back so far, is what is shown."""

    async def arelease(self, decision: Decision, reply: Reply) -> None:
        """The same without blocking the loop."""

    def recited(self, decision: Decision, kept: Kept) -> Reply:
        """An answer that was kept, as the framework's own object."""

    def recited_pieces(self, decision: Decision, kept: Kept) -> Iterator[Piece]:
        """The same as a stream of its own; at least one piece."""
