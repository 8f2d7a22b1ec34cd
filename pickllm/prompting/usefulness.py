"""What an example in a prompt is worth, from how answers fared with it and without it.

Of the times that an answer was scored, an example stood in the prompt in n, and in m it did not:

    influence = mean score with it - mean score without it,         in [-1, 1]
    weight    = e / (e + prior),    e = n m / (n + m)               few times say little
    worth     = clip(1/2 + weight * influence, 0, 1)                1/2 where nothing is known

Means compare only where chance decided which examples stood there, as in `try_out`; examples that
are shown because they resemble the question meet easy questions more often than others do.

Source: Nguyen and Wong, In-context Example Selection with Influences (2023), arXiv 2302.11042.

>>> good, bad = Example(question="2 + 2 =", answer="4"), Example(question="2 + 3 =", answer="9")
>>> known = Usefulness()
>>> for _ in range(20):
...     known = known.learnt([good], 1.0).learnt([bad], 0.0)
>>> round(known.of(good), 2), round(known.of(bad), 2), known.of(Example(question="?", answer=""))
(1.0, 0.0, 0.5)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pickllm.errors import ConfigError
from pickllm.prompting.asking import AskTurns, graded, reply_of
from pickllm.prompting.examples import Example, with_examples
from pickllm.protocols import Scorer
from pickllm.rng import Rng
from pickllm.types import Request

__all__ = ["Usefulness", "try_out"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usefulness:
    """Scores with and without each example: sums, so that what several learn adds up."""

    trials: int = 0
    total: float = 0.0
    """Sum of all scores."""
    key_to_shown: Mapping[str, int] = field(default_factory=dict)
    """How often an example was there."""
    key_to_sum: Mapping[str, float] = field(default_factory=dict)
    """Sum of the scores when it was."""
    prior: float = 5.0
    """So many trials say as much as knowing nothing; above 0."""

    def __post_init__(self) -> None:
        if not self.prior > 0.0:
            raise ConfigError(f"prior must be above 0; it is {self.prior}")

    def of(self, example: Example) -> float:
        """What an example is worth, in [0, 1]."""
        with_it = self.key_to_shown.get(example.key, 0)
        without = self.trials - with_it
        if not with_it or not without:
            return 0.5
        its_sum = self.key_to_sum[example.key]
        influence = its_sum / with_it - (self.total - its_sum) / without
        known = with_it * without / self.trials
        return min(max(0.5 + known / (known + self.prior) * influence, 0.0), 1.0)

    def learnt(self, shown: Sequence[Example], score: float) -> "Usefulness":
        """After one more answer, scored in [0, 1], that was given with these examples."""
        keys = {example.key for example in shown}
        return Usefulness(
            trials=self.trials + 1,
            total=self.total + score,
            key_to_shown={
                **self.key_to_shown,
                **{k: self.key_to_shown.get(k, 0) + 1 for k in keys},
            },
            key_to_sum={
                **self.key_to_sum,
                **{k: self.key_to_sum.get(k, 0.0) + score for k in keys},
            },
            prior=self.prior,
        )


def try_out(
    examples: Sequence[Example],
    rows: Sequence[Request],
    *,
    ask: AskTurns,
    scorer: Scorer,
    rng: Rng,
    shown: int = 4,
    trials: int = 100,
    known: Usefulness | None = None,
) -> Usefulness:
    """Ask a model the rows, each time with other examples, and learn what they are worth.

    Args:
        examples: The candidates, more than ``shown``.
        rows: Questions that are none of them; asked in turn.
        ask: The model; a failure of it is raised.
        scorer: Scores that are None are left out.
        rng: Draws the examples.
        shown: How many at a time.
        trials: How often the model is asked.
        known: What was learnt before.
    """
    if not 0 < shown < len(examples) or not rows:
        raise ConfigError("give more examples than are shown at a time, and at least one row")
    learnt = known or Usefulness()
    for trial in range(trials):
        row = rows[trial % len(rows)]
        drawn = [examples[i] for i in rng.generator.permutation(len(examples))[:shown]]
        score = graded(scorer, row, reply_of(ask(with_examples(row.turns, drawn))))
        if score is not None:
            learnt = learnt.learnt(drawn, score)
    return learnt
