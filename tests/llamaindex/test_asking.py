"""LlamaIndex models as judges."""

from typing import Any

import pytest
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback

from llamaindex_pickllm.asking import ask_of
from pickllm import ConfigError, Reply, Request, Usage
from pickllm.scoring import LLMJudge


class Scripted(CustomLLM):
    """Says what a test wrote down."""

    says: str = "SCORE: 9"
    additional: Any = None
    raw: Any = None

    @property
    def metadata(self) -> LLMMetadata:
        """Nothing special."""
        return LLMMetadata()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The script."""
        return CompletionResponse(
            text=self.says, raw=self.raw, additional_kwargs=self.additional or {}
        )

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """Is not asked for here."""
        raise NotImplementedError


@pytest.mark.parametrize(
    ("settings", "usage"),
    [
        (
            {"additional": {"prompt_tokens": 7, "completion_tokens": 3}},
            Usage(tokens_in=7, tokens_out=3),
        ),
        (
            {"raw": {"usage": {"input_tokens": 7, "output_tokens": 3}}},
            Usage(tokens_in=7, tokens_out=3),
        ),
        ({}, Usage(tokens_in=2, tokens_out=2, estimated=True)),
    ],
    ids=["by the integration", "by the provider", "by nobody"],
)
def test_tokens_are_counted(settings: dict[str, Any], usage: Usage) -> None:
    """As they are reported, or about as many."""
    answer = ask_of(Scripted(**settings))("12345678")

    assert isinstance(answer, Reply)
    assert ("SCORE: 9", usage) == (answer.text, answer.usage)


def test_it_judges() -> None:
    """As any other model."""
    judge = LLMJudge(ask=ask_of(Scripted()))

    assert 0.9 == judge.judged(Request(text="2 + 2 ="), Reply(text="4"))


def test_what_is_no_llm_is_refused() -> None:
    """When the judge is made."""
    wrong: Any = "gpt-4o-mini"
    with pytest.raises(ConfigError, match="give an LLM to ask; this is str"):
        ask_of(wrong)
