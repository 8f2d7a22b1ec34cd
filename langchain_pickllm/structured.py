"""Whether an answer could be parsed is a judgement that costs nothing: booked as source "parse"."""

from typing import Any

from langchain_core.runnables import Runnable

from langchain_pickllm.callbacks import FinishedRun, RewardCallbackHandler
from pickllm.router import Router

__all__ = ["judged_by_parsing"]

_SOURCE = "parse"


def judged_by_parsing(
    chain: Runnable[Any, Any], router: Router, *, include_raw: bool
) -> Runnable[Any, Any]:
    """A chain of a routed model and a parser that tells the router how each answer parsed."""

    def parsed(run: FinishedRun) -> float:
        result = run.output
        if include_raw and isinstance(result, dict):
            result = result.get("parsed")
        return float(run.error is None and result is not None)

    handler = _ParseHandler(router, score=parsed, source=_SOURCE)
    return chain.with_config(callbacks=[handler])


class _ParseHandler(RewardCallbackHandler):
    """Judges answers alone: an arm that failed has given none, and a router inside has its own."""

    def book(self, decision_id: str, score: float) -> None:
        known = self.router.knows(decision_id)
        if known and self.router.explain(decision_id).status not in ("error", "cancelled"):
            super().book(decision_id, score)
