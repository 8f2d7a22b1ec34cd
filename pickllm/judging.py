"""How good an answer is, for its router: asked of a scorer, whose failure takes no answer away."""

import logging
from collections.abc import Callable

from pickllm.protocols import Asking, Scorer
from pickllm.rewards import checked_score
from pickllm.types import Reply, Request

__all__ = ["draft_score", "score_or_none"]

logger = logging.getLogger("pickllm")


def score_or_none(
    scorer: Scorer, request: Request, reply: Reply, count: Callable[[str], None]
) -> Asking[float | None]:
    """A score in [0, 1]; None where the scorer cannot tell, or fails, which is counted."""
    try:
        given = yield from scorer.score(request, reply)
        return None if given is None else checked_score(given)
    except Exception as error:  # the answer is there: nothing may take it away
        count("scorer_failures")
        logger.warning(
            "the scorer failed (%s); an answer goes unscored. Its traceback is logged at DEBUG",
            type(error).__name__,
        )
        logger.debug("the scorer failed", exc_info=error)  # it may quote the prompt
        return None


def draft_score(
    scorer: Scorer, request: Request, reply: Reply, count: Callable[[str], None]
) -> Asking[float | None]:
    """The same for a draft of a cascade. One that asks for tools is as good as its arguments."""
    if reply.calls_tools:
        return None if reply.tools_fit is None else float(reply.tools_fit)
    score = yield from score_or_none(scorer, request, reply, count)
    return score
