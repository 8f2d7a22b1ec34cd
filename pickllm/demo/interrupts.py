"""Control-C between two tasks, and not in the middle of one.

Python raises `KeyboardInterrupt` wherever it happens to be, and where that is a destructor or a
callback it prints a traceback and goes on. So while tasks are worked through, the first Control-C
is noted, and whoever works asks between two of them. A second one is raised at once.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["noted_interrupts"]


@contextmanager
def noted_interrupts() -> Iterator[Callable[[], bool]]:
    """Says whether Control-C was pressed; outside the main thread signals are not ours to hear."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)
    pressed: list[int] = []

    def note(number: int, _: object) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
