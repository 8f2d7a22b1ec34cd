"""Which answers are fit to be learnt from, and why the others are not.

>>> from pickllm.types import Said
>>> asked = (Said(role="user", text="2 + 2 ="),)
>>> said = Transcript(decision_id="d1", turns=asked, answer="4", arm="large", time_s=99.0)
>>> Selection(arms={"large"}).why_not(said, score=None)
''
>>> Selection(min_score=0.8).why_not(said, score=None)
'nobody has judged it'
"""

from collections.abc import Collection
from dataclasses import dataclass

from pickllm.errors import ConfigError
from pickllm.transcripts import Transcript

__all__ = ["Selection"]

_CUT_OFF = ("length", "max_tokens", "content_filter")
"""Reasons to end that make an answer none to be imitated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What a transcript must be to become a training pair."""

    arms: Collection[str] = ()
    """Whose answers are learnt; all by default."""
    min_score: float | None = None
    """The least score, in [0, 1]; with None, unjudged answers will do, too."""
    sources: Collection[str] = ()
    """Whose scores count, their mean where there are several; all by default."""
    tenants: Collection[str] = ()
    """Whose requests; with none named, all must be of one tenant."""
    all_tenants: bool = False
    """Whether requests of several tenants may become one model."""
    since_s: float | None = None
    """The earliest decision, in seconds since the epoch."""
    until_s: float | None = None
    """And the first that is too late."""

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0.0 <= self.min_score <= 1.0:
            raise ConfigError(f"min_score must lie in [0, 1]; it is {self.min_score}")
        for name in ("arms", "sources", "tenants"):
            if isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is a collection of names, and not one name")

    @property
    def name(self) -> str:
        """All of it in one line, the same in every process."""
        return (
            f"arms={sorted(self.arms)}, min_score={self.min_score}, "
            f"sources={sorted(self.sources)}, tenants={sorted(self.tenants)}, "
            f"all_tenants={self.all_tenants}, since_s={self.since_s}, until_s={self.until_s}"
        )

    def why_not(self, transcript: Transcript, score: float | None) -> str:
        """Why it is left out, in words for a table; empty where it is fit."""
        too_low = score is not None and self.min_score is not None and score < self.min_score
        checks = {
            "of another tenant": self.tenants and transcript.tenant not in self.tenants,
            "of another arm": self.arms and transcript.arm not in self.arms,
            "too early": self.since_s is not None and transcript.time_s < self.since_s,
            "too late": self.until_s is not None and transcript.time_s >= self.until_s,
            "cut off": transcript.finish_reason in _CUT_OFF,
            "no text": not transcript.answer.strip() or _uses_tools(transcript),
            "nobody has judged it": self.min_score is not None and score is None,
            "scored too low": too_low,
        }
        return next((why for why, holds in checks.items() if holds), "")


def _uses_tools(transcript: Transcript) -> bool:
    return any(turn.role == "tool" for turn in transcript.turns)
