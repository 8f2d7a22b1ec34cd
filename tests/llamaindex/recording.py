"""What LlamaIndex's tracing tells of some work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from llamaindex_pickllm.tracing import QuietSpanHandler

__all__ = ["Recording", "recorded"]


class Recording:
    """Spans by their names, and events in their order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.told: list[Any] = []
        self.spans: list[tuple[str, str | None]] = []
        self.dropped: list[str] = []

    @property
    def roots(self) -> list[str]:
        """Spans below no other."""
        return [_name(span) for span, parent in self.spans if parent is None]

    @property
    def parents(self) -> dict[str, str]:
        """Which span is below which."""
        return {_name(span): _name(parent) for span, parent in self.spans if parent is not None}


def _name(span: str) -> str:
    return span[:-37]


class _Spans(QuietSpanHandler):
    _recording: Recording = PrivateAttr()

    def span_enter(self, id_: str, *args: Any, parent_id: str | None = None, **kwargs: Any) -> None:
        self._recording.spans.append((id_, parent_id))

    def span_drop(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self._recording.dropped.append(_name(id_))


class _Events(BaseEventHandler):
    _recording: Recording = PrivateAttr()

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._recording.events.append(event.class_name())
        self._recording.told.append(event)


@contextmanager
def recorded() -> Iterator[Recording]:
    """All that is told of inside."""
    recording, root = Recording(), get_dispatcher()
    spans, events = _Spans(), _Events()
    spans._recording = events._recording = recording
    root.add_span_handler(spans)
    root.add_event_handler(events)
    try:
        yield recording
    finally:
        root.span_handlers.remove(spans)
        root.event_handlers.remove(events)
