"""The router's own run in LangChain's tracing: a chain run, with the arm's chat-model run below it.

A chat-model run for the router would count every token twice, and a chat model's run cannot be the
parent of another. So the router is a chain run, opened and closed here, once for each call.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForChainRun,
    Callbacks,
)
from langchain_core.language_models import BaseChatModel

from langchain_pickllm.port import ChatPort
from langchain_pickllm.turn import Turn
from pickllm.errors import ArmError

__all__ = ["DECISION_ID", "arouter_run", "router_run"]

DECISION_ID = "pickllm_decision_id"
"""Metadata key of the router's run: the id of its decision."""


@contextlib.contextmanager
def router_run(
    model: BaseChatModel, turn: Turn, kind: type[ChatPort] = ChatPort
) -> Iterator[tuple[CallbackManagerForChainRun, ChatPort]]:
    """A run that is closed with whatever error leaves it, and the port whose calls are below it.

    An arm's failure leaves it as the arm's own. It begins with the wait for the router's own rate
    limiter, if there is one.
    """
    run: CallbackManagerForChainRun = _manager(CallbackManager, model, turn).on_chain_start(
        None, {"input": turn.messages}, name=_name(model, turn), run_id=turn.run_id
    )
    try:
        if model.rate_limiter is not None:
            model.rate_limiter.acquire(blocking=True)
        with contextlib.closing(turn.port(run.get_child(), kind)) as port:
            yield run, port
    except ArmError as error:
        run.on_chain_error(error.original)
        raise error.original from error.original.__cause__
    except BaseException as error:
        run.on_chain_error(error)
        raise


@contextlib.asynccontextmanager
async def arouter_run(
    model: BaseChatModel, turn: Turn, kind: type[ChatPort] = ChatPort
) -> AsyncIterator[tuple[AsyncCallbackManagerForChainRun, ChatPort]]:
    """The same under async."""
    run: AsyncCallbackManagerForChainRun = await _manager(
        AsyncCallbackManager, model, turn
    ).on_chain_start(None, {"input": turn.messages}, name=_name(model, turn), run_id=turn.run_id)
    try:
        if model.rate_limiter is not None:
            await model.rate_limiter.aacquire(blocking=True)
        async with contextlib.aclosing(turn.port(run.get_child(), kind)) as port:
            yield run, port
    except ArmError as error:
        await run.on_chain_error(error.original)
        raise error.original from error.original.__cause__
    except BaseException as error:
        await run.on_chain_error(error)
        raise


def _manager(kind: Any, model: BaseChatModel, turn: Turn) -> Any:
    """A manager whose children see the router's own callbacks, tags and metadata too."""
    config = turn.config
    manager = kind.configure(
        config.get("callbacks"), None, model.verbose, config.get("tags"), None,
        config.get("metadata"), None,
    )  # fmt: skip
    for handler in _handlers(model.callbacks):
        manager.add_handler(handler, inherit=True)
    if model.tags:
        manager.add_tags(model.tags, inherit=True)
    if model.metadata:
        manager.add_metadata(model.metadata, inherit=True)
    manager.add_metadata({DECISION_ID: turn.request.id}, inherit=False)
    return manager


def _handlers(callbacks: Callbacks) -> list[BaseCallbackHandler]:
    return callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or []


def _name(model: BaseChatModel, turn: Turn) -> str:
    return turn.config.get("run_name") or model.get_name()
