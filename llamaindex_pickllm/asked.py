"""One call of a LlamaIndex LLM, as a value: which method, with what, and what a model will read.

The method is named by its plain form: "chat" stands for ``chat``, ``achat``, ``stream_chat`` and
``astream_chat`` alike, and `method_of` gives the name that belongs to one of the four ways to wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from llama_index.core.llms import ChatMessage

from pickllm.settings import WeightsLike
from pickllm.types import Capability

__all__ = ["Asked", "Method", "method_of"]

A = TypeVar("A")

Method: TypeAlias = Literal[
    "chat", "complete", "chat_with_tools", "predict", "structured_predict", "predict_and_call"
]
"""The plain form of a method's name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked(Generic[A]):
    """What a caller wants of an LLM; ``A`` is what the method returns."""

    method: Method
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """As for the arm's own method, but for lists of messages, which each arm gets as its own."""
    messages: Sequence[ChatMessage] = field(repr=False)
    """All that a model will read, for looking at; prompts and templates are formatted into it."""
    needs: frozenset[Capability] = frozenset()
    """What the method needs, apart from what the messages hold."""
    model: object = None
    """The arm, or the arms, that the caller pins."""
    weights: WeightsLike | None = None
    """What matters for this call, in place of the router's weights."""
    fresh: object = False
    """Whether an arm is asked even where an answer is kept."""
    tenant: object = None
    """Whose call it is: whose budget is charged, and whose answers may be given again."""


def method_of(method: Method, *, stream: bool = False, is_async: bool = False) -> str:
    """The name of the LLM's method.

    >>> method_of("chat", stream=True, is_async=True)
    'astream_chat'
    >>> method_of("predict", stream=True)
    'stream'
    """
    name: str = method
    if stream:
        name = "stream" if method == "predict" else f"stream_{method}"
    return f"a{name}" if is_async else name
