"""LangChain's messages as the core's, and back: what a prompt adaptation reads and changes.

A message that an adaptation leaves alone stays the very object that it was; one that it changes is
a copy with another text; one that it adds is new.
"""

from collections.abc import Mapping, Sequence

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from pickllm.types import Role, Said

__all__ = ["is_plain", "messages_of", "turns_of"]

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SAID_BESIDE = ("function_call", "audio")
_KINDS: Mapping[Role, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}


def turns_of(messages: Sequence[BaseMessage]) -> tuple[Said, ...]:
    """The conversation, as far as it is text."""
    return tuple(
        Said(role=_role(message), text=message.text, at=at, plain=is_plain(message))
        for at, message in enumerate(messages)
    )


def messages_of(turns: Sequence[Said], original: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages of an adapted conversation."""
    return [_message(said, original) for said in turns]


def is_plain(message: BaseMessage) -> bool:
    """Whether its text is all there is of it."""
    content = message.content
    text_only = isinstance(content, str) or all(
        isinstance(block, str) or block.get("type") == "text" for block in content
    )
    asks = isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls)
    more = asks or message.name or isinstance(message, ToolMessage) or _says_more(message)
    return text_only and not more and _kind(message) in _ROLES


def _says_more(message: BaseMessage) -> bool:
    """Whether something is said beside the text; of what providers tell of answers, little is."""
    beside = message.additional_kwargs
    names = _SAID_BESIDE if isinstance(message, AIMessage) else beside
    return bool(beside) and any(beside.get(name) for name in names)


def _message(said: Said, original: Sequence[BaseMessage]) -> BaseMessage:
    if said.at is None:
        return _KINDS.get(said.role, HumanMessage)(content=said.text)
    message = original[said.at]
    if message.text == said.text:
        return message
    return message.model_copy(update={"content": said.text})


def _role(message: BaseMessage) -> Role:
    return _ROLES.get(_kind(message), "user")


def _kind(message: BaseMessage) -> str:
    kind = message.role if isinstance(message, ChatMessage) else message.type
    return kind.removesuffix("MessageChunk").lower()
