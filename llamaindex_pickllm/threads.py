"""Blocking calls awaited in daemon threads: one that hangs stops neither the loop nor the exit."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeVar

__all__ = ["in_thread", "in_threads"]

T = TypeVar("T")

_END = object()


async def in_thread(function: Callable[[], T]) -> T:
    """What a function returns or raises, in a thread of its own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def told(settle: Callable[[Any], None], value: Any) -> None:
        if not future.done():  # else whoever waited has left
            settle(value)

    def work() -> None:
        settle: Callable[[Any], None]
        try:
            value: Any = context.run(function)
            settle = future.set_result
        except BaseException as error:  # handed to whoever waits
            value = error
            settle = future.set_exception
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(told, settle, value)

    threading.Thread(target=work, daemon=True, name="pickllm-arm").start()
    return await future


async def in_threads(pieces: Iterator[T]) -> AsyncGenerator[T, None]:
    """The items of a blocking iterator, each awaited in a thread."""
    try:
        while (piece := await in_thread(lambda: next(pieces, _END))) is not _END:
            yield piece  # type: ignore[misc]  # what is no end is an item
    finally:
        with contextlib.suppress(ValueError):  # a thread is still at work on the next
            getattr(pieces, "close", _nothing)()


def _nothing() -> None: ...
