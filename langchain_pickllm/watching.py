"""Whether someone watches an arm's tokens while it answers as a whole.

With a streaming handler attached (LangGraph's ``stream_mode="messages"``, `astream_events`) an
`invoke` streams inside, and its tokens are seen as they come. An arm that fails after that must not
be replaced: whoever watches would see two answers spliced.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers import BaseTracer

# the marks by which LangChain itself knows that someone watches; they have no public name
from langchain_core.tracers._streaming import (
    _StreamingCallbackHandler,
    _V2StreamingCallbackHandler,
)

from langchain_pickllm.reading import shows

__all__ = ["Watch", "unwatched", "watch"]

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
    if not isinstance(manager, BaseCallbackManager):
        return None
    if not any(isinstance(handler, _MARKS) for handler in manager.handlers):
        return None
    watcher, manager = Watch(), manager.copy()
    manager.add_handler(watcher)
    config["callbacks"] = manager
    return watcher


def unwatched(config: RunnableConfig) -> RunnableConfig:
    """The config for a draft: what a cascade may reject is nothing to be seen as it comes.

    Who streams an arm's run on (`astream_events`, LangGraph's messages) is left out; others hear of
    the run and its end, with its usage, and of no token. Tracers are told all: they show a draft
    for what it was. Handlers of the arm's own are the arm's.
    """
    manager = config.get("callbacks")
    if not isinstance(manager, BaseCallbackManager):
        return config
    manager = manager.copy()
    manager.handlers = _for_drafts(manager.handlers)
    manager.inheritable_handlers = _for_drafts(manager.inheritable_handlers)
    return {**config, "callbacks": manager}


def _for_drafts(handlers: Sequence[BaseCallbackHandler]) -> list[BaseCallbackHandler]:
    heard = [handler for handler in handlers if not isinstance(handler, _MARKS)]
    return [each if isinstance(each, BaseTracer) else _Muted(each) for each in heard]


class _Muted(BaseCallbackHandler):
    """Stands for a handler, and keeps tokens from it."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self._handler = handler

    def __getattribute__(self, name: str) -> Any:
        if name in {"on_llm_new_token", "on_stream_event"}:
            return _ignore
        handler = object.__getattribute__(self, "__dict__").get("_handler")
        return object.__getattribute__(self, name) if handler is None else getattr(handler, name)


def _ignore(*_: Any, **__: Any) -> None: ...
