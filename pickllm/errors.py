"""Every error of PickLLM. Each message says what happened and what to do next.

    PickLLMError
    ├── ConfigError          a setting that cannot work: an empty pool, a negative price
    ├── UnknownDecision      feedback or a question about a decision that this router does not hold
    ├── NoEligibleArm        no arm may answer this request; says why for each arm
    ├── BudgetExceeded       no arm fits into what is left of a budget; says when it begins anew
    ├── Abstained            a cascade found no answer good enough; holds those it bought
    ├── ArmError             an arm failed; ``__cause__`` is the arm's own error
    │   ├── ArmTimeout       it did not answer within its time limit
    │   └── ArmRefused       it answered with something that is no answer
    ├── StateConflict        stored state of other settings, or changed by another writer
    ├── StoreUnavailable     a store that fails, where nothing else can answer; try again
    └── MissingExtra         an optional dependency is not installed

`Interrupted` is nobody's error: with it a driver tells a flow that its call was cancelled, or that
the consumer of its stream left. It never reaches a caller.
"""

from functools import partial
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pickllm.types import Reply

__all__ = [
    "Abstained",
    "ArmError",
    "ArmRefused",
    "ArmTimeout",
    "BudgetExceeded",
    "ConfigError",
    "Interrupted",
    "MissingExtra",
    "NoEligibleArm",
    "PickLLMError",
    "StateConflict",
    "StoreUnavailable",
    "UnknownDecision",
]


class PickLLMError(Exception):
    """The root of every error of ours: ``except PickLLMError`` catches them all."""


class ConfigError(PickLLMError, ValueError):
    """A setting that cannot work, found when the object is built."""


class UnknownDecision(PickLLMError, LookupError):
    """A decision id that the ledger does not hold: never made here, or let go since."""


class NoEligibleArm(PickLLMError):
    """No arm of the pool may answer this request."""


class BudgetExceeded(PickLLMError):
    """No arm that may answer fits into what is left of a budget.

    ``until_s`` is when it begins anew, in seconds since the epoch; ``tenant`` is whose it is.
    """

    def __init__(self, message: str, *, tenant: str, until_s: float) -> None:
        super().__init__(message)
        self.tenant = tenant
        self.until_s = until_s


class Abstained(PickLLMError):
    """A cascade found no answer good enough to show.

    ``replies`` are those it bought, in order, with the score of each: for a person to choose from.
    """

    def __init__(self, message: str, *, replies: "Sequence[tuple[Reply, float | None]]") -> None:
        super().__init__(message)
        self.replies = tuple(replies)

    def __reduce__(self) -> "tuple[partial[Abstained], tuple[object, ...]]":
        """As it was made, so that it comes whole out of another process."""
        return partial(type(self), replies=self.replies), self.args


class ArmError(PickLLMError):
    """An arm failed. The arm's own error, if there is one, is ``__cause__``.

    ``shown`` says whether the consumer of a stream had seen part of the answer: then another arm
    must not take over, for two answers would be spliced. ``latency_s`` is what the failure took.
    """

    def __init__(self, message: str, *, arm: str, shown: bool = False) -> None:
        super().__init__(message)
        self.arm = arm
        self.shown = shown
        self.latency_s = 0.0

    @property
    def original(self) -> Exception:
        """The arm's own error where it raised one, else this error itself."""
        return self.__cause__ if isinstance(self.__cause__, Exception) else self


class ArmTimeout(ArmError):
    """An arm gave no answer, or no next piece of one, within its time limit."""


class ArmRefused(ArmError):
    """An arm returned something that is no answer."""


class StateConflict(PickLLMError):
    """Stored state that does not fit these settings, or that someone else has written since."""


class StoreUnavailable(PickLLMError, ConnectionError):
    """The store cannot be asked now, and what is asked for is not held here."""


class MissingExtra(PickLLMError, ImportError):
    """An optional dependency is missing."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'pickllm[{extra}]'")


class Interrupted(BaseException):
    """A call was stopped from outside. Thrown into flows by drivers; see `pickllm.drive`."""

    def __init__(
        self,
        status: Literal["cancelled", "abandoned"],
        *,
        so_far: "Reply | None" = None,
        waited_s: float = 0.0,
    ) -> None:
        super().__init__(status)
        self.status: Literal["cancelled", "abandoned"] = status
        self.so_far = so_far
        """What the arm had said until then, where it said anything."""
        self.waited_s = waited_s
