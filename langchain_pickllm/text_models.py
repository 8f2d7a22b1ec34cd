"""A text-completion model as an arm: its answers become messages. It has no tools and no images."""

from collections.abc import AsyncIterator, Iterator

from langchain_core.language_models import BaseLLM, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable, RunnableGenerator

__all__ = ["as_chat"]


def as_chat(llm: BaseLLM) -> Runnable[LanguageModelInput, AIMessage]:
    """The model, followed by a step that makes messages of its text, piece by piece."""
    return llm | RunnableGenerator(_messages, _amessages)


def _messages(pieces: Iterator[str]) -> Iterator[AIMessage]:
    for piece in pieces:
        yield AIMessageChunk(content=piece)


async def _amessages(pieces: AsyncIterator[str]) -> AsyncIterator[AIMessage]:
    async for piece in pieces:
        yield AIMessageChunk(content=piece)
