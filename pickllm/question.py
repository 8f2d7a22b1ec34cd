"""A call under way: how long an arm was waited for, what has come of its answer, what was shown.

    keep ──► release ──► rest ──► reply         an answer that is shown as it comes
    keep, keep ──► draft                        one that is held back, until `enough` is there
              └──► show ──► release ──► reply   and shown after all, to its end

Pure bookkeeping: the drivers in `pickllm.drive` do the waiting.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pickllm.errors import ArmError, ArmRefused
from pickllm.protocols import Port
from pickllm.steps import Call
from pickllm.types import Piece, Reply

__all__ = ["Clock", "Question"]

Clock: TypeAlias = Callable[[], float]
"""Seconds that never run backwards."""


@dataclass(slots=True, eq=False)
class Question:
    """One call of one arm."""

    call: Call
    port: Port
    clock: Clock
    pieces: list[Piece] = field(default_factory=list)
    waited_s: float = 0.0
    first_piece_s: float | None = None
    source: Any = None
    """The arm's stream, sync or async, while it is open."""
    draft: Reply | None = None
    """What the flow was given of an answer that is held back."""
    recital: bool = False
    """Whether it is an answer that was kept: then the draft is all there is."""
    _chars: int = 0
    _visible: bool = False

    @property
    def shown(self) -> bool:
        """Whether the consumer has seen something."""
        return self.first_piece_s is not None

    @property
    def enough(self) -> bool:
        """Whether as much is held back as was asked for."""
        limit = self.call.hold_back_chars
        return limit is not None and self._visible and self._chars >= limit

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as time spent waiting for the arm, and a failure as the arm's."""
        began = self.clock()
        try:
            yield
        except BaseException as error:
            self.waited_s += self.clock() - began
            if not isinstance(error, Exception):
                raise
            raise _failure(  # noqa: B904  # sets its cause itself
                error, self.call, latency_s=self.waited_s, shown=self.shown
            )
        self.waited_s += self.clock() - began

    def keep(self, piece: Piece) -> None:
        """A piece has come that is not shown yet."""
        self.pieces.append(piece)
        self._chars += piece.chars
        self._visible = self._visible or piece.visible

    def release(self, piece: Piece) -> list[Any]:
        """Payloads that may be shown now that this piece has come."""
        self.keep(piece)
        if self.shown:
            return [piece.payload]
        return self.show() if piece.visible else []

    def show(self) -> list[Any]:
        """Payloads of all that has come, to be shown now."""
        self.first_piece_s = self.waited_s
        return [held.payload for held in self.pieces]

    def rest(self) -> list[Any]:
        """Payloads of an answer that has ended without a visible piece."""
        return [] if self.shown else [held.payload for held in self.pieces]

    def held_back(self) -> Reply:
        """What has come of an answer that is held back, the whole of it where it has ended."""
        self.draft = replace(self.reply(), partial=self.source is not None)
        return self.draft

    def reply(self) -> Reply:
        """The whole answer."""
        if self.recital and self.draft is not None:
            return self.draft
        with self.waiting():
            if not self.pieces:
                raise ArmRefused(f"arm {self.call.arm!r} streamed nothing", arm=self.call.arm)
            whole = self.port.join(self.call, self.pieces)
        return self.timed(whole)

    def timed(self, reply: Reply) -> Reply:
        """The reply with what is known here: whose it is, and how long it took."""
        return replace(
            reply,
            arm=self.call.arm,
            latency_s=self.waited_s,
            first_piece_s=self.first_piece_s,
        )

    def so_far(self) -> Reply | None:
        """What has come of the answer, or None where that makes no reply."""
        try:
            return self.reply()
        except ArmError:
            return None


def _failure(error: Exception, call: Call, *, latency_s: float, shown: bool = False) -> ArmError:
    """The error as a failure of the arm called; one that is already ours about it stays itself."""
    if isinstance(error, ArmError) and error.arm == call.arm:
        failure = error
    else:
        failure = ArmError(f"arm {call.arm!r} failed: {type(error).__name__}", arm=call.arm)
        failure.__cause__ = error
    failure.latency_s, failure.shown = latency_s, shown or failure.shown
    return failure
