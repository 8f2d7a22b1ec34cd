"""Every way to run a model in LangChain, and a handler that writes down what it is told of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    BaseMessageChunk,
    HumanMessage,
    message_chunk_to_message,
)
from langchain_core.runnables import Runnable, RunnableConfig

__all__ = ["MODEL_WAYS", "WAYS", "Recorder", "Span", "Way", "until"]


@dataclass(slots=True)
class Span:
    """One run, as handlers are told of it."""

    kind: str
    name: str
    run_id: UUID
    parent_run_id: UUID | None
    tags: list[str]
    metadata: Mapping[str, Any]
    tokens: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """"end", or the class name of the error; one of them, if all is well."""
    output: Any = None


class Recorder(BaseCallbackHandler):
    """Writes down every run it sees."""

    run_inline = True

    def __init__(self) -> None:
        self.spans: dict[UUID, Span] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Span]:
        """The runs, in the order in which they began."""
        return iter(list(self.spans.values()))

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self._begin("chain", kwargs)

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self._begin("llm", kwargs)

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        self._begin("tool", kwargs)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.spans[kwargs["run_id"]].tokens.append(str(token))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self._end("end", outputs, kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self._end("end", response, kwargs)

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self._end("end", output, kwargs)

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        self._end(type(error).__name__, error, kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self._end(type(error).__name__, error, kwargs)

    def of_kind(self, kind: str) -> list[Span]:
        """All the runs of one kind."""
        return [span for span in self if span.kind == kind]

    def routers(self) -> list[Span]:
        """The runs of routed models."""
        return [span for span in self if span.name == "RoutedChatModel"]

    def parent(self, span: Span) -> Span | None:
        """The run above."""
        return self.spans[span.parent_run_id] if span.parent_run_id else None

    def _begin(self, kind: str, told: Mapping[str, Any]) -> None:
        with self._lock:
            assert told["run_id"] not in self.spans
            self.spans[told["run_id"]] = Span(
                kind=kind,
                name=told.get("name") or "",
                run_id=told["run_id"],
                parent_run_id=told["parent_run_id"],
                tags=told["tags"] or [],
                metadata=told["metadata"] or {},
            )

    def _end(self, how: str, output: object, told: Mapping[str, Any]) -> None:
        span = self.spans[told["run_id"]]
        span.ends.append(how)
        span.output = output


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # nobody could set an event
            await asyncio.sleep(0)


Way: TypeAlias = Callable[[Runnable[Any, Any], Any, RunnableConfig], Any]
"""Runs a chain or a model on an input under a config; returns all that came of it, as one."""


def _invoke(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    return chain.invoke(given, config)


def _ainvoke(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    return asyncio.run(chain.ainvoke(given, config))


def _stream(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    return _added(list(chain.stream(given, config)))


def _astream(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    async def read() -> list[Any]:
        return [chunk async for chunk in chain.astream(given, config)]

    return _added(asyncio.run(read()))


def _batch(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    return chain.batch([given], config)[0]


def _abatch(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    return asyncio.run(chain.abatch([given], config))[0]


def _events_v2(chain: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    async def read() -> list[Any]:
        events = chain.astream_events(given, config, version="v2")
        return [event async for event in events]

    return asyncio.run(read())[-1]["data"]["output"]


def _generate(model: Any, given: str, config: RunnableConfig) -> AIMessage:
    message: AIMessage = model.generate([[HumanMessage(given)]], **config).generations[0][0].message
    return message


def _agenerate(model: Any, given: str, config: RunnableConfig) -> AIMessage:
    result = asyncio.run(model.agenerate([[HumanMessage(given)]], **config))
    message: AIMessage = result.generations[0][0].message
    return message


def _events_v3(model: Any, given: str, config: RunnableConfig) -> AIMessage:
    message: AIMessage = model.stream_events(given, config, version="v3").output
    return message


def _aevents_v3(model: Any, given: str, config: RunnableConfig) -> AIMessage:
    async def read() -> AIMessage:
        stream = await model.astream_events(given, config, version="v3")
        message: AIMessage = await stream.output
        return message

    return asyncio.run(read())


def _added(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return message_chunk_to_message(whole) if isinstance(whole, BaseMessageChunk) else whole


WAYS: Mapping[str, Way] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "batch": _batch,
    "abatch": _abatch,
    "events_v2": _events_v2,
}
"""For any chain."""

MODEL_WAYS: Mapping[str, Way] = {
    **WAYS,
    "generate": _generate,
    "agenerate": _agenerate,
    "events_v3": _events_v3,
    "aevents_v3": _aevents_v3,
}
"""For a chat model alone."""
