"""Prompt adaptation with LangChain's parts: example selectors, and questions answered together.

    chosen = Selected(examples=examples_of(SemanticSimilarityExampleSelector(..., k=20)))
    model = RoutedChatModel(models=pool, adaptations={"small": chosen})

    classify = answering_together(model, shared_prompt="Is the review positive? Answer yes or no.")
    classify.invoke(reviews)                        # a list of answers, five to a call

A selector brings candidates from its index; `Selected` keeps those that pay for their tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.example_selectors.base import BaseExampleSelector
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, ensure_config

from langchain_pickllm.reading import usage_of
from pickllm import drive
from pickllm.errors import ConfigError
from pickllm.prompting.concatenation import (
    AnsweredTogether,
    Concatenation,
    Prompt,
    asking_together,
)
from pickllm.prompting.examples import Example
from pickllm.types import Reply

__all__ = [
    "SelectorExamples",
    "aanswer_together",
    "answer_together",
    "answering_together",
    "examples_of",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectorExamples:
    """What a LangChain selector picks for a question, as a function for `Selected`."""

    selector: BaseExampleSelector = field(repr=False)
    question_key: str
    answer_key: str

    @property
    def name(self) -> str:
        """Name in one line."""
        return type(self.selector).__name__

    def __call__(self, question: str) -> list[Example]:
        """The examples that it picks, in its order."""
        return [
            Example(question=str(each[self.question_key]), answer=str(each[self.answer_key]))
            for each in self.selector.select_examples({self.question_key: question})
        ]


def examples_of(
    selector: BaseExampleSelector, *, question_key: str = "input", answer_key: str = "output"
) -> SelectorExamples:
    """Any of LangChain's example selectors as a source of examples.

    Args:
        selector: Such as `SemanticSimilarityExampleSelector`; let it bring more than are to be
            shown, for what does not pay is left out afterwards.
        question_key: Under which its examples hold the question.
        answer_key: Under which they hold the answer.
    """
    if not isinstance(selector, BaseExampleSelector):
        raise ConfigError(f"give an example selector; this is {type(selector).__name__}")
    return SelectorExamples(selector=selector, question_key=question_key, answer_key=answer_key)


def answering_together(
    model: Runnable[Any, Any], *, shared_prompt: str, how: Concatenation | None = None
) -> Runnable[list[str], list[str]]:
    """A runnable from questions to answers, several to a call of the model.

    All questions of a call are of one tenant: the one that its config names in its metadata.
    """

    def together(questions: list[str], config: RunnableConfig) -> list[str]:
        return answer_together(
            model, questions, shared_prompt=shared_prompt, how=how, config=config
        ).texts

    async def atogether(questions: list[str], config: RunnableConfig) -> list[str]:
        done = await aanswer_together(
            model, questions, shared_prompt=shared_prompt, how=how, config=config
        )
        return done.texts

    return RunnableLambda(together, afunc=atogether, name="AnswerTogether")


def answer_together(
    model: Runnable[Any, Any],
    questions: Sequence[str],
    *,
    shared_prompt: str,
    how: Concatenation | None = None,
    tenants: Sequence[str] = (),
    config: RunnableConfig | None = None,
) -> AnsweredTogether:
    """As `pickllm.prompting.answer_together`, the calls of a round at the same time.

    Args:
        model: A chat model, routed or not; each answer's ``reply.message`` is the message that
            brought it, with its decision.
        questions: Short and of one kind.
        shared_prompt: What they share.
        how: How many at once, and in what form.
        tenants: Whose each question is; empty where all are of one.
        config: For each call: callbacks, tags, ``max_concurrency``.
    """
    asking = asking_together(questions, shared_prompt=shared_prompt, how=how, tenants=tenants)

    def ask(prompts: list[Prompt]) -> list[str | Reply | Exception]:
        configs = _configs(prompts, config)
        return _replies(prompts, model.batch(_inputs(prompts), configs, return_exceptions=True))

    return drive.rounds(asking, ask)


async def aanswer_together(
    model: Runnable[Any, Any],
    questions: Sequence[str],
    *,
    shared_prompt: str,
    how: Concatenation | None = None,
    tenants: Sequence[str] = (),
    config: RunnableConfig | None = None,
) -> AnsweredTogether:
    """The same without blocking the loop."""
    asking = asking_together(questions, shared_prompt=shared_prompt, how=how, tenants=tenants)

    async def ask(prompts: list[Prompt]) -> list[str | Reply | Exception]:
        configs = _configs(prompts, config)
        answers = await model.abatch(_inputs(prompts), configs, return_exceptions=True)
        return _replies(prompts, answers)

    return await drive.arounds(asking, ask)


def _inputs(prompts: Sequence[Prompt]) -> list[list[HumanMessage]]:
    return [[HumanMessage(prompt.text)] for prompt in prompts]


def _configs(prompts: Sequence[Prompt], config: RunnableConfig | None) -> list[RunnableConfig]:
    """The config for each call, its tenant among the metadata."""
    given = ensure_config(config)
    return [
        {**given, "metadata": {**given["metadata"], "tenant": prompt.tenant}}
        if prompt.tenant
        else given
        for prompt in prompts
    ]


def _replies(prompts: Sequence[Prompt], answers: Sequence[Any]) -> list[str | Reply | Exception]:
    return [_reply(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]


def _reply(prompt: Prompt, answer: Any) -> str | Reply | Exception:
    """An answer as the core knows it, with why it ended."""
    if isinstance(answer, str | Exception):
        return answer
    if not isinstance(answer, AIMessage):
        return TypeError(f"the model answered with {type(answer).__name__}, not with a message")
    ended = answer.response_metadata
    reason = ended.get("finish_reason") or ended.get("stop_reason")
    return Reply(
        text=answer.text,
        message=answer,
        usage=usage_of(answer, [HumanMessage(prompt.text)]),
        finish_reason=str(reason) if reason else None,
    )
