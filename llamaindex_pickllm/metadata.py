"""What a mixed pool says of itself as one LLM, so that what reads it works whichever arm answers.

Prompt helpers and memories read the window once and pack to it: the pool's smallest is safe for all
arms, and a larger one leaves the small arms out where a prompt does not fit them.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from llama_index.core.llms import LLM, LLMMetadata, MessageRole

from llamaindex_pickllm.arms import calls_tools
from pickllm.errors import ConfigError
from pickllm.pool import Pool

__all__ = ["ContextWindow", "checked_window", "metadata_of", "name_of"]

ContextWindow: TypeAlias = Literal["min", "max"] | int
"""Which window a pool states: its smallest, its largest, or a number of tokens."""

_UNSAID = 256
"""Tokens of an answer where no arm says how many; LlamaIndex's own default."""


def checked_window(given: object) -> ContextWindow:
    """The setting, or `ConfigError`."""
    number = isinstance(given, int) and not isinstance(given, bool) and given > 0
    if given not in ("min", "max") and not number:
        raise ConfigError(
            f'context_window must be "min", "max" or a number of tokens; it is {given!r}'
        )
    return given  # type: ignore[return-value]  # just checked


def metadata_of(llms: Mapping[str, LLM], pool: Pool, window: ContextWindow) -> LLMMetadata:
    """The pool as one LLM. The order of the arms plays no part."""
    each = [llm.metadata for llm in llms.values()]
    windows = [
        pool[name].context_tokens or llm.metadata.context_window for name, llm in llms.items()
    ]
    stated = window if isinstance(window, int) else {"min": min, "max": max}[window](windows)
    said = max((metadata.num_output for metadata in each), default=-1)
    roles = {metadata.system_role for metadata in each}
    return LLMMetadata(
        context_window=stated,
        num_output=max(min(said if said > 0 else _UNSAID, stated // 4), 1),
        is_chat_model=any(metadata.is_chat_model for metadata in each),
        is_function_calling_model=any(calls_tools(llm) for llm in llms.values()),
        model_name=name_of(llms),
        system_role=roles.pop() if len(roles) == 1 else MessageRole.SYSTEM,
    )


def name_of(llms: Mapping[str, LLM]) -> str:
    """The pool's name as a model."""
    return f"pickllm({','.join(sorted(llms))})"
