"""Proof that an adaptation loses no quality: a replay, row by row, with it and without it.

    row ──► conversation as given ──► answer ──► score ┐
        └─► as the adaptation has it ► answer ──► score ┴─► change ──► lower bound ──► proof

Rows that it leaves alone tell nothing, are not asked, and do not count. Neither do those where the
scorer cannot tell, or the model fails even with the conversation as it was given; a model that
fails with the adapted one alone has lost all that the other got.

>>> from pickllm.prompting import Trimmed
>>> from pickllm.scoring import FunctionScorer
>>> rows = [Request(text=q, turns=(Said(role="user", text="Hi" * 50, at=0), Said(role="user",
...         text=q, at=1))) for q in map(str, range(300))]
>>> proof = prove(
...     Trimmed(most_exchanges=1), rows, arm=Arm(name="small"),
...     ask=lambda turns: turns[-1].text,
...     scorer=FunctionScorer(grade=lambda prompt, answer: float(prompt == answer)),
... )
>>> proof.proven, proof.rows, round(proof.change_low, 3), round(proof.tokens_saved)
(True, 300, -0.012, 29)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pickllm.betting import lower_bound
from pickllm.errors import ConfigError
from pickllm.prompting.asking import AskTurns, graded, reply_of
from pickllm.prompting.conversation import CountTokens, about_tokens, breach, tokens_of
from pickllm.protocols import Adaptation, Scorer
from pickllm.scoring.rules import ScorerLike, scorer_of
from pickllm.types import Arm, Reply, Request, Said

__all__ = ["Proof", "prove"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What a replay has shown of one adaptation for one arm."""

    adaptation: str
    """Its name, settings and all: of other settings nothing is proven."""
    arm: str
    rows: int
    """That count."""
    untouched: int
    """That the adaptation left alone."""
    untold: int
    """Where no score could be had."""
    score_before: float
    """Mean over the rows that count; NaN without any."""
    score_after: float
    change_low: float
    """The mean change is not below this, with that confidence."""
    confidence: float
    margin: float
    """What may be lost, in score."""
    tokens_before: float
    """Of a prompt, mean over the rows that count."""
    tokens_after: float

    @property
    def proven(self) -> bool:
        """Whether less than the margin is lost."""
        return self.rows > 0 and self.change_low >= -self.margin

    @property
    def tokens_saved(self) -> float:
        """Of a prompt, on average."""
        return self.tokens_before - self.tokens_after

    def __str__(self) -> str:
        """In a line, for people."""
        if not self.rows:
            return (
                f"not proven for {self.arm}: no row tells anything; {self.untouched} were left "
                f"alone, and {self.untold} got no answer or no score"
            )
        word = "proven" if self.proven else "not proven"
        return (
            f"{word} for {self.arm}: {self.tokens_saved:.0f} of {self.tokens_before:.0f} tokens "
            f"saved, score {self.score_before:.3f} to {self.score_after:.3f}, change above "
            f"{self.change_low:.3f} with {self.confidence:.0%} confidence ({self.rows} rows)"
        )


def prove(
    adaptation: Adaptation,
    rows: Iterable[Request],
    *,
    arm: Arm,
    ask: AskTurns,
    scorer: ScorerLike,
    margin: float = 0.02,
    confidence: float = 0.95,
    count_tokens: CountTokens = about_tokens,
) -> Proof:
    """Replay rows with an adaptation and without it.

    Args:
        adaptation: What is on trial.
        rows: Requests with their ``turns``, such as the arm gets; about 150 can prove a margin of
            0.02 where nothing is lost, more are needed where something is.
        arm: For which it is to be proven.
        ask: That arm's model.
        scorer: As a router takes it.
        margin: What may be lost of the mean score, above 0 and at most 1.
        confidence: Of the bound.
        count_tokens: How tokens are counted.
    """
    if not 0.0 < margin <= 1.0:
        raise ConfigError(f"margin must lie above 0 and at most at 1; it is {margin}")
    grade = scorer_of(scorer)
    found: list[tuple[float, ...]] = []
    untouched = untold = 0
    for row in rows:
        turns = tuple(adaptation.adapted(row, arm))
        if (wrong := breach(row.turns, turns)) != "":
            raise ConfigError(f"{adaptation.name} breaks a conversation: {wrong}")
        if turns == row.turns:
            untouched += 1
            continue
        before = _scored(_answer(ask, row.turns), row, grade)
        after = 0.0 if (answer := _answer(ask, turns)) is None else _scored(answer, row, grade)
        if before is None or after is None:
            untold += 1
            continue
        lengths = (tokens_of(each, count_tokens) for each in (row.turns, turns))
        found.append((before, after, *lengths))
    columns = np.array(found, dtype=np.float64).reshape(-1, 4)
    means = columns.mean(axis=0) if found else np.full(4, np.nan)
    return Proof(
        adaptation=adaptation.name,
        arm=arm.name,
        rows=len(found),
        untouched=untouched,
        untold=untold,
        score_before=float(means[0]),
        score_after=float(means[1]),
        change_low=lower_bound(columns[:, 1] - columns[:, 0], confidence=confidence),
        confidence=confidence,
        margin=margin,
        tokens_before=float(means[2]),
        tokens_after=float(means[3]),
    )


def _answer(ask: AskTurns, turns: Sequence[Said]) -> Reply | None:
    try:
        return reply_of(ask(turns))
    except Exception:  # what it means depends on which of the two has failed
        return None


def _scored(answer: Reply | None, row: Request, scorer: Scorer) -> float | None:
    return None if answer is None else graded(scorer, row, answer)
