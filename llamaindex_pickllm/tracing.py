"""Where in LlamaIndex's tracing a decision was made, and the events that tell of it.

Much of the framework drops a response and keeps its text: queries, predictions, agents. So each
decision is found under the ids of the spans around it, too, and under the ids that users put into
``instrument_tags``. For that, one light span handler notes each span's parent, and the ids among
the tags around it: a stream may be read where they are no more.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any, TypeVar

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.instrumentation.span import BaseSpan, active_span_id
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.dispatcher import active_instrument_tags, instrument_tags

from llamaindex_pickllm.hearing import HearingHandler
from llamaindex_pickllm.streams import abelow, below
from llamaindex_pickllm.units import kind_of
from pickllm.steps import Call

__all__ = [
    "QuietSpanHandler",
    "RoutingEvent",
    "ShownEvent",
    "held_back",
    "install",
    "run_around",
    "span_chain",
    "tell",
    "tell_shown",
    "tenant_around",
    "traces_around",
]

_RUN_ID = "llamaindex.run_id"
"""The tag that LlamaIndex puts around each run of a workflow."""

V = TypeVar("V")

_HELD_BACK = "pickllm_held_back"
"""The tag of what an arm tells while its answer is not shown yet, if ever; its value is the arm."""
_REMEMBERED = 20_000
"""Spans whose parent is known; ended ones are kept, for streams are read after their spans."""
_DEEPEST = 64

_span_to_parent: OrderedDict[str, str | None] = OrderedDict()
_span_to_ids: OrderedDict[str, tuple[str, ...]] = OrderedDict()
"""The ids in the tags around a span, where there were any."""
_dispatcher = get_dispatcher(__name__)


class RoutingEvent(BaseEvent):
    """An arm is asked. Holds nothing of the prompt but a hash of its features."""

    decision_id: str
    arm: str
    """Who is asked: the arm chosen, or one that takes over from an arm that failed."""
    chosen: str
    arms: tuple[str, ...]
    """The candidates."""
    propensity: float
    """Probability with which ``chosen`` was drawn."""
    policy: str
    features: str
    """Hash of the prompt's features; empty where nobody looked at it."""

    @classmethod
    def class_name(cls) -> str:
        """As it appears in traces."""
        return "PickLLMRoutingEvent"


class ShownEvent(BaseEvent):
    """An answer that was held back is shown from now on; a cascade's are, and kept ones."""

    decision_id: str
    arm: str
    text: str
    """What there is of it so far: the whole, unless it is a stream that goes on."""

    @classmethod
    def class_name(cls) -> str:
        """As it appears in traces."""
        return "PickLLMShownEvent"


class QuietSpanHandler(BaseSpanHandler[BaseSpan]):
    """A span handler that keeps no spans of its own."""

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        """None is kept."""

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        """None is kept."""

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        """None is kept."""

    def span_enter(self, id_: str, *args: Any, **kwargs: Any) -> None:
        """Nothing is noted."""

    def span_exit(self, id_: str, *args: Any, **kwargs: Any) -> None:
        """Nothing is noted."""

    def span_drop(self, id_: str, *args: Any, **kwargs: Any) -> None:
        """Nothing is noted."""


class _SpanParents(QuietSpanHandler):
    """Notes the parent of each span and the ids around it, and keeps a query's stream below it."""

    def span_enter(self, id_: str, *args: Any, parent_id: str | None = None, **kwargs: Any) -> None:
        """Note it, and let the oldest go."""
        _note(_span_to_parent, id_, parent_id)
        ids = _tagged_ids()
        if ids:
            _note(_span_to_ids, id_, ids)

    def span_exit(
        self, id_: str, *args: Any, instance: Any = None, result: Any = None, **kwargs: Any
    ) -> None:
        """What reads a query's stream later belongs to it."""
        if kind_of(id_, instance) != "query":
            return
        match result:
            case StreamingResponse():
                result.response_gen = below(id_, result.response_gen)
            case AsyncStreamingResponse():
                result.response_gen = abelow(id_, result.response_gen)


def install() -> None:
    """See the spans of this process from now on; once is enough."""
    root = get_dispatcher()
    if not any(isinstance(handler, _SpanParents) for handler in root.span_handlers):
        root.add_span_handler(_SpanParents())


def span_chain(span_id: str | None) -> Iterator[str]:
    """A span and those around it, the innermost first."""
    for _ in range(_DEEPEST):
        if span_id is None:
            return
        yield span_id
        span_id = _span_to_parent.get(span_id)


def traces_around() -> tuple[str, ...]:
    """Ids under which a decision made here is found: spans, tags that are ids, OpenTelemetry."""
    spans = tuple(span_chain(active_span_id.get()))
    ids = (known for span in spans for known in _span_to_ids.get(span, ()))
    return tuple(dict.fromkeys((*spans, *_tagged_ids(), *ids, *_telemetry())))


def run_around() -> str:
    """Id of the run that this call is part of: of a workflow's, else of the outermost span."""
    tagged = active_instrument_tags.get().get(_RUN_ID)
    if isinstance(tagged, str):
        return tagged
    *_, outermost = ("", *span_chain(active_span_id.get()))
    return outermost


def tenant_around() -> str:
    """Who is named as the tenant in the tags around this call; empty where nobody is."""
    return str(active_instrument_tags.get().get("tenant") or "")


def tell(call: Call) -> None:
    """Dispatch the event of a call, if anybody could hear it."""
    if not _is_heard():
        return
    decision = call.decision
    features = decision.features
    digest = blake2b(features.tobytes(), digest_size=8).hexdigest() if features.size else ""
    _dispatcher.event(
        RoutingEvent(
            decision_id=decision.id,
            arm=call.arm,
            chosen=decision.arm,
            arms=decision.arms,
            propensity=decision.propensity,
            policy=decision.policy,
            features=digest,
        )
    )


def tell_shown(decision_id: str, arm: str, text: str) -> None:
    """Dispatch the event of an answer's release, if anybody could hear it."""
    if _is_heard():
        _dispatcher.event(ShownEvent(decision_id=decision_id, arm=arm, text=text))


def held_back(arm: str) -> AbstractContextManager[None]:
    """What is told inside is not shown yet."""
    return instrument_tags({**active_instrument_tags.get(), _HELD_BACK: arm})


def _is_heard() -> bool:
    handlers = (*_dispatcher.event_handlers, *_dispatcher.root.event_handlers)
    return not all(isinstance(each, HearingHandler | NullEventHandler) for each in handlers)


def _note(noted: OrderedDict[str, V], span_id: str, value: V) -> None:
    noted[span_id] = value
    if len(noted) > _REMEMBERED:
        noted.popitem(last=False)


def _tagged_ids() -> tuple[str, ...]:
    """The ids among the tags that are set here."""
    tags = active_instrument_tags.get()
    return tuple(value for key, value in tags.items() if _is_id(key) and isinstance(value, str))


def _is_id(key: str) -> bool:
    """Whether a tag names one piece of work: "request_id", "llamaindex.run_id"."""
    return key == "id" or key.endswith(("_id", ".id", "-id"))


def _telemetry() -> tuple[str, ...]:
    """Ids of OpenTelemetry's span and trace, where some program uses it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ()
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    return (trace.format_span_id(context.span_id), trace.format_trace_id(context.trace_id))
