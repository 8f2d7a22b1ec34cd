"""One session of the demo: a chain over a pool, scored task by task, beside each arm alone.

What runs here is what an application would write: ``prompt | RoutedChatModel | parser``, with a
`RewardCallbackHandler` that knows the right answers.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from langchain_core.messages import SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

from langchain_pickllm import FinishedRun, RewardCallbackHandler, RoutedChatModel
from langchain_pickllm.pool_file import PoolFile
from pickllm.booking.ledger import Record
from pickllm.demo.tasks import INSTRUCTION, Task, grade
from pickllm.errors import PickLLMError
from pickllm.evaluation.table import Matrix, OutcomeTable, Summary
from pickllm.policies import PolicyLike
from pickllm.router import Router
from pickllm.types import Weights

__all__ = [
    "Grade",
    "LiveSession",
    "OnTask",
    "SessionFailed",
    "ask_every_arm",
    "failures",
    "run_session",
]

logger = logging.getLogger("pickllm")

OnTask: TypeAlias = Callable[[Router], None]
"""Told after every task."""

Grade: TypeAlias = Callable[[Task, str], float]
"""How good a reply to a task is, in [0, 1]."""


class SessionFailed(PickLLMError):
    """No arm of the pool has answered the first prompt, so none is likely to answer the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveSession:
    """What came of a session."""

    model: RoutedChatModel
    summary: Summary
    probabilities: Matrix
    """``[tasks, arms]``"""
    scores: Matrix
    """``[tasks]``"""
    rewards: Matrix
    """``[tasks]``"""
    costs_usd: Matrix
    """``[tasks]``"""


def run_session(
    pool: PoolFile,
    tasks: Sequence[Task],
    *,
    policy: PolicyLike,
    weights: Weights,
    seed: int,
    on_task: OnTask | None = None,
) -> LiveSession:
    """Route the tasks through a chain; the router learns from the score of each."""
    model = RoutedChatModel(
        models=pool.models,
        arms=pool.arms,
        policy=policy,
        weights=weights,
        seed=seed,
        max_decisions=len(tasks),
    )
    handler = RewardCallbackHandler(model, score=_graded)
    chain = _chain(model)
    for number, task in enumerate(tasks):
        try:
            chain.invoke(_inputs(task), config={"callbacks": [handler]})
        except Exception as error:
            if number == 0:
                raise SessionFailed(
                    f"no arm answered the first prompt: {type(error).__name__}: {error}"
                ) from error
        if on_task is not None:
            on_task(model.router)
    return _live_session(model)


def ask_every_arm(
    pool: PoolFile,
    tasks: Sequence[Task],
    *,
    on_task: OnTask | None = None,
    grade: Grade = grade,
    instruction: str = INSTRUCTION,
) -> OutcomeTable:
    """What each arm alone does on each task: real calls again, with nothing learnt from them.

    ``grade`` scores a reply in [0, 1]; a judge takes the place of exact match where answers are
    prose. ``instruction`` is the system message.
    """
    model = RoutedChatModel(
        models=pool.models,
        arms=pool.arms,
        policy="random",
        fallback=False,
        max_decisions=len(tasks) * len(pool.models),
    )
    chains = [_chain(model, only=arm, instruction=instruction) for arm in pool.models]
    score = np.empty((len(tasks), len(pool.models)))
    for row, task in enumerate(tasks):
        for column, chain in enumerate(chains):
            score[row, column] = _score_alone(chain, task, grade)
        if on_task is not None:
            on_task(model.router)
    for words in failures(model.router):
        logger.warning("each arm alone: %s", words)
    calls = [_answer(record) for record in model.router.ledger]
    shape = score.shape
    return OutcomeTable(
        arms=tuple(pool.models),
        score=score,
        cost_usd=np.array([cost for cost, _ in calls]).reshape(shape),
        latency_s=np.array([latency for _, latency in calls]).reshape(shape),
    )


def failures(router: Router) -> list[str]:
    """A sentence for each way in which arms have failed, the most frequent first."""
    attempts = [
        attempt for record in router.ledger if record.outcome for attempt in record.outcome.attempts
    ]
    counts = Counter((each.arm, each.error) for each in attempts if each.status == "error")
    return [
        f"{arm} failed {count} time{'s' * (count > 1)}: {error}"
        for (arm, error), count in counts.most_common()
    ]


def _chain(
    model: RoutedChatModel, *, only: str | None = None, instruction: str = INSTRUCTION
) -> Runnable[dict[str, Any], str]:
    prompt = ChatPromptTemplate.from_messages([SystemMessage(instruction), ("human", "{prompt}")])
    pinned = model if only is None else model.bind(model=only)
    return prompt | pinned | StrOutputParser()


def _score_alone(chain: Runnable[dict[str, Any], str], task: Task, grade: Grade) -> float:
    """An arm that fails has not answered; the other arms' rows are still worth having."""
    try:
        reply = chain.invoke(_inputs(task))
    except Exception:
        return 0.0
    return grade(task, reply)


def _inputs(task: Task) -> dict[str, Any]:
    return {"prompt": task.prompt, "task": task}


def _graded(run: FinishedRun) -> float | None:
    return None if run.error else grade(run.inputs["task"], run.output)


def _live_session(model: RoutedChatModel) -> LiveSession:
    records = list(model.router.ledger)
    scores = np.array([_score(record) for record in records])
    calls = np.array([_answer(record) for record in records])
    priced = not np.isnan(calls[:, 0]).any()
    return LiveSession(
        model=model,
        summary=Summary(
            name="router",
            accuracy=float(scores.mean()),
            cost_usd=float(calls[:, 0].sum()),
            latency_s=float(calls[:, 1].mean()),
        ),
        probabilities=np.array(
            [[record.decision.probability(arm) for arm in model.models] for record in records]
        ),
        scores=scores,
        rewards=np.array(
            [
                model.router.reward(
                    score=float(score), cost_usd=float(cost) if priced else None, latency_s=latency
                )
                for score, (cost, latency) in zip(scores, calls, strict=True)
            ]
        ),
        costs_usd=calls[:, 0],
    )


def _score(record: Record) -> float:
    """What the chain scored; nothing where no arm has answered."""
    feedback = record.source_to_feedback.get("chain")
    return 0.0 if feedback is None else feedback.value


def _answer(record: Record) -> tuple[float, float]:
    """Cost, NaN where unknown, and latency of one decision."""
    assert record.outcome is not None
    cost = record.outcome.cost_usd
    return float("nan") if cost is None else cost, record.outcome.latency_s
