"""Turns in which there is nothing to choose: who stays, for how long, and who earns what."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.messages.tool import ToolCall, tool_call
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_pickllm import RewardCallbackHandler, RoutedChatModel
from pickllm import Arm, ConfigError, Request, UnknownDecision
from pickllm.types import Hold
from tests.langchain.recording import WAYS
from tests.langchain.scripted import ScriptedChatModel, look_up

every_way = pytest.mark.parametrize("way", WAYS)

NO_ROUTE = ConnectionError("no route")
CALL = tool_call(name="look_up", args={}, id="1")
PRICED = Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)


class LoopingChatModel(ScriptedChatModel):
    """Calls the first of its tools for ``loops`` turns, and then speaks."""

    loops: int = 1
    abreast: int = 1
    """How many calls a turn makes."""

    def _calls_of(
        self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]
    ) -> list[ToolCall]:
        asked = max(n for n, message in enumerate(messages) if isinstance(message, HumanMessage))
        turn = sum(isinstance(message, AIMessage) for message in messages[asked:])
        if not kwargs.get("tools") or turn >= self.loops:
            return []
        name = kwargs["tools"][0]["function"]["name"]
        return [
            tool_call(name=name, args={"place": f"place {turn}.{n}"}, id=f"call {turn}.{n}")
            for n in range(self.abreast)
        ]


def stubborn(place: str) -> str:
    """Weather at a place."""
    raise ToolException(f"no weather in {place}")


STUBBORN = tool(stubborn)
STUBBORN.handle_tool_error = True


class Routing:
    """Two arms, and a policy that takes turns and counts how often it is asked."""

    def __init__(self, *, first: str = "a", arm: Any = LoopingChatModel, **settings: Any) -> None:
        names = {"a": ("a", "b"), "b": ("b", "a")}[first]
        self.asked = 0
        self._next = cycle(names)
        arm_settings = {
            key: settings.pop(key) for key in set(settings) & set(LoopingChatModel.model_fields)
        }
        arms = {name: arm(says=name, model_name=name, **arm_settings) for name in "ab"}
        self.model = RoutedChatModel(
            models=arms,
            **{"policy": self._choose, "arms": {"a": PRICED, "b": PRICED}, **settings},
        )

    def _choose(self, situation: Any) -> dict[str, float]:
        self.asked += 1
        wanted = next(self._next)
        return {wanted if wanted in situation.arms else situation.arms[0]: 1.0}

    @property
    def arms(self) -> list[str]:
        """Who was decided for, in order."""
        return [record.decision.arm for record in self.model.router.ledger]

    @property
    def holds(self) -> list[str]:
        """Why the policy was not asked, in order; empty where it was."""
        held = [record.decision.held for record in self.model.router.ledger]
        return [hold.reason if hold else "" for hold in held]

    @property
    def feedback(self) -> list[dict[str, float]]:
        """What each decision got, in order."""
        return [
            {source: given.value for source, given in record.source_to_feedback.items()}
            for record in self.model.router.ledger
        ]


def asked(*said: Any) -> dict[str, Any]:
    """A question to an agent."""
    return {"messages": [HumanMessage(text) for text in said]}


def loop(
    ask: Callable[[list[BaseMessage]], AIMessage],
    said: Sequence[BaseMessage] = (),
    status: Callable[[ToolCall], Any] = lambda _: "success",
) -> list[BaseMessage]:
    """A tool loop as users write it by hand."""
    messages = [*said, HumanMessage("How is the weather?")]
    while True:
        answer = ask(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return messages
        messages.extend(
            ToolMessage("sunny", tool_call_id=call["id"], status=status(call))
            for call in answer.tool_calls
        )


def answers_of(messages: Sequence[BaseMessage]) -> list[AIMessage]:
    """What the model said."""
    return [message for message in messages if isinstance(message, AIMessage)]


def arms_of(messages: Sequence[BaseMessage]) -> list[str]:
    """Who said it."""
    return [message.response_metadata["pickllm"]["arm"] for message in answers_of(messages)]


def restored(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The same messages after a night in a database."""
    return messages_from_dict(json.loads(json.dumps([message_to_dict(m) for m in messages])))


# A tool loop


def _agent_invoke(agent: Any) -> None:
    agent.invoke(asked("Weather?"))


def _agent_ainvoke(agent: Any) -> None:
    asyncio.run(agent.ainvoke(asked("Weather?")))


def _agent_stream(agent: Any) -> None:
    list(agent.stream(asked("Weather?"), stream_mode="messages"))


def _agent_astream(agent: Any) -> None:
    async def read() -> None:
        async for _ in agent.astream(asked("Weather?"), stream_mode="messages"):
            pass

    asyncio.run(read())


@pytest.mark.parametrize("run", [_agent_invoke, _agent_ainvoke, _agent_stream, _agent_astream])
def test_an_agent_s_loop_stays_with_the_arm_that_began_it(run: Callable[[Any], None]) -> None:
    """One choice for the whole loop, however many turns it takes."""
    routing = Routing(loops=3)

    run(create_agent(model=routing.model, tools=[look_up]))

    assert (["a"] * 4, 1) == (routing.arms, routing.asked)
    assert ["", "tool loop", "tool loop", "tool loop"] == routing.holds


@every_way
def test_a_loop_written_by_hand_stays_with_the_arm_that_began_it(way: str) -> None:
    """Messages are all that a hold needs."""
    routing = Routing(loops=2)
    bound = routing.model.bind_tools([look_up])

    messages = loop(lambda said: WAYS[way](bound, said, {}))

    assert (["a"] * 3, 1) == (arms_of(messages), routing.asked)


def test_the_next_question_is_a_new_choice() -> None:
    """A loop ends where a human speaks again."""
    routing = Routing()
    ask = routing.model.bind_tools([look_up]).invoke

    messages = loop(ask, loop(ask))

    assert ["a", "a", "b", "b"] == arms_of(messages)


def test_a_held_turn_is_explained_as_such() -> None:
    """A turn's own id leads to its own decision, with the reason; its probability was 1."""
    routing = Routing()
    messages = loop(routing.model.bind_tools([look_up]).invoke)

    explanation = routing.model.explain(answers_of(messages)[1])

    assert "a was not chosen anew but held: tool loop" == explanation.reason
    assert (1.0, "ok") == (explanation.decision.propensity, explanation.status)


def test_calls_side_by_side_are_one_turn() -> None:
    """Several tool calls in a message come back as several messages."""
    routing = Routing(abreast=3, loops=2)

    agent: Any = create_agent(model=routing.model, tools=[look_up])
    messages = agent.invoke(asked("Weather?"))["messages"]

    assert 6 == sum(isinstance(message, ToolMessage) for message in messages)
    assert (["a"] * 3, 1) == (arms_of(messages), routing.asked)


def test_loops_side_by_side_do_not_mix() -> None:
    """Each conversation has its own messages, so each has its own arm."""
    routing = Routing(loops=2)
    agent: Any = create_agent(model=routing.model, tools=[look_up])

    done = agent.batch([asked("Weather?")] * 6)

    arms = [set(arms_of(result["messages"])) for result in done]
    assert ([1] * 6, 6) == ([len(each) for each in arms], routing.asked)


# Restarts and other workers


def test_a_loop_goes_on_in_another_process() -> None:
    """A router that never heard of the loop reads from its messages who has to go on."""
    saver, thread = InMemorySaver(), {"configurable": {"thread_id": "1"}}
    before, after = Routing(first="a"), Routing(first="b")
    settings: Any = {"tools": [look_up], "checkpointer": saver, "interrupt_before": ["tools"]}
    paused: Any = create_agent(model=before.model, **settings)
    paused.invoke(asked("Weather?"), thread)

    resumed: Any = create_agent(model=after.model, tools=[look_up], checkpointer=saver)
    messages = resumed.invoke(None, thread)["messages"]

    assert (["a", "a"], ["tool loop"], 0) == (arms_of(messages), after.holds, after.asked)
    assert "counted" == after.model.feedback(messages[-1], 1.0)


def test_a_hold_survives_plain_json() -> None:
    """Messages that were stored as JSON and read again hold as well."""
    before, after = Routing(first="a", loops=2), Routing(first="b", loops=2)
    said = loop(before.model.bind_tools([look_up]).invoke)[:3]

    answer = after.model.bind_tools([look_up]).invoke(restored(said))

    assert ("a", ["tool loop"]) == (arms_of([answer])[0], after.holds)


def test_a_turn_that_bears_the_id_of_the_one_it_goes_on_with_stands_for_itself() -> None:
    """A caller's fixed run id, used again after a restart, leads round in no circle."""
    model = Routing().model
    hold = Hold(arm="a", reason="tool loop", continues="again")

    decision = model.router.decide(Request(text="", id="again", hold=hold))

    assert ("again",) == model.router.decisions("again")
    assert "a" == decision.arm


# Reasoning, threads


THOUGHTS: Mapping[str, dict[str, Any]] = {
    "thinking": {"type": "thinking", "thinking": "hm", "signature": "s"},
    "redacted": {"type": "redacted_thinking", "data": "s"},
    "reasoning": {"type": "reasoning", "id": "rs_1", "summary": []},
}


def spoke(arm: str, content: Any = "Yes", decision_id: str = "earlier") -> AIMessage:
    """What an arm said in an earlier turn."""
    stamp = {"decision_id": decision_id, "arm": arm, "propensity": 0.5, "policy": "p"}
    return AIMessage(content=content, response_metadata={"pickllm": stamp})


@pytest.mark.parametrize("kind", THOUGHTS)
def test_reasoning_in_the_history_goes_back_to_its_author(kind: str) -> None:
    """Others could not read it; the turn is a decision of its own."""
    routing = Routing(first="b")
    content = [THOUGHTS[kind], {"type": "text", "text": "Yes"}]

    answer = routing.model.invoke([HumanMessage("1"), spoke("a", content), HumanMessage("2")])

    assert (["a"], ["reasoning in the history"]) == (routing.arms, routing.holds)
    assert ["counted"] == [routing.model.feedback(answer, 1.0)]


def test_the_latest_author_of_reasoning_is_asked() -> None:
    """Where several left some, the last one goes on."""
    routing = Routing()
    thoughts = [THOUGHTS["thinking"]]

    routing.model.invoke([spoke("a", thoughts), spoke("b", thoughts), HumanMessage("2")])

    assert ["b"] == routing.arms


@every_way
def test_a_sticky_conversation_stays_with_its_arm(way: str) -> None:
    """``sticky=True``: the arm that spoke last speaks again, and each turn stands for itself."""
    routing = Routing(sticky=True)
    said: list[BaseMessage] = []
    for text in ("One?", "Two?", "Three?"):
        said.append(HumanMessage(text))
        said.append(WAYS[way](routing.model, said, {}))

    assert (["a"] * 3, ["", "thread", "thread"]) == (routing.arms, routing.holds)
    assert ["counted"] * 3 == [routing.model.feedback(m, 1.0) for m in answers_of(said)]


def test_other_conversations_are_free() -> None:
    """By default each question is a choice, and a sticky model holds no conversation but one."""
    free, sticky = Routing(), Routing(sticky=True)

    free.model.invoke([HumanMessage("1"), spoke("a"), HumanMessage("2")])
    for text in ("One?", "Two?"):
        sticky.model.invoke(text)

    assert ([""], ["", ""]) == (free.holds, sticky.holds)


# An arm that cannot go on


@every_way
@pytest.mark.parametrize(
    "stamp", [None, "a", 3, [], {}, {"arm": "a"}, {"decision_id": "1"}, {"arm": ["a"]}]
)
def test_a_stamp_that_cannot_be_read_frees_the_choice(way: str, stamp: Any) -> None:
    """Someone else's metadata, or what a store made of ours."""
    said = AIMessage("Yes", response_metadata={"pickllm": stamp}, tool_calls=[CALL])
    failed = ToolMessage("no", tool_call_id="1", status="error")
    model = RoutedChatModel(models={"a": ScriptedChatModel()}, sticky=True)
    outer = RoutedChatModel(models={"a": model})

    for asked in (model, outer):
        WAYS[way](asked, [HumanMessage("Yes?"), said, failed], {})

    assert [None, None] == [record.decision.held for record in model.router.ledger]
    with pytest.raises(ConfigError, match="this message carries no decision"):
        model.feedback(said, 1.0)


@pytest.mark.parametrize("name", ["gone", "A", ""])
def test_an_arm_that_is_not_in_the_pool_frees_the_choice(name: str) -> None:
    """The pool has changed since the conversation was stored."""
    routing = Routing(sticky=True)

    routing.model.invoke([spoke(name, [THOUGHTS["thinking"]]), HumanMessage("2")])

    assert ([""], 1) == (routing.holds, routing.asked)


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ([{"type": "image", "url": "https://example.org/cat.png"}], {}),
        ("2", {"model": "b"}),
        ("2", {"model": ["b"]}),
    ],
    ids=["cannot see", "pinned", "pinned by a list"],
)
def test_an_arm_that_is_not_eligible_frees_the_choice(content: Any, settings: Any) -> None:
    """What a request needs, and what its caller says, comes before a hold."""
    arms = {"a": Arm(can={"images": False}), "b": Arm()}
    routing = Routing(sticky=True, arms=arms, weights={"quality": 1.0})

    routing.model.invoke([spoke("a"), HumanMessage(content)], **settings)

    assert (["b"], [""]) == (routing.arms, routing.holds)


@every_way
def test_another_arm_takes_over_from_a_held_one_and_keeps_the_loop(way: str) -> None:
    """The held arm breaks in the second turn; who takes over goes on to the end."""
    routing = Routing(loops=3)
    bound = routing.model.bind_tools([look_up])
    first = routing.model.models["a"]

    def ask(said: list[BaseMessage]) -> AIMessage:
        first.error = NO_ROUTE if any(isinstance(m, ToolMessage) for m in said) else None
        answer: AIMessage = WAYS[way](bound, said, {})
        return answer

    messages = loop(ask)

    assert ["a", "b", "b", "b"] == arms_of(messages)
    assert (["a", "a", "b", "b"], 1) == (routing.arms, routing.asked)


def test_after_a_change_of_arms_each_earns_for_its_own_turns() -> None:
    """The turn in which another arm took over begins its own share of the loop."""
    routing = Routing(loops=3)
    first = routing.model.models["a"]
    bound = routing.model.bind_tools([look_up])

    def ask(said: list[BaseMessage]) -> AIMessage:
        first.error = NO_ROUTE if any(isinstance(m, ToolMessage) for m in said) else None
        return bound.invoke(said)

    before, turned, _, last = answers_of(loop(ask))
    verdicts = [routing.model.feedback(m, v) for m, v in ((before, 0.0), (last, 1.0))]

    assert ["counted", "counted"] == verdicts
    assert [{"user": 0.0}, {"user": 1.0}, {}, {}] == routing.feedback
    assert "repeated" == routing.model.feedback(turned, 0.5)


# Who earns what


class Earning:
    """A reward that keeps what it was made of."""

    def __init__(self) -> None:
        self.spent: list[tuple[float, float | None, float]] = []

    def __call__(self, *, score: float, cost_usd: float | None, latency_s: float) -> float:
        self.spent.append((score, cost_usd, latency_s))
        return score


def test_a_loop_costs_what_all_its_turns_cost() -> None:
    """Cost and waiting of every turn stand in the reward of the decision that began it."""
    earning = Earning()
    routing = Routing(loops=3, reward=earning)
    messages = loop(routing.model.bind_tools([look_up]).invoke)

    assert "counted" == routing.model.feedback(messages[-1], 1.0)

    attempts = [record.answer for record in routing.model.router.ledger if record.answer]
    cost_usd = sum(attempt.cost_usd or 0.0 for attempt in attempts)
    score, spent_usd, waited_s = earning.spent[-1]
    assert (4, 1.0) == (len(attempts), score)
    assert pytest.approx(cost_usd) == spent_usd
    assert pytest.approx(sum(attempt.latency_s for attempt in attempts)) == waited_s
    assert cost_usd > 2 * (attempts[0].cost_usd or 0.0)


@pytest.mark.parametrize("index", range(4))
def test_feedback_on_any_message_of_a_loop_is_about_the_loop(index: int) -> None:
    """It lands on the decision that began it, once."""
    routing = Routing(loops=3)
    answers = answers_of(loop(routing.model.bind_tools([look_up]).invoke))

    verdicts = [routing.model.feedback(answers[n], 1.0) for n in (index, 3 - index, 0)]

    assert ["counted", "repeated", "repeated"] == verdicts
    assert [{"user": 1.0}, {}, {}, {}] == routing.feedback


def test_a_correction_by_another_message_of_the_loop_corrects() -> None:
    """Any of its messages names the loop."""
    routing = Routing(loops=2)
    first, *_, last = answers_of(loop(routing.model.bind_tools([look_up]).invoke))

    routing.model.feedback(first, 1.0)

    assert "corrected" == routing.model.feedback(last, 0.0, correction=True)
    assert [{"user": 0.0}, {}, {}] == routing.feedback


def test_two_loops_of_a_conversation_are_judged_apart() -> None:
    """The second question's loop has its own beginning."""
    routing = Routing()
    ask = routing.model.bind_tools([look_up]).invoke
    messages = answers_of(loop(ask, loop(ask)))

    verdicts = [routing.model.feedback(message, 1.0) for message in messages]

    assert ["counted", "repeated", "counted", "repeated"] == verdicts


def test_a_loop_whose_beginning_was_let_go_is_judged_by_what_is_left() -> None:
    """The oldest turn that is held stands for the rest; the one let go is unknown."""
    earning = Earning()
    routing = Routing(loops=4, max_decisions=3, reward=earning)
    answers = answers_of(loop(routing.model.bind_tools([look_up]).invoke))

    with pytest.raises(UnknownDecision):
        routing.model.feedback(answers[0], 1.0)
    verdicts = [routing.model.feedback(answers[n], 1.0) for n in (4, 3, 2)]

    left = [record.answer.cost_usd for record in routing.model.router.ledger if record.answer]
    assert (["counted", "repeated", "repeated"], [{"user": 1.0}, {}, {}]) == (
        verdicts,
        routing.feedback,
    )
    assert pytest.approx(sum(cost or 0.0 for cost in left)) == earning.spent[-1][1]


def test_a_handler_books_a_loop_once_however_long_it_is() -> None:
    """The same loop through a handler on the agent."""
    routing = Routing(loops=5)
    handler = RewardCallbackHandler(routing.model, score=lambda _: 1.0)
    agent: Any = create_agent(model=routing.model, tools=[look_up])

    agent.invoke(asked("Weather?"), {"callbacks": [handler]})

    assert [{"chain": 1.0}, *([{}] * 5)] == routing.feedback
    assert {"counted": 1} == handler.counts


# Tools that fail


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tool_that_errs_speaks_against_the_arm_that_called_it(way: str) -> None:
    """Once for the loop, though every later turn sees the error again."""
    routing = Routing(loops=3)
    agent: Any = create_agent(model=routing.model, tools=[STUBBORN])

    if way == "invoke":
        agent.invoke(asked("Weather?"))
    else:
        asyncio.run(agent.ainvoke(asked("Weather?")))

    assert [{"tool_error": 0.0}, {}, {}, {}] == routing.feedback
    assert 1 == routing.model.stats()["feedback_counted"]


@pytest.mark.parametrize("status", ["success", "error"])
def test_one_failed_call_of_several_is_enough(status: str) -> None:
    """Of calls side by side, one went wrong."""
    routing = Routing(abreast=3)

    loop(
        routing.model.bind_tools([look_up]).invoke,
        status=lambda call: status if call["id"] == "call 0.1" else "success",
    )

    booked = {"tool_error": 0.0} if status == "error" else {}
    assert [booked, {}] == routing.feedback


def test_the_arm_that_took_over_answers_for_its_own_calls() -> None:
    """A call that failed before the change of arms is not the second arm's."""
    routing = Routing(loops=2)
    first = routing.model.models["a"]
    bound = routing.model.bind_tools([look_up])

    def ask(said: list[BaseMessage]) -> AIMessage:
        first.error = NO_ROUTE if any(isinstance(m, ToolMessage) for m in said) else None
        return bound.invoke(said)

    loop(ask, status=lambda call: "error" if call["id"] == "call 1.0" else "success")

    record = list(routing.model.router.ledger)[1]
    assert [{}, {"tool_error": 0.0}, {}] == routing.feedback
    assert record.answer is not None
    assert "b" == record.answer.arm


def test_failed_calls_of_earlier_questions_are_old_news() -> None:
    """Only what has happened since a human last spoke is looked at."""
    routing = Routing()
    ask = routing.model.bind_tools([look_up]).invoke
    failed: Any = lambda _: "error"  # noqa: E731  # said twice, below

    loop(ask, loop(ask, status=failed))

    assert [{"tool_error": 0.0}, {}, {}, {}] == routing.feedback


def test_a_tool_call_of_another_router_s_message_is_not_ours() -> None:
    """Messages of a thread that other routers took part in are no error."""
    routing = Routing()
    call = tool_call(name="look_up", args={}, id="1")
    stranger = spoke("a").model_copy(update={"tool_calls": [call]})
    plain = AIMessage(content="", tool_calls=[tool_call(name="look_up", args={}, id="2")])
    results = [ToolMessage("no", tool_call_id=n, status="error") for n in "12"]

    routing.model.invoke([HumanMessage("1"), stranger, plain, *results])

    assert [{}] == routing.feedback


# A router as an arm of another


@pytest.fixture
def nested() -> Iterator[tuple[Routing, Routing]]:
    """An outer router, one of whose arms is a router; both call their arms by the same names."""
    inner = Routing(first="b", loops=2)
    outer = Routing(first="a", loops=2)
    outer.model.models["a"] = inner.model
    return iter([(outer, inner)])


@every_way
def test_within_a_loop_nested_routers_both_stay(way: str, nested: Any) -> None:
    """Each reads its own arm from the messages, not the other's."""
    outer, inner = next(nested)
    bound = outer.model.bind_tools([look_up])

    loop(lambda said: WAYS[way](bound, said, {}))

    assert (["a"] * 3, ["b"] * 3) == (outer.arms, inner.arms)
    assert (1, 1) == (outer.asked, inner.asked)


def test_a_tool_error_speaks_against_both_of_nested_routers(nested: Any) -> None:
    """The outer one chose the inner one, and that chose the arm."""
    outer, inner = next(nested)

    loop(outer.model.bind_tools([look_up]).invoke, status=lambda _: "error")

    assert [{"tool_error": 0.0}, {}, {}] == outer.feedback == inner.feedback


def test_an_inner_router_is_not_held_by_what_it_did_not_say(nested: Any) -> None:
    """A message of the outer router's other arm is none of the inner one's."""
    outer, inner = next(nested)
    inner.model.sticky = True

    outer.model.invoke([spoke("b"), HumanMessage("2")], model="a")

    assert ([""], ["b"]) == (inner.holds, inner.arms)
