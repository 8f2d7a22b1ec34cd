"""What an arm reads in place of the conversation, for a router; a failure takes no answer away."""

import logging
from collections.abc import Callable

from pickllm.protocols import Adaptation, Asking
from pickllm.steps import Work
from pickllm.types import Arm, Request, Said

__all__ = ["adapted"]

logger = logging.getLogger("pickllm")


def adapted(
    adaptation: Adaptation, request: Request, arm: Arm, count: Callable[[str], None]
) -> Asking[tuple[Said, ...] | None]:
    """The conversation for this arm; None for the one that was given."""
    if not request.turns:
        return None
    try:
        turns: tuple[Said, ...] = yield Work(run=lambda: tuple(adaptation.adapted(request, arm)))
    except Exception as error:
        count("adaptation_failures")
        logger.warning(
            "adapting the prompt failed (%s); it goes out as it is", type(error).__name__
        )
        logger.debug("adapting the prompt failed", exc_info=error)  # it may quote the prompt
        return None
    if turns == request.turns:
        return None
    count("prompts_adapted")
    return turns
