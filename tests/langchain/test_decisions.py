"""A router as LangChain's decision model, where LangChain has such things."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("langchain_core.decisions", reason="decision models came with 1.8 of the core")

from langchain.agents import create_agent
from langchain.agents.middleware import (  # type: ignore[attr-defined]  # new in 1.5
    ModelChoice,
    ModelRouterMiddleware,
)
from langchain_core.decisions import Choice, Score  # type: ignore[import-not-found]  # new in 1.8
from langchain_core.messages import HumanMessage

from langchain_pickllm.decisions import RoutingDecisionModel
from pickllm import Arm, ConfigError, Router
from tests.langchain.scripted import ScriptedChatModel

QUESTION = Choice(instructions="Which?", criteria={"small": "easy", "large": "hard"})


def router_of(**settings: Any) -> Router:
    """Three arms; questions name two of them."""
    return Router(arms=[Arm(name=name) for name in ("small", "large", "spare")], **settings)


def ask(router: Router, question: Any = QUESTION, state: Any = "2 + 2 =") -> Any:
    """One question, answered."""
    model = RoutingDecisionModel(router)
    return model.invoke({"state": state, "questions": {"route": question}})


def test_the_answer_is_a_label_with_the_probability_of_each() -> None:
    """An arm that the question does not name is not a label."""
    response = ask(router_of(policy="random"))

    answer = response.choices["route"]
    assert {"small": 0.5, "large": 0.5} == answer.probabilities
    assert answer.choice in answer.probabilities
    assert 0.5 == answer.confidence


def test_it_learns_from_feedback_by_the_response_s_id() -> None:
    """Quality is all it sees."""
    router = router_of(policy="epsilon_greedy", seed=1)
    for _ in range(200):
        response = ask(router)
        choice = response.choices["route"].choice
        assert "counted" == router.feedback(response.request_id, float(choice == "large"))

    assert (
        "large"
        == max(ask(router).choices["route"].probabilities.items(), key=lambda item: item[1])[0]
    )


def test_the_policy_sees_the_words_of_the_state() -> None:
    """In messages and in what holds them."""
    seen: list[str] = []

    def choose(situation: Any) -> str:
        seen.append(situation.request.text)
        return "small"

    ask(router_of(policy=choose), state={"task": [HumanMessage("add"), "2", 3, None]})

    assert ["add\n2\n3"] == seen


@pytest.mark.parametrize(
    "question",
    [
        Choice(instructions="Which?", criteria={"small": "easy", "huge": "hard"}),
        Score(instructions="How hard?", criteria=["easy", "hard"]),
    ],
)
def test_other_questions_are_refused(question: Any) -> None:
    """It knows its arms, and nothing else."""
    with pytest.raises(ConfigError, match="whose labels are the same arms"):
        ask(router_of(), question)


def test_questions_with_the_same_labels_have_one_answer() -> None:
    """One decision, under each of the questions' names."""
    model = RoutingDecisionModel(router_of(policy=lambda _: "large"))

    response = model.invoke({"state": "", "questions": {"route": QUESTION, "again": QUESTION}})

    assert ["large", "large"] == [response.choices[name].choice for name in ("route", "again")]
    assert 1 == len(model.router.ledger)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_langchain_s_own_router_routes_by_it(way: str) -> None:
    """Each label's model answers when its label is chosen."""
    router = router_of(policy=lambda _: "large")
    choices = {
        name: ModelChoice(model=ScriptedChatModel(says=name), criteria=name)
        for name in ("small", "large")
    }
    middleware: Any = ModelRouterMiddleware(
        choices=choices, instructions="Which?", classifier=RoutingDecisionModel(router)
    )
    agent: Any = create_agent(ScriptedChatModel(), tools=[], middleware=[middleware])
    asked = {"messages": [HumanMessage("2 + 2 =")]}

    state = agent.invoke(asked) if way == "invoke" else asyncio.run(agent.ainvoke(asked))

    assert "large" == state["messages"][-1].text
    assert ["ok"] == [record.status for record in router.ledger]
