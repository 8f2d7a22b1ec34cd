"""Whether someone watches an arm's tokens while it answers as a whole.

With a streaming handler attached (LangGraph's ``stream_mode="messages"``, `astream_events`) an
`invoke` streams inside, and its tokens are seen as they come. An arm that fails after that must not
be replaced: whoever watches would see two answers spliced.
"""

from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig

# the marks by which LangChain itself knows that someone watches; they have no public name
from langchain_core.tracers._streaming import (
    _StreamingCallbackHandler,
    _V2StreamingCallbackHandler,
)

from langchain_pickllm.reading import shows

__all__ = ["Watch", "watch", "watched_by", "watches"]

_MARKS = (_StreamingCallbackHandler, _V2StreamingCallbackHandler)


class Watch(BaseCallbackHandler):
    """Notes whether a visible token has passed."""

    run_inline = True

    def __init__(self) -> None:
        self.seen = False

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        """A token, or a part of a tool call; the first ones may be empty."""
        message = getattr(chunk, "message", None)
        self.seen = self.seen or (bool(token) if message is None else shows(message))

    def on_stream_event(self, event: Any, **kwargs: Any) -> None:
        """A protocol event; content has been seen with the first block of it."""
        self.seen = self.seen or str(event.get("event", "")).startswith("content-block")


def watch(config: RunnableConfig) -> Watch | None:
    """Watch along with a streaming handler of this config, if there is one: the config changes."""
    manager = config.get("callbacks")
    if not isinstance(manager, BaseCallbackManager) or not any(map(watches, manager.handlers)):
        return None
    watcher, manager = Watch(), manager.copy()
    manager.add_handler(watcher)
    config["callbacks"] = manager
    return watcher


def watches(handler: BaseCallbackHandler) -> bool:
    """Whether LangChain streams a model's ``invoke`` for this handler."""
    return isinstance(handler, _MARKS)


def watched_by(config: RunnableConfig) -> Literal["chunks", "events"] | None:
    """What those who watch are told of: chunks, or the events of content-block streams."""
    manager = config.get("callbacks")
    handlers = manager.handlers if isinstance(manager, BaseCallbackManager) else []
    by_events = [
        isinstance(each, _V2StreamingCallbackHandler) for each in handlers if watches(each)
    ]
    if not by_events:
        return None
    return "events" if any(by_events) else "chunks"  # LangChain decides so too
