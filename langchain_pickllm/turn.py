"""One call of the routed model: what was asked, with what arguments, and under which ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import Callbacks
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.uuid import uuid7

from langchain_pickllm.configured import Configured
from langchain_pickllm.conversation import turns_of
from langchain_pickllm.port import ChatPort
from langchain_pickllm.reading import needs_of, prompt_text, tokens_of
from langchain_pickllm.recital import call_digest
from langchain_pickllm.shapes import SHAPE, Shape
from langchain_pickllm.stickiness import hold_of
from langchain_pickllm.wrappers import chosen_by
from pickllm.errors import ConfigError
from pickllm.protocols import Asking
from pickllm.router import Router
from pickllm.settings import weights_of
from pickllm.types import Request, Routed

__all__ = ["Turn"]

_FOR_THE_ROUTER = {"fresh", "model", "tenant", "weights", SHAPE}
_OF_THE_RUN = {"run_id", "run_name"}
"""What a config says of the router's run alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One request on its way from LangChain to the router."""

    router: Router
    configured: Configured
    messages: list[BaseMessage] = field(repr=False)
    config: RunnableConfig
    kwargs: Mapping[str, Any]
    shape: Shape | None
    request: Request
    run_id: UUID

    @classmethod
    def of(
        cls,
        *,
        router: Router,
        configured: Configured,
        messages: list[BaseMessage],
        config: RunnableConfig,
        kwargs: Mapping[str, Any],
        sticky: bool,
    ) -> "Turn":
        """Read a call. The router's run and its decision have one id.

        An id that the caller chose for the run is not the decision's: it may come again, and what
        is said of one message must not be said of every message under that id.
        """
        chosen = config.get("run_id")
        decision_id = uuid7()
        run_id = chosen or decision_id
        shape: Shape | None = kwargs.get(SHAPE)
        own = {key: value for key, value in kwargs.items() if key not in _FOR_THE_ROUTER}
        windows = any(router.pool[name].context_tokens for name in router.pool.names)
        request = Request(
            text=prompt_text(messages),
            id=str(decision_id),
            needs=needs_of(messages, kwargs),
            tokens=tokens_of(messages, kwargs.get("tools")) if windows else 0,
            only=_only(kwargs.get("model"), router),
            barred={**_strangers(router, configured), **(shape.arm_to_reason if shape else {})},
            hold=hold_of(messages, router.pool.names, sticky=sticky),
            trace_ids=_runs_around(config, run_id, str(decision_id)),
            tenant=_tenant(kwargs, config),
            weights=weights_of(kwargs["weights"]) if kwargs.get("weights") else None,
            turns=turns_of(messages),
            fresh=bool(kwargs.get("fresh")),
            call_digest=(
                call_digest(own, shape, chosen=chosen_by(config, configured.models.values()))
                if router.keeps_answers
                else ""
            ),
        )
        return cls(
            router=router,
            configured=configured,
            messages=messages,
            config=config,
            kwargs=own,
            shape=shape,
            request=request,
            run_id=run_id,
        )

    def flow(self) -> Asking[Routed]:
        """The request as steps for a driver."""
        return self.router.flow(self.request)

    def port(self, child: Callbacks, kind: type[ChatPort]) -> ChatPort:
        """The pool's models, bound to this call; ``child`` puts their runs below the router's."""
        others = {key: value for key, value in self.config.items() if key not in _OF_THE_RUN}
        return kind(
            router=self.router,
            configured=self.configured,
            messages=self.messages,
            config=cast("RunnableConfig", {**others, "callbacks": child}),
            kwargs=self.kwargs,
            shape=self.shape,
        )


def _strangers(router: Router, configured: Configured) -> Mapping[str, str]:
    """Arms that came into a shared router with another model's pool."""
    strange = [name for name in router.pool.names if name not in configured.models]
    return dict.fromkeys(strange, "not in this model's pool")


def _runs_around(config: RunnableConfig, run_id: UUID, decision_id: str) -> tuple[str, ...]:
    """The router's run and the one it hangs below: feedback may come by either id."""
    parent = getattr(config.get("callbacks"), "parent_run_id", None)
    return tuple(str(i) for i in (run_id, parent) if i is not None and str(i) != decision_id)


def _tenant(kwargs: Mapping[str, Any], config: RunnableConfig) -> str:
    """Whose budget it is: said with the call, or in the metadata of the chain around it."""
    return str(kwargs.get("tenant") or (config.get("metadata") or {}).get("tenant") or "")


def _only(given: Any, router: Router) -> tuple[str, ...] | None:
    """The arms that ``model=`` pins."""
    if given is None:
        return None
    names = (given,) if isinstance(given, str) else given
    listed = isinstance(names, Sequence) and len(names) > 0
    unknown = [name for name in names if name not in router.pool.names] if listed else [given]
    if unknown:
        raise ConfigError(
            f"model={given!r}: {unknown[0]!r} names no arm. Give one of "
            f"{list(router.pool.names)}, or a list of them"
        )
    return tuple(names)
