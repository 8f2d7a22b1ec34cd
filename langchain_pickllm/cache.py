"""An `AnswerCache` where LangChain wants a `BaseCache`: for chains without a router.

    set_llm_cache(CachedAnswers(AnswerCache(semantic=True)))

Where there is a router, give it the cache itself, as ``answers=``: that sees more. LangChain's
interface carries two strings, so behind it there are

    no tenants, unless you open a cache for each: ``AnswerCache(namespace=tenant)``;
    no streams: LangChain asks its cache for ``invoke`` and ``batch`` alone;
    no scores, no feedback, no arms: ``judged`` and ``forget`` find nothing;
    no tools: an answer to a call that offers tools is not kept.

What the messages say is read from their JSON, as text; nothing of it is made into an object.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_pickllm.conversation import is_plain
from pickllm.cache import AnswerCache
from pickllm.cache.partition import digest
from pickllm.types import Kept, Request, Role, Said

__all__ = ["CachedAnswers"]

_ROLES: dict[str, Role] = {"system": "system", "human": "user", "ai": "assistant"}
_TOOLS = "'tools', ["


class CachedAnswers(BaseCache):
    """Answers of models without a router, equal questions and such as read alike."""

    def __init__(self, answers: AnswerCache) -> None:
        self.answers = answers

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """An answer that may serve, or None."""
        request = _request(prompt, llm_string)
        kept = None if request is None else self.answers.recall(request)
        if request is None or kept is None:
            return None
        return [_generation(kept, chat=bool(request.turns))]

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer, if there is one alone, and it is text and fit to be given again."""
        request = _request(prompt, llm_string)
        answers = _answers(return_val)
        if request is not None and len(answers) == 1:
            self.answers.keep(request, answers[0])

    def clear(self, **kwargs: Any) -> None:
        """Let everything go."""
        self.answers.clear()


def _request(prompt: str, llm_string: str) -> Request | None:
    """What was asked, of a model with these settings; None where it is more than text."""
    if _TOOLS in llm_string:
        return None
    call_digest = digest("langchain", llm_string)
    known_as = digest(prompt, llm_string)  # so that `update` is known to follow on `lookup`
    if not prompt.startswith("["):
        return Request(id=known_as, text=prompt, call_digest=call_digest)
    turns = _turns(prompt)
    if turns is None:  # some completion model's prompt that only begins so
        return Request(id=known_as, text=prompt, call_digest=digest("text", llm_string))
    if not turns:
        return None
    return Request(id=known_as, text=turns[-1].text, turns=turns, call_digest=call_digest)


def _turns(prompt: str) -> tuple[Said, ...] | None:
    """The messages in LangChain's JSON; none where one is not plain, None where it is no such."""
    try:
        messages = [each["kwargs"] for each in json.loads(prompt)]
        said = [(_ROLES.get(str(each["type"])), each["content"], each) for each in messages]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    turns = [
        Said(role=role, text=text)
        for role, text, message in said
        if role is not None and isinstance(text, str) and _says_no_more(message)
    ]
    return tuple(turns) if len(turns) == len(said) else ()


def _says_no_more(message: dict[str, Any]) -> bool:
    """Whether a message has nothing beside its text."""
    more = ("name", "tool_calls", "invalid_tool_calls", "additional_kwargs")
    return not any(message.get(each) for each in more)


def _answers(generations: Sequence[Generation]) -> list[Kept]:
    return [
        Kept(
            text=each.text,
            arm="",
            decision_id=str(uuid4()),
            finish_reason=_finish_reason(each) if _is_text(each) else "tool_calls",
        )
        for each in generations
    ]


def _is_text(generation: Generation) -> bool:
    message = getattr(generation, "message", None)
    return message is None or (is_plain(message) and message.text == generation.text)


def _finish_reason(generation: Generation) -> str | None:
    """As the provider says it: some in the message, some beside it."""
    message = getattr(generation, "message", None)
    metadata = {**(generation.generation_info or {}), **getattr(message, "response_metadata", {})}
    found = metadata.get("finish_reason") or metadata.get("stop_reason")
    return None if found is None else str(found)


def _generation(kept: Kept, *, chat: bool) -> Generation:
    if not chat:
        return Generation(text=kept.text)
    told = {} if kept.finish_reason is None else {"finish_reason": kept.finish_reason}
    return ChatGeneration(message=AIMessage(content=kept.text, response_metadata=told))
