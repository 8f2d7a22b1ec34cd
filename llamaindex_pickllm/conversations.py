"""Which arm a conversation has to stay with, and its history in a form that another arm can read.

    tool loop    a model asked for tools, and their results are there: the same model goes on
    reasoning    the history holds thoughts that only their author can read
    thread       the user asked for it: the arm that spoke last speaks again

LlamaIndex keeps of an answer its message alone, and what is written into that goes to the provider.
So the author of a message is remembered here, under a hash of what it says and of what it answers;
the newest ``_REMEMBERED`` of them, in this process.
"""

import json
from collections import OrderedDict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.llm import ToolSelection

from llamaindex_pickllm.reading import human_text, tool_call_ids
from pickllm.lock import Lock
from pickllm.steps import Call
from pickllm.types import Hold

__all__ = ["Author", "Conversations"]

_REMEMBERED = 20_000
_UNIQUE = 8
"""An id so long was drawn by chance; shorter ones, such as names of tools, come again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Who wrote a message."""

    arm: str
    decision_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversations:
    """Authors of messages, as far as they are remembered."""

    sticky: bool = False
    _key_to_author: OrderedDict[bytes, Author] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def remember(
        self, call: Call, asked: Sequence[ChatMessage], answer: object, *, run: str = ""
    ) -> None:
        """Note the author of an answer, as far as a later call will want to know it.

        ``run`` is the id of the run around the call. Runs at the same time may ask the same, and
        be answered with the same id of a tool call.
        """
        if not isinstance(answer, ChatResponse):
            return
        message = answer.message
        keys = _call_keys(message, human_text(asked), run) if _calls(message) else []
        if self.sticky or _has_thoughts(message):
            keys.append(_said_key(message, asked))
        if not keys:
            return
        author = Author(arm=call.arm, decision_id=call.decision.id)
        with self._lock:
            for key in keys:
                self._key_to_author[key] = author
                self._key_to_author.move_to_end(key)
            while len(self._key_to_author) > _REMEMBERED:
                self._key_to_author.popitem(last=False)

    def hold_of(
        self, messages: Sequence[ChatMessage], arms: Container[str], *, run: str = ""
    ) -> Hold | None:
        """The arm to stay with, and why; None where the router is free to choose."""
        spoken = [
            (index, author) for index, author in self._authors(messages, run) if author.arm in arms
        ]
        newest = _last_human(messages)
        for index, author in spoken:
            if index > newest and _calls(messages[index]):
                return Hold(arm=author.arm, reason="tool loop", continues=author.decision_id)
        for index, author in spoken:
            if _has_thoughts(messages[index]):
                return Hold(arm=author.arm, reason="reasoning in the history")
        if self.sticky and spoken:
            return Hold(arm=spoken[0][1].arm, reason="thread")
        return None

    def readable(
        self, messages: Sequence[ChatMessage], arm: str, *, run: str = ""
    ) -> list[ChatMessage]:
        """The messages as this arm can read them: what others wrote is made plain."""
        foreign = {index for index, author in self._authors(messages, run) if author.arm != arm}
        return [
            _plain(message) if index in foreign else message
            for index, message in enumerate(messages)
        ]

    def _authors(self, messages: Sequence[ChatMessage], run: str) -> Iterator[tuple[int, Author]]:
        """Messages whose author is known, the newest first."""
        if not self._key_to_author:
            return
        for index in range(len(messages) - 1, -1, -1):
            message = messages[index]
            if message.role != MessageRole.ASSISTANT:
                continue
            before = messages[:index]
            keys = _call_keys(message, human_text(before), run) if _calls(message) else []
            if self.sticky or _has_thoughts(message):
                keys.append(_said_key(message, before))
            with self._lock:
                found = (self._key_to_author.get(key) for key in keys)
                author = next((known for known in found if known is not None), None)
            if author is not None:
                yield index, author


def _calls(message: ChatMessage) -> bool:
    return bool(tool_call_ids(message))


def _has_thoughts(message: ChatMessage) -> bool:
    return any(isinstance(block, ThinkingBlock) for block in message.blocks)


def _last_human(messages: Sequence[ChatMessage]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == MessageRole.USER:
            return index
    return -1


def _call_keys(message: ChatMessage, human: str, run: str) -> list[bytes]:
    """Keys of a message's tool calls, the surest first: in its run, by question, by id alone."""
    ids = tool_call_ids(message)
    keys = [_digest("call", run, human, call_id) for call_id in ids] if run else []
    keys += [_digest("call", human, call_id) for call_id in ids]
    return keys + [_digest("call", call_id) for call_id in ids if len(call_id) >= _UNIQUE]


def _said_key(message: ChatMessage, before: Sequence[ChatMessage]) -> bytes:
    return _digest("said", human_text(before), message.content or "")


def _digest(*parts: str) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode(errors="surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def _plain(message: ChatMessage) -> ChatMessage:
    """Tool calls as LlamaIndex's own blocks, and without the thoughts and extras of the author."""
    blocks = [block for block in message.blocks if not isinstance(block, ThinkingBlock)]
    known = {getattr(block, "tool_call_id", None) for block in blocks}
    for call in message.additional_kwargs.get("tool_calls") or ():
        selection = _selection(call)
        if selection is not None and selection.tool_id not in known:
            blocks.append(
                ToolCallBlock(
                    tool_call_id=selection.tool_id,
                    tool_name=selection.tool_name,
                    tool_kwargs=selection.tool_kwargs,
                )
            )
    return message.model_copy(update={"blocks": blocks, "additional_kwargs": {}})


def _selection(call: Any) -> ToolSelection | None:
    """A tool call in the form of OpenAI, as an object or a mapping."""
    data = call if isinstance(call, dict) else getattr(call, "model_dump", dict)()
    function = data.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    if not data.get("id") or not function.get("name"):
        return None
    return ToolSelection(tool_id=str(data["id"]), tool_name=function["name"], tool_kwargs=arguments)
