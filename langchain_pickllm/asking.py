"""A LangChain model as one that a scorer asks: text in, a reply with its tokens out.

    judge = LLMJudge(ask=ask_of(ChatOpenAI(model="gpt-4o-mini")))
    model = RoutedChatModel(models=pool, scorer=judge)        # a model of the pool does as well

`ask_turns_of` asks with a whole conversation, for what tries prompts out (`pickllm.prompting`).

The model is asked outside of the chain whose answer it judges: no callback of the chain hears of
it, so its tokens are never streamed to the reader of the answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable

from langchain_pickllm.conversation import messages_of
from langchain_pickllm.reading import usage_of
from pickllm.errors import ConfigError
from pickllm.prompting.asking import AskTurns
from pickllm.scoring.asking import Ask
from pickllm.types import Reply, Said

__all__ = ["ask_of", "ask_turns_of"]

_RUN_NAME = "pickllm scorer"


def ask_of(model: BaseChatModel | Runnable[Any, Any]) -> Ask:
    """A function that asks ``model``, a chat model with or without something around it."""
    return partial(_ask, _checked(model))


def ask_turns_of(model: BaseChatModel | Runnable[Any, Any]) -> AskTurns:
    """A function that asks ``model`` with a conversation."""
    return partial(_ask_turns, _checked(model))


def _checked(model: BaseChatModel | Runnable[Any, Any]) -> Runnable[Any, Any]:
    if not isinstance(model, Runnable):
        raise ConfigError(f"give a chat model to ask; this is {type(model).__name__}")
    return model


def _ask(model: Runnable[Any, Any], prompt: str) -> Reply:
    return _answer(model, [HumanMessage(prompt)])


def _ask_turns(model: Runnable[Any, Any], turns: Sequence[Said]) -> Reply:
    return _answer(model, messages_of([replace(said, at=None) for said in turns], ()))


def _answer(model: Runnable[Any, Any], messages: Sequence[BaseMessage]) -> Reply:
    answer = model.invoke(messages, {"callbacks": [], "run_name": _RUN_NAME})
    if isinstance(answer, str):
        return Reply(text=answer)
    if not isinstance(answer, AIMessage):
        raise TypeError(f"the model answered with {type(answer).__name__}, not with a message")
    return Reply(text=answer.text, message=answer, usage=usage_of(answer, messages))
