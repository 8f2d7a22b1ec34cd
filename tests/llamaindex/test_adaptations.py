"""An arm reads what its adaptation made of the prompt; the others read the prompt."""

from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MessageRole

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.asking import ask_turns_of
from llamaindex_pickllm.prompting import aanswer_together, answer_together
from pickllm import ConfigError
from pickllm.policies import Fixed
from pickllm.prompting import Compressed, Example, Selected, Trimmed
from pickllm.types import Arm, Request, Said
from tests.llamaindex.scripted import ScriptedLLM
from tests.llamaindex.ways import WAYS

PROSE = "The house is old. Its roof leaks. Ann mends it in spring. Bob paints the door. " * 20
PROMPT = f"Read this.\n{PROSE}\nWhat leaks?\nSay it.\nAnswer:"


def routed(**settings: Any) -> RoutedLLM:
    """A pool of two."""
    llms = {"small": ScriptedLLM(says="The roof."), "large": ScriptedLLM(says="Roof.")}
    return RoutedLLM(llms=llms, **{"seed": 1, **settings})


def read_by(llm: RoutedLLM, arm: str) -> Sequence[ChatMessage]:
    """The messages that an arm got last."""
    found = llm.llms[arm]
    assert isinstance(found, ScriptedLLM)
    return found.seen[-1].messages


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("arm", ["small", "large"])
def test_an_arm_reads_its_adapted_prompt_and_others_the_prompt(way: str, arm: str) -> None:
    """In every way of asking, streams among them."""
    llm = routed(adaptations={"small": Compressed()}, policy=Fixed(arm=arm))

    WAYS[way](llm, PROMPT)

    (message,) = read_by(llm, arm)
    text = message.content or ""
    assert text.startswith("Read this.\n")
    assert text.endswith("\nWhat leaks?\nSay it.\nAnswer:")
    assert (arm == "small") == (len(text) < 0.7 * len(PROMPT))


def test_what_stays_are_the_very_messages() -> None:
    """Images among them, and examples come before the question."""
    chat = [
        ChatMessage(role=MessageRole.SYSTEM, content="Be brief."),
        ChatMessage(role=MessageRole.USER, content="Hello"),
        ChatMessage(role=MessageRole.ASSISTANT, content="Hello."),
        ChatMessage(role=MessageRole.USER, content="What leaks?"),
    ]
    examples = [Example(question="What drips?", answer="The tap.")]
    adaptations = [Trimmed(most_exchanges=1), Selected(examples=examples, least_similarity=0.0)]
    llm = routed(adaptations=adaptations, policy=Fixed(arm="small"))

    llm.chat(chat)

    read = read_by(llm, "small")
    assert ["system", "user", "assistant", "user"] == [message.role.value for message in read]
    assert ["What drips?", "The tap."] == [message.content for message in read[1:3]]
    assert read[0] is chat[0]
    assert read[3] is chat[3]


def test_a_failing_adaptation_takes_no_answer_away() -> None:
    """The arm reads the prompt as it was given."""

    class Broken:
        name = "broken"

        def adapted(self, request: Request, arm: Arm) -> list[Said]:
            raise ValueError

    llm = routed(adaptations=Broken(), policy=Fixed(arm="small"))

    assert "The roof." == llm.complete(PROMPT).text
    assert PROMPT == read_by(llm, "small")[0].content


def test_a_model_can_be_tried_out() -> None:
    """With a whole conversation."""
    arm = ScriptedLLM(says="Yes.")

    reply = ask_turns_of(arm)(
        [Said(role="system", text="Be brief."), Said(role="user", text="Really?")]
    )

    assert "Yes." == (reply if isinstance(reply, str) else reply.text)
    assert ["system", "user"] == [message.role.value for message in arm.seen[0].messages]


class Grader(ScriptedLLM):
    """Answers each marked question with its last word."""

    def _answer(
        self, messages: Sequence[ChatMessage], kwargs: Any, failing: bool
    ) -> Any:  # as the base
        lines = [line for line in (messages[-1].content or "").splitlines() if line[:1] == "["]
        marked = [line for line in lines if not line.endswith("question N")]
        self.says = "\n".join(f"{line.split()[0]} {line.split()[-1]}" for line in marked)
        return super()._answer(messages, kwargs, failing)


QUESTIONS = [f"Say the last word: {word}" for word in ("roof", "door", "wall", "hall")]


async def test_questions_are_answered_together() -> None:
    """In one call of a routed model, sync and async; in one for each tenant."""
    arm = Grader()
    llm = RoutedLLM(llms={"small": arm})

    done = answer_together(llm, QUESTIONS, shared_prompt="One word each.")
    again = await aanswer_together(
        llm, QUESTIONS, shared_prompt="Word.", tenants=["ann", "bob", "ann", "bob"]
    )

    assert ["roof", "door", "wall", "hall"] == done.texts == again.texts
    assert (1, 2) == (done.calls, again.calls)
    assert ["chat", "achat", "achat"] == [each.way for each in arm.seen]


def test_what_is_no_llm_is_refused() -> None:
    """With words."""
    with pytest.raises(ConfigError, match="give an LLM"):
        answer_together("gpt", ["?"], shared_prompt="")  # type: ignore[arg-type]  # on purpose
