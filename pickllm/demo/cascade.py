"""A cascade over the demo's pool: fitted on prompts of its own, then run on the session's.

other prompts, held out from all training ──► every arm answers ──► scorer, thresholds, confirmation
the session's prompts ──► the same chain as the router's, with ``cascade=`` ──► one more line
"""

from dataclasses import replace
from itertools import islice

import numpy as np

from langchain_pickllm.pool_file import PoolFile
from pickllm.cascading.fitted import AnswerTable, CascadeFitting, FittedCascade
from pickllm.cascading.selection import CascadeSelection
from pickllm.demo.session import OnTask, answers_of_every_arm, run_session
from pickllm.demo.tasks import Task, make_tasks
from pickllm.evaluation import Summary
from pickllm.types import Weights

__all__ = ["EPSILON", "FITTED_ON", "cascade_summary", "fit_cascade"]

FITTED_ON = 800
"""Prompts that the cascade is fitted on."""
EPSILON = 0.05
"""How much less accurate than the best arm it may be: what so few prompts can confirm."""


def fit_cascade(
    pool: PoolFile, session: list[Task], seed: int, *, on_task: OnTask | None = None
) -> FittedCascade | None:
    """A cascade that never saw the session's prompts; None where an arm fails or has no price."""
    seen = {task.prompt for task in session}
    others = (task for task in make_tasks(3 * FITTED_ON, seed + 1) if task.prompt not in seen)
    tasks = list(islice(others, FITTED_ON))
    given = answers_of_every_arm(pool, tasks, on_task=on_task)
    if np.isnan(given.cost_usd).any() or len(given.arms) < 2:
        return None
    table = AnswerTable(
        arms=given.arms,
        prompts=tuple(task.prompt for task in tasks),
        answers=tuple(tuple(text or "" for text in row) for row in given.texts),
        quality=given.scores(tasks),
        cost_usd=given.cost_usd,
    )
    return CascadeFitting(selection=CascadeSelection(epsilon=EPSILON), seed=seed).fit(table)


def cascade_summary(
    pool: PoolFile, tasks: list[Task], fitted: FittedCascade, *, on_task: OnTask | None = None
) -> Summary:
    """What it does on the session's prompts, live."""
    session = run_session(
        pool,
        tasks,
        policy="random",  # not asked: the cascade says where to begin
        weights=Weights(),
        seed=0,
        cascade=fitted.cascade,
        on_task=on_task,
    )
    return replace(session.summary, name="cascade")
