"""Rewards from chain runs: score what a chain made, and settle each decision inside it once.

handler = RewardCallbackHandler(model, score=lambda run: run.output == run.inputs["answer"])
chain.invoke({"question": "…", "answer": "4"}, config={"callbacks": [handler]})
"""

import asyncio
import inspect
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langchain_pickllm.runs import DECISION_ID
from pickllm.errors import ConfigError, PickLLMError
from pickllm.lock import Lock
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


Score: TypeAlias = Callable[[FinishedRun], float | Awaitable[float | None] | None]
"""How good a run's result is, in [0, 1]; None leaves its decisions unjudged."""


@dataclass(slots=True)
class _OpenRun:
    inputs: Any
    metadata: Mapping[str, Any]
    decision_ids: list[str] = field(default_factory=list)
    runs: set[UUID] = field(default_factory=set)
    unanswered: set[UUID] = field(default_factory=set)
    """Runs of routed models that have not ended."""
    paused: bool = False
    """Whether a graph stopped inside, to ask a human."""


class RewardCallbackHandler(BaseCallbackHandler):
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
        self.router = _router_of(model)
        if score is not None and not callable(score):
            raise ConfigError(
                f"score must be a function of a FinishedRun; it is {type(score).__name__}"
            )
        self.score = score
        self.source = source
        self.counts: Counter[str] = Counter()
        self._open: dict[UUID, _OpenRun] = {}
        self._root_of: dict[UUID, UUID] = {}
        self._pending: set[asyncio.Task[None]] = set()
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
                opened.unanswered.add(run_id)

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
                root.unanswered.discard(run_id)
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
        self._settle(finished)

    def _settle(self, finished: FinishedRun) -> None:
        """Score once, book for each decision."""
        if not finished.decision_ids:
            self.counts["no_decision"] += 1
            return
        try:
            score = self.score(finished) if self.score else None
        except Exception as error:
            self._tell_failure(error)
            return
        if inspect.isawaitable(score):
            self._schedule(self._settle_later(score, finished))
        else:
            self._book_all(score, finished)

    async def _settle_later(self, awaited: Awaitable[float | None], finished: FinishedRun) -> None:
        try:
            score = await awaited
        except Exception as error:
            self._tell_failure(error)
        else:
            self._book_all(score, finished)

    def _schedule(self, settling: Coroutine[Any, Any, None]) -> None:
        """On the loop that runs here, else on one of its own in a thread that exit waits for."""
        try:
            task = asyncio.get_running_loop().create_task(settling)
        except RuntimeError:
            threading.Thread(target=asyncio.run, args=(settling,), name="pickllm-score").start()
        else:
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    def _tell_failure(self, error: Exception) -> None:
        self.counts["scorer_failures"] += 1
        logger.warning("the scorer of a chain failed (%s); it goes unscored", type(error).__name__)

    def _book_all(self, score: float | None, finished: FinishedRun) -> None:
        if score is None:
            self.counts["unscored"] += 1
            return
        # turns of a tool loop belong to the decision that began it
        begun = (self.router.decisions(i) or (i,) for i in finished.decision_ids)
        for decision_id in dict.fromkeys(chain.from_iterable(begun)):
            self._book(decision_id, score)

    def _book(self, decision_id: str, score: float) -> None:
        try:
            verdict = self.router.feedback(decision_id, score, self.source)
        except PickLLMError as error:
            self.counts["refused"] += 1
            logger.warning("a chain's score was not booked: %s", error)
        except Exception as error:  # a reward or a policy of the user's own
            self.counts["refused"] += 1
            logger.warning("a chain's score was not booked: %s", type(error).__name__)
        else:
            self.counts[verdict] += 1


def _router_of(model: Any) -> Router:
    router = model if isinstance(model, Router) else getattr(model, "router", None)
    if not isinstance(router, Router):
        raise ConfigError(
            f"model must be the RoutedChatModel of the chain, or its router; it is "
            f"{type(model).__name__}"
        )
    return router


def _pauses(error: BaseException | None) -> bool:
    """Whether it is LangGraph's way of asking a human; told by name, for it need not be here."""
    return any(kind.__name__ == "GraphInterrupt" for kind in type(error).__mro__)
