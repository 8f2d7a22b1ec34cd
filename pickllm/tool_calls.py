"""Tool calls in what a model wrote: three families of formats, and answers that hold none.

    format      what the model writes
    hermes      <tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>      Qwen, Hermes
    mistral     [TOOL_CALLS][{"name": "add", "arguments": {"a": 1}}]               Mistral
                [TOOL_CALLS]add[ARGS]{"a": 1}                                      since 2025
    llama       <|python_tag|>{"name": "add", "parameters": {"a": 1}}              Llama 3.1
    bare        {"name": "add", "parameters": {"a": 1}}                            Llama 3.2

A format may hold several calls, and text around them. Of an answer still being written `sure_text`
tells what is text whatever may follow; of a whole one `read` tells calls and text apart.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TAGS", "Answer", "BadToolCall", "ToolCall", "read", "sure_text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A call that a model wants made."""

    name: str
    arguments: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class BadToolCall:
    """What began as a call and is none."""

    source: str = field(repr=False)
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model wrote, taken apart."""

    text: str = field(repr=False)
    calls: tuple[ToolCall, ...] = ()
    bad_calls: tuple[BadToolCall, ...] = ()


def read(source: str, names: Collection[str]) -> Answer:
    """Tell the calls of an answer from its text.

    ``names`` are those of the tools: a bare JSON object is a call only if it names one of them.

    >>> said = read('Well. <tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', ["add"])
    >>> said.text, [(call.name, call.arguments) for call in said.calls]
    ('Well.', [('add', {'a': 1})])
    """
    bare = _BARE.match(source)
    if bare is not None and bare[1] in names:
        return _bare(source)
    found = [(source.find(marker), marker) for marker in _MARKER_TO_FORMAT if marker in source]
    if not found:
        return Answer(text=source)
    _, marker = min(found)
    return _MARKER_TO_FORMAT[marker](source)


def sure_text(source: str) -> str:
    """The beginning of an unfinished answer that is text, whatever may follow.

    >>> sure_text("Well. <tool_")
    'Well.'
    """
    if source.lstrip()[:1] in ("", "{"):  # may become a bare call
        return ""
    begins = [_begin(source, marker) for marker in _MARKER_TO_FORMAT]
    return source[: min(begins)].rstrip()


def _begin(source: str, marker: str) -> int:
    """Where a marker stands, or where the end of the text may become one."""
    whole = source.find(marker)
    if whole >= 0:
        return whole
    ends = [size for size in range(1, len(marker)) if source.endswith(marker[:size])]
    return len(source) - max(ends, default=0)


# ---- formats -------------------------------------------------------------------------------------

_Found = ToolCall | BadToolCall


def _hermes(source: str) -> Answer:
    """Each call between tags of its own; the last one may lack its closing tag."""
    text, found, at = "", list[_Found](), 0
    while (start := source.find("<tool_call>", at)) >= 0:
        text += source[at:start]
        call, at = _call_at(source, start + len("<tool_call>"), until="</tool_call>")
        found.append(call)
    return _answer(text + source[at:], found)


def _mistral(source: str) -> Answer:
    """A list of calls, or each call as its name and its arguments."""
    text, _, rest = source.partition("[TOOL_CALLS]")
    if _NAMED.match(rest):
        return _answer(text, _named(rest))
    try:
        calls, end = _decoder.raw_decode(rest, _skipped(rest, 0))
        if not isinstance(calls, list):
            raise TypeError("it is no list of calls")  # noqa: TRY301  # told below as all else
    except (ValueError, TypeError) as error:
        return _answer(text, [BadToolCall(source=rest.strip(), error=str(error))])
    return _answer(text + rest[end:], [_call(each, json.dumps(each)) for each in calls])


_NAMED = re.compile(r"\s*(?:\[TOOL_CALLS\])?\s*([\w.-]+)(?:\[CALL_ID\]\w+)?\[ARGS\]")


def _named(rest: str) -> list[_Found]:
    found, at = list[_Found](), 0
    while head := _NAMED.match(rest, at):
        try:
            arguments, at = _decoder.raw_decode(rest, _skipped(rest, head.end()))
        except ValueError as error:
            return [*found, BadToolCall(source=rest[head.start() :].strip(), error=str(error))]
        call = {"name": head[1], "arguments": arguments}
        found.append(_call(call, rest[head.start() : at]))
    return found


def _llama(source: str) -> Answer:
    """Calls in a row behind the tag."""
    text, _, rest = source.partition(_PYTHON_TAG)
    found, at = _in_a_row(rest)
    if not found:  # code, as Llama writes it for tools of its own
        return _answer(text, [BadToolCall(source=rest.strip(), error="it is no JSON")])
    return _answer(text + rest[at:], found)


def _bare(source: str) -> Answer:
    """Calls in a row and no tag."""
    found, at = _in_a_row(source)
    return _answer(source[at:].lstrip(), found)


_BARE = re.compile(r'\s*\{[^{}]*"name"\s*:\s*"([^"]*)"')
_PYTHON_TAG = "<|python_tag|>"
_BETWEEN = re.compile(r"(?:\s|[;,]|<\|python_tag\|>)*")


def _in_a_row(source: str) -> tuple[list[_Found], int]:
    """Objects one behind the other, and where the last of them ends."""
    found, at = list[_Found](), 0
    while source[(start := _skipped(source, at, _BETWEEN)) :].startswith("{"):
        call, at = _call_at(source, start)
        found.append(call)
    return found, at


_MARKER_TO_FORMAT: Mapping[str, Callable[[str], Answer]] = {
    "<tool_call>": _hermes,
    "[TOOL_CALLS]": _mistral,
    _PYTHON_TAG: _llama,
}

TAGS = frozenset({*_MARKER_TO_FORMAT, "</tool_call>", "[ARGS]", "[CALL_ID]"})
"""What must not be lost when tokens become text, though to a tokenizer it may be special."""


# ---- calls ---------------------------------------------------------------------------------------

_decoder = json.JSONDecoder(strict=False)


def _skipped(source: str, at: int, what: re.Pattern[str] = re.compile(r"\s*")) -> int:
    skipped = what.match(source, at)
    return at if skipped is None else skipped.end()


def _call_at(source: str, at: int, *, until: str = "") -> tuple[_Found, int]:
    """The call that is written there, and where it ends; what is no JSON ends with ``until``."""
    start = _skipped(source, at)
    try:
        value, end = _decoder.raw_decode(source, start)
    except ValueError as error:
        end = source.find(until, start) if until else -1
        end = len(source) if end < 0 else end
        call: _Found = BadToolCall(source=source[start:end].strip(), error=str(error))
    else:
        call = _call(value, source[start:end])
    close = _skipped(source, end)
    return call, close + len(until) if until and source.startswith(until, close) else end


def _call(value: object, source: str) -> _Found:
    match value:
        case {"name": str(name), "arguments": arguments} | {
            "name": str(name),
            "parameters": arguments,
        }:
            pass
        case {"name": str(name)}:
            arguments = {}
        case _:
            return BadToolCall(source=source, error="it is no object with a name")
    if isinstance(arguments, str):  # some models write JSON within JSON
        try:
            arguments = _decoder.decode(arguments)
        except ValueError as error:
            return BadToolCall(source=source, error=str(error))
    if not isinstance(arguments, dict):
        return BadToolCall(source=source, error=f"the arguments of {name} are no object")
    return ToolCall(name=name, arguments=arguments)


def _answer(text: str, found: list[_Found]) -> Answer:
    return Answer(
        text=text.rstrip(),
        calls=tuple(call for call in found if isinstance(call, ToolCall)),
        bad_calls=tuple(call for call in found if isinstance(call, BadToolCall)),
    )
