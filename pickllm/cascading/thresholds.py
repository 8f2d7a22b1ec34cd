"""A cascade by thresholds: ask the cheap arm, show its answer if it scores well, else ask the next.

    show draft i at the first stage i with  score_i >= threshold_i
    where none passes:                      show the best-scored draft that can still be shown

    small ──► 0.91 >= 0.8 ── show
    small ──► 0.35 ──► large ──► the better-scored of the two
    small ──► 0.02 < stop_below: no arm is likely to help, so no more is paid for

The published cascade always shows the last answer it bought, even where it scores worse than one
bought before; and it has no way to leave a hopeless prompt. Both are mended here. A share of the
answers that pass can be escalated all the same (`explore`): then both answers to such a prompt get
judged, and what is learnt from later is not only the prompts on which the first arm did badly.

References: Chen, Zaharia and Zou, FrugalGPT (2023), arXiv 2305.05176; for lower thresholds
Zellinger, Liu and Thomson, Cost-saving LLM cascades with early abstention (2025), arXiv 2502.09054.

>>> from pickllm.rng import Rng
>>> from pickllm.testing import situation
>>> from pickllm.types import Draft
>>> cascade = ThresholdCascade(
...     order=("small", "large"), thresholds=(0.8,), scorer=lambda prompt, answer: 1.0
... )
>>> asked, rng = situation("large", "small"), Rng(seed=1, number=1)
>>> cascade.move(asked, (), rng).ask
'small'
>>> poor = Draft(arm="small", score=0.35, cost_usd=0.001, latency_s=0.2)
>>> cascade.move(asked, (poor,), rng).ask
'large'
>>> worse = Draft(arm="large", score=0.3, cost_usd=0.01, latency_s=0.9)
>>> cascade.move(asked, (poor, worse), rng).show
0
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from pickllm.errors import ConfigError
from pickllm.numeric import check_counts, check_numbers
from pickllm.protocols import Scorer
from pickllm.rng import Rng
from pickllm.scoring.rules import scorer_of
from pickllm.types import Draft, Move, Situation

__all__ = ["HOLD_BACK_CHARS", "ThresholdCascade", "best_shown"]

HOLD_BACK_CHARS = 1_000
"""How much of a stream is read before it is scored. Most short answers are whole by then (nine of
ten in the recorded answers to MMLU-Pro, nearly all to grade-school sums), so they are scored as
what they are; of a longer one a reader waits for some 250 tokens, and the rest comes live."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdCascade:
    """Arms in an order, each with the score that its answer must reach to be shown.

    Arms of the order that are not eligible are passed over; where none of them is, it leaves the
    choice to the policy, and shows what that brings. A draft that nobody could score does not pass.
    """

    order: tuple[str, ...]
    """Arms, the first to be asked first."""
    thresholds: tuple[float, ...]
    """In [0, 1], one for each arm but the last, whose answer ends the cascade; or one for each."""
    scorer: Scorer
    """What scores each draft; a function of prompt and answer becomes one."""
    stop_below: tuple[float, ...] = ()
    """As many as thresholds, and none above its own: a draft that scores less is hopeless, and no
    other arm is asked. Empty asks on."""
    abstain_below: float | None = None
    """Where even the best draft scores less, none is shown; None always shows one."""
    explore: float = 0.0
    """Share of the passing answers that are escalated all the same, in [0, 1)."""
    entry: Literal["first", "policy"] = "first"
    """Who says where it begins: the order, or the router's policy, which learns where it pays."""
    hold_back_chars: int = HOLD_BACK_CHARS
    """How much of a stream is read before it is scored."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scorer", scorer_of(self.scorer))  # a plain function will do
        object.__setattr__(self, "order", _names(self.order))
        object.__setattr__(self, "thresholds", _scores("thresholds", self.thresholds))
        object.__setattr__(self, "stop_below", _scores("stop_below", self.stop_below))
        if len(self.thresholds) not in {len(self.order), len(self.order) - 1}:
            raise ConfigError(
                f"{len(self.order)} arms need {len(self.order) - 1} thresholds, or one for each; "
                f"there are {len(self.thresholds)}"
            )
        self._check_lower()
        if self.abstain_below is not None:
            _scores("abstain_below", (self.abstain_below,))
        check_numbers(explore=self.explore)
        check_counts(hold_back_chars=self.hold_back_chars)
        if not 0.0 <= self.explore < 1.0:
            raise ConfigError(f"explore is a share in [0, 1); it is {self.explore}")
        if self.entry not in {"first", "policy"}:
            raise ConfigError(f"entry is 'first' or 'policy'; it is {self.entry!r}")
        if self.hold_back_chars < 1:
            raise ConfigError(f"hold_back_chars must be at least 1; it is {self.hold_back_chars}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        settings = [f"order={' > '.join(self.order)}", f"thresholds={self.thresholds}"]
        settings += [f"stop_below={self.stop_below}"] if self.stop_below else []
        settings += [f"abstain_below={self.abstain_below}"] * (self.abstain_below is not None)
        settings += [f"explore={self.explore}"] if self.explore else []
        settings += ["entry=policy"] if self.entry == "policy" else []
        return f"threshold_cascade({', '.join(settings)})"

    def move(self, situation: Situation, drafts: Sequence[Draft], rng: Rng) -> Move:
        """Begin with the first eligible arm; show what passes; else ask the next, or end."""
        ahead = self._next(situation, drafts)
        if not drafts:
            if ahead is None or self.entry == "policy":
                return Move()
            final = self._is_last(ahead, situation, drafts)
            return Move(ask=ahead, final=final, reason="the first of the cascade")
        newest = drafts[-1]
        if self._passes(newest):
            return self._shown_or_explored(len(drafts) - 1, ahead, rng)
        if self._is_hopeless(newest):
            return self._ended(drafts, "too low for another arm to help")
        if ahead is not None:
            reason = _why_on(newest, self._threshold(newest.arm) or 1.0)
            return Move(ask=ahead, final=self._is_last(ahead, situation, drafts), reason=reason)
        return self._ended(drafts, "the best there is")

    def _next(self, situation: Situation, drafts: Sequence[Draft]) -> str | None:
        """The next arm of the order that may be asked, after the furthest that has a draft."""
        asked = {draft.arm for draft in drafts}
        if drafts and drafts[-1].arm not in self.order:
            return None
        begun = max((i for i, arm in enumerate(self.order) if arm in asked), default=-1)
        rest = self.order[begun + 1 :]
        return next((arm for arm in rest if arm in situation.arms and arm not in asked), None)

    def _is_last(self, arm: str, situation: Situation, drafts: Sequence[Draft]) -> bool:
        """Whether what the arm says is shown whatever it scores: nothing is left to compare."""
        rest = self.order[self.order.index(arm) + 1 :]
        more = any(other in situation.arms for other in rest)
        return not more and self.abstain_below is None and all(draft.partial for draft in drafts)

    def _threshold(self, arm: str) -> float | None:
        """What a draft of this arm must reach; None where it ends the cascade in any case."""
        return dict(zip(self.order, self.thresholds, strict=False)).get(arm)

    def _passes(self, draft: Draft) -> bool:
        threshold = self._threshold(draft.arm)
        return threshold is not None and draft.score is not None and draft.score >= threshold

    def _is_hopeless(self, draft: Draft) -> bool:
        least = dict(zip(self.order, self.stop_below, strict=False)).get(draft.arm)
        return least is not None and draft.score is not None and draft.score < least

    def _shown_or_explored(self, place: int, ahead: str | None, rng: Rng) -> Move:
        if ahead is None or not self.explore:
            return Move(show=place, reason="reaches the threshold")
        if rng.uniform() < self.explore:
            return Move(ask=ahead, reason="explored", propensity=self.explore)
        return Move(show=place, reason="reaches the threshold", propensity=1.0 - self.explore)

    def _ended(self, drafts: Sequence[Draft], reason: str) -> Move:
        """The best draft that can be shown, or none where it is not good enough."""
        place = best_shown(drafts)
        score = drafts[place].score
        if self.abstain_below is not None and score is not None and score < self.abstain_below:
            return Move(reason=f"no answer reaches {self.abstain_below}")
        return Move(show=place, reason=reason)

    def _check_lower(self) -> None:
        if self.stop_below and len(self.stop_below) != len(self.thresholds):
            raise ConfigError(
                f"stop_below needs as many as thresholds, {len(self.thresholds)}; "
                f"there are {len(self.stop_below)}"
            )
        for least, enough in zip(self.stop_below, self.thresholds, strict=False):
            if least > enough:
                raise ConfigError(
                    f"stop_below must not exceed its threshold; {least} is above {enough}"
                )


def best_shown(drafts: Sequence[Draft]) -> int:
    """Place of the best-scored draft that can be shown; of equals, the newest.

    A draft of which only the beginning is there can be shown while it is the newest. Where the
    newest has no score it is taken: the order asks the more trusted arms later.
    """
    last = len(drafts) - 1
    if drafts[last].score is None:
        return last
    there = [i for i, draft in enumerate(drafts) if i == last or not draft.partial]
    scored = [(score, i) for i in there if (score := drafts[i].score) is not None]
    return max(scored)[1]


def _why_on(draft: Draft, threshold: float) -> str:
    if draft.score is None:
        return f"nobody could score what {draft.arm} said"
    return f"{draft.arm} scored {draft.score:.3g}, below {threshold:.3g}"


def _names(order: Sequence[str]) -> tuple[str, ...]:
    named = isinstance(order, Sequence) and not isinstance(order, str)
    if not named or not order or any(arm in order[:at] for at, arm in enumerate(order)):
        raise ConfigError(
            f"order must name arms, each once, such as ('small', 'large'); it is {order!r}"
        )
    if not all(isinstance(arm, str) for arm in order):
        raise ConfigError("order names arms by their names, which are strings")
    return tuple(order)


def _scores(what: str, given: Sequence[float]) -> tuple[float, ...]:
    if isinstance(given, Real):
        raise ConfigError(f"{what} is a number for each arm, such as ({given},); it is {given}")
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"{what} must be numbers; it is of type {type(given).__name__}")
    given = tuple(given)
    for each in given:
        check_numbers(**{what: each})
    if not all(math.isfinite(each) and 0.0 <= each <= 1.0 for each in given):
        raise ConfigError(f"{what} must lie in [0, 1], as scores do; there is {given}")
    return given
