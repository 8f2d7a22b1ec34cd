"""From the tokens that a model in this process made to an answer, told apart from its tool calls.

    tokens ──decode──► source, with the tags of calls ──sure──► what a stream may show already
                         └──read──► text and calls

A tokenizer that comes with a response template is read by it, as `transformers` reads it; for all
others there is `pickllm.tool_calls`.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pickllm.tool_calls import TAGS, Answer, BadToolCall, ToolCall, read, sure_text

__all__ = ["AnswerReader", "knows_tools"]


def knows_tools(tokenizer: Any) -> bool:
    """Whether the chat template shows tools to the model; a template that does not ignores them."""
    return "tools" in tokenizer.get_chat_template(tools=[{}])


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerReader:
    """Reads the answer to one prompt. Without tools, all of an answer is text."""

    tokenizer: Any
    tools: Sequence[Mapping[str, Any]]
    """In the format of OpenAI: ``{"type": "function", "function": {"name": ...}}``."""
    prompt: Sequence[int]
    """Its tokens: a response template looks there for the beginning of the answer."""

    def decode(self, ids: Sequence[int], **_settings: Any) -> str:
        """Text of tokens without the special ones, save those that `read` goes by."""
        if not self.tools:
            return str(self.tokenizer.decode(ids, skip_special_tokens=True))
        dropped = frozenset() if self._template is not None else self._dropped()
        return str(self.tokenizer.decode([token for token in ids if int(token) not in dropped]))

    def sure(self, source: str) -> str:
        """The beginning of an unfinished answer that is text, whatever may follow."""
        if not self.tools:
            return source
        if self._template is None:
            return sure_text(source)
        parser = self._parser()
        try:
            events = parser.feed(source)
        except ValueError:  # a call is malformed: what stands before it is text all the same
            events = _readable(self._parser(), source)
        return "".join(event["text"] for event in events if _is_text(event)).strip()

    def _parser(self) -> Any:
        return self.tokenizer.get_response_parser(prefix=list(self.prompt))

    def read(self, source: str) -> Answer:
        """Text and calls of a whole answer."""
        if not self.tools:
            return Answer(text=source)
        if self._template is None:
            return read(source, [str(tool["function"]["name"]) for tool in self.tools])
        try:
            message = self.tokenizer.parse_response(
                source, prefix=list(self.prompt), tools=list(self.tools)
            )
        except ValueError as error:  # the template's way to say that a call is malformed
            text = self.sure(source)
            rest = source.removesuffix(self.tokenizer.eos_token or "").strip()
            bad = BadToolCall(source=rest.removeprefix(text).strip(), error=str(error))
            return Answer(text=text, bad_calls=(bad,))
        return _of_message(message)

    @property
    def _template(self) -> Any:
        return getattr(self.tokenizer, "response_template", None)

    def _dropped(self) -> frozenset[int]:
        tokens = self.tokenizer.added_tokens_decoder.items()
        return frozenset(
            number for number, token in tokens if token.special and token.content not in TAGS
        )


def _readable(parser: Any, source: str) -> list[Mapping[str, Any]]:
    """The events of a source up to the letter where it cannot be read any more."""
    events: list[Mapping[str, Any]] = []
    with suppress(ValueError):
        for letter in source:
            events.extend(parser.feed(letter))
    return events


def _is_text(event: Mapping[str, Any]) -> bool:
    return (event["type"], event["field"]) == ("region_chunk", "content")


def _of_message(message: Mapping[str, Any]) -> Answer:
    """An answer from a message in the form of `transformers`."""
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    whole = [function for function in functions if isinstance(function.get("arguments"), dict)]
    return Answer(
        text=message.get("content") or "",
        calls=tuple(ToolCall(name=each["name"], arguments=each["arguments"]) for each in whole),
        bad_calls=tuple(
            BadToolCall(source=json.dumps(each), error="the arguments are no object")
            for each in functions
            if each not in whole
        ),
    )
