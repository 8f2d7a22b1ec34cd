"""A LlamaIndex model as one that a scorer asks: text in, a reply with its tokens out.

    judge = LLMJudge(ask=ask_of(OpenAI(model="gpt-4o-mini")))

Tokens are those that the model reports, or about as many where it reports none.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from llama_index.core.llms import LLM

from pickllm.errors import ConfigError
from pickllm.scoring.asking import Ask
from pickllm.types import Reply, Usage

__all__ = ["ask_of"]

_NAMES = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
"""How providers call the tokens that went in and came out."""


def ask_of(llm: LLM) -> Ask:
    """A function that asks ``llm``."""
    if not isinstance(llm, LLM):
        raise ConfigError(f"give an LLM to ask; this is {type(llm).__name__}")
    return partial(_ask, llm)


def _ask(llm: LLM, prompt: str) -> Reply:
    answer = llm.complete(prompt)
    usage = _usage(answer.additional_kwargs) or _usage(_raw_usage(answer.raw))
    return Reply(text=answer.text, message=answer, usage=usage or _guessed(prompt, answer.text))


def _raw_usage(raw: Any) -> Mapping[str, Any]:
    """The provider's own count, from its response as an object or as a mapping."""
    found = raw.get("usage") if isinstance(raw, Mapping) else getattr(raw, "usage", None)
    return found if isinstance(found, Mapping) else getattr(found, "__dict__", {})


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    for name_in, name_out in _NAMES:
        tokens_in, tokens_out = counts.get(name_in), counts.get(name_out)
        if isinstance(tokens_in, int) and isinstance(tokens_out, int):
            return Usage(tokens_in=tokens_in, tokens_out=tokens_out)
    return None


def _guessed(prompt: str, answer: str) -> Usage:
    """About four letters to a token, where the model does not say."""
    return Usage(
        tokens_in=max(len(prompt) // 4, 1), tokens_out=max(len(answer) // 4, 1), estimated=True
    )
