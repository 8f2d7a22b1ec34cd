"""Questions answered together by a LlamaIndex model, routed or not, several to a call.

    done = answer_together(llm, reviews, shared_prompt="Is the review positive? Answer yes or no.")
    done.texts                                       # one answer for each, five to a call

What makes the core's adaptations needs nothing of LlamaIndex: ``RoutedLLM(adaptations=…)``.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from llama_index.core.llms import LLM, ChatMessage, ChatResponse, MessageRole

from llamaindex_pickllm.llm import RoutedLLM
from llamaindex_pickllm.reading import finish_reason_of, usage_of
from pickllm import drive
from pickllm.errors import ConfigError
from pickllm.prompting.concatenation import (
    AnsweredTogether,
    Concatenation,
    Prompt,
    asking_together,
)
from pickllm.types import Reply

__all__ = ["aanswer_together", "answer_together"]


def answer_together(
    llm: LLM,
    questions: Sequence[str],
    *,
    shared_prompt: str,
    how: Concatenation | None = None,
    tenants: Sequence[str] = (),
    at_once: int = 4,
) -> AnsweredTogether:
    """As `pickllm.prompting.answer_together`, several calls of a round at the same time.

    Args:
        llm: The model; each answer's ``reply.message`` is the response that brought it, with its
            decision.
        questions: Short and of one kind.
        shared_prompt: What they share.
        how: How many to a call, and in what form.
        tenants: Whose each question is; empty where all are of one.
        at_once: How many calls at the same time, at least 1.
    """
    _check(llm, at_once)
    asking = asking_together(questions, shared_prompt=shared_prompt, how=how, tenants=tenants)
    with ThreadPoolExecutor(at_once, "pickllm-together") as threads:

        def ask(prompts: list[Prompt]) -> list[Reply | Exception]:
            waiting = [threads.submit(copy_context().run, _asked, llm, each) for each in prompts]
            return [each.result() for each in waiting]

        return drive.rounds(asking, ask)


async def aanswer_together(
    llm: LLM,
    questions: Sequence[str],
    *,
    shared_prompt: str,
    how: Concatenation | None = None,
    tenants: Sequence[str] = (),
    at_once: int = 4,
) -> AnsweredTogether:
    """The same without blocking the loop."""
    _check(llm, at_once)
    asking = asking_together(questions, shared_prompt=shared_prompt, how=how, tenants=tenants)
    free = asyncio.Semaphore(at_once)

    async def ask(prompts: list[Prompt]) -> list[Reply | Exception]:
        return await asyncio.gather(*(_aasked(llm, each, free) for each in prompts))

    return await drive.arounds(asking, ask)


def _check(llm: LLM, at_once: int) -> None:
    if not isinstance(llm, LLM):
        raise ConfigError(f"give an LLM to ask; this is {type(llm).__name__}")
    if at_once < 1:
        raise ConfigError(f"at_once must be at least 1; it is {at_once}")


def _asked(llm: LLM, prompt: Prompt) -> Reply | Exception:
    messages = [ChatMessage(role=MessageRole.USER, content=prompt.text)]
    try:
        return _reply(llm.chat(messages, **_tenant(llm, prompt)), messages)
    except Exception as error:  # told in the answers; those of other calls are paid for already
        return error


async def _aasked(llm: LLM, prompt: Prompt, free: asyncio.Semaphore) -> Reply | Exception:
    messages = [ChatMessage(role=MessageRole.USER, content=prompt.text)]
    try:
        async with free:
            return _reply(await llm.achat(messages, **_tenant(llm, prompt)), messages)
    except Exception as error:  # as above
        return error


def _tenant(llm: LLM, prompt: Prompt) -> dict[str, str]:
    """Whose questions these are, for a model that wants to know."""
    routed = isinstance(llm, RoutedLLM)
    return {"tenant": prompt.tenant} if routed and prompt.tenant else {}


def _reply(answer: ChatResponse, messages: Sequence[ChatMessage]) -> Reply:
    text = answer.message.content or ""
    return Reply(
        text=text,
        message=answer,
        usage=usage_of([answer], messages, text),
        finish_reason=finish_reason_of(answer),
    )
