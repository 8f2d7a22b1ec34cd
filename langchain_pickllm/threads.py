"""Waiting on a loop for what blocks: each call in a daemon thread of its own.

An executor's few threads would make a call wait for others before it begins, and the interpreter
waits for them before it exits; a thread cannot be killed, and an arm that hangs must not do either.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What the function returns, called in the context of who waits for it."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # who leaves cannot take it out of the thread's hands
    work = partial(contextvars.copy_context().run, function, *args, **kwargs)
    threading.Thread(target=_settle, args=(done, work), daemon=True, name="pickllm-arm").start()
    return await asyncio.wrap_future(done)


def _settle(done: "Future[T]", work: Callable[[], T]) -> None:
    try:
        result = work()
    except StopIteration as stop:  # no awaiting code can be told of this one as it is
        done.set_exception(RuntimeError(f"it raised {type(stop).__name__}"))
    except BaseException as error:  # handed to the task that waits
        done.set_exception(error)
    else:
        done.set_result(result)
