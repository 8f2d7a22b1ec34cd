"""What an answer gives away without being judged, and what its reader does with it.

`ReplySignals` sees what can be seen of a reply at once: cut off, withheld, refused, empty. It is
silent where nothing is amiss, so it stands well before another scorer in `FirstOf`. What comes
later is feedback like any other, under a source of its own:

    router.feedback(decision_id, signal_score("regenerate"), source="regenerate")

>>> from pickllm.types import Reply, Request
>>> signals, asked = ReplySignals(), Request(text="Who was Ada Lovelace?")
>>> signals.judged(asked, Reply(text="I'm sorry, but I can't help with that."))
0.0
>>> print(signals.judged(asked, Reply(text="A mathematician.", finish_reason="stop")))
None
>>> signal_score("regenerate")
0.0
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pickllm.errors import ConfigError
from pickllm.rewards import checked_score
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["SIGNAL_TO_SCORE", "ReplySignals", "is_refusal", "signal_score"]

SIGNAL_TO_SCORE: Mapping[str, float] = MappingProxyType(
    {
        "thumbs_up": 1.0,
        "copied": 1.0,
        "accepted": 1.0,
        "edited": 0.5,
        "thumbs_down": 0.0,
        "regenerate": 0.0,
        "rephrased": 0.0,
        "parse": 0.0,
        "tool_error": 0.0,
    }
)
"""What a reader, a parser or a tool did, and what that says of the answer. A start: a reader who
asks again may only want a second opinion, so measure yours against labels (`calibration`)."""

_TRUNCATED = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_WITHHELD = frozenset(
    {"content_filter", "refusal", "safety", "prohibited_content", "blocklist", "recitation", "spii"}
)
_REFUSAL = re.compile(
    r"(i('| a)m (very |so )?sorry|(my )?apologi(es|[sz]e)|unfortunately|"
    r"as an ai( language)?( model)?|i('m| am) (unable|not able|not allowed)|"
    r"i (can('|no)t|won't|will not|must decline|do not|don't))[\s,.;:!]"
)
_UNABLE = re.compile(
    r"\b(can('|no)t|cannot|could not|couldn't|unable to|not able to|won't|will not|not allowed to|"
    r"(must|have to) decline|don't feel comfortable) "
    r"(\w+ ){0,2}(help|assist|answer|provide|comply|fulfil?l|continue|discuss|do that|with)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplySignals(TextScorer):
    """Scores what is plainly amiss with a reply; says nothing of any other.

    A score of None here switches that signal off.
    """

    empty: float | None = 0.0
    refused: float | None = 0.0
    """Withheld by the provider, or an answer that only says that it will not (in English)."""
    truncated: float | None = 0.2
    """Cut off at a limit of tokens."""

    def __post_init__(self) -> None:
        for value in (self.empty, self.refused, self.truncated):
            if value is not None:
                checked_score(value)

    def judged(self, request: Request, reply: Reply) -> float | None:
        """The worst of the signals that are there."""
        reason = (reply.finish_reason or "").casefold()
        seen = [
            value
            for value, there in (
                (self.empty, not reply.text.strip()),
                (self.refused, reason in _WITHHELD or is_refusal(reply.text)),
                (self.truncated, reason in _TRUNCATED),
            )
            if there and value is not None
        ]
        return min(seen, default=None)


def is_refusal(answer: str) -> bool:
    """Whether an answer begins by saying that it will not help, in English, and is short.

    A refusal is told by its first sentences; a long answer with an apology at its top is one.
    """
    beginning = answer.strip().casefold().replace("\u2019", "'")[:200]
    return (
        len(answer) < 1_000
        and _REFUSAL.match(beginning) is not None
        and _UNABLE.search(beginning) is not None
    )


def signal_score(signal: str) -> float:
    """The score of what a reader, a parser or a tool did, in [0, 1]."""
    if signal not in SIGNAL_TO_SCORE:
        raise ConfigError(f"no signal is called {signal!r}; there are {sorted(SIGNAL_TO_SCORE)}")
    return SIGNAL_TO_SCORE[signal]
