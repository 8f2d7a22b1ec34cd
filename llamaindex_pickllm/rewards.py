"""Rewards from queries, chats and agents: score what came out, and settle each decision inside.

    tracker = RewardTracker(llm, score=lambda unit: "sunny" in unit.answer)
    with tracker:
        engine.query("How is the weather in Oslo?")

LlamaIndex has no one event that ends such a unit: a streaming query engine says that it has ended
before its LLM is asked, a chat engine says nothing at all. What they all have is a span. A unit is
the outermost span of a query engine, a chat engine or a workflow; it ends with its span, or, where
the result is a stream, with the last token that its reader takes.
"""

import asyncio
import contextvars
import weakref
from collections import OrderedDict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
)
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, TypeAlias

from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.chat_engine import (
    StreamChatEndEvent,
    StreamChatErrorEvent,
)
from llama_index.core.instrumentation.span import active_span_id
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import active_instrument_tags
from pydantic import BaseModel, PrivateAttr
from workflows.errors import WorkflowCancelledByUser

from llamaindex_pickllm.tracing import QuietSpanHandler, install, span_chain
from llamaindex_pickllm.units import FinishedUnit, Kind, answer_of, kind_of, output_of, question_of
from pickllm.lock import Lock
from pickllm.settling import Settling, router_of

__all__ = ["RewardTracker", "Score"]

_MOST_OPEN = 10_000
"""Units under way; streams that nobody reads to the end would pile up."""

_PATIENCE_S = 10.0
"""How long the end of a ``with`` waits for async scores; later ones are booked all the same."""

_scoring: contextvars.ContextVar[bool] = contextvars.ContextVar("pickllm_scoring", default=False)


Score: TypeAlias = Callable[[FinishedUnit], float | Awaitable[float | None] | None]
"""How good a unit's answer is, in [0, 1]; None leaves its decisions unjudged."""


@dataclass(slots=True)
class _OpenUnit:
    """A unit under way. It holds nothing of its stream, so that one that is left can be closed."""

    id: str
    kind: Kind
    question: str = field(repr=False)
    tags: Mapping[str, Any]
    chat: Callable[[], StreamingAgentChatResponse | None] | None = None
    """A chat's stream, weakly, once its span has ended."""
    streamed: bool = False
    """Whether a chat's stream has ended, which may be before its span does."""


class RewardTracker(Settling[FinishedUnit]):
    """Scores each unit that ends while it is attached, and feeds the score back to its decisions.

    It is attached by ``with tracker:`` or `attach`, to the whole process: units without a decision
    of this router are let go. It never raises: what goes wrong is logged. ``counts`` says how
    often: the router's verdicts ("counted", "repeated", …), "unscored" (the score was None),
    "scorer_failures", "refused" (no number in [0, 1], or a decision held no more), "interrupted"
    (cancelled, or a stream that was left), "let_go" (more were under way than are kept),
    "lost" (an async score whose loop was closed first) and "no_decision" (nothing was routed
    inside).

    Args:
        llm: The routed LLM, or its router.
        score: Gets the `FinishedUnit`, returns a score in [0, 1] or None. An async function is
            scheduled: on the loop that runs, else in a thread of its own. ``async with tracker:``
            waits for it at the end, and ``await tracker.drained()`` anywhere. What the function
            itself asks, a judge or a query, is part of no unit and earns nothing. Units that were
            cancelled and streams that were left are not scored at all.
        source: Under which name the score is booked; each source is heard once for each decision.
    """

    def __init__(self, llm: Any, *, score: Score | None = None, source: str = "unit") -> None:
        super().__init__(router_of(llm), score=score, source=source)
        self._open: OrderedDict[str, _OpenUnit] = OrderedDict()
        self._lock = Lock()
        self._watches = False
        self._spans, self._events = _Spans(self), _Events(self)

    def attach(self) -> Self:
        """Watch from now on; a second time changes nothing."""
        install()
        root = get_dispatcher()
        self._watches = True
        if not any(handler is self._spans for handler in root.span_handlers):
            root.add_span_handler(self._spans)
            root.add_event_handler(self._events)
        return self

    def detach(self) -> None:
        """Take no new units; those under way are scored when they end."""
        self._watches = False
        self._leave()

    def __enter__(self) -> Self:
        """Watch what happens inside."""
        return self.attach()

    def __exit__(self, *stopped: object) -> None:
        """Take no new units, and wait a little for async scores, where no loop would stop."""
        self.detach()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.join(timeout_s=_PATIENCE_S)

    async def __aenter__(self) -> Self:
        """Watch what happens inside."""
        return self.attach()

    async def __aexit__(self, *stopped: object) -> None:
        """Take no new units, and wait for the scores of those that have ended."""
        self.detach()
        await self.drained()

    # What the handlers tell

    def began(
        self,
        span_id: str,
        instance: object,
        parent_id: str | None,
        arguments: Any,
        tags: Mapping[str, Any],
    ) -> None:
        """A span began: it may be a unit, if it is inside no other."""
        kind = kind_of(span_id, instance)
        if kind is None or not self._watches or _scoring.get():
            return
        with self._lock:
            if any(span in self._open for span in span_chain(parent_id)):
                return
            self._open[span_id] = _OpenUnit(
                id=span_id, kind=kind, question=question_of(arguments), tags=dict(tags)
            )
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
                self.counts["let_go"] += 1

    def returned(self, span_id: str, result: Any) -> None:
        """A span ended: with an answer, or with a stream that is still to be read."""
        unit = self._open.get(span_id)
        if unit is None:
            return
        match result:
            case StreamingResponse():
                whole = partial(_whole, result.source_nodes, result.metadata)
                result.response_gen = self._read(unit, result.response_gen, whole)
                self._told_if_left(result.response_gen, unit)
            case AsyncStreamingResponse():
                whole = partial(_whole, result.source_nodes, result.metadata)
                result.response_gen = self._aread(unit, result.response_gen, whole)
                self._told_if_left(result.response_gen, unit)
            case StreamingAgentChatResponse():
                with self._lock:
                    unit.chat = weakref.ref(result)
                    over = unit.streamed
                if over:
                    self._finish(unit, result)
                else:
                    self._told_if_left(result, unit)
            case None if unit.kind == "agent":
                self._finish(unit, error=asyncio.CancelledError())  # so ends a run that is stopped
            case _:
                self._finish(unit, output_of(result))

    def failed(self, span_id: str, error: BaseException | None) -> None:
        """A span ended with an error: the scorer judges it, unless somebody stopped the unit."""
        unit = self._open.get(span_id)
        if unit is not None:
            self._finish(unit, error=error or RuntimeError("dropped"))

    def chat_streamed(self, span_id: str | None, error: BaseException | None) -> None:
        """A chat engine's stream ended, before its span or after it."""
        with self._lock:
            unit = next((self._open[s] for s in span_chain(span_id) if s in self._open), None)
            if unit is None or unit.kind != "chat":
                return
            unit.streamed = True
            output = unit.chat() if unit.chat else None
        if error is not None or output is not None:
            self._finish(unit, output, error=error)

    # Inside

    def _read(
        self, unit: _OpenUnit, tokens: Iterable[Any], whole: Callable[[str], Response]
    ) -> Generator[Any, None, None]:
        text = ""
        try:
            for token in tokens:
                text = _longer(text, token)
                yield token
        except BaseException as error:
            self._finish(unit, error=error)
            raise
        finally:
            getattr(tokens, "close", lambda: None)()
        self._finish(unit, whole(text))

    async def _aread(
        self, unit: _OpenUnit, tokens: AsyncIterator[Any], whole: Callable[[str], Response]
    ) -> AsyncGenerator[Any, None]:
        text = ""
        try:
            async for token in tokens:
                text = _longer(text, token)
                yield token
        except BaseException as error:
            self._finish(unit, error=error)
            raise
        finally:
            if hasattr(tokens, "aclose"):
                await tokens.aclose()
        self._finish(unit, whole(text))

    def _told_if_left(self, stream: object, unit: _OpenUnit) -> None:
        """A stream that nobody holds any more is over, even if nobody ever began to read it."""
        weakref.finalize(stream, self._finish, unit, error=GeneratorExit()).atexit = False

    def _finish(
        self, unit: _OpenUnit, output: object = None, *, error: BaseException | None = None
    ) -> None:
        """Score a unit, once."""
        with self._lock:
            if self._open.pop(unit.id, None) is None:
                return
        self._leave()
        if isinstance(error, WorkflowCancelledByUser) or not isinstance(error, Exception | None):
            self.counts["interrupted"] += 1
            return
        finished = FinishedUnit(
            id=unit.id,
            kind=unit.kind,
            question=unit.question,
            answer="" if error else answer_of(output),
            output=None if error else output,
            error=error,
            decision_ids=self.router.decisions(unit.id),
            tags=unit.tags,
        )
        contextvars.copy_context().run(self._settle_apart, finished)

    def _leave(self) -> None:
        """Hear no more, once nothing is wanted and nothing under way."""
        if self._watches or self._open:
            return
        root = get_dispatcher()  # new lists: the dispatcher may be going through the old ones
        root.span_handlers = [h for h in root.span_handlers if h is not self._spans]
        root.event_handlers = [h for h in root.event_handlers if h is not self._events]

    def _settle_apart(self, finished: FinishedUnit) -> None:
        """In a context of its own: what the score function asks is part of no unit."""
        _scoring.set(True)
        active_span_id.set(None)
        self.settle(finished)


class _Spans(QuietSpanHandler):
    _tracker: RewardTracker = PrivateAttr()

    def __init__(self, tracker: RewardTracker) -> None:
        super().__init__()
        self._tracker = tracker

    def span_enter(
        self,
        id_: str,
        bound_args: Any,
        instance: Any = None,
        parent_id: str | None = None,
        tags: Any = None,
        **kwargs: Any,
    ) -> None:
        around = tags or active_instrument_tags.get()  # workflows hand none over
        self._tracker.began(id_, instance, parent_id, bound_args.arguments, around)

    def span_exit(self, id_: str, *args: Any, result: Any = None, **kwargs: Any) -> None:
        self._tracker.returned(id_, result)

    def span_drop(
        self, id_: str, *args: Any, err: BaseException | None = None, **kwargs: Any
    ) -> None:
        self._tracker.failed(id_, err)


class _Events(BaseEventHandler):
    _tracker: RewardTracker = PrivateAttr()

    def __init__(self, tracker: RewardTracker) -> None:
        super().__init__()
        self._tracker = tracker

    def handle(self, event: Any, **kwargs: Any) -> None:
        if isinstance(event, StreamChatEndEvent):
            self._tracker.chat_streamed(event.span_id, None)
        elif isinstance(event, StreamChatErrorEvent):
            self._tracker.chat_streamed(event.span_id, event.exception)


def _whole(source_nodes: list[Any], metadata: dict[str, Any] | None, text: str) -> Response:
    """A stream that was read, as the engine would have returned it whole."""
    return Response(text, source_nodes=source_nodes, metadata=metadata)


def _longer(text: str, token: object) -> str:
    """Tokens add up; of a structure that grows each is all there is so far."""
    return answer_of(token) if isinstance(token, BaseModel) else text + str(token)
