"""LlamaIndex's LLMs behind the core's port: an arm is called by the method that the caller used.

So the arm formats tools, parses structures and applies its own prompts as it would alone, and its
spans, events, callbacks and retries work as ever; tokens are counted once, where it counts them.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.agent.react.output_parser import ReActOutputParser
from llama_index.core.llms import LLM, ChatMessage, ChatResponse, CompletionResponse, MessageRole
from llama_index.core.llms.function_calling import FunctionCallingLLM

from llamaindex_pickllm.adapted import is_plain, with_turns
from llamaindex_pickllm.arms import blocks_the_loop, calls_tools
from llamaindex_pickllm.asked import Asked, Method, method_of
from llamaindex_pickllm.conversations import Conversations
from llamaindex_pickllm.hearing import hearing
from llamaindex_pickllm.reading import (
    finish_reason_of,
    reported_usage,
    shown_by,
    shows,
    text_of,
    tool_call_ids,
    usage_of,
)
from llamaindex_pickllm.recital import recited
from llamaindex_pickllm.stamp import stamped
from llamaindex_pickllm.threads import in_thread, in_threads
from llamaindex_pickllm.tracing import held_back, tell, tell_shown
from pickllm.errors import ArmRefused
from pickllm.steps import Call
from pickllm.tool_fit import tools_fit
from pickllm.types import Decision, Kept, Piece, Reply

__all__ = ["LLMPort"]

_ANSWERS: Mapping[Method, type] = {
    "chat": ChatResponse,
    "chat_with_tools": ChatResponse,
    "complete": CompletionResponse,
}
"""What a method must return; the others return what their caller asked for."""

_LAST = 3
"""Frames at the end of a stream that may hold its usage."""
_OF_TOOL_CALLERS = (
    "tool_required",
    "tool_choice",
    "allow_parallel_tool_calls",
    "error_on_no_tool_call",
    "error_on_tool_error",
)
"""Arguments that mean nothing to an arm that is asked for tools in words."""
_OF_TOOL_CHATS = (*_OF_TOOL_CALLERS, "user_msg", "chat_history", "verbose")
"""Arguments that a chat without tools has no place for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LLMPort:
    """The LLMs of a pool, bound to one call of the router."""

    llms: Mapping[str, LLM]
    asked: Asked[Any]
    conversations: Conversations
    run: str = ""
    """Id of the run around it, by which its conversation is known."""
    arm_to_heard: dict[str, dict[int, object]] = field(default_factory=dict, repr=False)
    """What each arm reported, for answers that say nothing of it themselves."""
    shown: set[str] = field(default_factory=set)
    """Arms whose answers were held back, and are not any more."""

    def call(self, call: Call) -> Reply:
        """The arm's own method."""
        with self._heard(call):
            answer = self._ready(call, method_of(self.asked.method))()
        return self._reply(call, answer)

    async def acall(self, call: Call) -> Reply:
        """The arm's own async method; where it would block the loop, the sync one in a thread."""
        name = method_of(self.asked.method, is_async=True)
        with self._heard(call):
            if blocks_the_loop(self.llms[call.arm], name):
                answer = await in_thread(self._ready(call, method_of(self.asked.method)))
            else:
                answer = await self._ready(call, name)()
        return self._reply(call, answer)

    def stream(self, call: Call) -> Iterator[Piece]:
        """The frames of the arm's own stream, each with the decision."""
        with self._heard(call):
            frames = self._ready(call, method_of(self.asked.method, stream=True))()
        try:
            while True:
                with self._heard(call):
                    frame = next(frames, None)
                if frame is None:
                    break
                yield self._piece(call, frame)
        finally:
            getattr(frames, "close", _nothing)()

    async def astream(self, call: Call) -> AsyncIterator[Piece]:
        """The same on a loop; an arm that would block it works in threads."""
        name = method_of(self.asked.method, stream=True, is_async=True)
        threads = blocks_the_loop(self.llms[call.arm], name)
        pieces = in_threads(self.stream(call)) if threads else self._on_loop(call, name)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _on_loop(self, call: Call, name: str) -> AsyncGenerator[Piece, None]:
        with self._heard(call):
            frames = await self._ready(call, name)()
        try:
            while True:
                with self._heard(call):
                    frame = await anext(frames, None)
                if frame is None:
                    break
                yield self._piece(call, frame)
        finally:
            await getattr(frames, "aclose", _anothing)()

    def join(self, call: Call, pieces: Sequence[Piece]) -> Reply:
        """Frames of answers are cumulative; tokens of predictions add up."""
        frames = [piece.payload for piece in pieces]
        if isinstance(frames[0], str):
            return self._reply(call, "".join(frames))
        whole = next((frame for frame in reversed(frames) if shows(frame)), frames[-1])
        counted = next(filter(reported_usage, reversed(frames[-_LAST:])), whole)
        return self._reply(call, whole, counted)

    @contextlib.contextmanager
    def _heard(self, call: Call) -> Iterator[None]:
        """What the arm tells inside is noted, and tagged as long as nothing of it is shown."""
        is_held = call.is_held_back and call.arm not in self.shown
        with (
            hearing(self._told(call)),
            held_back(call.arm) if is_held else contextlib.nullcontext(),
        ):
            yield

    def _told(self, call: Call) -> dict[int, object]:
        return self.arm_to_heard.setdefault(call.arm, {})

    def _ready(self, call: Call, name: str) -> Callable[[], Any]:
        """The arm's method with all that it is called with."""
        tell(call)
        arm, asked = self.llms[call.arm], self.asked
        if call.turns is not None:
            asked = with_turns(asked, call.turns)
        if asked.method == "chat_with_tools" and not asked.needs and not calls_tools(arm):
            told = self._own(call, arm, list(asked.messages))
            return partial(
                getattr(arm, name.removesuffix("_with_tools")),
                told,
                **_without(_OF_TOOL_CHATS, asked.kwargs),
            )
        args = [self._own(call, arm, value) for value in asked.args]
        kwargs = {key: self._own(call, arm, value) for key, value in asked.kwargs.items()}
        if asked.method == "predict_and_call" and not calls_tools(arm):
            kwargs = _without(_OF_TOOL_CALLERS, kwargs)
            kwargs.setdefault("react_chat_formatter", ReActChatFormatter.from_defaults())
            kwargs.setdefault("output_parser", ReActOutputParser())
        return partial(getattr(arm, name), *args, **kwargs)

    def _own(self, call: Call, arm: LLM, value: Any) -> Any:
        """A copy for this arm of what arms change: they add to histories and to settings."""
        if isinstance(value, dict):
            return dict(value)
        if isinstance(value, list) and value and isinstance(value[0], ChatMessage):
            return _in_role(self.conversations.readable(value, call.arm, run=self.run), arm)
        return value

    def _piece(self, call: Call, frame: object) -> Piece:
        payload = stamped(self._checked(call, frame), call)
        return Piece(payload=payload, visible=shows(frame), chars=len(shown_by(frame)))

    def _checked(self, call: Call, answer: object) -> object:
        wanted = _ANSWERS.get(self.asked.method)
        if wanted is not None and not isinstance(answer, wanted):
            raise ArmRefused(
                f"arm {call.arm!r} returned {type(answer).__name__}, not a {wanted.__name__}",
                arm=call.arm,
            )
        return answer

    def _reply(self, call: Call, answer: object, counted: object = None) -> Reply:
        """``counted`` is the frame that holds the usage, where it is not the answer itself."""
        self._checked(call, answer)
        self.conversations.remember(call, self.asked.messages, answer, run=self.run)
        text = text_of(answer)
        own = self.asked.method in _ANSWERS
        called = self._tools_fit(call.arm, answer)
        told = [counted or answer] if own else list(self._told(call).values())
        return Reply(
            text=text,
            message=stamped(answer, call),
            usage=usage_of(told, self.asked.messages, text),
            finish_reason=finish_reason_of(answer),
            calls_tools=called is not None,
            tools_fit=called,
            plain=not isinstance(answer, ChatResponse) or is_plain(answer.message),
        )

    def release(self, decision: Decision, reply: Reply) -> None:
        """Who watches hears of it, and of the rest of the answer as it comes."""
        self.shown.add(reply.arm)
        tell_shown(decision.id, reply.arm, reply.text)

    async def arelease(self, decision: Decision, reply: Reply) -> None:
        """The same; handlers of events are called as they are without a loop."""
        self.release(decision, reply)

    def recited(self, decision: Decision, kept: Kept) -> Reply:
        """An answer that was kept, as what the method returns."""
        message = recited(self.asked, decision, kept)
        return Reply(text=kept.text, message=message, usage=kept.usage, called=False, arm=kept.arm)

    def recited_pieces(self, decision: Decision, kept: Kept) -> Iterator[Piece]:
        """The same as the only frame of a stream."""
        yield Piece(payload=recited(self.asked, decision, kept), visible=True)

    def _tools_fit(self, arm: str, answer: object) -> bool | None:
        """Whether the tools that an answer asks for were offered, with arguments that fit."""
        if not isinstance(answer, ChatResponse) or not tool_call_ids(answer.message):
            return None
        llm = self.llms[arm]
        offered = self.asked.args[0] if self.asked.method == "chat_with_tools" else ()
        if not isinstance(llm, FunctionCallingLLM) or not offered:
            return True
        schemas = {
            tool.metadata.get_name(): tool.metadata.get_parameters_dict() for tool in offered
        }
        try:
            calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        except Exception:  # arguments that its own reader cannot read
            return False
        return tools_fit([(call.tool_name, call.tool_kwargs) for call in calls], schemas)


def _in_role(messages: list[ChatMessage], arm: LLM) -> list[ChatMessage]:
    """System messages in the role that this arm has for them."""
    if all(message.role != MessageRole.SYSTEM for message in messages):
        return messages  # an arm's metadata takes it a while
    role = arm.metadata.system_role
    if role == MessageRole.SYSTEM:
        return messages
    return [
        message.model_copy(update={"role": role}) if message.role == MessageRole.SYSTEM else message
        for message in messages
    ]


def _without(names: Sequence[str], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key not in names}


def _nothing() -> None: ...


async def _anothing() -> None: ...
