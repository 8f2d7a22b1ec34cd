"""Structured output over a pool: each arm is asked in its own way, and its own parser reads it.

    chosen arm ──► its arguments (a JSON schema, forced tools, …) ──► message ──► its parser

Whether an answer could be parsed is a judgement that costs nothing: it is booked as source "parse".
"""

from collections.abc import AsyncIterator, Iterator
from itertools import chain as chained
from operator import itemgetter
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable, RunnableConfig, RunnableMap, RunnablePassthrough

from langchain_pickllm.callbacks import FinishedRun, RewardCallbackHandler
from langchain_pickllm.shapes import Shape
from pickllm.router import Router

__all__ = ["shaped_chain"]

_SOURCE = "parse"


def shaped_chain(
    asked: Runnable[Any, Any], shape: Shape, router: Router, *, include_raw: bool
) -> Runnable[Any, Any]:
    """The model that was asked for a shape, the parsers behind it, and the ear that they have."""
    parser = _ParserOfTheArm(shape)
    if not include_raw:
        return _judged(asked | parser, router, include_raw=False)
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    unparsed = RunnablePassthrough.assign(parsed=lambda _: None)
    reading = parsed.with_fallbacks([unparsed], exception_key="parsing_error")
    return _judged(RunnableMap(raw=asked) | reading, router, include_raw=True)


class _ParserOfTheArm(Runnable[AIMessage, Any]):
    """Hands a message to the parser that belongs to its arm, and adds no run to the trace."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def invoke(
        self,
        input: AIMessage,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """What the arm's parser makes of it."""
        return self.shape.parser(input).invoke(input, config, **kwargs)

    async def ainvoke(
        self,
        input: AIMessage,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """What the arm's parser makes of it."""
        return await self.shape.parser(input).ainvoke(input, config, **kwargs)

    def transform(
        self,
        input: Iterator[AIMessage],  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Results as they grow; the first chunk says whose they are."""
        for first in input:
            parser = self.shape.parser(first)
            if not isinstance(first, AIMessageChunk):  # parsers of streams drop its tool calls
                yield parser.invoke(first, config, **kwargs)
                return
            yield from parser.transform(chained([first], input), config, **kwargs)

    async def atransform(
        self,
        input: AsyncIterator[AIMessage],  # noqa: A002  # LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Results as they grow; the first chunk says whose they are."""
        async for first in input:
            parser = self.shape.parser(first)
            if not isinstance(first, AIMessageChunk):  # as above
                yield await parser.ainvoke(first, config, **kwargs)
                return
            async for result in parser.atransform(_chained(first, input), config, **kwargs):
                yield result


async def _chained(first: AIMessage, others: AsyncIterator[AIMessage]) -> AsyncIterator[AIMessage]:
    yield first
    async for other in others:
        yield other


def _judged(chain: Runnable[Any, Any], router: Router, *, include_raw: bool) -> Runnable[Any, Any]:
    """The chain, with a handler that tells the router how each answer parsed."""

    def parsed(run: FinishedRun) -> float:
        result = run.output
        if include_raw and isinstance(result, dict):
            result = result.get("parsed")
        return float(run.error is None and result is not None)

    handler = _ParseHandler(router, score=parsed, source=_SOURCE)
    return chain.with_config(callbacks=[handler])


class _ParseHandler(RewardCallbackHandler):
    """Judges answers alone: an arm that failed has given none, and a router inside has its own."""

    def book(self, decision_id: str, score: float) -> None:
        known = self.router.knows(decision_id)
        if known and self.router.explain(decision_id).status not in ("error", "cancelled"):
            super().book(decision_id, score)
