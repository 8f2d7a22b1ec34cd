"""What an arm's own calls reported while it worked on something whose result says nothing of it.

``predict`` returns a string and ``structured_predict`` an object: the tokens that they took are in
the events of the chats and completions inside.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher

__all__ = ["HearingHandler", "hearing", "install"]

_heard: ContextVar[dict[int, object] | None] = ContextVar("pickllm_heard", default=None)


class HearingHandler(BaseEventHandler):
    """Notes each answer of an LLM, once: a completion that answers a chat is told of twice."""

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names handlers."""
        return "PickLLMHearingHandler"

    def handle(self, event: Any, **kwargs: Any) -> None:
        """Note an answer, if somebody listens here."""
        heard = _heard.get()
        if heard is not None and isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            raw = getattr(event.response, "raw", None)
            heard[id(event.response if raw is None else raw)] = event.response


def install() -> None:
    """Hear the events of this process from now on; once is enough."""
    root = get_dispatcher()
    if not any(isinstance(handler, HearingHandler) for handler in root.event_handlers):
        root.add_event_handler(HearingHandler())


@contextmanager
def hearing(heard: dict[int, object]) -> Iterator[None]:
    """Put the answers that are told of inside into ``heard``, in their order."""
    token = _heard.set(heard)
    try:
        yield
    finally:
        _heard.reset(token)
