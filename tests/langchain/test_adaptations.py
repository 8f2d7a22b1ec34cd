"""An arm reads what its adaptation made of the prompt; the others read the prompt."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.example_selectors import (
    LengthBasedExampleSelector,
    MaxMarginalRelevanceExampleSelector,
    SemanticSimilarityExampleSelector,
)
from langchain_core.example_selectors.base import BaseExampleSelector
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import PromptTemplate
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.asking import ask_turns_of
from langchain_pickllm.embeddings import FeatureEmbeddings
from langchain_pickllm.prompting import (
    aanswer_together,
    answer_together,
    answering_together,
    examples_of,
)
from pickllm import ConfigError
from pickllm.cascading import ThresholdCascade
from pickllm.features import HashedText
from pickllm.prompting import Compressed, Example, Extractive, Selected, Trimmed
from pickllm.scoring import scorer_of
from pickllm.types import Arm, Request, Said
from tests.langchain.scripted import ScriptedChatModel

PROSE = "The house is old. Its roof leaks. Ann mends it in spring. Bob paints the door. " * 20
CHAT: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("Hello"),
    AIMessage("Hello."),
    HumanMessage(f"{PROSE}\nWhat leaks?\nSay it."),
]
EXAMPLES = [Example(question="What drips?", answer="The tap.")]


def _pinned(arm: str) -> dict[str, Any]:
    """The arm to ask; any where it has no name."""
    return {"model": arm} if arm else {}


async def _collected(model: RoutedChatModel, messages: Sequence[BaseMessage], arm: str) -> Any:
    chunks = [chunk async for chunk in model.astream(messages, **_pinned(arm))]
    return sum(chunks[1:], chunks[0])


WAYS: dict[str, Callable[[RoutedChatModel, Sequence[BaseMessage], str], Any]] = {
    "invoke": lambda model, messages, arm: model.invoke(messages, **_pinned(arm)),
    "ainvoke": lambda model, messages, arm: asyncio.run(model.ainvoke(messages, **_pinned(arm))),
    "stream": lambda model, messages, arm: sum(
        model.stream(messages, **_pinned(arm)), AIMessageChunk(content="")
    ),
    "astream": lambda model, messages, arm: asyncio.run(_collected(model, messages, arm)),
}


def routed(**settings: Any) -> RoutedChatModel:
    """A pool of two."""
    arms = {"small": ScriptedChatModel(says="The roof."), "large": ScriptedChatModel(says="Roof.")}
    return RoutedChatModel(models=arms, seed=1, **settings)


def read_by(model: RoutedChatModel, arm: str) -> Sequence[BaseMessage]:
    """The messages that an arm got last."""
    found = model.models[arm]
    assert isinstance(found, ScriptedChatModel)
    return found.seen[-1].messages


@pytest.mark.parametrize("way", WAYS)
def test_an_arm_reads_its_adapted_prompt_and_others_the_prompt(way: str) -> None:
    """In every way of asking; what stays are the very messages that were given."""
    model = routed(adaptations={"small": [Trimmed(most_exchanges=1), Compressed()]})

    answer = WAYS[way](model, CHAT, "small")
    WAYS[way](model, CHAT, "large")

    read = read_by(model, "small")
    assert "The roof." == answer.text
    assert [SystemMessage, HumanMessage] == [type(message) for message in read]
    assert CHAT[0] is read[0]
    assert read[1].text.endswith("\nWhat leaks?\nSay it.")
    assert len(read[1].text) < 0.7 * len(CHAT[3].text)
    assert all(one is other for one, other in zip(CHAT, read_by(model, "large"), strict=True))


def test_examples_are_put_before_the_question() -> None:
    """As messages of a human and of a model."""
    model = routed(adaptations=Selected(examples=EXAMPLES, least_similarity=0.0))

    model.invoke("What leaks?", model="small")

    assert [("human", "What drips?"), ("ai", "The tap."), ("human", "What leaks?")] == [
        (message.type, message.text) for message in read_by(model, "small")
    ]


@pytest.mark.parametrize("way", WAYS)
def test_arms_of_a_cascade_read_each_their_own(way: str) -> None:
    """The rejected draft was of the adapted prompt; the scorer sees what was asked."""
    judged: list[str] = []

    def grade(prompt: str, answer: str) -> float:
        judged.append(prompt)
        return float(answer == "Roof.")

    cascade = ThresholdCascade(order=("small", "large"), thresholds=(0.5,), scorer=scorer_of(grade))
    model = routed(adaptations={"small": Compressed()}, cascade=cascade)

    answer = WAYS[way](model, CHAT, "")

    assert "Roof." == answer.text
    assert CHAT == list(read_by(model, "large"))
    assert len(read_by(model, "small")[3].text) < 0.7 * len(CHAT[3].text)
    assert {CHAT[3].text} == set(judged)


def test_images_tools_and_their_results_pass_untouched() -> None:
    """Whatever is trimmed and compressed around them, in a tool loop, too."""
    picture = HumanMessage(
        [
            {"type": "text", "text": PROSE},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]
    )
    call = AIMessage("", tool_calls=[{"name": "look", "args": {"at": "roof"}, "id": "1"}])
    result = ToolMessage(PROSE, tool_call_id="1")
    adaptations = [
        Trimmed(most_exchanges=1),
        Compressed(compressor=Extractive(rate=0.1), roles=("user", "assistant"), least_tokens=1),
    ]
    model = routed(adaptations=adaptations)

    model.invoke([HumanMessage("Hello"), AIMessage("Hello."), picture, call, result], model="small")

    read = read_by(model, "small")
    assert [picture, call, result] == list(read)
    assert read[0] is picture
    assert read[2] is result


def test_a_failing_adaptation_takes_no_answer_away() -> None:
    """The arm reads the prompt as it was given, and the failure is counted."""

    class Broken:
        name = "broken"

        def adapted(self, request: Request, arm: Arm) -> list[Said]:
            raise ValueError

    class Careless:
        name = "careless"

        def adapted(self, request: Request, arm: Arm) -> list[Said]:
            return []

    for adaptation in (Broken(), Careless()):
        model = routed(adaptations=adaptation)

        assert "The roof." == model.invoke(CHAT, model="small").text
        assert CHAT == list(read_by(model, "small"))
        assert 1 == model.stats()["adaptation_failures"]


def test_adaptations_that_name_no_arm_are_refused() -> None:
    """When the model is built."""
    with pytest.raises(ConfigError, match="tiny"):
        routed(adaptations={"tiny": Trimmed(most_exchanges=1)})


def test_a_model_can_be_tried_out() -> None:
    """With a whole conversation, outside of any chain."""
    arm = ScriptedChatModel(says="Yes.")

    reply = ask_turns_of(arm)([Said(role="system", text="Be brief."), *EXAMPLES[0].turns])

    assert "Yes." == reply.text if not isinstance(reply, str) else reply
    assert ["system", "human", "ai"] == [message.type for message in arm.seen[0].messages]


ROWS = [
    {"input": "How do I return a parcel?", "output": "By post."},
    {"input": "What leaks in the house?", "output": "The roof."},
    {"input": "Do you take cards?", "output": "Yes."},
]
EMBEDDINGS = FeatureEmbeddings(HashedText(dim=256))


def selectors() -> dict[str, BaseExampleSelector]:
    """LangChain's own, on a vector store in memory."""
    settings: Any = {
        "embeddings": EMBEDDINGS,
        "vectorstore_cls": InMemoryVectorStore,
        "k": 2,
        "input_keys": ["input"],
    }
    return {
        "similarity": SemanticSimilarityExampleSelector.from_examples(ROWS, **settings),
        "marginal": MaxMarginalRelevanceExampleSelector.from_examples(ROWS, **settings),
        "length": LengthBasedExampleSelector(
            examples=ROWS, example_prompt=PromptTemplate.from_template("{input} {output}")
        ),
    }


@pytest.mark.parametrize("kind", ["similarity", "marginal", "length"])
def test_example_selectors_of_langchain_bring_candidates(kind: str) -> None:
    """Of which those are shown that pay."""
    chosen = Selected(examples=examples_of(selectors()[kind]), most=1)
    model = routed(adaptations={"small": chosen})

    model.invoke("What leaks there?", model="small")

    assert "What leaks in the house?" == read_by(model, "small")[0].text
    assert "ExampleSelector" in chosen.name


class Grader(ScriptedChatModel):
    """Answers each marked question with its last word."""

    def _whole(self, messages: Sequence[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        whole = super()._whole(messages, *args, **kwargs)
        prompt = messages[-1].text
        lines = [line for line in prompt.splitlines() if line.startswith("[")]
        marked = [line for line in lines if not line.endswith("question N")]
        said = "\n".join(f"{line.split()[0]} {line.split()[-1]}" for line in marked)
        answer = whole.generations[0].message.model_copy(
            update={"content": said or prompt.split()[-1]}
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])


QUESTIONS = [f"Say the last word: {word}" for word in ("roof", "door", "wall", "hall")]


async def test_questions_are_answered_together_by_a_routed_model() -> None:
    """In one call, of one decision; as a runnable, and under async."""
    model = RoutedChatModel(models={"small": Grader()})
    chain = answering_together(model, shared_prompt="One word each.")

    done = answer_together(model, QUESTIONS, shared_prompt="One word each.")

    assert ["roof", "door", "wall", "hall"] == done.texts
    assert 1 == done.calls
    assert ["roof", "door", "wall", "hall"] == chain.invoke(QUESTIONS)
    assert ["roof", "door", "wall", "hall"] == await chain.ainvoke(QUESTIONS)
    assert done.answers[0].reply is not None
    assert "counted" == model.feedback(done.answers[0].reply.message, 1.0)


async def test_questions_of_tenants_are_decided_apart() -> None:
    """Each call is its own tenant's, for budgets and for what is kept."""
    arm = Grader()
    model = RoutedChatModel(models={"small": arm})
    tenants = ["ann", "bob", "ann", "bob"]

    done = await aanswer_together(model, QUESTIONS, shared_prompt="Word.", tenants=tenants)

    assert ["roof", "door", "wall", "hall"] == done.texts
    replies = [answer.reply for answer in done.answers]
    decided = [model.explain(reply.message).decision.tenant for reply in replies if reply]
    assert tenants == decided
    assert all(("roof" in each.prompt) != ("door" in each.prompt) for each in arm.seen)


def test_failures_of_a_shared_call_are_asked_alone() -> None:
    """And what fails then is told with the answers of the others."""
    model = Grader(error=TimeoutError("busy"), heals_after=1)

    done = answer_together(model, QUESTIONS, shared_prompt="Word.")

    assert ["roof", "door", "wall", "hall"] == done.texts
    assert 4 == done.asked_again
