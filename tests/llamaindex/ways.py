"""The ways into an LLM, as functions from a prompt to the text that came."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from llama_index.core.llms import LLM
from llama_index.core.prompts import PromptTemplate

from tests.llamaindex.scripted import user

__all__ = ["ANSWERS", "STREAMS", "WAYS", "answer", "last", "until"]


def last(frames: Any) -> Any:
    """The last frame of a stream."""
    *_, frame = frames
    return frame


async def alast(frames: Awaitable[Any]) -> Any:
    """The last frame of an async stream."""
    return [frame async for frame in await frames][-1]


async def atokens(tokens: Awaitable[Any]) -> str:
    """The tokens of an async stream together."""
    return "".join([token async for token in await tokens])


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop go on until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # what is waited for is no event of a loop
            await asyncio.sleep(0)


def _template(prompt: str) -> PromptTemplate:
    return PromptTemplate(prompt.replace("{", "{{").replace("}", "}}"))


ANSWERS: dict[str, Callable[[LLM, str], Any]] = {
    "chat": lambda llm, prompt: llm.chat(user(prompt)),
    "achat": lambda llm, prompt: asyncio.run(_awaited(llm.achat(user(prompt)))),
    "stream_chat": lambda llm, prompt: last(llm.stream_chat(user(prompt))),
    "astream_chat": lambda llm, prompt: asyncio.run(alast(llm.astream_chat(user(prompt)))),
    "complete": lambda llm, prompt: llm.complete(prompt),
    "acomplete": lambda llm, prompt: asyncio.run(_awaited(llm.acomplete(prompt))),
    "stream_complete": lambda llm, prompt: last(llm.stream_complete(prompt)),
    "astream_complete": lambda llm, prompt: asyncio.run(alast(llm.astream_complete(prompt))),
}
"""Those that return responses: the eight that every LLM has."""

WAYS: dict[str, Callable[[LLM, str], Any]] = {
    **ANSWERS,
    "predict": lambda llm, prompt: llm.predict(_template(prompt)),
    "apredict": lambda llm, prompt: asyncio.run(_awaited(llm.apredict(_template(prompt)))),
    "stream": lambda llm, prompt: "".join(llm.stream(_template(prompt))),
    "astream": lambda llm, prompt: asyncio.run(atokens(llm.astream(_template(prompt)))),
}
"""And those that return text."""

STREAMS = ("stream_chat", "astream_chat", "stream_complete", "astream_complete")


def answer(given: Any) -> str:
    """The text of whatever came."""
    if isinstance(given, str):
        return given
    message = getattr(given, "message", None)
    return (message.content or "") if message is not None else str(given.text)


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value
