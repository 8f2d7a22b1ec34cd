"""One call of the routed LLM, read into the core's request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.llms import LLM

from llamaindex_pickllm.adapted import turns_of
from llamaindex_pickllm.asked import Asked
from llamaindex_pickllm.conversations import Conversations
from llamaindex_pickllm.port import LLMPort
from llamaindex_pickllm.reading import human_text, needs_of, tokens_of
from llamaindex_pickllm.recital import call_digest
from llamaindex_pickllm.tracing import run_around, tenant_around, traces_around
from pickllm.errors import ConfigError
from pickllm.protocols import Asking
from pickllm.router import Router
from pickllm.settings import weights_of
from pickllm.types import Request, Routed

__all__ = ["Turn"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One request on its way from LlamaIndex to the router."""

    router: Router
    request: Request
    port: LLMPort

    @classmethod
    def of(
        cls,
        asked: Asked[Any],
        *,
        router: Router,
        llms: Mapping[str, LLM],
        conversations: Conversations,
    ) -> "Turn":
        """Read a call."""
        pool = router.pool
        windows = [window for name in pool.names if (window := pool[name].context_tokens)]
        run = run_around()
        request = Request(
            text=human_text(asked.messages),
            needs=asked.needs | needs_of(asked.messages),
            tokens=tokens_of(asked.messages, min(windows)) if windows else 0,
            only=_only(asked.model, router),
            barred=dict.fromkeys(set(pool.names) - set(llms), "not in this LLM's pool"),
            hold=conversations.hold_of(asked.messages, pool.names, run=run),
            trace_ids=traces_around(),
            weights=None if asked.weights is None else weights_of(asked.weights),
            tenant=str(asked.tenant or tenant_around()),
            turns=turns_of(asked.messages),
            fresh=bool(asked.fresh),
            once=asked.method == "predict_and_call",  # it calls the tools, too
            call_digest=call_digest(asked) if router.keeps_answers else "",
        )
        port = LLMPort(llms=llms, asked=asked, conversations=conversations, run=run)
        return cls(router=router, request=request, port=port)

    def flow(self) -> Asking[Routed]:
        """The request as steps for a driver."""
        return self.router.flow(self.request)


def _only(given: object, router: Router) -> tuple[str, ...] | None:
    """The arms that ``model=`` pins."""
    if given is None:
        return None
    names = (given,) if isinstance(given, str) else given
    if isinstance(names, Sequence) and names and all(name in router.pool.names for name in names):
        return tuple(names)
    raise ConfigError(
        f"model={given!r} names no arm: give one of {list(router.pool.names)}, or a list of them"
    )
