"""An arm's time limit where nobody can interrupt it: awaited in a thread of its own.

A thread cannot be killed: an arm that hangs goes on hanging in its daemon thread, but its caller
does not.

>>> call = Call(decision=None, arm="slow", timeout_s=60.0)
>>> first_in_thread(lambda: iter(["yes"]), call)
'yes'
"""

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from pickllm.errors import ArmTimeout
from pickllm.steps import Call

__all__ = ["first_in_thread", "in_thread", "timed_out"]

T = TypeVar("T")

_AHEAD = 8
"""Pieces that an arm in a thread of its own may be ahead of its consumer."""


def timed_out(call: Call) -> ArmTimeout:
    """The error of an arm that took too long."""
    return ArmTimeout(
        f"arm {call.arm!r} gave nothing for {call.timeout_s} s: raise its timeout_s if it may "
        "take longer",
        arm=call.arm,
    )


def first_in_thread(source: Callable[[], Iterator[T]], call: Call) -> T:
    """The first item of such an iterator, within the call's time limit."""
    with contextlib.closing(in_thread(source, call)) as items:
        return next(items)


def in_thread(source: Callable[[], Iterator[T]], call: Call) -> Generator[T, None, None]:
    """The items of an iterator that lives in a daemon thread, each within the call's time limit."""
    items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    wanted = threading.Semaphore(_AHEAD)
    left = threading.Event()

    def pump() -> None:
        try:
            iterator = source()
            try:
                for item in iterator:
                    items.put(("item", item))
                    wanted.acquire()
                    if left.is_set():
                        break
            finally:
                getattr(iterator, "close", lambda: None)()
            items.put(("end", None))
        except BaseException as error:  # handed to the thread that waits
            items.put(("error", error))

    run_here = contextvars.copy_context().run
    threading.Thread(target=run_here, args=(pump,), daemon=True, name="pickllm-arm").start()
    try:
        while True:
            try:
                kind, item = items.get(timeout=call.timeout_s)
            except queue.Empty:
                raise timed_out(call) from None
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item
            wanted.release()
    finally:
        left.set()
        wanted.release()
