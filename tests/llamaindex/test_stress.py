"""Many callers at once, several loops, huge prompts: every call is booked once, on its own arm."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.stamp import stamp_on
from tests.llamaindex.scripted import ScriptedLLM, ScriptedTextLLM, user
from tests.llamaindex.ways import answer


def pool() -> RoutedLLM:
    """Three arms, one of which blocks."""
    return RoutedLLM(
        llms={
            "a": ScriptedLLM(says="a"),
            "b": ScriptedLLM(says="b"),
            "text": ScriptedTextLLM(says="text"),
        },
        seed=1,
        policy="random",
    )


def test_32_threads() -> None:
    """Whole and streamed."""
    llm = pool()

    def ask(number: int) -> bool:
        if number % 2:
            response = llm.chat(user(f"Hello {number}"))
        else:
            *_, response = llm.stream_chat(user(f"Hello {number}"))
        llm.feedback(response, 1.0)
        return bool(answer(response) == stamp_on(response)["arm"])

    with ThreadPoolExecutor(32) as threads:
        right = list(threads.map(ask, range(320)))

    assert all(right)
    stats = llm.stats()
    assert [320] * 3 == [stats[key] for key in ("decisions", "outcome_ok", "feedback_counted")]


async def test_200_tasks() -> None:
    """On one loop, half of the streams left in the middle."""
    llm = pool()

    async def ask(number: int) -> None:
        if number % 2:
            response = await llm.achat(user("Hello"))
            assert answer(response) == stamp_on(response)["arm"]
            return
        frames = await llm.astream_chat(user("Hello"))
        await anext(frames)
        await frames.aclose()

    await asyncio.gather(*(ask(number) for number in range(200)))

    assert (200, 100) == (llm.stats()["decisions"], llm.stats()["outcome_ok"])
    assert 100 == llm.stats()["outcome_abandoned"]


def test_several_loops() -> None:
    """One after another, and at once in threads."""
    llm = pool()

    async def ask() -> None:
        await asyncio.gather(*(llm.acomplete("Hello") for _ in range(10)))

    for _ in range(3):
        asyncio.run(ask())
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: asyncio.run(ask()), range(4)))

    assert 70 == llm.stats()["outcome_ok"]


def test_a_prompt_of_a_megabyte() -> None:
    """Measured in time, be it prose or one letter, and sent where it fits."""
    huge = ScriptedLLM(says="huge", window=2_000_000)
    llm = RoutedLLM(llms={"small": ScriptedLLM(), "huge": huge})
    for text in ("word " * 200_000, "x" * 1_000_000, "\u00fc\u4e16" * 250_000):
        assert "huge" == answer(llm.chat(user(text)))
        *_, frame = llm.stream_complete(text)
        assert "huge" == answer(frame)
