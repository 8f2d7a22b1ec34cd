"""What a flow wants done. It yields these, a driver does them (`pickllm.drive`) and sends back.

    Call ──► Release     a whole answer, or one held back and shown once it will do
      │ └──► Withdraw    or never shown
    Recite ─► Release    an answer that was kept
    Work                 anything of our own that may block

Of a call that is held back, the consumer sees nothing before its `Release`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pickllm.types import Decision, Kept, Reply, Said

__all__ = ["Call", "Recite", "Release", "Step", "Withdraw", "Work"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Ask a model. The driver sends the `Reply` back, or throws an `ArmError`."""

    decision: Decision
    arm: str
    timeout_s: float | None = None
    turns: tuple[Said, ...] | None = field(default=None, repr=False)
    """The conversation as this arm shall read it; None as it was given."""
    hold_back_chars: int | None = None
    """Show nothing before a `Release`, and stop a stream when so much of it is there, and something
    to see. 0 is for what is shown in any case; None shows everything as it comes."""

    @property
    def is_held_back(self) -> bool:
        """Whether what the arm says is shown only by a `Release`."""
        return self.hold_back_chars is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """Show a reply that was held back, to its end, and send back the whole."""

    decision: Decision
    reply: Reply


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdraw:
    """Stop the stream of a reply that was held back; it is never shown."""

    reply: Reply


@dataclass(frozen=True, kw_only=True, slots=True)
class Recite:
    """Send back an answer that was kept, to be shown by a `Release`."""

    decision: Decision
    kept: Kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Local work that may block, such as a disk. Run in a thread under async."""

    run: Callable[[], Any]


Step: TypeAlias = Call | Release | Withdraw | Recite | Work
"""Any of them."""
