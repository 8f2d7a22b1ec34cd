"""One arm's part in a flow: its failure, and its being stopped, are booked among the attempts."""

from collections.abc import Sequence

from pickllm.attempts import failed, interrupted
from pickllm.errors import ArmError, Interrupted
from pickllm.protocols import Asking
from pickllm.steps import Call, Release
from pickllm.types import Arm, Attempt, Reply

__all__ = ["booked", "first_told_of_the_others"]


def booked(step: Call | Release, card: Arm, attempts: list[Attempt]) -> Asking[Reply]:
    """What the arm says; what that is, shown or rejected, its caller books."""
    try:
        reply: Reply = yield step
    except ArmError as error:
        attempts.append(failed(card, error))
        raise
    except Interrupted as stop:
        attempts.append(interrupted(card, stop))
        raise
    return reply


def first_told_of_the_others(failures: Sequence[ArmError]) -> ArmError:
    """The chosen arm's failure, unless a later one broke off in sight of the consumer."""
    told = failures[-1] if failures[-1].shown else failures[0]
    for other in failures:
        if other is not told:
            told.original.add_note(f"arm {other.arm!r} failed too: {type(other.original).__name__}")
    return told
