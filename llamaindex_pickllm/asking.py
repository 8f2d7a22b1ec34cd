"""A LlamaIndex model as one that a scorer asks: text in, a reply with its tokens out.

    judge = LLMJudge(ask=ask_of(OpenAI(model="gpt-4o-mini")))

`ask_turns_of` asks with a whole conversation, for what tries prompts out (`pickllm.prompting`).

Tokens are those that the model reports, or about as many where it reports none.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from llama_index.core.llms import LLM, ChatMessage, MessageRole

from llamaindex_pickllm.reading import usage_of
from pickllm.errors import ConfigError
from pickllm.prompting.asking import AskTurns
from pickllm.scoring.asking import Ask
from pickllm.types import Reply, Said, Usage

__all__ = ["ask_of", "ask_turns_of"]

_NAMES = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))
"""How providers call the tokens that went in and came out."""


def ask_of(llm: LLM) -> Ask:
    """A function that asks ``llm``."""
    return partial(_ask, _checked(llm))


def ask_turns_of(llm: LLM) -> AskTurns:
    """A function that asks ``llm`` with a conversation."""
    return partial(_ask_turns, _checked(llm))


def _checked(llm: LLM) -> LLM:
    if not isinstance(llm, LLM):
        raise ConfigError(f"give an LLM to ask; this is {type(llm).__name__}")
    return llm


def _ask(llm: LLM, prompt: str) -> Reply:
    answer = llm.complete(prompt)
    usage = _usage(answer.additional_kwargs) or _usage(_raw_usage(answer.raw))
    return Reply(text=answer.text, message=answer, usage=usage or _guessed(prompt, answer.text))


def _ask_turns(llm: LLM, turns: Sequence[Said]) -> Reply:
    messages = [ChatMessage(role=MessageRole(said.role), content=said.text) for said in turns]
    answer = llm.chat(messages)
    text = answer.message.content or ""
    return Reply(text=text, message=answer, usage=usage_of([answer], messages, text))


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
