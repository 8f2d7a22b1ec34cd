"""Rewards from chain runs: score what a chain made, and settle each decision inside it once.

handler = RewardCallbackHandler(model, score=lambda run: run.output == run.inputs["answer"])
chain.invoke({"question": "…", "answer": "4"}, config={"callbacks": [handler]})
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langchain_pickllm.runs import DECISION_ID
from pickllm.lock import Lock
from pickllm.settling import Settling, router_of

__all__ = ["FinishedRun", "RewardCallbackHandler", "Score"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedRun:
    """The outermost run that the handler saw, once it has ended."""

    run_id: UUID
    inputs: Any = field(repr=False)
    output: Any = field(repr=False)
    """None where the run failed."""
    error: BaseException | None
    """What it failed with: a parser's complaint is for the scorer to judge."""
    decision_ids: tuple[str, ...]
    """The router's decisions inside it, in their order; those of other routers are not its own."""
    metadata: Mapping[str, Any]


Score: TypeAlias = Callable[[FinishedRun], float | Awaitable[float | None] | None]
"""How good a run's result is, in [0, 1]; None leaves its decisions unjudged."""


@dataclass(slots=True)
class _OpenRun:
    inputs: Any = field(repr=False)
    metadata: Mapping[str, Any]
    decision_ids: list[str] = field(default_factory=list)
    runs: set[UUID] = field(default_factory=set)
    unanswered: dict[UUID, str] = field(default_factory=dict)
    """Runs of routed models that have not ended, and the decision that each is for."""
    paused: bool = False
    """Whether a graph stopped inside, to ask a human."""


class RewardCallbackHandler(BaseCallbackHandler, Settling[FinishedRun]):
    """Scores each chain run that it watches and feeds the score back to the decisions inside.

    Give it to a chain, ``config={"callbacks": [handler]}``, or bind it to a part of one,
    ``part.with_config(callbacks=[handler])``: the outermost run that it sees is the one it scores.
    It may watch any number of runs at once, and it never raises: what goes wrong is logged.
    ``counts`` says how often: the router's verdicts ("counted", "repeated", …), "unscored" (the
    score was None), "scorer_failures", "refused" (no number in [0, 1], or a decision held no more),
    "interrupted" (cancelled, left or paused) and "no_decision" (nothing was routed inside).

    Args:
        model: The routed model, or its router.
        score: Gets the `FinishedRun`, returns a score in [0, 1] or None. An async function is
            scheduled: on the loop that runs, else in a thread of its own. A cancelled run, a
            stream whose consumer left and a graph that asks a human are not scored at all.
            Without a score the handler only notes which decisions belong to which outermost run,
            so that feedback finds them by its ``run_id``.
        source: Under which name the score is booked; each source is heard once for each decision.
    """

    run_inline = True
    """Under async, too, it runs where the chain runs: a reward is booked before it returns."""

    def __init__(self, model: Any, *, score: Score | None = None, source: str = "chain") -> None:
        Settling.__init__(self, router_of(model), score=score, source=source)
        self._open: dict[UUID, _OpenRun] = {}
        self._root_of: dict[UUID, UUID] = {}
        self._lock = Lock()

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
                opened.unanswered[run_id] = decision_id

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note a tool's run: a routed model inside it belongs to the run around it."""
        self._pass_through(run_id, parent_run_id)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note a retriever's run, for the same reason."""
        self._pass_through(run_id, parent_run_id)

    def _pass_through(self, run_id: UUID, parent_run_id: UUID | None) -> None:
        with self._lock:
            root = self._root_of.get(parent_run_id) if parent_run_id else None
            if root is not None:
                self._root_of[run_id] = root
                self._open[root].runs.add(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Score the run, if it is the outermost one."""
        self._note_inputs(run_id, kwargs)
        self._close(run_id, outputs, None)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Let the scorer judge the error of the outermost run, unless somebody stopped it."""
        self._note_inputs(run_id, kwargs)
        self._close(run_id, None, error)

    def _note_inputs(self, run_id: UUID, told_at_end: Mapping[str, Any]) -> None:
        """A streamed chain tells its inputs at the end; at the start they are a placeholder."""
        with self._lock:
            opened = self._open.get(run_id)
            if opened is not None and told_at_end.get("inputs") is not None:
                opened.inputs = told_at_end["inputs"]

    def _close(self, run_id: UUID, output: Any, error: BaseException | None) -> None:
        with self._lock:
            root = self._open.get(self._root_of.get(run_id, run_id))
            if root is not None:
                decision_id = root.unanswered.pop(run_id, None)
                if decision_id is not None and decision_id not in self.router.ledger:
                    root.decision_ids.remove(decision_id)  # another router made it
                root.paused = root.paused or _pauses(error)
            opened = self._open.pop(run_id, None)
            for inner in opened.runs if opened else ():
                self._root_of.pop(inner, None)
        if opened is None:
            return
        for decision_id in opened.decision_ids:
            self.router.trace(str(run_id), decision_id)
        # LangChain ends the run of a chain whose reader leaves its stream, and of a graph that asks
        # a human, as if all were well
        left = opened.unanswered and error is None
        stopped = error is not None and not isinstance(error, Exception)
        if left or stopped or opened.paused:
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
        self.settle(finished)


def _pauses(error: BaseException | None) -> bool:
    """Whether it is LangGraph's way of asking a human; told by name, for it need not be here."""
    return any(kind.__name__ == "GraphInterrupt" for kind in type(error).__mro__)
