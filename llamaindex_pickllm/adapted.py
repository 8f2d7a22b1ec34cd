"""LlamaIndex's messages as the core's, and back into the arguments of the method that was called.

A message that an adaptation leaves alone stays the very object that it was; one that it changes is
a copy with another text; one that it adds is new. A template becomes one that is filled in already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.prompts import BasePromptTemplate, PromptType
from llama_index.core.types import BaseOutputParser
from pydantic import Field

from llamaindex_pickllm.asked import Asked
from llamaindex_pickllm.reading import tool_call_ids
from pickllm.types import Role, Said

__all__ = ["FilledPrompt", "is_plain", "turns_of", "with_turns"]

_ROLES: Mapping[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


_SAID_BESIDE = ("name", "function_call", "audio")


class FilledPrompt(BasePromptTemplate):  # type: ignore[no-redef]  # a field of the base is "kwargs"
    """A template whose messages are there already: it takes no arguments."""

    messages: list[ChatMessage] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=lambda: {"prompt_type": PromptType.CUSTOM})
    template_vars: list[str] = Field(default_factory=list)
    kwargs: dict[str, str] = Field(default_factory=dict)
    output_parser: BaseOutputParser | None = None

    def partial_format(self, **kwargs: Any) -> "FilledPrompt":
        """Itself: nothing is left to fill in."""
        return self

    def format(self, llm: Any = None, **kwargs: Any) -> str:  # LlamaIndex's
        """The messages as one text."""
        return "\n\n".join(message.content or "" for message in self.messages)

    def format_messages(self, llm: Any = None, **kwargs: Any) -> list[ChatMessage]:
        """The messages."""
        return list(self.messages)

    def get_template(self, llm: Any = None) -> str:
        """The messages as one text."""
        return self.format(llm=llm)


def turns_of(messages: Sequence[ChatMessage]) -> tuple[Said, ...]:
    """The conversation, as far as it is text."""
    return tuple(
        Said(role=_ROLES[message.role], text=message.content or "", at=at, plain=is_plain(message))
        for at, message in enumerate(messages)
    )


def is_plain(message: ChatMessage) -> bool:
    """Whether its text is all there is of it."""
    text_only = all(block.block_type == "text" for block in message.blocks)
    more = tool_call_ids(message) or _ROLES[message.role] == "tool" or _says_more(message)
    return text_only and not more


def _says_more(message: ChatMessage) -> bool:
    """Whether something is said beside the text; of what providers tell of answers, little is."""
    beside = message.additional_kwargs
    names = _SAID_BESIDE if _ROLES[message.role] == "assistant" else beside
    return bool(beside) and any(beside.get(name) for name in names)


def with_turns(asked: Asked[Any], turns: Sequence[Said]) -> Asked[Any]:
    """The call with an adapted conversation in place of its own."""
    messages = [_message(said, asked.messages) for said in turns]
    told = replace(asked, messages=messages)
    prompt = FilledPrompt(messages=messages)
    match asked.method:
        case "chat":
            return replace(told, args=(messages,))
        case "complete":
            return replace(told, args=("\n\n".join(said.text for said in turns),))
        case "predict":
            return replace(told, args=(prompt,), kwargs={})
        case "structured_predict":
            settings = {"llm_kwargs": asked.kwargs.get("llm_kwargs")}
            return replace(told, args=(asked.args[0], prompt), kwargs=settings)
        case _:
            given = {**asked.kwargs, "user_msg": None, "chat_history": messages}
            return replace(told, kwargs=given)


def _message(said: Said, original: Sequence[ChatMessage]) -> ChatMessage:
    if said.at is None:
        return ChatMessage(role=MessageRole(said.role), content=said.text)
    message = original[said.at]
    if (message.content or "") == said.text:
        return message
    kwargs = dict(message.additional_kwargs)
    return ChatMessage(role=message.role, content=said.text, additional_kwargs=kwargs)
