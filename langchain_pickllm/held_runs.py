"""The runs of drafts, kept from whoever watches tokens until it is known which draft is shown.

    a draft's run         told at once                      told when another answer is shown
    to tracers            all of it
    to token listeners    what comes before its tokens      what comes after them, and no token
    to streaming handlers                                   nothing

When the draft itself is shown, everything is told that was kept back, in its order, and the rest of
its run as it comes. A streaming handler is one that LangChain streams a model's `invoke` for:
`astream_events`, LangGraph's ``stream_mode="messages"``. It sees a run only if people see its
answer, so that no message appears that was never given. Tracers show a draft for what it was.
Handlers of the arm's own are the arm's, and handlers that listen to no token hear all at once.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    BaseCallbackManager,
)
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers import BaseTracer

from langchain_pickllm.watching import watches
from pickllm.lock import Lock

__all__ = ["HeldRuns"]

_TOKENS = ("on_llm_new_token", "on_stream_event")
_TAPS = ("tap_output_iter", "tap_output_aiter")
_DEAF = {
    getattr(kind, at) for kind in (BaseCallbackHandler, AsyncCallbackHandler) for at in _TOKENS
}
"""The methods of handlers that do nothing with tokens."""


class _Event(NamedTuple):
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class HeldRuns:
    """What watchers have not heard yet of the drafts of one request."""

    def __init__(self) -> None:
        self._arm_to_kept: dict[str, list[_Kept]] = {}

    def config(self, arm: str, config: RunnableConfig) -> RunnableConfig:
        """The config for a draft of this arm."""
        manager = config.get("callbacks")
        if not isinstance(manager, BaseCallbackManager):
            return config
        manager = manager.copy()
        id_to_stand_in: dict[int, BaseCallbackHandler] = {}
        for handler in (*manager.handlers, *manager.inheritable_handlers):
            if id(handler) not in id_to_stand_in and _hears_tokens(handler):
                kept = _Kept(handler)
                self._arm_to_kept.setdefault(arm, []).append(kept)
                id_to_stand_in[id(handler)] = _StandIn(kept)
        manager.handlers = _replaced(manager.handlers, id_to_stand_in)
        manager.inheritable_handlers = _replaced(manager.inheritable_handlers, id_to_stand_in)
        return {**config, "callbacks": manager}

    def show(self, arm: str | None) -> None:
        """Tell of this arm's run what was kept back; of the others, what may be told of a draft."""
        for handler, event in self._due(arm):
            handle_event([handler], event.name, None, *event.args, **event.kwargs)

    async def ashow(self, arm: str | None) -> None:
        """The same without blocking the loop."""
        for handler, event in self._due(arm):
            await ahandle_event([handler], event.name, None, *event.args, **event.kwargs)

    def _due(self, shown: str | None) -> Iterator[tuple[BaseCallbackHandler, _Event]]:
        for arm in sorted(self._arm_to_kept, key=lambda arm: arm == shown):
            for kept in self._arm_to_kept[arm]:
                for event in kept.settled(shown=arm == shown):
                    yield kept.handler, event


class _Kept:
    """What one handler has not heard yet of the run of a draft."""

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self.handler = handler
        self.events: deque[_Event] = deque()
        self.fate: Literal["open", "shown", "left"] = "open"
        self._streams = watches(handler)
        self._keeping = self._streams
        """Whether every event is kept back, for one was that comes before it."""
        self._lock = Lock()  # an arm with a time limit runs in a thread of its own

    def attribute(self, name: str) -> Any:
        """What stands at this name of the handler, or what keeps such an event back."""
        if self._streams and name in _TAPS:
            return _untapped
        if name == "run_inline" and self._keeps(name):
            return True  # nothing to wait for, and so nothing to do in a thread
        if name.startswith("on_"):
            if self._keeps(name):
                return partial(self._keep, name)
            if self._is_silent(name):
                return _ignore
        return getattr(self.handler, name)

    def settled(self, *, shown: bool) -> Iterator[_Event]:
        """What is told now that it is known whether the draft is shown; later events go through."""
        while self.fate == "open":
            with self._lock:
                if not self.events:
                    self.fate = "shown" if shown else "left"
                    return
                event = self.events.popleft()
            if shown or not self._never_of_drafts(event.name):
                yield event

    def _keeps(self, name: str) -> bool:
        return self.fate == "open" and (self._keeping or name in _TOKENS)

    def _is_silent(self, name: str) -> bool:
        return self.fate == "left" and self._never_of_drafts(name)

    def _never_of_drafts(self, name: str) -> bool:
        return self._streams or name in _TOKENS

    def _keep(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            if self._keeps(name):
                self._keeping = True
                self.events.append(_Event(name, args, kwargs))
                return None
        return self.attribute(name)(*args, **kwargs)  # settled just now by another thread


class _StandIn(BaseCallbackHandler):
    """Stands for a handler with a draft's run.

    LangChain asks each handler what it is, by its class and by attributes such as `ignore_llm`,
    before it tells it anything. So whatever is asked of this one is answered by the handler, its
    `__class__` too, and only the methods that take events are exchanged.
    """

    def __init__(self, kept: _Kept) -> None:
        self._kept = kept

    def __getattribute__(self, name: str) -> Any:
        return _kept_by(self).attribute(name)

    def __eq__(self, other: object) -> bool:
        """A handler that the arm has too hears of its run once."""
        return other is self or other is _kept_by(self).handler

    def __hash__(self) -> int:
        return hash(_kept_by(self).handler)


def _kept_by(stand_in: _StandIn) -> _Kept:
    """Not by ``stand_in._kept``, which would be looked up in the handler."""
    kept: _Kept = object.__getattribute__(stand_in, "_kept")
    return kept


def _hears_tokens(handler: BaseCallbackHandler) -> bool:
    if watches(handler):
        return True
    if isinstance(handler, BaseTracer):
        return False
    methods = (getattr(getattr(handler, name), "__func__", None) for name in _TOKENS)
    return not all(method in _DEAF for method in methods)


def _replaced(
    handlers: Sequence[BaseCallbackHandler], id_to_stand_in: Mapping[int, BaseCallbackHandler]
) -> list[BaseCallbackHandler]:
    return [id_to_stand_in.get(id(handler), handler) for handler in handlers]


def _untapped(_run_id: object, output: Any) -> Any:
    """The chunks of a chain inside an arm, of which only the model's own are told."""
    return output


def _ignore(*_: Any, **__: Any) -> None: ...
