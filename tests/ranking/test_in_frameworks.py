"""A ranker is the policy of a routed model in LangChain and in LlamaIndex, by ``policy=`` alone."""

import asyncio
from typing import Any

import pytest

from pickllm import Arm
from pickllm.protocols import Policy
from pickllm.ranking import ranked, ranked_contextual, routellm
from tests.ranking.battles import ByLength

RANKER = ByLength(arms=("small", "large"), instant=False)
PRICES = {"small": Arm(usd_per_hour=0.1), "large": Arm(usd_per_hour=2.5)}
POLICIES: dict[str, Policy[Any]] = {
    "routellm": routellm(RANKER, strong="large", weak="small", threshold=0.65),
    "ranked": ranked(RANKER, epsilon=0.0),
    "ranked_contextual": ranked_contextual(RANKER, trust=1e6),
}
LONG, SHORT = "x" * 95, "x" * 5


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_a_chat_model_routes_by_it(policy: Policy[Any]) -> None:
    """Long prompts to the large model, short ones to the small one, called either way."""
    models = pytest.importorskip("langchain_core.language_models", reason="it is LangChain's")
    from langchain_pickllm import RoutedChatModel

    model = RoutedChatModel(
        models={name: models.FakeListChatModel(responses=[name]) for name in PRICES},
        arms=PRICES,
        policy=policy,
        weights={"quality": 1.0},
        seed=1,
    )

    assert "large" == model.invoke(LONG).content
    assert "small" == model.invoke(SHORT).content
    assert "large" == asyncio.run(model.ainvoke(LONG)).content


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_an_llm_routes_by_it(policy: Policy[Any]) -> None:
    """The same for LlamaIndex."""
    llms = pytest.importorskip("llama_index.core.llms", reason="it is LlamaIndex's")
    from llamaindex_pickllm import RoutedLLM

    lengths = {"small": 1, "large": 2}
    model = RoutedLLM(
        llms={name: llms.MockLLM(max_tokens=length) for name, length in lengths.items()},
        arms=PRICES,
        policy=policy,
        weights={"quality": 1.0},
        seed=1,
    )

    assert "text text" == model.complete(LONG).text
    assert "text" == model.complete(SHORT).text


def test_a_chat_is_routed_as_a_conversation() -> None:
    """In both: a short question after a long one is as hard as that, its content in blocks or not.

    A system message and an answer, however long, make it no harder.
    """
    models = pytest.importorskip("langchain_core.language_models", reason="it is LangChain's")
    llms = pytest.importorskip("llama_index.core.llms", reason="it is LlamaIndex's")
    from langchain_pickllm import RoutedChatModel
    from llamaindex_pickllm import RoutedLLM

    settings: dict[str, Any] = {"arms": PRICES, "policy": POLICIES["routellm"], "seed": 1}
    chat = RoutedChatModel(
        models={name: models.FakeListChatModel(responses=[name]) for name in PRICES}, **settings
    )
    lengths = {"small": 1, "large": 2}
    llm = RoutedLLM(
        llms={name: llms.MockLLM(max_tokens=length) for name, length in lengths.items()}, **settings
    )
    blocks = [{"type": "text", "text": LONG}]
    hard: list[Any] = [("user", blocks), ("assistant", "Because."), ("user", "Why?")]
    easy: list[Any] = [("system", LONG), ("user", "Hello"), ("assistant", LONG), ("user", "Why?")]
    easy_there = [llms.ChatMessage(role=role, content=text) for role, text in easy]
    hard_there = [
        llms.ChatMessage(role="user", content=LONG),
        llms.ChatMessage(role="assistant", content="Because."),
        llms.ChatMessage(role="user", content="Why?"),
    ]

    assert ["large", "small"] == [chat.invoke(talk).content for talk in (hard, easy)]
    for talk in (hard_there, easy_there):
        llm.chat(talk)
    assert ["large", "small"] == [record.decision.arm for record in llm.router.ledger]
