"""Agreement: an answer that other models give too is more often right than one they do not.

    agreement_i = mean over the others j of similarity(answer_i, answer_j)

After Wang et al., Self-Consistency Improves Chain of Thought Reasoning (2022), arXiv 2203.11171,
with other models in place of further samples of the same. It costs a call of each model asked, so
it belongs where answers are short and models cheap, or where a cascade has asked them anyway:
`agreements` is for that. Models of one family share their mistakes, and agree on them.

>>> agreements(["Paris", "paris.", "Rome"])
(0.5, 0.5, 0.0)
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import fmean

from pickllm.errors import ConfigError
from pickllm.scoring.asking import Ask, Expenses, Spent, asked
from pickllm.scoring.matching import Similarity, exact_match
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["Agreement", "agreements"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement(TextScorer):
    """Asks other models the same prompt, all at once, and says how far they agree with the answer.

    Models that fail are left out; where all fail, or the answer is empty, it is silent.
    """

    others: Sequence[Ask] = field(repr=False)
    similarity: Similarity = exact_match
    expenses: Expenses = field(default_factory=Expenses, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.others:
            raise ConfigError("Agreement has nobody to ask; give at least one other model")

    @property
    def spent(self) -> Spent:
        """What asking the others came to."""
        return self.expenses.total

    def judged(self, request: Request, reply: Reply) -> float | None:
        """Mean similarity to the others' answers."""
        if not reply.text.strip():
            return None
        with ThreadPoolExecutor(len(self.others), "pickllm-agreement") as threads:
            waiting = [
                threads.submit(asked, other, request.text, self.expenses) for other in self.others
            ]
            answers = [each.result() for each in waiting]
        alike = [self.similarity(reply.text, each.text) for each in answers if each is not None]
        return fmean(alike) if alike else None


def agreements(
    answers: Sequence[str], similarity: Similarity = exact_match
) -> tuple[float | None, ...]:
    """How far each answer agrees with the others, ``[answers]``; None where there is no other."""
    return tuple(
        fmean(similarity(one, other) for j, other in enumerate(answers) if j != i)
        if len(answers) > 1
        else None
        for i, one in enumerate(answers)
    )
