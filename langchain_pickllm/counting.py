"""How long messages are for a pool: the most that any arm with a counter of its own counts.

LangChain's fallback for models without one is another model's tokenizer, fetched from a hub; here
it is an estimate by characters.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, BaseLanguageModel
from langchain_core.messages import BaseMessage

from langchain_pickllm.reading import tokens_of

__all__ = ["count_tokens"]

logger = logging.getLogger("pickllm")


def count_tokens(
    chats: Iterable[BaseChatModel],
    messages: Sequence[BaseMessage],
    tools: Sequence[Any] | None = None,
) -> int:
    """Tokens of the messages for the arm that counts most."""
    counts = [_counted(chat, messages, tools) for chat in chats if _has_counter(chat)]
    known = [count for count in counts if count is not None]
    return max(known) if known else tokens_of(messages, tools)


def _has_counter(chat: BaseChatModel) -> bool:
    kind, base = type(chat), BaseLanguageModel
    return (
        chat.custom_get_token_ids is not None
        or kind.get_token_ids is not base.get_token_ids
        or kind.get_num_tokens_from_messages is not base.get_num_tokens_from_messages
    )


def _counted(
    chat: BaseChatModel, messages: Sequence[BaseMessage], tools: Sequence[Any] | None
) -> int | None:
    base = BaseLanguageModel.get_num_tokens_from_messages
    try:
        if type(chat).get_num_tokens_from_messages is base:  # which leaves tools out
            return chat.get_num_tokens_from_messages(list(messages)) + tokens_of([], tools)
        return chat.get_num_tokens_from_messages(list(messages), tools)
    except Exception as error:  # some counters fetch their vocabulary, and there may be no network
        logger.debug("%s cannot count tokens: %s", type(chat).__name__, type(error).__name__)
        return None
