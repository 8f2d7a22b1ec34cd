"""A turn, driven to its end in one of the four ways to wait; an arm's failure comes out as its own.

A stream's first frame is pulled before the generator is handed out. So it comes within the routed
span, another arm can take over from one that fails, and nothing is later for it.
"""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from llamaindex_pickllm.turn import Turn
from pickllm import drive
from pickllm.errors import ArmError
from pickllm.types import Routed

__all__ = ["adrive", "adrive_stream", "drive_stream", "drive_whole"]

_END = object()


def drive_whole(turn: Turn) -> Routed:
    """The answer as a whole."""
    with _own_errors():
        return drive.run(turn.flow(), turn.port)


async def adrive(turn: Turn) -> Routed:
    """The answer as a whole, without blocking the loop."""
    with _own_errors():
        return await drive.arun(turn.flow(), turn.port)


def drive_stream(turn: Turn) -> Generator[Any, None, None]:
    """The answer frame by frame; the first one is there."""
    frames = drive.stream(turn.flow(), turn.port)
    with _own_errors():
        first = next(frames, _END)
    return _frames(first, frames)


async def adrive_stream(turn: Turn) -> AsyncGenerator[Any, None]:
    """The answer frame by frame, without blocking the loop; the first one is there."""
    frames = drive.astream(turn.flow(), turn.port)
    with _own_errors():
        first = await anext(frames, _END)
    return _aframes(first, frames)


def _frames(first: object, frames: Generator[Any, None, Any]) -> Generator[Any, None, None]:
    try:
        if first is not _END:
            yield first
        with _own_errors():
            yield from frames
    finally:
        frames.close()


async def _aframes(first: object, frames: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    async with aclosing(frames):
        if first is not _END:
            yield first
        with _own_errors():
            async for frame in frames:
                yield frame


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except ArmError as error:
        raise error.original from error.original.__cause__
