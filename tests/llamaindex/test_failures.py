"""Arms that fail, hang, break off or are left: another takes over, or the own error comes."""

import asyncio
import gc
import threading
from typing import Any

import pytest
from llama_index.core.llms import LLM

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.stamp import stamp_on
from pickllm import Arm, Fixed
from pickllm.errors import ArmTimeout
from tests.llamaindex.scripted import ScriptedLLM, ScriptedTextLLM, user
from tests.llamaindex.ways import ANSWERS, STREAMS, WAYS, answer, until

every_way = pytest.mark.parametrize("way", WAYS)
every_stream = pytest.mark.parametrize("way", ["stream_chat", "stream_complete"])


class Overloaded(Exception):
    """What a provider raises."""


def failing(**settings: Any) -> RoutedLLM:
    """The first arm fails, and the policy wants it."""
    llms: dict[str, LLM] = {
        "bad": ScriptedLLM(error=Overloaded("now"), **settings),
        "good": ScriptedLLM(says="fine"),
    }
    return RoutedLLM(llms=llms, policy=Fixed(arm="bad"))


@every_way
def test_another_arm_takes_over(way: str) -> None:
    """Before anything was shown, under the same decision."""
    llm = failing()
    given = WAYS[way](llm, "Hello")

    assert "fine" == answer(given)
    assert (1, 1) == (llm.stats()["decisions"], llm.stats()["fallbacks"])
    if way in ANSWERS:
        assert "bad" == stamp_on(given)["took_over_from"]


@every_way
def test_when_all_fail_the_first_error_comes_out_as_it_is(way: str) -> None:
    """Its type kept, each arm tried once, the others in its notes."""
    arms = {name: ScriptedLLM(error=Overloaded(name)) for name in ("one", "two")}
    llm = RoutedLLM(llms=arms, policy=Fixed(arm="one"))

    with pytest.raises(Overloaded, match="one") as caught:
        WAYS[way](llm, "Hello")
    assert ["arm 'two' failed too: Overloaded"] == caught.value.__notes__
    assert [1, 1] == [arm.calls for arm in arms.values()]
    assert 1 == llm.stats()["outcome_error"]


@every_way
def test_without_fallback_nobody_takes_over(way: str) -> None:
    """As it was set."""
    arms = {"bad": ScriptedLLM(error=Overloaded()), "good": ScriptedLLM()}
    llm = RoutedLLM(llms=arms, policy=Fixed(arm="bad"), fallback=False)

    with pytest.raises(Overloaded):
        WAYS[way](llm, "Hello")
    assert 0 == arms["good"].calls


@pytest.mark.parametrize("way", STREAMS)
def test_a_stream_that_breaks_off_in_sight_is_not_spliced(way: str) -> None:
    """The error comes out, and nobody else is asked."""
    llm = failing(words_before_error=2)

    with pytest.raises(Overloaded):
        ANSWERS[way](llm, "Hello")
    assert 0 == llm.llms["good"].calls
    assert 1 == llm.stats()["outcome_error"]


@every_stream
def test_a_stream_that_is_left_is_abandoned(way: str) -> None:
    """Closed or dropped, started or not; no penalty."""
    llm = RoutedLLM(llms={"only": ScriptedLLM()})
    ask = getattr(llm, way)
    given = user("Hello") if "chat" in way else "Hello"
    frames = ask(given)
    next(frames)
    frames.close()
    ask(given)
    gc.collect()

    assert 2 == llm.stats()["outcome_abandoned"]
    assert "arm_failures" not in llm.stats() or 0 == llm.stats()["arm_failures"]


def test_the_arms_stream_is_closed_with_ours() -> None:
    """At once."""
    arm = ScriptedLLM()
    frames = RoutedLLM(llms={"only": arm}).stream_chat(user("Hello"))
    next(frames)
    frames.close()

    assert (1, 1) == (arm.counts["opened"], arm.counts["closed"])


async def test_a_cancelled_call_is_cancelled() -> None:
    """Nobody takes over, and the task ends as cancelled."""
    llm = RoutedLLM(
        llms={name: ScriptedLLM(waits_for=threading.Event()) for name in ("one", "two")}
    )
    task = asyncio.create_task(llm.achat(user("Hello")))
    await until(lambda: bool(llm.stats().get("decisions")))
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (1, 1) == (llm.stats()["outcome_cancelled"], sum(a.calls for a in llm.llms.values()))


async def test_an_async_stream_cancelled_midway_is_cancelled() -> None:
    """And the arm's stream is closed."""
    arm = ScriptedLLM(waits_for=threading.Event())
    llm = RoutedLLM(llms={"only": arm})
    task = asyncio.create_task(llm.astream_chat(user("Hello")))
    await until(lambda: bool(arm.counts["opened"]))
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 == llm.stats()["outcome_cancelled"]
    assert 1 == arm.counts["closed"]


async def test_an_async_stream_that_is_left_is_abandoned() -> None:
    """Closed after the first frame, or dropped before it was looked at."""
    llm = RoutedLLM(llms={"only": ScriptedLLM()})
    frames = await llm.astream_chat(user("Hello"))
    await anext(frames)
    await frames.aclose()
    del frames
    await llm.astream_chat(user("Hello"))
    gc.collect()
    for _ in range(10):
        await asyncio.sleep(0)

    assert 2 == llm.stats()["outcome_abandoned"]


@pytest.mark.parametrize("way", ["achat", "astream_chat", "acomplete", "astream_complete"])
async def test_the_loop_stays_free_while_a_blocking_arm_works(way: str) -> None:
    """`CustomLLM` runs its sync methods on the loop; here they run in threads."""
    signal = threading.Event()
    llm = RoutedLLM(llms={"text": ScriptedTextLLM(waits_for=signal)})
    asked = getattr(llm, way)(user("Hello") if "chat" in way else "Hello")
    task = asyncio.create_task(asked)
    await until(lambda: bool(llm.stats().get("decisions")))
    signal.set()  # the loop is free to come here while the arm waits
    given = await task
    if "stream" in way:
        given = [frame async for frame in given][-1]

    assert "Hello there, friend" == answer(given)


@every_way
def test_an_arm_that_hangs_is_timed_out(way: str) -> None:
    """And another takes over."""
    never = threading.Event()
    llms: dict[str, LLM] = {
        "hangs": ScriptedTextLLM(waits_for=never),
        "good": ScriptedLLM(says="fine"),
    }
    llm = RoutedLLM(llms=llms, policy=Fixed(arm="hangs"), arms={"hangs": Arm(timeout_s=0.05)})

    assert "fine" == answer(WAYS[way](llm, "Hello"))
    never.set()


def test_a_hang_of_the_only_arm_ends_in_a_timeout() -> None:
    """Of our own kind, for the arm raises none."""
    never = threading.Event()
    llm = RoutedLLM(llms={"hangs": ScriptedTextLLM(waits_for=never)}, timeout_s=0.05)

    with pytest.raises(ArmTimeout, match="gave nothing for"):
        llm.chat(user("Hello"))
    never.set()


def test_a_dead_arm_is_asked_less() -> None:
    """It learns from failures alone."""
    llms = {"dead": ScriptedLLM(error=Overloaded()), "good": ScriptedLLM()}
    llm = RoutedLLM(llms=llms, weights={"quality": 1}, breaker=None, seed=3)
    for _ in range(30):
        llm.feedback(llm.chat(user("Hello")), 1.0)

    assert llms["dead"].calls < 12
