"""One router behind many handles: copies, threads, tasks, event loops, limits and stores."""

import asyncio
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField, Runnable

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.stamp import arm_of
from pickllm.policies import epsilon_greedy
from tests.langchain.recording import MODEL_WAYS, WAYS
from tests.langchain.scripted import ScriptedChatModel, get_weather

every_way = pytest.mark.parametrize("way", MODEL_WAYS)


class CountingLimiter(BaseRateLimiter):
    """Lets everything pass, and counts it."""

    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return True


def two(**settings: Any) -> RoutedChatModel:
    """Two arms that answer with their names, one as likely as the other."""
    models = {"small": ScriptedChatModel(says="small"), "large": ScriptedChatModel(says="large")}
    return RoutedChatModel(models=models, **{"policy": "random", "seed": 1, **settings})


# Copies share what is learnt


@pytest.mark.parametrize(
    "copied",
    [
        lambda model: model.model_copy(),
        lambda model: model.bind(stop=["x"]),
        lambda model: model.bind_tools([get_weather]),
        lambda model: model.with_config(tags=["t"]),
        lambda model: model.with_retry(),
        lambda model: model.with_fallbacks([ScriptedChatModel()]),
        lambda model: model.configurable_fields(temperature=ConfigurableField(id="t")),
        lambda model: model.configurable_fields(temperature=ConfigurableField(id="t")).with_config(
            configurable={"t": 0.5}
        ),
    ],
    ids=["copy", "bind", "tools", "config", "retry", "fallbacks", "configurable", "configured"],
)
def test_what_one_handle_learns_the_others_know(copied: Any) -> None:
    """A decision made through a copy is judged through the model, and changes both."""
    model = two(policy=epsilon_greedy(epsilon=0.0))
    handle: Runnable[Any, BaseMessage] = copied(model)

    for name in ("small", "large"):
        model.feedback(handle.invoke("Hello", model=name), float(name == "large"))

    assert {"large"} == {arm_of(handle.invoke("Hello")) for _ in range(10)}
    assert {"large"} == {arm_of(model.invoke("Hello")) for _ in range(10)}


def test_a_configured_field_reaches_the_arm() -> None:
    """``configurable_fields`` builds the model anew for the call, with the field's value."""
    model = two()
    handle = model.configurable_fields(temperature=ConfigurableField(id="t"))

    answer = handle.invoke("Hello", {"configurable": {"t": 0.25}})

    assert [{"temperature": 0.25}] == [
        call.kwargs for arm in model.models.values() for call in arm.seen
    ]
    assert "counted" == model.feedback(answer, 1.0)


@pytest.mark.parametrize("way", WAYS)
def test_a_fallback_of_langchain_s_takes_over_when_all_arms_fail(way: str) -> None:
    """``with_fallbacks`` works on a routed model, tools bound afterwards too."""
    broken = ScriptedChatModel(error=ConnectionError("no route"))
    spare = ScriptedChatModel(says="spare")
    model = RoutedChatModel(models={"only": broken}).with_fallbacks([spare])

    answer = WAYS[way](model.bind_tools([get_weather]), "Hello", {})

    assert "spare" == answer.text
    assert ["get_weather"] == [each["function"]["name"] for each in spare.seen[0].kwargs["tools"]]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch"])
def test_a_retry_of_langchain_s_is_another_decision(way: str) -> None:
    """``with_retry`` asks the router again, which decides again."""
    arm = ScriptedChatModel(error=ConnectionError("no route"), heals_after=1)
    model = RoutedChatModel(models={"only": arm})

    answer = WAYS[way](
        model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False), "Hello", {}
    )

    assert ("only", 2) == (arm_of(answer), model.stats()["decisions"])


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch"])
def test_a_retry_under_a_run_id_of_the_caller_s_is_another_decision(way: str) -> None:
    """The same run id twice makes two decisions, and leads to both."""
    model = two()
    run_id = uuid.uuid4()

    stamps = [
        WAYS[way](model, "Hello", {"run_id": run_id}).response_metadata["pickllm"] for _ in range(2)
    ]

    ids = tuple(stamp["decision_id"] for stamp in stamps)
    assert (2, ids) == (len(set(ids)), model.router.decisions(str(run_id)))


def test_models_of_one_pool_may_share_a_router() -> None:
    """``router=`` hands over the learnt state, whatever else differs."""
    model = two(policy=epsilon_greedy(epsilon=0.0))

    other = RoutedChatModel(models=model.models, router=model.router, temperature=0.5)

    assert "counted" == model.feedback(other.invoke("Hello"), 1.0)


# At the same time


class Echoing(ScriptedChatModel):
    """Repeats what it was asked."""

    def _whole(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        result = super()._whole(messages, *args, **kwargs)
        result.generations[0].message.content = f"re: {messages[-1].text}"
        return result


def test_a_batch_keeps_its_order_and_its_limit() -> None:
    """Answers come in the order of the questions, and no more at once than allowed."""
    at_once = Counter[str]()
    lock, full = threading.Lock(), threading.Barrier(3, timeout=10.0)

    class Busy(Echoing):
        def _whole(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            with lock:
                at_once["now"] += 1
                at_once["most"] = max(at_once["most"], at_once["now"])
            full.wait()  # nobody goes on before three are here
            result = super()._whole(messages, *args, **kwargs)
            with lock:
                at_once["now"] -= 1
            return result

    model = RoutedChatModel(models={"a": Busy(), "b": Busy()}, policy="random", seed=1)
    questions: list[Any] = [str(number) for number in range(39)]

    answers = model.batch(questions, {"max_concurrency": 3})

    assert [f"re: {question}" for question in questions] == [answer.text for answer in answers]
    assert 3 == at_once["most"]


async def test_an_async_batch_keeps_its_order_and_its_limit() -> None:
    """The same for ``abatch``."""
    at_once = Counter[str]()

    class Busy(Echoing):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            at_once["now"] += 1
            at_once["most"] = max(at_once["most"], at_once["now"])
            result = await super()._agenerate(*args, **kwargs)
            at_once["now"] -= 1
            return result

    model = RoutedChatModel(models={"a": Busy(), "b": Busy()}, policy="random", seed=1)
    questions: list[Any] = [str(number) for number in range(40)]

    answers = await model.abatch(questions, {"max_concurrency": 5})

    assert [f"re: {question}" for question in questions] == [answer.text for answer in answers]
    assert 5 == at_once["most"]
    assert 40 == model.stats()["outcome_ok"]


def test_a_batch_returns_errors_where_that_is_asked_for() -> None:
    """``return_exceptions=True`` puts the arm's own error in the place of its answer."""
    arm = ScriptedChatModel(error=ConnectionError("no route"), heals_after=1)
    model = RoutedChatModel(models={"only": arm})

    failed, answered = model.batch(["one", "two"], {"max_concurrency": 1}, return_exceptions=True)

    assert isinstance(failed, ConnectionError)
    assert "Hello there, friend" == answered.text


def test_32_threads_lose_and_double_nothing() -> None:
    """Every call is one decision, one answer and one feedback."""
    model = two(scorer=lambda _, answer: float(answer == "large"))

    def work(number: int) -> list[str]:
        answers = [
            model.invoke("Hello") if number % 2 else _whole(model.stream("Hello"))
            for _ in range(20)
        ]
        return [model.feedback(answer, 1.0) for answer in answers]

    with ThreadPoolExecutor(32) as threads:
        verdicts = [verdict for each in threads.map(work, range(32)) for verdict in each]

    stats = model.stats()
    assert ["counted"] * 640 == verdicts
    assert (640, 640, 1280) == (stats["decisions"], stats["outcome_ok"], stats["feedback_counted"])
    assert 640 == sum(arm.calls for arm in model.models.values())


def test_200_tasks_lose_and_double_nothing() -> None:
    """The same on one loop."""
    model = two(scorer=lambda _, answer: float(answer == "large"))

    async def work(number: int) -> str:
        if number % 2:
            answer: BaseMessage = await model.ainvoke("Hello")
        else:
            answer = _whole([chunk async for chunk in model.astream("Hello")])
        assert answer.text == arm_of(answer)
        return model.feedback(answer, 1.0)

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(work(number) for number in range(200)))

    verdicts = asyncio.run(all_of_them())

    stats = model.stats()
    assert ["counted"] * 200 == verdicts
    assert (200, 200, 400) == (stats["decisions"], stats["outcome_ok"], stats["feedback_counted"])
    assert 200 == sum(arm.calls for arm in model.models.values())


def _whole(chunks: Any) -> BaseMessage:
    """The chunks of a stream as one message."""
    first, *others = chunks
    whole: BaseMessage = first
    for chunk in others:
        whole = whole + chunk
    return whole


@pytest.mark.parametrize("way", ["ainvoke", "astream", "abatch", "agenerate", "aevents_v3"])
def test_event_loops_may_come_and_go(way: str) -> None:
    """A model keeps nothing of a loop: each ``asyncio.run`` is a new one."""
    model = two(scorer=lambda *_: 1.0, timeout_s=5.0)

    answers = [MODEL_WAYS[way](model, "Hello", {}) for _ in range(3)]

    assert 3 == model.stats()["feedback_counted"] == len(answers)


def test_loops_in_several_threads_may_share_a_model() -> None:
    """One model serves loops that run at the same time."""
    model = two(scorer=lambda *_: 1.0)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: asyncio.run(model.ainvoke("Hello")), range(16)))

    assert (16, 16) == (len(answers), model.stats()["feedback_counted"])


def test_it_holds_no_more_decisions_than_it_is_told_to() -> None:
    """Old decisions are let go, what was learnt of them is not."""
    model = two(max_decisions=10)

    for _ in range(50):
        model.feedback(model.invoke("Hello"), 1.0)

    assert (10, 50) == (len(model.router.ledger), model.stats()["feedback_counted"])


# Limits


@every_way
def test_the_router_s_rate_limiter_is_asked_once_for_a_call(way: str) -> None:
    """And the arm's own once, by the arm."""
    outer, inner = CountingLimiter(), CountingLimiter()
    arm = ScriptedChatModel(rate_limiter=inner)
    model = RoutedChatModel(models={"only": arm}, rate_limiter=outer)

    MODEL_WAYS[way](model, "Hello", {})

    assert (1, 1) == (outer.acquired, inner.acquired)


# Stores


def test_what_is_learnt_is_there_after_a_restart(tmp_path: Path) -> None:
    """A second model over the same store goes on where the first was."""
    store = f"sqlite:///{tmp_path / 'routes.db'}"
    settings = {"policy": epsilon_greedy(epsilon=0.0), "weights": {"quality": 1.0}}
    first = two(store=store, **settings)
    for name in ("small", "large"):
        first.feedback(first.invoke("Hello", model=name), float(name == "large"))

    second = two(store=store, **settings)

    assert {"large"} == {arm_of(second.invoke("Hello")) for _ in range(10)}
    assert first.router.state == second.router.state


def test_namespaces_of_a_store_are_apart(tmp_path: Path) -> None:
    """Two models in one file learn each for itself."""
    store = f"sqlite:///{tmp_path / 'routes.db'}"
    one = two(store=store, namespace="one")
    one.feedback(one.invoke("Hello"), 1.0)

    other = two(store=store, namespace="other")

    assert two().router.state == other.router.state
