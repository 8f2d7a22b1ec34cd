"""Self-consistency: an arm that is asked again and answers the same is more often right.

    score = share of further samples of the same arm that come to the same answer

Samples must differ to tell anything, so ask at a temperature near 0.7. They cost as many calls as
there are samples, all at once; where answers are short and the arm is cheap beside the next one,
that is little. Wrong answers that an arm is sure of it repeats, too.

References: Wang et al., Self-consistency improves chain of thought reasoning (2022), arXiv
2203.11171; Yue et al., Large language model cascades with mixture of thoughts representations
(2023), arXiv 2310.03094.

>>> from pickllm.types import Reply, Request
>>> said = iter(["The answer is 7.", "The answer is 8.", "Answer: 7", "#### 7"])
>>> scorer = SelfConsistency(arm_to_ask={"small": lambda prompt: next(said)}, samples=4)
>>> scorer.judged(Request(text="3 + 4?"), Reply(text="Hence the answer is 7", arm="small"))
0.75
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pickllm.errors import ConfigError
from pickllm.scoring.agreement import Agreement
from pickllm.scoring.asking import Ask, Expenses, Spent
from pickllm.scoring.final_answer import same_answer
from pickllm.scoring.matching import Similarity
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["SelfConsistency"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfConsistency(TextScorer):
    """Asks the arm that answered again, and says how many of its samples agree."""

    arm_to_ask: Mapping[str, Ask] = field(repr=False)
    """How to ask each arm for one more sample. An answer of another arm is not judged."""
    samples: int = 4
    """At least 1."""
    similarity: Similarity = same_answer
    expenses: Expenses = field(default_factory=Expenses, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.arm_to_ask:
            raise ConfigError("SelfConsistency needs an arm to ask, and at least 1 sample")

    @property
    def spent(self) -> Spent:
        """What the samples came to."""
        return self.expenses.total

    def judged(self, request: Request, reply: Reply) -> float | None:
        """Mean similarity to the samples; None for an arm that cannot be asked."""
        ask = self.arm_to_ask.get(reply.arm)
        if ask is None:
            return None
        again = Agreement(
            others=(ask,) * self.samples, similarity=self.similarity, expenses=self.expenses
        )
        return again.judged(request, reply)
