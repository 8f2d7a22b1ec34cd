"""Whether an answer could be parsed is a judgement that costs nothing: booked as source "parse"."""

from collections.abc import Iterator
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.tracers.schemas import Run

from langchain_pickllm.runs import DECISION_ID
from pickllm.router import Router

__all__ = ["judged_by_parsing"]

_SOURCE = "parse"


def judged_by_parsing(chain: Runnable[Any, Any], router: Router) -> Runnable[Any, Any]:
    """A chain of a routed model and a parser that tells the router how each answer parsed."""

    def ended(run: Run) -> None:
        parsed = run.outputs.get("output", run.outputs) if run.outputs else None
        failed = parsed is None or (isinstance(parsed, dict) and parsed.get("parsing_error"))
        _book(router, run, 0.0 if failed else 1.0)

    def failed(run: Run) -> None:
        _book(router, run, 0.0)

    return chain.with_listeners(on_end=ended, on_error=failed)


def _book(router: Router, run: Run, score: float) -> None:
    for decision in _decisions(run):
        decision_id = decision.metadata[DECISION_ID]
        if decision.error is None and router.knows(decision_id):
            router.feedback(decision_id, score, _SOURCE)


def _decisions(run: Run) -> Iterator[Run]:
    """The routed model's runs inside."""
    for child in run.child_runs:
        if DECISION_ID in child.metadata and child.run_type == "chain":
            yield child
        else:
            yield from _decisions(child)
