"""Which answers are fit to be kept, and which of those kept may be given for a request.

A bad answer that is given again is everyone's bad answer. So what was cut off, withheld, refused or
only asked for a tool is not kept, nor what scored low; and what is kept serves only while it is
young, well scored, and by an arm that this request could have had.
"""

from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.scoring import ReplySignals
from pickllm.types import Kept, Reply, Request

__all__ = ["Fitness"]

_NO_ANSWER = frozenset(
    {"tool_calls", "tool_use", "function_call", "error", "cancelled", "pause_turn", "incomplete"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitness:
    """What an answer must be like."""

    ttl_s: float | None = None
    """Not older than this, in seconds; None is never too old."""
    min_score: float = 0.5
    """Scored at least so, in [0, 1]."""
    unscored: bool = True
    """Whether one without a score will do."""
    max_chars: int = 100_000
    """Neither question nor answer longer."""

    def __post_init__(self) -> None:
        if self.ttl_s is not None and not self.ttl_s > 0.0:
            raise ConfigError(f"ttl_s must be above 0, or None for no end; it is {self.ttl_s}")
        if not 0.0 <= self.min_score <= 1.0:
            raise ConfigError(f"min_score must lie in [0, 1]; it is {self.min_score}")
        if self.max_chars < 1:
            raise ConfigError(f"max_chars must be at least 1; it is {self.max_chars}")

    def may_be_kept(self, question: str, kept: Kept) -> bool:
        """Whether an answer is whole, wanted and good."""
        reply = Reply(text=kept.text, finish_reason=kept.finish_reason)
        return (
            (kept.finish_reason or "").casefold() not in _NO_ANSWER
            and ReplySignals().judged(Request(text=question), reply) is None
            and max(len(question), len(kept.text)) <= self.max_chars
            and self._is_good(kept)
        )

    def refusal(self, kept: Kept, request: Request, *, now_s: float) -> tuple[str, str] | None:
        """What speaks against an answer for this request, in one word and in a sentence."""
        if self.ttl_s is not None and kept.time_s + self.ttl_s <= now_s:
            return "age", "its answer is too old"
        if request.only is not None and kept.arm not in request.only:
            return "arm", f"{kept.arm!r} may not answer it"
        if request.hold is not None and kept.arm != request.hold.arm:
            return "arm", f"it has to stay with {request.hold.arm!r}"
        if not self._is_good(kept):
            return "score", "its answer's score is too low, or missing"
        return None

    def _is_good(self, kept: Kept) -> bool:
        return self.unscored if kept.score is None else kept.score >= self.min_score
