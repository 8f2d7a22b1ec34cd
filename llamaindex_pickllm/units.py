"""What a unit of LlamaIndex's work is, what was asked of it, and what came out. Pure functions.

A unit is a query, a chat turn or an agent's run: a method of an engine or a workflow, as its span
shows it. What is asked and what is returned come in many types, structured ones among them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine.types import (
    AgentChatResponse,
    BaseChatEngine,
    StreamingAgentChatResponse,
)
from llama_index.core.llms import ChatMessage
from llama_index.core.workflow import StopEvent, Workflow
from pydantic import BaseModel

from llamaindex_pickllm.reading import human_text

__all__ = ["FinishedUnit", "Kind", "answer_of", "kind_of", "output_of", "question_of"]

Kind: TypeAlias = Literal["query", "chat", "agent"]
"""What a unit is: the work of a query engine, of a chat engine, or of a workflow."""

_KINDS: tuple[tuple[type, Kind, tuple[str, ...]], ...] = (
    (BaseQueryEngine, "query", ("query", "aquery")),
    (BaseChatEngine, "chat", ("chat", "achat", "stream_chat", "astream_chat")),
    (Workflow, "agent", ("run",)),
)
_QUESTIONS = (
    *("str_or_query_bundle", "user_msg", "query", "question", "message", "input", "prompt"),
    "chat_history",
)
"""How methods and the events that start workflows call what is asked, the surest first."""
_UUID = 37
"""Characters of the unique part of a span's id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedUnit:
    """A query, a chat turn or an agent's run that has ended."""

    id: str
    """Id of its span; feedback by it, now or later, reaches every decision inside."""
    kind: Kind
    question: str = field(repr=False)
    """Empty where a workflow was started with nothing that reads like one."""
    answer: str = field(repr=False)
    """As text, a structure as JSON. Empty where the unit failed."""
    output: Any = field(repr=False)
    """What was returned, a query's stream as the whole that it became; None where it failed."""
    error: BaseException | None
    decision_ids: tuple[str, ...]
    """The decisions made inside it, in their order."""
    tags: Mapping[str, Any]
    """The ``instrument_tags`` around it."""

    @property
    def contexts(self) -> list[str]:
        """The texts that the answer was made from, as evaluators want them."""
        nodes = getattr(self.output, "source_nodes", None) or ()
        return [node.get_content() for node in nodes]


def kind_of(span_id: str, instance: object) -> Kind | None:
    """What unit a span is; None for the many that are none."""
    for type_, kind, methods in _KINDS:
        if isinstance(instance, type_):
            return kind if span_id[:-_UUID].rpartition(".")[2] in methods else None
    return None


def question_of(arguments: Mapping[str, Any]) -> str:
    """What was asked, by its usual names, or the only text there is.

    >>> question_of({"start_event": {"topic": "The sky", "limit": 3}})
    'The sky'
    """
    start = arguments.get("start_event")
    given = arguments if start is None else dict(_items_of(start))
    named = (_text_of(given.get(name)) for name in _QUESTIONS)
    found = next(filter(None, named), "")
    if found or start is None:
        return found
    texts = [value for value in given.values() if isinstance(value, str) and value]
    return texts[0] if len(texts) == 1 else ""


def output_of(result: object) -> object:
    """What whoever waits for a unit gets: of a plain `StopEvent` what it carries."""
    return result.result if type(result) is StopEvent else result


def answer_of(output: object) -> str:
    """What came out as text; a structure as JSON, and "" where nothing did."""
    match output:
        case None:
            return ""
        case Response() | PydanticResponse():
            return answer_of(output.response)
        case AgentChatResponse() | StreamingAgentChatResponse():
            return output.response  # as text it would take tokens away from who reads it
        case StopEvent():
            return _ending(output)
        case BaseModel() if type(output).__str__ is BaseModel.__str__:
            return output.model_dump_json()
    return str(output)


def _ending(event: StopEvent) -> str:
    """What a `StopEvent` of the user's own says: its result, its one field, or all as JSON."""
    if event.result is not None:
        return answer_of(event.result)
    values = [value for _, value in _items_of(event)]
    return answer_of(values[0]) if len(values) == 1 else event.model_dump_json()


def _items_of(event: Any) -> Iterator[tuple[str, Any]]:
    """The fields of an event, declared ones and others."""
    for name in getattr(type(event), "model_fields", ()):
        yield name, getattr(event, name)
    if hasattr(event, "items"):
        yield from event.items()


def _text_of(asked: Any) -> str:
    if isinstance(asked, list):
        return human_text([each for each in asked if isinstance(each, ChatMessage)])
    text = getattr(asked, "query_str", None) or getattr(asked, "content", None) or asked
    return "" if text is None else str(text)
