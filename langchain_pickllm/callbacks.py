"""Rewards from chain runs: score what a chain made, and settle each decision inside it once.

handler = RewardCallbackHandler(model, score=lambda run: run.output == run.inputs["answer"])
chain.invoke({"question": "…", "answer": "4"}, config={"callbacks": [handler]})
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langchain_pickllm.runs import DECISION_ID
from pickllm.errors import PickLLMError
from pickllm.router import Router

__all__ = ["FinishedRun", "RewardCallbackHandler", "Score"]

logger = logging.getLogger("pickllm")


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedRun:
    """The outermost run that the handler saw, once it has ended."""

    run_id: UUID
    inputs: Any
    output: Any
    """None where the run failed."""
    error: BaseException | None
    """What it failed with: a parser's complaint is for the scorer to judge."""
    decision_ids: tuple[str, ...]
    """The decisions made inside it, in their order."""
    metadata: Mapping[str, Any]


Score: TypeAlias = Callable[[FinishedRun], float | None]
"""How good a run's result is, in [0, 1]; None leaves its decisions unjudged."""


@dataclass(slots=True)
class _OpenRun:
    inputs: Any
    metadata: Mapping[str, Any]
    decision_ids: list[str] = field(default_factory=list)
    runs: set[UUID] = field(default_factory=set)
    unanswered: set[UUID] = field(default_factory=set)
    """Runs of routed models that have not ended."""


class RewardCallbackHandler(BaseCallbackHandler):
    """Scores each chain run that it watches and feeds the score back to the decisions inside.

    Give it to a chain, ``config={"callbacks": [handler]}``, or bind it to a part of one,
    ``part.with_config(callbacks=[handler])``: the outermost run that it sees is the one it scores.
    It may watch any number of runs at once, and it never raises: what goes wrong in a scorer is
    logged and counted in ``counts``.

    Args:
        model: The routed model, or its router.
        score: Gets the `FinishedRun`, returns a score in [0, 1] or None. A cancelled run and a
            stream whose consumer left are not scored at all.
        source: Under which name the score is booked; each source is heard once for each decision.
    """

    run_inline = True
    """Under async, too, it runs where the chain runs: a reward is booked before it returns."""

    def __init__(self, model: Any, *, score: Score, source: str = "chain") -> None:
        self.router: Router = model if isinstance(model, Router) else model.router
        self.score = score
        self.source = source
        self.counts: Counter[str] = Counter()
        self._open: dict[UUID, _OpenRun] = {}
        self._root_of: dict[UUID, UUID] = {}
        self._lock = threading.Lock()

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note the run, and the decision in it if it is the router's."""
        with self._lock:
            root = self._root_of.get(parent_run_id, run_id) if parent_run_id else run_id
            if root == run_id:
                self._open[run_id] = _OpenRun(inputs=inputs, metadata=metadata or {})
            opened = self._open[root]
            self._root_of[run_id] = root
            opened.runs.add(run_id)
            decision_id = (metadata or {}).get(DECISION_ID)
            if decision_id is not None and decision_id not in opened.decision_ids:
                opened.decision_ids.append(decision_id)  # runs inside an arm carry it too
                opened.unanswered.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Score the run, if it is the outermost one."""
        self._close(run_id, outputs, None)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Let the scorer judge the error, if it is the outermost run's and nobody's wish."""
        self._close(run_id, None, error)

    def _close(self, run_id: UUID, output: Any, error: BaseException | None) -> None:
        with self._lock:
            root = self._open.get(self._root_of.get(run_id, run_id))
            if root is not None:
                root.unanswered.discard(run_id)
            opened = self._open.pop(run_id, None)
            for inner in opened.runs if opened else ():
                self._root_of.pop(inner, None)
        if opened is None:
            return
        # LangChain ends the run of a chain whose reader leaves its stream as if all were well
        if opened.unanswered or not (error is None or isinstance(error, Exception)):
            self.counts["interrupted"] += 1
            return
        finished = FinishedRun(
            run_id=run_id,
            inputs=opened.inputs,
            output=output,
            error=error,
            decision_ids=tuple(opened.decision_ids),
            metadata=opened.metadata,
        )
        self._settle(finished)

    def _settle(self, finished: FinishedRun) -> None:
        """Score once, book for each decision."""
        if not finished.decision_ids:
            self.counts["no_decision"] += 1
            return
        try:
            score = self.score(finished)
        except Exception as error:
            self.counts["scorer_failures"] += 1
            logger.warning(
                "the scorer of a chain failed (%s); it goes unscored", type(error).__name__
            )
            return
        if score is None:
            self.counts["unscored"] += 1
            return
        for decision_id in finished.decision_ids:
            self._book(decision_id, score)

    def _book(self, decision_id: str, score: float) -> None:
        try:
            verdict = self.router.feedback(decision_id, score, self.source)
        except PickLLMError as error:
            self.counts["refused"] += 1
            logger.warning("a chain's score was not booked: %s", error)
        else:
            self.counts[verdict] += 1
