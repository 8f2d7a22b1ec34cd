"""What may stand in a pool, and which of it is asked: bound models, routers, arms without tools."""

import asyncio
import logging
import sys
from typing import Any, cast

import pytest
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.stamp import arm_of
from pickllm import Arm, ConfigError, MissingExtra, NoEligibleArm
from tests.langchain.recording import MODEL_WAYS, WAYS, Recorder
from tests.langchain.scripted import NoToolsChatModel, ScriptedChatModel, get_weather

every_way = pytest.mark.parametrize("way", MODEL_WAYS)

IMAGE = {"type": "image", "url": "https://example.org/cat.png"}


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


def alone(arm: Runnable[Any, Any]) -> RoutedChatModel:
    """A pool of one."""
    return RoutedChatModel(models={"only": arm})


def asked(model: RoutedChatModel, given: Any, times: int = 30, **settings: Any) -> set[str]:
    """The arms that answer the same question again and again."""
    return {arm_of(model.invoke(given, **settings)) for _ in range(times)}


# Runnables as arms


@every_way
def test_a_model_with_retries_is_an_arm(way: str) -> None:
    """Its own retries come first: nobody takes over from an arm that answers in the end."""
    arm = ScriptedChatModel(says="one two", error=ConnectionError("no route"), heals_after=1)
    retrying = arm.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    expected = 1 if "v3" in way or way in {"stream", "astream", "events_v2"} else 2

    model = RoutedChatModel(models={"only": retrying})
    if expected == 1:  # LangChain does not retry streams
        with pytest.raises(ConnectionError):
            MODEL_WAYS[way](model, "Hello", {})
    else:
        assert "one two" == MODEL_WAYS[way](model, "Hello", {}).text

    assert (expected, 0) == (arm.calls, model.stats()["fallbacks"])


@every_way
def test_arguments_bound_to_an_arm_hold(way: str) -> None:
    """``.bind(stop=...)`` of an arm acts as it does without a router."""
    arm = ScriptedChatModel(says="one two three")

    answer = MODEL_WAYS[way](alone(arm.bind(stop=["three"])), "Count", {})

    assert "one two " == answer.text


@every_way
def test_a_config_bound_to_an_arm_holds(way: str) -> None:
    """``.with_config`` of an arm stands on the arm's run, and not on the router's."""
    recorder = Recorder()
    arm = ScriptedChatModel().with_config(tags=["of the arm"], metadata={"region": "eu"})

    MODEL_WAYS[way](alone(arm), "Hello", {"callbacks": [recorder]})

    router, below = recorder
    assert ([], ["of the arm"]) == (router.tags, below.tags)
    assert (None, "eu") == (router.metadata.get("region"), below.metadata["region"])


@pytest.mark.parametrize("way", WAYS)
def test_a_model_with_fallbacks_of_its_own_is_an_arm(way: str) -> None:
    """Its fallback answers, and the router sees an arm that answered."""
    broken = ScriptedChatModel(error=ConnectionError("no route"))
    model = alone(broken.with_fallbacks([ScriptedChatModel(says="one two")]))

    answer = WAYS[way](model, "Hello", {})

    assert ("one two", 0) == (answer.text, model.stats()["fallbacks"])


@pytest.mark.parametrize("way", WAYS)
def test_a_chain_that_ends_in_a_model_is_an_arm(way: str) -> None:
    """A prompt of its own may stand before an arm."""
    within = ScriptedChatModel(says="one two")
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("placeholder", "{asked}")])
    chain: Runnable[Any, AIMessage] = (
        RunnableLambda(lambda messages: {"asked": messages}) | prompt | within
    )

    answer = WAYS[way](alone(chain), "Hello", {})

    assert "one two" == answer.text
    assert ["system", "human"] == [message.type for message in within.seen[0].messages]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "batch", "generate"])
def test_a_function_is_an_arm(way: str) -> None:
    """A `RunnableLambda` from messages to an AIMessage will do, sync only or not."""
    model = alone(RunnableLambda(lambda messages: AIMessage(f"heard {messages[-1].text}")))

    answer = MODEL_WAYS[way](model, "Hello", {})

    assert ("heard Hello", "counted") == (answer.text, model.feedback(answer, 1.0))


@pytest.mark.parametrize("way", WAYS)
def test_a_text_completion_model_is_an_arm_without_tools(way: str) -> None:
    """Its text becomes a message, and what needs tools goes elsewhere."""
    models: dict[str, Runnable[Any, Any]] = {
        "text": FakeListLLM(responses=["4"]),
        "chat": ScriptedChatModel(),
    }
    model = RoutedChatModel(models=models, policy=lambda s: {s.arms[0]: 1.0})

    answer = WAYS[way](model, "2 + 2?", {})
    with_tools = WAYS[way](model.bind_tools([get_weather]), "2 + 2?", {})

    assert ("4", "text", "chat") == (answer.text, arm_of(answer), arm_of(with_tools))
    assert "counted" == model.feedback(answer, 1.0)


def test_a_name_for_langchain_to_open_is_an_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A string goes to ``init_chat_model``."""
    opened: list[str] = []

    def init_chat_model(name: str) -> BaseChatModel:
        opened.append(name)
        return ScriptedChatModel()

    monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
    model = RoutedChatModel(models={"mini": "openai:gpt-4o-mini"})

    assert "mini" == arm_of(model.invoke("Hello"))
    assert ["openai:gpt-4o-mini"] == opened


def test_opening_by_name_needs_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)

    with pytest.raises(MissingExtra, match=r"pip install 'pickllm\[agents\]'"):
        RoutedChatModel(models={"mini": "openai:gpt-4o-mini"})


def test_a_model_that_the_caller_configures_is_an_arm() -> None:
    """``configurable_fields`` of an arm take their values from the call's config."""
    from langchain_core.runnables import ConfigurableField

    arm = ScriptedChatModel().configurable_fields(says=ConfigurableField(id="says"))

    answer = alone(arm).invoke("Hello", {"configurable": {"says": "configured"}})

    assert "configured" == answer.text


# Routers as arms


@every_way
def test_a_router_is_an_arm(way: str) -> None:
    """The message says which arm of which: the outer decision, and the inner one in it."""
    inner = RoutedChatModel(models={"deep": ScriptedChatModel(says="one two")})
    outer = RoutedChatModel(models={"inner": inner})

    answer = MODEL_WAYS[way](outer, "Hello", {})

    stamp = answer.response_metadata["pickllm"]
    assert ("one two", "inner", "deep") == (answer.text, stamp["arm"], stamp["inner"]["arm"])
    assert "counted" == outer.feedback(answer, 1.0)
    assert "repeated" == inner.feedback(stamp["inner"]["decision_id"], 1.0)


def test_what_is_said_of_an_answer_reaches_the_router_that_chose_its_arm() -> None:
    """By whatever id, corrections too; a deaf one takes nothing from the other."""
    inner = RoutedChatModel(models={"deep": ScriptedChatModel()}, max_decisions=1)
    outer = RoutedChatModel(models={"inner": inner})
    answers = [outer.invoke("Hello"), outer.invoke("Hello again")]

    for answer in answers:
        assert "counted" == outer.feedback(answer, 1.0)
    assert "corrected" == outer.feedback(answers[1], 0.25, correction=True)

    (record,) = inner.router.ledger
    assert 0.25 == record.source_to_feedback["user"].value
    assert 0 == outer.stats().get("relay_failures", 0)


def test_an_error_passes_through_two_routers_as_itself() -> None:
    """Each tries its own arms, and the arm's own error is what the caller gets."""
    broken = ScriptedChatModel(error=ConnectionError("no route"))
    inner = RoutedChatModel(models={"deep": broken})
    outer = RoutedChatModel(models={"inner": inner})

    with pytest.raises(ConnectionError, match="no route"):
        outer.invoke("Hello")

    assert [1, 1] == [router.stats()["outcome_error"] for router in (inner, outer)]


def test_tools_reach_an_arm_through_two_routers() -> None:
    """A router with tools binds them on the router below."""
    inner = RoutedChatModel(models={"deep": ScriptedChatModel()})
    outer = RoutedChatModel(models={"inner": inner})

    answer = outer.bind_tools([get_weather]).invoke("The weather in 'Rome'?")

    assert [{"place": "Rome"}] == [call["args"] for call in answer.tool_calls]


# Tools


def with_bound(bound: Any, way: str) -> AIMessage:
    """What comes of a binding; ``generate`` knows none, and takes its arguments itself."""
    if "generate" in way:
        answer: AIMessage = MODEL_WAYS[way](bound.bound, "Hello 'Rome'", bound.kwargs)
    else:
        answer = MODEL_WAYS[way](bound, "Hello 'Rome'", {})
    return answer


@every_way
def test_tools_are_bound_by_the_arm_that_is_asked(way: str) -> None:
    """Each provider's model formats them its own way, at the time of the call."""
    arm = ScriptedChatModel()
    bound = alone(arm).bind_tools([get_weather], tool_choice="any", strict=True)

    answer = with_bound(bound, way)

    (formatted,) = arm.seen[0].kwargs["tools"]
    assert ["get_weather"] == [call["name"] for call in answer.tool_calls]
    assert "any" == arm.seen[0].kwargs["tool_choice"]
    assert (True, "scripted") == (formatted["function"]["strict"], formatted["for"])
    assert "strict" not in arm.seen[0].kwargs


def test_a_tool_choice_that_nobody_gave_is_not_sent() -> None:
    """Some providers refuse ``tool_choice=None``."""
    arm = ScriptedChatModel()
    model = alone(arm)

    model.bind_tools([get_weather]).invoke("Hello")
    model.bind_tools([get_weather], tool_choice=None).invoke("Hello")

    assert [False, False] == ["tool_choice" in call.kwargs for call in arm.seen]


def test_other_arguments_bound_with_tools_reach_the_arm() -> None:
    """``parallel_tool_calls`` and what a provider may think of next go through."""
    arm = ScriptedChatModel()

    alone(arm).bind_tools([get_weather], parallel_tool_calls=False).invoke("Hello", temperature=0.5)

    kwargs = arm.seen[0].kwargs
    assert (False, 0.5) == (kwargs["parallel_tool_calls"], kwargs["temperature"])


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("retried", [True, False])
def test_tools_do_not_loosen_what_is_bound_to_an_arm(way: str, retried: bool) -> None:
    """Retries, arguments and config of an arm hold with tools as without."""
    recorder = Recorder()
    inner = ScriptedChatModel(says="one two three")
    arm: Runnable[Any, AIMessage] = inner.bind(stop=["three"]).with_config(tags=["of the arm"])
    if retried:
        arm = arm.with_retry()

    answer = WAYS[way](alone(arm).bind_tools([get_weather]), "Count", {"callbacks": [recorder]})

    (below,) = recorder.of_kind("llm")
    assert "one two " == answer.text
    assert "of the arm" in below.tags
    assert ["scripted"] == [each["for"] for each in inner.seen[0].kwargs["tools"]]


def test_a_call_s_own_argument_wins_over_a_bound_one_with_tools_too() -> None:
    """The order of precedence does not depend on tools."""
    inner = ScriptedChatModel()
    model = alone(inner.bind(temperature=0.1))

    model.invoke("Hello", temperature=0.9)
    model.bind_tools([get_weather]).invoke("Hello", temperature=0.9)

    assert [0.9, 0.9] == [call.kwargs["temperature"] for call in inner.seen]


def test_bound_tools_can_be_read_as_agents_read_them() -> None:
    """LangGraph looks into ``bound.kwargs["tools"]`` for dictionaries."""
    bound = alone(ScriptedChatModel()).bind_tools([get_weather, Joke])

    kwargs: dict[str, Any] = bound.kwargs  # type: ignore[attr-defined]  # a RunnableBinding
    assert ["get_weather", "Joke"] == [each["function"]["name"] for each in kwargs["tools"]]
    assert {"function"} == {each["type"] for each in kwargs["tools"]}


def test_an_arm_without_tools_is_never_asked_for_them() -> None:
    """It is asked what needs none, and nothing else."""
    models = {"plain": NoToolsChatModel(), "able": ScriptedChatModel()}
    model = RoutedChatModel(models=models, policy="random", seed=1)

    with_tools = model.bind_tools([get_weather])

    assert {"able"} == {arm_of(with_tools.invoke("Hello")) for _ in range(30)}
    assert (0, 0) == (models["plain"].calls, model.stats()["fallbacks"])
    assert {"plain", "able"} == asked(model, "Hello")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model.with_retry(),
        lambda model: model.bind(stop=["x"]),
        lambda model: model.with_config(tags=["t"]).with_retry(),
        lambda model: RunnableLambda(lambda messages: messages) | model,
    ],
    ids=["retry", "bind", "config and retry", "chain"],
)
def test_what_is_put_around_a_model_does_not_hide_what_it_lacks(wrap: Any) -> None:
    """Capabilities are read from the model below; a chain has no tools."""
    models = {"plain": wrap(NoToolsChatModel()), "able": ScriptedChatModel()}
    model = RoutedChatModel(models=models, policy="random", seed=1)
    with_tools = model.bind_tools([get_weather])

    assert {"able"} == {arm_of(with_tools.invoke("Hello")) for _ in range(30)}
    assert 0 == model.stats()["fallbacks"]


@every_way
def test_when_no_arm_can_the_error_says_why(way: str) -> None:
    """`NoEligibleArm` names every arm and its reason."""
    model = RoutedChatModel(models={"plain": NoToolsChatModel(), "bare": NoToolsChatModel()})
    bound = model.bind_tools([get_weather])

    with pytest.raises(NoEligibleArm, match="plain: cannot do tools; bare: cannot do tools"):
        with_bound(bound, way)


def test_what_the_user_states_of_an_arm_wins() -> None:
    """A model that says nothing of itself, or the wrong thing, can be described."""
    models = {"shy": ScriptedChatModel(), "able": ScriptedChatModel()}
    model = RoutedChatModel(
        models=models, arms={"shy": Arm(can={"tools": False})}, policy="random", seed=1
    )

    assert {"able"} == {arm_of(model.bind_tools([get_weather]).invoke("Hello")) for _ in range(30)}


# Structured output


@pytest.mark.parametrize("way", WAYS)
def test_structured_output_comes_from_an_arm_that_can(way: str) -> None:
    """``with_structured_output`` works over a mixed pool."""
    models = {"plain": NoToolsChatModel(), "able": ScriptedChatModel()}
    model = RoutedChatModel(models=models, policy="random", seed=1)

    joke = WAYS[way](model.with_structured_output(Joke), "Tell 'why' and 'because'", {})

    assert Joke(setup="why", punchline="because") == joke


def test_structured_output_with_the_message_leads_to_the_decision() -> None:
    """``include_raw=True`` hands out the message, and with it the decision."""
    model = alone(ScriptedChatModel())

    result = model.with_structured_output(Joke, include_raw=True).invoke("Tell 'a' and 'b'")

    assert isinstance(result, dict)
    assert "counted" == model.feedback(result["raw"], 1.0)


# Images and length


def test_an_arm_that_cannot_see_is_not_shown_images() -> None:
    """What the arms' profiles say of images, audio and files is heeded."""
    models = {
        "blind": ScriptedChatModel(profile={"image_inputs": False}),
        "sighted": ScriptedChatModel(profile={"image_inputs": True}),
        "unknown": ScriptedChatModel(),
    }
    model = RoutedChatModel(models=models, policy="random", seed=1)
    look = [HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE])]

    assert {"blind", "sighted", "unknown"} == asked(model, "Hello", 60)
    assert {"sighted", "unknown"} == asked(model, look, 60)


def test_tools_count_as_part_of_the_prompt() -> None:
    """Their schemas have to fit the window, too."""
    models = {
        "short": ScriptedChatModel(profile={"max_input_tokens": 50}),
        "long": ScriptedChatModel(profile={"max_input_tokens": 5000}),
    }
    model = RoutedChatModel(models=models, policy=lambda s: s.arms[0])
    wordy = {"name": "wordy", "description": "word " * 800, "parameters": {}}

    assert "short" == arm_of(model.invoke("Hello"))
    assert "long" == arm_of(model.bind_tools([wordy]).invoke("Hello"))


def test_a_prompt_goes_to_an_arm_whose_window_it_fits() -> None:
    """The whole conversation counts."""
    models = {
        "short": ScriptedChatModel(profile={"max_input_tokens": 50}),
        "long": ScriptedChatModel(profile={"max_input_tokens": 5000}),
    }
    model = RoutedChatModel(models=models, policy="random", seed=1)
    talk = [HumanMessage("word " * 200), AIMessage("Yes?"), HumanMessage("Hello")]

    assert {"short", "long"} == asked(model, "Hello")
    assert {"long"} == asked(model, talk)


# Prices


def test_the_price_table_knows_an_arm_by_its_model_name() -> None:
    """A model that says who it is needs no price of the user's."""

    class ChatOpenAI(ScriptedChatModel):
        """Named as LangChain derives the provider from it."""

    model = RoutedChatModel(models={"mini": ChatOpenAI(model_name="gpt-4o-mini")})

    (attempt,) = model.explain(model.invoke("a b c")).attempts

    assert attempt.cost_usd is not None
    assert 0.0 < attempt.cost_usd < 1e-4


def test_an_unknown_price_is_told_and_not_taken_for_zero(caplog: pytest.LogCaptureFixture) -> None:
    """Whose weights count costs is warned that an arm has none."""
    with caplog.at_level(logging.WARNING, logger="pickllm"):
        model = RoutedChatModel(models={"mine": ScriptedChatModel()})

    assert "no price is known for 'mine'" in caplog.text
    assert model.explain(model.invoke("Hello")).attempts[0].cost_usd is None


def test_tools_given_as_objects_are_formatted_for_the_arm() -> None:
    """Functions, pydantic models, tools and dictionaries all become tools."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    given: list[Any] = [get_weather, Joke, add, {"title": "Other", "type": "object"}]
    arm = ScriptedChatModel()

    alone(arm).bind_tools(given).invoke("Hello")

    names = [each["function"]["name"] for each in arm.seen[0].kwargs["tools"]]
    assert isinstance(get_weather, BaseTool)
    assert ["get_weather", "Joke", "add", "Other"] == names


# Functions


def silent(messages: list[BaseMessage]) -> AIMessage:
    """Takes messages alone."""
    return AIMessage(f"{len(messages)}")


async def asilent(messages: list[BaseMessage]) -> AIMessage:
    """The same on a loop."""
    return silent(messages)


def careful(messages: list[BaseMessage], *, stop: list[str] | None = None) -> AIMessage:
    """Takes stop words too."""
    return AIMessage(f"{len(messages)}: {stop}")


def curious(messages: list[BaseMessage], **settings: Any) -> AIMessage:
    """Takes whatever there is."""
    return AIMessage(f"{len(messages)}: {sorted(settings)}")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (RunnableLambda(silent), "1"),
        (RunnableLambda(silent).with_retry(), "1"),
        (RunnableLambda(silent) | RunnableLambda(lambda message: message), "1"),
        (RunnableLambda(silent, afunc=asilent), "1"),
        (RunnableLambda(careful), "1: ['now']"),
        (RunnableLambda(curious), "1: ['max_tokens', 'stop', 'temperature']"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_function_gets_the_settings_that_it_names(way: str, function: Any, says: str) -> None:
    """Those of the router, and those of the call."""
    model = RoutedChatModel(models={"only": function}, temperature=0.0, max_tokens=5)

    assert says == WAYS[way](model.bind(stop=["now"]), "Count", {}).text


def test_a_function_on_a_loop_alone_gets_no_more_either() -> None:
    """It has no sync form at all."""
    model = RoutedChatModel(models={"only": RunnableLambda(asilent)}, temperature=0.0)

    assert "1" == asyncio.run(model.ainvoke("Count")).text


def test_a_bare_function_is_told_how_it_becomes_an_arm() -> None:
    """It might as well be a class that was not called."""
    with pytest.raises(ConfigError, match=r"a function becomes one by RunnableLambda"):
        RoutedChatModel(models={"only": cast("Any", silent)})


@pytest.mark.parametrize("limit", [None, 300])
def test_longest_answer_is_the_one_that_the_model_is_set_to(limit: int | None) -> None:
    """A budget sets aside what the arm may answer at most; what the user states comes first."""

    class Limited(ScriptedChatModel):
        max_tokens: int | None = limit

    models = {"only": Limited(), "told": Limited()}
    pool = RoutedChatModel(models=models, arms={"told": Arm(max_tokens_out=10)}).router.pool
    assert (limit, 10) == (pool["only"].max_tokens_out, pool["told"].max_tokens_out)


@pytest.mark.parametrize("setting", [{"seed": "1"}, {"sticky": "no"}, {"namespace": ""}], ids=str)
def test_settings_of_a_wrong_kind_are_refused(setting: dict[str, Any]) -> None:
    """They are named when the model is made, not when it is first asked."""
    with pytest.raises(ConfigError, match=next(iter(setting))):
        RoutedChatModel(models={"only": ScriptedChatModel()}, **setting)
