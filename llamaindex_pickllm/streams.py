"""A query's stream is read when its span has long ended: below that span all the same.

So the LLMs that are asked only now are part of the query: of its unit, and of the tags around it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable
from typing import Any

from llama_index.core.instrumentation.span import active_span_id

__all__ = ["abelow", "below"]

_END = object()


def below(span_id: str, tokens: Iterable[Any]) -> Generator[Any, None, None]:
    """The tokens, each made with this span as the active one."""
    reading = iter(tokens)
    try:
        while True:
            with _active(span_id):
                token = next(reading, _END)
            if token is _END:
                return
            yield token
    finally:
        getattr(reading, "close", _nothing)()


async def abelow(span_id: str, tokens: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    """The same for an async stream."""
    try:
        while True:
            with _active(span_id):
                token = await anext(tokens, _END)
            if token is _END:
                return
            yield token
    finally:
        await getattr(tokens, "aclose", _anothing)()


class _active:  # noqa: N801  # a context manager without the cost of a generator, for each token
    __slots__ = ("_span_id", "_token")

    def __init__(self, span_id: str) -> None:
        self._span_id = span_id

    def __enter__(self) -> None:
        self._token = active_span_id.set(self._span_id)

    def __exit__(self, *stopped: object) -> None:
        active_span_id.reset(self._token)


def _nothing() -> None: ...


async def _anothing() -> None: ...
