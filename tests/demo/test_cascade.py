"""The demo's cascade: fitted on prompts of its own, run on the session's."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableLambda

from langchain_pickllm.pool_file import PoolFile
from pickllm import Arm
from pickllm.cascading import ThresholdCascade
from pickllm.demo.cascade import cascade_summary, fit_cascade
from pickllm.demo.tasks import make_tasks

PROMPT_TO_ANSWER = {task.prompt: task.answer for seed in (0, 1) for task in make_tasks(3_000, seed)}


def solver(solves: Callable[[str], bool]) -> RunnableLambda[Sequence[BaseMessage], AIMessage]:
    """A model that knows the answers to some prompts, and says to others that it does not."""

    def answer(messages: Sequence[BaseMessage]) -> AIMessage:
        prompt = messages[-1].text
        return AIMessage(PROMPT_TO_ANSWER[prompt] if solves(prompt) else "I do not know")

    return RunnableLambda(answer)


def pool(*, small: Callable[[str], bool], usd: float | None = 1.0) -> PoolFile:
    """A cheap model that solves some prompts, and a dear one that solves all."""
    models: dict[str, Any] = {"small": solver(small), "large": solver(lambda _: True)}
    dear = None if usd is None else 50.0 * usd
    arms = {
        "small": Arm(usd_per_mtok_in=usd, usd_per_mtok_out=usd),
        "large": Arm(usd_per_mtok_in=dear, usd_per_mtok_out=dear),
    }
    return PoolFile(models=models, arms=arms)


def test_a_cascade_is_found_confirmed_and_run() -> None:
    """Where the cheap model shows what it cannot do, little is lost and most is saved."""
    tasks = make_tasks(60, 0)
    models = pool(small=lambda prompt: not prompt.startswith("Add"))

    fitted = fit_cascade(models, tasks, seed=0)

    assert fitted is not None
    assert isinstance(fitted.cascade, ThresholdCascade)
    assert ("small", "large") == fitted.cascade.order
    summary = cascade_summary(models, tasks, fitted)
    assert "cascade" == summary.name
    assert 0.95 <= summary.accuracy
    assert 0.5 > fitted.confirmed.cost_share


def test_none_is_fitted_where_a_price_is_unknown() -> None:
    """What is saved could not be said."""
    assert fit_cascade(pool(small=lambda _: True, usd=None), make_tasks(5, 0), seed=0) is None
