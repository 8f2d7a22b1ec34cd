"""The nouns: what passes between the parts. Frozen values that only look at themselves.

One request makes one `Decision`, some `Attempt`s, one `Outcome`, and sooner or later, or never,
some `Feedback`. A policy learns from `Experience`, which is these joined.
"""

import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError

__all__ = [
    "NO_FEATURES",
    "Anchors",
    "Arm",
    "Attempt",
    "Capability",
    "Choice",
    "Decision",
    "Draft",
    "Estimate",
    "Experience",
    "Feedback",
    "Forecast",
    "Hold",
    "Kept",
    "Move",
    "Observation",
    "Outcome",
    "Piece",
    "Reply",
    "Request",
    "Role",
    "Routed",
    "Said",
    "Situation",
    "Status",
    "Usage",
    "Vector",
    "Weights",
]

Vector: TypeAlias = NDArray[np.float32]
"""Features of a prompt, ``[dim]``."""

Capability: TypeAlias = Literal["tools", "structured_output", "images", "audio", "video", "pdf"]
"""What a request may need and an arm may lack."""

Status: TypeAlias = Literal["open", "ok", "error", "cancelled", "abandoned", "rejected"]
"""How a decision stands: open until the arm is done; abandoned when a stream's consumer left, or
was cancelled after something was shown; rejected is an answer that a cascade did not show."""

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
"""Who says something in a conversation."""

NO_FEATURES: Vector = np.zeros(0, dtype=np.float32)
"""Features of a prompt that nobody looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What is known of one model of the pool. Everything may be left out; nothing is guessed.

    Prices: state ``usd_per_mtok_in`` and ``usd_per_mtok_out`` (USD per million tokens) for an API,
    or ``usd_per_hour`` for a model on your own machine, which costs its measured seconds. With
    neither, ``provider`` and ``model`` are looked up in the price table of `genai-prices`; a model
    that is not there has an unknown price, which is not a price of zero.
    """

    name: str = ""
    """Any string. Filled in by the pool when left empty."""
    usd_per_mtok_in: float | None = None
    usd_per_mtok_out: float | None = None
    usd_per_hour: float | None = None
    provider: str | None = None
    """For the price table, such as "openai"; or a base URL."""
    model: str | None = None
    """For the price table, such as "gpt-4o-mini"."""
    can: Mapping[Capability, bool] = field(default_factory=dict)
    """Capabilities known to be there (True) or missing (False); absent is unknown, and allowed."""
    context_tokens: int | None = None
    """Context window; None is unknown, and allowed."""
    timeout_s: float | None = None
    """Longest wait for an answer, or for the next piece of a stream; None leaves it to the arm."""
    max_tokens_out: int | None = None
    """Longest answer that the model is set to give, for a `Budget`; None is the budget's own."""
    reserve_usd: float | None = None
    """The most that a call can cost, for a `Budget`; None works it out from the price."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What matters how much. Only the proportions count; each at least 0, one above it."""

    quality: float = 0.8
    cost: float = 0.15
    latency: float = 0.05

    def __post_init__(self) -> None:
        for name, weight in self.by_name.items():
            if not (isinstance(weight, Real) and math.isfinite(weight) and weight >= 0.0):
                raise ConfigError(
                    f"the weight of {name} is {weight!r}; it must be a number of at least 0"
                )
        if not any(self.by_name.values()):
            raise ConfigError("all weights are zero: nothing would matter; raise one of them")

    @property
    def by_name(self) -> dict[str, float]:
        """Name to weight."""
        return {"quality": self.quality, "cost": self.cost, "latency": self.latency}


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchors:
    """Costs (USD per request) and latencies (seconds) that count as best and as worst."""

    cost_lo_usd: float = 1e-6
    cost_hi_usd: float = 0.1
    latency_lo_s: float = 0.01
    latency_hi_s: float = 60.0

    def __post_init__(self) -> None:
        for lo, hi in (
            (self.cost_lo_usd, self.cost_hi_usd),
            (self.latency_lo_s, self.latency_hi_s),
        ):
            if not 0.0 < lo < hi < math.inf:
                raise ConfigError(f"anchors must rise from above 0; they are {lo} and {hi}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One message of a conversation, without any framework's objects."""

    role: Role
    text: str = field(repr=False)
    at: int | None = None
    """Its place among the framework's messages; None for one that was put in."""
    plain: bool = True
    """Whether the text is all there is of it: no images, tool calls, reasoning or names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One prompt to be routed, without any framework's objects."""

    text: str = field(repr=False)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Becomes the decision's id. Two requests must not share one."""
    needs: frozenset[Capability] = frozenset()
    tokens: int = 0
    """Estimated length of the whole prompt in tokens; 0 is unknown."""
    only: tuple[str, ...] | None = None
    """Arms that the caller allows; None is all."""
    barred: Mapping[str, str] = field(default_factory=dict)
    """Arms that cannot take this request, and why."""
    hold: "Hold | None" = None
    """The arm that this request has to stay with, if it can."""
    trace_ids: tuple[str, ...] = ()
    """Ids of the runs around this request, under which its decision is found too."""
    session: str = ""
    tenant: str = ""
    weights: Weights | None = None
    """What matters how much for this one; None leaves it to the router. Policies that predict
    quality, cost and latency apart follow it at once; those that learn one reward do not."""
    turns: tuple[Said, ...] = field(default=(), repr=False)
    """The whole conversation, as far as it is text; empty where the caller gives only ``text``."""
    once: bool = False
    """Whether asking has effects, such as tools that are called on the way: then no second arm is
    asked after one has answered, and no answer is given again."""
    fresh: bool = False
    """Whether an arm is asked even where an answer is kept; what it says takes that one's place."""
    call_digest: str = ""
    """Digest of what shapes an answer beside the conversation: tools, response format, sampling.
    Empty where the caller does not say; then no cache may answer."""

    def __post_init__(self) -> None:
        for name in ("id", "session", "tenant"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"the {name} of a request must be text, or left out")
        if isinstance(self.only, str):
            raise ConfigError(f"only must list arms, such as ({self.only!r},)")
        if not isinstance(self.weights, Weights | None):
            raise ConfigError("the weights of a request must be Weights(...), or None")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """An arm that a request has to stay with: the policy is not asked."""

    arm: str
    reason: str
    """Such as "tool loop"."""
    continues: str = ""
    """The decision that it goes on with: feedback on this turn is feedback on that. Empty where
    the turn stands for itself."""
    recites: str = ""
    """The decision whose answer is given again; empty where the arm is asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What a policy may look at when it decides."""

    arms: tuple[str, ...]
    """The eligible arms, at least one, in the pool's order."""
    request: Request
    features: Vector = field(default_factory=lambda: NO_FEATURES)
    """``[dim]``; empty when no featurizer is set."""
    cards: tuple[Arm, ...] = ()
    """What is known of each eligible arm, prices of the moment among it; or empty."""
    weights: Weights = field(default_factory=Weights)
    """What matters how much for this request."""
    anchors: Anchors = field(default_factory=Anchors)
    """The costs and latencies between which the router's reward counts."""
    time_s: float = 0.0
    """When the decision is made, in seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What an estimator knows of each eligible arm, all three ``[eligible arms]``."""

    means: tuple[float | None, ...]
    """Expected reward; None for an arm of which nothing is known."""
    spreads: tuple[float, ...]
    """Standard deviation of the mean, not of the rewards: what more rewards would take away."""
    counts: tuple[float, ...]
    """How many rewards a mean is made of, with what a prior counts for; less what was forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a policy expected of one arm, apart from how it weighed it."""

    quality: float | None
    """Expected score; None where nothing is known."""
    spread: float
    """Standard deviation of ``quality``, as far as more feedback would take it away."""
    cost_usd: float | None
    """Expected cost at the price of the moment; None where unknown."""
    latency_s: float | None
    """Expected latency; None where unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A policy's answer: how likely each eligible arm is to be drawn. The router draws."""

    probabilities: tuple[float, ...]
    """``[eligible arms]``, at least 0, sum 1."""
    values: tuple[float | None, ...] = ()
    """``[eligible arms]``, the estimates behind them, None where nothing is known; or empty."""
    forecasts: tuple[Forecast, ...] = ()
    """``[eligible arms]``, what the values are made of, where the policy predicts it; or empty."""
    shadow: tuple[float, ...] = ()
    """``[eligible arms]``, the probabilities of a policy that is only watched; or empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Which arm was chosen for a request, and with what probability. Made once, never changed."""

    id: str
    time_s: float
    """Seconds since the epoch."""
    arm: str
    propensity: float
    """Probability with which ``arm`` was drawn, exact."""
    arms: tuple[str, ...]
    """The eligible arms."""
    probabilities: tuple[float, ...]
    """``[eligible arms]``"""
    values: tuple[float | None, ...] = ()
    """``[eligible arms]``, the policy's estimates, or empty."""
    forecasts: tuple[Forecast, ...] = ()
    """``[eligible arms]``, predicted quality, cost and latency; or empty."""
    shadow: tuple[float, ...] = ()
    """``[eligible arms]``, what a policy that is only watched would have drawn with; or empty."""
    ineligible: Mapping[str, str] = field(default_factory=dict)
    """Arm to the reason why it was not asked."""
    policy: str
    final: bool = False
    """Whether a cascade shows what ``arm`` says in any case."""
    held: "Hold | None" = None
    """Why the policy was not asked; None where it was."""
    features: Vector = field(default_factory=lambda: NO_FEATURES)
    session: str = ""
    tenant: str = ""

    def probability(self, arm: str) -> float:
        """Probability that ``arm`` had; 0 for one that was not eligible."""
        return dict(zip(self.arms, self.probabilities, strict=True)).get(arm, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one call, as the arm reported them, or estimated when it reports none."""

    tokens_in: int
    tokens_out: int
    tokens_in_cached: int = 0
    """How many of ``tokens_in`` the provider read from its prompt cache."""
    estimated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What an arm answered."""

    text: str = field(repr=False)
    message: Any = field(default=None, repr=False)
    """The framework's own object, untouched but for the decision in its metadata."""
    usage: Usage | None = None
    finish_reason: str | None = None
    called: bool = True
    """False when the framework's cache answered: then no model was called."""
    latency_s: float = 0.0
    """Time spent waiting for the arm; the time its consumer took over a stream is not in it."""
    first_piece_s: float | None = None
    """Wait until the first visible piece, for streams."""
    arm: str = ""
    """Who answered; filled in by the driver."""
    calls_tools: bool = False
    """Whether it asks for tools: a step on the way, whose text is no answer to be judged by."""
    tools_fit: bool | None = None
    """Whether the tools it asks for exist and are given arguments that fit them; None where it asks
    for none, or nobody can tell."""
    plain: bool = True
    """Whether the text is all there is of it: no images, reasoning or tool calls."""
    partial: bool = False
    """Whether it is the beginning of a stream that is held back, and goes on when released."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """An answer that a cascade has bought and not shown yet."""

    arm: str
    score: float | None
    """What the scorer gave it, in [0, 1]; None where it could not tell."""
    cost_usd: float | None
    latency_s: float
    partial: bool = False
    """Whether only its beginning was scored: it can be gone on with, but not come back to."""
    text: str = field(default="", repr=False)
    """What it says, for cascades that compare drafts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What a cascade does next: ask an arm, show a draft, or, with neither, give no answer."""

    ask: str | None = None
    """The arm to ask."""
    show: int | None = None
    """Place of the draft to show among those bought."""
    final: bool = False
    """Whether what the arm asked says is shown in any case, and so is not scored beforehand."""
    reason: str = ""
    """Why, for `explain`: such as "below the threshold"."""
    propensity: float = 1.0
    """Probability with which this move was drawn, where chance had a part in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """An answer that is kept for requests to come."""

    text: str = field(repr=False)
    arm: str
    decision_id: str
    policy: str = ""
    """Name and settings of what chose the arm."""
    usage: Usage | None = None
    finish_reason: str | None = None
    score: float | None = None
    """In [0, 1]; None where nobody scored it."""
    time_s: float = 0.0
    """When it was given, in seconds since the epoch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a streamed answer."""

    payload: Any = field(repr=False)
    """The framework's own chunk."""
    visible: bool
    """Whether its consumer sees something of it: text, or a part of a tool call."""
    chars: int = 0
    """How much text it shows, for answers that are held back; what shows none is read whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One arm asked on behalf of a decision."""

    arm: str
    status: Status
    latency_s: float
    first_piece_s: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    """None is unknown."""
    error: str = ""
    """Class name of the error. Its message may hold the prompt, so it is not kept."""
    called: bool = True
    score: float | None = None
    """What a cascade's scorer gave the answer, in [0, 1]."""
    agreement: float | None = None
    """How far the answer agrees with that of the last arm that a cascade asked, in [0, 1]: a label
    where nobody grades drafts. None where there were not two whole answers."""
    propensity: float = 1.0
    """Probability with which a cascade asked this arm, once it stood before that choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a decision: the arms asked, in order, the one that answered last."""

    decision_id: str
    attempts: tuple[Attempt, ...]
    """At least one: a decision that never came to a call is an error of the first arm."""

    @property
    def status(self) -> Status:
        """How the last arm asked fared."""
        return self.attempts[-1].status if self.attempts else "error"

    @property
    def cost_usd(self) -> float | None:
        """Cost of all attempts; None where one of them is unknown."""
        costs = [attempt.cost_usd for attempt in self.attempts]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None

    @property
    def latency_s(self) -> float:
        """Time spent waiting for all attempts, one after another."""
        return sum(attempt.latency_s for attempt in self.attempts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Feedback:
    """How good an answer was, according to one source."""

    decision_id: str
    value: float
    """In [0, 1]."""
    source: str
    """Who says so: "user", "scorer", "chain", … One value for each source of a decision."""
    time_s: float = field(default_factory=time.time)
    correction: bool = False
    version: int = 1
    """2 for the first correction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """What a policy learns from: an arm's reward for a decision, and what it is made of."""

    decision: Decision
    arm: str
    """The arm that earned it: not the decision's own where another had to take over."""
    reward: float
    """In [0, 1]."""
    score: float
    """The quality in it, in [0, 1]."""
    cost_usd: float | None
    latency_s: float
    usage: Usage | None = None
    """Tokens of the answer, where they are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What one arm took for a decision, whether or not anybody ever judges the answer."""

    decision: Decision
    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Routed:
    """What a flow returns."""

    request: Request
    decision: Decision
    reply: Reply
    outcome: Outcome
    score: float | None = None
