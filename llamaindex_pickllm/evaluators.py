"""LlamaIndex's evaluators as scores, and their results as feedback.

    judge = CorrectnessEvaluator(llm=OpenAI(model="gpt-4o"))
    RewardTracker(llm, score=EvaluatorScore(evaluator=judge), source="correctness")

Evaluators have scales of their own: most say 0 to 1, correctness says 1 to 5. A judge whose answer
cannot be read has judged nothing, which is not a zero.
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from hashlib import blake2b

from llama_index.core.evaluation import (
    BaseEvaluator,
    CorrectnessEvaluator,
    EvaluationResult,
)

from llamaindex_pickllm.llm import RoutedLLM
from llamaindex_pickllm.units import FinishedUnit
from pickllm.errors import ConfigError

__all__ = ["EvaluatorScore", "Scale", "score_of"]

logger = logging.getLogger("pickllm")

Scale = tuple[float, float]
"""The worst and the best score that an evaluator gives."""

_SCALES: tuple[tuple[type[BaseEvaluator], Scale], ...] = ((CorrectnessEvaluator, (1.0, 5.0)),)
_USUAL: Scale = (0.0, 1.0)


def score_of(result: EvaluationResult, scale: Scale = _USUAL) -> float | None:
    """A result as a score in [0, 1]; None where the judge has judged nothing.

    >>> score_of(EvaluationResult(score=4.0), scale=(1.0, 5.0))
    0.75
    >>> score_of(EvaluationResult(passing=True))
    1.0
    >>> score_of(EvaluationResult(invalid_result=True, score=0.0)) is None
    True
    """
    if result.invalid_result:
        return None
    if result.score is None:
        return None if result.passing is None else float(result.passing)
    worst, best = scale
    return min(max((result.score - worst) / (best - worst), 0.0), 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorScore:
    """An evaluator as the score of a `RewardTracker`.

    Where a loop runs, the evaluation runs on it beside what comes next; else before the answer is
    returned. A unit that failed is not judged.
    """

    evaluator: BaseEvaluator
    scale: Scale | None = None
    """The worst and the best score; None is the evaluator's usual one."""
    share: float = 1.0
    """Which part of the units is judged, in [0, 1]: a judge costs as much as an answer."""

    def __post_init__(self) -> None:
        """Refuse what cannot work; tell of a judge that is to judge itself."""
        if not isinstance(self.evaluator, BaseEvaluator):
            raise ConfigError(
                f"evaluator must be an evaluator of LlamaIndex, not {type(self.evaluator).__name__}"
            )
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"share is {self.share}; it must be in [0, 1]")
        if self.scale is not None and self.scale[0] == self.scale[1]:
            raise ConfigError(f"scale is {self.scale}: its ends must differ")
        if isinstance(getattr(self.evaluator, "_llm", None), RoutedLLM):
            logger.warning(
                "the judge of %s is a routed LLM, so the arms judge each other: give the evaluator "
                "an llm= of its own",
                type(self.evaluator).__name__,
            )

    def __call__(self, unit: FinishedUnit) -> float | Awaitable[float | None] | None:
        """The evaluator's verdict on a unit."""
        if unit.error is not None or not self._chosen(unit):
            return None
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            result = self.evaluator.evaluate(
                query=unit.question, response=unit.answer, contexts=unit.contexts
            )
            return score_of(result, self._scale)
        return self._later(unit)

    async def _later(self, unit: FinishedUnit) -> float | None:
        result = await self.evaluator.aevaluate(
            query=unit.question, response=unit.answer, contexts=unit.contexts
        )
        return score_of(result, self._scale)

    @property
    def _scale(self) -> Scale:
        usual = (scale for kind, scale in _SCALES if isinstance(self.evaluator, kind))
        return self.scale or next(usual, _USUAL)

    def _chosen(self, unit: FinishedUnit) -> bool:
        """Whether the unit is in the share that is judged; drawn by its id, which is random."""
        digest = blake2b(unit.id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2**64
