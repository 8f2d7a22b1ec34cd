"""What a routed model takes and gives: messages, feedback, pins, and what it cannot work with."""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.embeddings import FakeEmbeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import ValidationError

from langchain_pickllm import RoutedChatModel
from langchain_pickllm.stamp import arm_of
from pickllm import Arm, ConfigError, Router, UnknownDecision, Weights
from pickllm.policies import epsilon_greedy
from pickllm.types import Situation
from tests.langchain.recording import MODEL_WAYS, WAYS
from tests.langchain.scripted import ScriptedChatModel

every_way = pytest.mark.parametrize("way", MODEL_WAYS)

WEATHER = {
    "name": "get_weather",
    "description": "Weather at a place.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}


def two(**settings: Any) -> RoutedChatModel:
    """Two arms that answer with their names."""
    return RoutedChatModel(
        models={
            "small": ScriptedChatModel(model_name="scripted-small", says="I am small"),
            "large": ScriptedChatModel(model_name="scripted-large", says="I am large"),
        },
        **{"policy": "random", "seed": 1, **settings},
    )


def without_stamp(message: BaseMessage) -> dict[str, Any]:
    """All fields of a message but for the decision."""
    fields = message.model_dump()
    del fields["response_metadata"]["pickllm"]
    return fields


# Messages


@every_way
def test_the_message_is_the_arm_s_own_but_for_one_key(way: str) -> None:
    """Field by field what the arm alone returns, and the decision in ``response_metadata``."""
    arm = ScriptedChatModel(model_name="scripted-small")

    alone = MODEL_WAYS[way](arm, "Hello", {}).model_dump()
    routed = without_stamp(MODEL_WAYS[way](RoutedChatModel(models={"small": arm}), "Hello", {}))

    if "v3" in way:  # LangChain makes these ids from the runs'
        assert alone.pop("id").startswith("lc_run--")
        assert routed.pop("id").startswith("lc_run--")
    assert alone == routed


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_tool_call_is_the_arm_s_own(way: str) -> None:
    """The same for a message that calls a tool."""
    arm = ScriptedChatModel(model_name="scripted-small")
    routed = RoutedChatModel(models={"small": arm})

    given = MODEL_WAYS[way](arm.bind_tools([WEATHER]), "The weather in 'Rome'?", {})
    answer = MODEL_WAYS[way](routed.bind_tools([WEATHER]), "The weather in 'Rome'?", {})

    assert [{"place": "Rome"}] == [call["args"] for call in answer.tool_calls]
    assert given.model_dump() == without_stamp(answer)


def test_a_stream_is_the_arm_s_own_and_one_chunk_carries_the_decision() -> None:
    """Chunk by chunk what the arm alone streams, with the key on the first chunk."""
    arm = ScriptedChatModel()

    alone = list(arm.stream("Hello"))
    routed = list(RoutedChatModel(models={"small": arm}).stream("Hello"))

    _assert_same_chunks(alone, routed)


async def test_an_async_stream_is_the_arm_s_own_and_one_chunk_carries_the_decision() -> None:
    """Chunk by chunk what the arm alone streams, with the key on the first chunk."""
    arm = ScriptedChatModel()

    alone = [chunk async for chunk in arm.astream("Hello")]
    routed = [chunk async for chunk in RoutedChatModel(models={"small": arm}).astream("Hello")]

    _assert_same_chunks(alone, routed)


def _assert_same_chunks(alone: list[AIMessageChunk], routed: list[AIMessageChunk]) -> None:
    first, *others = routed
    assert alone[0].model_dump() == without_stamp(first)
    assert alone[1:] == others
    assert "last" == others[-1].chunk_position


@every_way
def test_the_decision_in_a_message_is_plain_json(way: str) -> None:
    """It goes through checkpoints and LangChain's serialiser as it is."""
    answer = MODEL_WAYS[way](two(), "Hello", {})

    stamp = answer.response_metadata["pickllm"]
    assert stamp == json.loads(json.dumps(stamp))
    assert answer == load(dumpd(answer), allowed_objects="messages")
    assert {"decision_id", "arm", "propensity", "policy"} == set(stamp)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_the_object_in_an_arm_s_cache_stays_as_it_was(way: str) -> None:
    """A cache hands one object to many: the decision is put on a copy."""
    arm = ScriptedChatModel(cache=InMemoryCache())
    model = RoutedChatModel(models={"small": arm})

    MODEL_WAYS[way](model, "Hello", {})
    MODEL_WAYS[way](model, "Hello", {})

    assert 1 == arm.calls
    assert "pickllm" not in arm.invoke("Hello").response_metadata


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_answer_from_the_cache_is_not_credited_to_the_arm(way: str) -> None:
    """No model was called, so nothing is learnt from how good that was."""
    model = RoutedChatModel(models={"small": ScriptedChatModel(cache=InMemoryCache())})

    first, second = (MODEL_WAYS[way](model, "Hello", {}) for _ in range(2))

    assert "counted" == model.feedback(first, 1.0)
    assert "no_answer" == model.feedback(second, 1.0)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_an_answer_from_the_cache_needs_no_usage(way: str) -> None:
    """A cache marks its answers in the usage, even of an arm that reports none."""
    arm = ScriptedChatModel(reports_usage=False, cache=InMemoryCache())
    model = RoutedChatModel(models={"local": arm})

    first, second = (MODEL_WAYS[way](model, "Hello", {}) for _ in range(2))

    assert (first.text, 1, 0) == (second.text, arm.calls, model.stats().get("arm_failures", 0))
    assert "no_answer" == model.feedback(second, 1.0)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_cache_given_to_the_router_is_the_arms(way: str) -> None:
    """Each arm answers from it for itself, and only for itself."""
    model = two(cache=InMemoryCache())

    answers = [
        MODEL_WAYS[way](model.bind(model=name), "Hello", {}).text
        for name in ("small", "large", "small", "large")
    ]

    assert ["I am small", "I am large"] * 2 == answers
    assert [1, 1] == [arm.calls for arm in model.models.values()]


def test_arms_that_a_cache_cannot_tell_apart_are_not_cached() -> None:
    """Two models with one cache key would answer for each other."""

    class Alike(ScriptedChatModel):
        @property
        def _identifying_params(self) -> Mapping[str, Any]:
            return {}

    models = {"small": Alike(says="I am small"), "large": Alike(says="I am large")}
    model = RoutedChatModel(models=models, cache=InMemoryCache())

    answers = [model.invoke("Hello", model=name).text for name in ("small", "large", "small")]

    assert ["I am small", "I am large", "I am small"] == answers


def test_a_message_that_an_arm_keeps_is_not_written_to() -> None:
    """An arm may return one object again and again."""
    kept = AIMessage("Hello", response_metadata={"model_name": "mine"})

    class Keeping(ScriptedChatModel):
        def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            return kept

    answer = RoutedChatModel(models={"small": Keeping()}).invoke("Hi")

    assert {"model_name": "mine"} == kept.response_metadata
    assert "small" == arm_of(answer)


@pytest.mark.parametrize(
    "given",
    [
        "Hello",
        [("human", "Hello")],
        [HumanMessage("Hello")],
        [{"role": "user", "content": "Hello"}],
        ChatPromptTemplate.from_messages([("human", "{x}")]).invoke({"x": "Hello"}),
    ],
)
def test_all_that_a_chat_model_takes_is_taken(given: Any) -> None:
    """Strings, tuples, messages, dictionaries and prompts all reach the arm as messages."""
    arm = ScriptedChatModel()

    RoutedChatModel(models={"small": arm}).invoke(given)

    assert [("human", "Hello")] == [
        (message.type, message.text) for message in arm.seen[0].messages
    ]


# Arguments


@every_way
def test_settings_of_the_constructor_reach_the_arm(way: str) -> None:
    """``temperature``, ``max_tokens`` and ``stop`` are handed on, and a zero is no absence."""
    arm = ScriptedChatModel(says="one two three")
    model = RoutedChatModel(models={"small": arm}, temperature=0.0, max_tokens=9, stop=["two"])

    answer = MODEL_WAYS[way](model, "Count", {})

    assert {"temperature": 0.0, "max_tokens": 9, "stop": ["two"]} == arm.seen[0].kwargs
    assert "one " == answer.text


def test_nothing_is_handed_on_that_nobody_gave() -> None:
    """Without settings the arm gets the messages alone."""
    arm = ScriptedChatModel()

    RoutedChatModel(models={"small": arm}).invoke("Hello")

    assert {} == arm.seen[0].kwargs


def test_arguments_of_a_call_win_over_settings() -> None:
    """What a call says holds for it."""
    arm = ScriptedChatModel(says="one two three")
    model = RoutedChatModel(models={"small": arm}, temperature=0.0, stop=["two"])

    answer = model.invoke("Count", temperature=0.7, stop=["three"])

    assert {"temperature": 0.7, "stop": ["three"]} == arm.seen[0].kwargs
    assert "one two " == answer.text


def test_a_call_that_limits_tokens_by_another_name_wins_too() -> None:
    """OpenAI's newer name for the same."""
    arm = ScriptedChatModel()

    RoutedChatModel(models={"small": arm}, max_tokens=9).invoke("Hi", max_completion_tokens=3)

    assert {"max_completion_tokens": 3} == arm.seen[0].kwargs


@pytest.mark.parametrize(
    ("settings", "call"),
    [({"disable_streaming": True}, {}), ({"streaming": False}, {}), ({}, {"stream": False})],
)
def test_a_stream_that_is_switched_off_is_one_whole_message(
    settings: dict[str, Any], call: dict[str, Any]
) -> None:
    """``disable_streaming``, ``streaming=False`` and ``stream=False`` ask the arm's ``invoke``."""
    arm = ScriptedChatModel()

    chunks = list(RoutedChatModel(models={"small": arm}, **settings).stream("Hello", **call))

    assert [1, 0, 1] == [len(chunks), arm.counts["stream"], arm.counts["invoke"]]
    assert "Hello there, friend" == chunks[0].text


def test_tools_switch_streaming_off_where_that_is_asked_for() -> None:
    """``disable_streaming="tool_calling"`` streams without tools and does not with them."""
    arm = ScriptedChatModel()
    model = RoutedChatModel(models={"small": arm}, disable_streaming="tool_calling")

    plain = list(model.stream("Hello"))
    with_tools = list(model.bind_tools([WEATHER]).stream("The weather?"))

    assert (True, 1) == (len(plain) > 1, len(with_tools))


# Feedback


@every_way
def test_feedback_finds_the_decision_by_the_message(way: str) -> None:
    """Whatever way the message came, it leads to its decision."""
    model = two()

    answer = MODEL_WAYS[way](model, "Hello", {})

    assert "counted" == model.feedback(answer, 1.0)


@pytest.mark.parametrize("kind", [str, uuid.UUID])
def test_feedback_finds_the_decision_by_its_id(kind: Callable[[str], Any]) -> None:
    """A string or a UUID will do."""
    model = two()
    answer = model.invoke("Hello")

    decision_id = kind(answer.response_metadata["pickllm"]["decision_id"])

    assert "counted" == model.feedback(decision_id, 1.0)


def test_feedback_finds_the_decision_by_a_stored_message() -> None:
    """A message that went through a database still leads to its decision."""
    model = two()
    stored = json.dumps(dumpd(model.invoke("Hello")))

    assert "counted" == model.feedback(load(json.loads(stored), allowed_objects="messages"), 1.0)


def test_each_source_is_heard_once_and_may_correct_itself() -> None:
    """A second click counts nothing; a correction replaces the first."""
    model = two()
    answer = model.invoke("Hello")

    verdicts = [
        model.feedback(answer, 1.0),
        model.feedback(answer, 0.0),
        model.feedback(answer, 0.5, source="judge"),
        model.feedback(answer, 0.0, correction=True),
    ]

    assert ["counted", "repeated", "counted", "corrected"] == verdicts
    assert {"user": 0.0, "judge": 0.5} == model.explain(answer).source_to_score


def test_feedback_changes_who_is_asked() -> None:
    """The arm with the better answers is asked from then on."""
    model = two(policy=epsilon_greedy(epsilon=0.0))
    for name in ("small", "large"):
        model.feedback(model.invoke("Hello", model=name), float(name == "large"))

    assert {"large"} == {arm_of(model.invoke("Hello")) for _ in range(20)}


@pytest.mark.parametrize(
    ("what", "value", "error", "says"),
    [
        ("no such id", 1.0, UnknownDecision, "no decision 'no such id' here"),
        (AIMessage("of another model"), 1.0, ConfigError, "carries no decision"),
        (None, float("nan"), ConfigError, "must be a number in .0, 1."),
        (None, 1.5, ConfigError, "must be a number in .0, 1."),
        (None, "good", ConfigError, "must be a number in .0, 1."),
    ],
)
def test_feedback_that_makes_no_sense_is_refused(
    what: Any, value: Any, error: type[Exception], says: str
) -> None:
    """An unknown decision, a foreign message and a value that is no score are errors."""
    model = two()
    answer = model.invoke("Hello")

    with pytest.raises(error, match=says):
        model.feedback(what or answer, value)


@every_way
def test_explain_tells_why_that_arm(way: str) -> None:
    """Every arm with its probability, the one that answered, and what it took."""
    model = two()

    answer = MODEL_WAYS[way](model, "Hello", {})

    explained = model.explain(answer)
    assert ("ok", arm_of(answer)) == (explained.status, explained.decision.arm)
    assert [("large", 0.5), ("small", 0.5)] == sorted(
        (view.arm, view.probability) for view in explained.arms
    )
    assert f"asked {arm_of(answer)}: ok" in str(explained)


def test_stats_count_decisions_outcomes_and_feedback() -> None:
    """What happened how often."""
    model = two()

    model.feedback(model.invoke("Hello"), 1.0)
    model.invoke("Hello")

    stats = model.stats()
    assert (2, 2, 1) == (stats["decisions"], stats["outcome_ok"], stats["feedback_counted"])


# Scorers


@every_way
def test_a_scorer_judges_each_answer_as_it_comes(way: str) -> None:
    """It gets prompt and answer, and its score is booked before the caller goes on."""
    asked: list[tuple[str, str]] = []

    def score(prompt: str, answer: str) -> float:
        asked.append((prompt, answer))
        return 0.75

    model = RoutedChatModel(models={"small": ScriptedChatModel(says="4")}, scorer=score)

    answer = MODEL_WAYS[way](model, "2 + 2?", {})

    assert [("2 + 2?", "4")] == asked
    assert {"scorer": 0.75} == model.explain(answer).source_to_score


@every_way
def test_a_failing_scorer_is_counted_and_the_answer_comes(way: str) -> None:
    """Nothing takes an answer away that is there."""

    def score(*_: str) -> float:
        raise RuntimeError("the scorer is broken")

    model = RoutedChatModel(models={"small": ScriptedChatModel(says="4")}, scorer=score)

    answer = MODEL_WAYS[way](model, "2 + 2?", {})

    assert ("4", 1) == (answer.text, model.stats()["scorer_failures"])


def test_a_scorer_that_cannot_tell_books_nothing() -> None:
    """None is silence, not zero."""
    model = RoutedChatModel(models={"small": ScriptedChatModel()}, scorer=lambda *_: None)

    assert {} == model.explain(model.invoke("2 + 2?")).source_to_score


# Pins and seeds


@pytest.mark.parametrize("way", WAYS)
def test_a_pinned_arm_answers(way: str) -> None:
    """``model=`` names the arm, and is not handed on to it."""
    model = two()

    answers = [MODEL_WAYS[way](model.bind(model="large"), "Hello", {}) for _ in range(5)]

    assert {"large"} == {arm_of(answer) for answer in answers}
    assert {} == model.models["large"].seen[0].kwargs


def test_weights_of_a_call_count_for_it_alone() -> None:
    """``weights=`` reaches the policy, and is not handed on to the arm."""
    seen: list[Weights] = []

    def choose(situation: Situation) -> str:
        seen.append(situation.weights)
        return "large"

    model = two(policy=choose)
    model.invoke("Hello", weights={"quality": 0.25, "cost": 0.75})
    model.invoke("Hello")

    assert [Weights(quality=0.25, cost=0.75, latency=0.0), model.router.reward.weights] == seen  # type: ignore[attr-defined]  # the default reward
    assert {} == model.models["large"].seen[0].kwargs


def test_a_list_of_names_leaves_the_choice_among_them() -> None:
    """``model=[...]`` keeps the policy to these arms."""
    arms = {name: ScriptedChatModel(says=name) for name in "abc"}
    model = RoutedChatModel(models=arms, policy="random", seed=1)

    answered = {arm_of(model.invoke("Hello", model=["a", "c"])) for _ in range(40)}

    assert {"a", "c"} == answered


@pytest.mark.parametrize("given", ["huge", ["small", "huge"], [], 7])
def test_a_pin_that_names_no_arm_is_refused(given: Any) -> None:
    """The message lists the names there are."""
    with pytest.raises(ConfigError, match=r"names no arm. Give one of \['small', 'large'\]"):
        two().invoke("Hello", model=given)


def test_of_several_names_the_one_that_is_no_arm_is_told() -> None:
    """The others are well."""
    with pytest.raises(ConfigError, match=r"'huge' names no arm"):
        two().invoke("Hello", model=["small", "huge"])


def test_nobody_takes_over_from_a_pinned_arm() -> None:
    """Who pins an arm wants that one or an error."""
    broken = ScriptedChatModel(error=ConnectionError("no route"))
    model = RoutedChatModel(models={"small": broken, "large": ScriptedChatModel()})

    with pytest.raises(ConnectionError, match="no route"):
        model.invoke("Hello", model="small")


def test_a_seed_makes_choices_repeatable() -> None:
    """The same seed chooses the same arms, another seed others."""

    def chosen(seed: int) -> list[str]:
        model = two(seed=seed)
        return [arm_of(model.invoke("Hello")) for _ in range(30)]

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


# Costs


def test_stated_prices_show_in_the_explanation_and_make_the_cost() -> None:
    """USD per million tokens, times the tokens that the arm reported."""
    model = RoutedChatModel(
        models={"small": ScriptedChatModel(says="one two")},
        arms={"small": Arm(usd_per_mtok_in=2.0, usd_per_mtok_out=10.0)},
    )

    explained = model.explain(model.invoke("a b c"))

    assert "$2 in, $10 out per million tokens" in str(explained)
    assert pytest.approx((3 * 2.0 + 2 * 10.0) / 1e6) == explained.attempts[0].cost_usd


@every_way
def test_usage_is_estimated_for_an_arm_that_reports_none(way: str) -> None:
    """The router reckons with an estimate, marked as one; the message is not touched."""
    model = RoutedChatModel(models={"local": ScriptedChatModel(reports_usage=False, says="x" * 40)})

    answer = MODEL_WAYS[way](model, "Hello", {})

    (attempt,) = model.explain(answer).attempts
    assert attempt.usage is not None
    assert (True, 10) == (attempt.usage.estimated, attempt.usage.tokens_out)
    assert attempt.usage.tokens_in > 0
    assert answer.usage_metadata is None


def test_tokens_read_from_a_provider_s_prompt_cache_are_told_apart() -> None:
    """``input_token_details.cache_read`` reaches the router's usage."""

    class Caching(ScriptedChatModel):
        def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            return AIMessage(
                "4",
                usage_metadata={
                    "input_tokens": 100,
                    "output_tokens": 1,
                    "total_tokens": 101,
                    "input_token_details": {"cache_read": 90},
                },
            )

    model = RoutedChatModel(models={"small": Caching()})

    (attempt,) = model.explain(model.invoke("Hello")).attempts
    assert attempt.usage is not None
    assert (100, 90) == (attempt.usage.tokens_in, attempt.usage.tokens_in_cached)


# What cannot work


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"models": [ScriptedChatModel()]}, "models must map names to chat models; it is list"),
        ({"models": ScriptedChatModel()}, "it is ScriptedChatModel"),
        ({"models": None}, "it is NoneType"),
        ({"models": {}}, "the pool is empty"),
        ({"models": {7: ScriptedChatModel()}}, "the name of an arm must be a string; 7 is not"),
        ({"models": {"": ScriptedChatModel()}}, "an arm has no name"),
        ({"models": {"a": None}}, "arm 'a' is no chat model but NoneType"),
        ({"models": {"a": len}}, "arm 'a' is no chat model but builtin_function_or_method"),
        ({"models": {"a": ScriptedChatModel}}, "arm 'a' is no chat model but ModelMetaclass"),
        ({"models": {"a": "nonsense"}}, "arm 'a' cannot be opened: .*provider"),
        ({"models": {"a": "openai:gpt-4o"}}, "arm 'a' cannot be opened: .*OPENAI_API_KEY"),
        ({"polcy": "random"}, "RoutedChatModel takes no polcy; did you mean policy?"),
        ({"zzz": 1, "stiky": True}, "RoutedChatModel takes no stiky, zzz; did you mean sticky?"),
        ({"zzz": 1}, "RoutedChatModel takes no zzz$"),
        ({"timeout": 5.0, "timeout_s": 2.0}, "give timeout_s or timeout, not both"),
        ({"policy": "best"}, "no policy is called 'best'; there are"),
        ({"policy": 7}, "policy must be a policy"),
        ({"arms": {"huge": Arm()}}, r"arms names \['huge'\], but models has only"),
        ({"arms": {"small": {"usd_per_hour": 1}}}, r"arms\['small'\] must be an Arm, not dict"),
        ({"arms": {"small": Arm(usd_per_hour=-1.0)}}, "usd_per_hour is -1.0"),
        ({"arms": {"small": Arm(can=cast("Any", ["tools"]))}}, "can must map some of"),
        (
            {"arms": {"small": Arm(can={"tools": cast("Any", "no")})}},
            r"can\['tools'\] must be True",
        ),
        ({"arms": {"small": Arm(name="large")}}, "arm 'small' says that its name is 'large'"),
        ({"weights": {"beauty": 1.0}}, r"no weight is called \['beauty'\]"),
        ({"weights": {"quality": 0.0}}, "all weights are zero"),
        ({"weights": {"cost": 1.0}}, "only cost has a weight, and no price is known for"),
        ({"weights": {}, "reward": lambda **_: 1.0}, "give weights or a reward, not both"),
        ({"fallback": ["huge"]}, r"fallback must be True, False or names of \['small', 'large'\]"),
        ({"fallback": "large"}, r"fallback must be True, False or names of"),
        ({"scorer": 7}, "scorer must be a scorer or a function"),
        ({"timeout_s": 0}, "must be above zero"),
        ({"timeout_s": -1}, "must not be negative"),
        ({"max_decisions": 0}, "max_decisions is 0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_what_to_do(
    settings: Mapping[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ConfigError` when the model is built, never later."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=says):
        two_with(settings)


def two_with(settings: Mapping[str, Any]) -> BaseChatModel:
    """A model of two arms, with these settings over its own."""
    models = {"small": ScriptedChatModel(), "large": ScriptedChatModel()}
    return RoutedChatModel(**{"models": models, **settings})


@pytest.mark.parametrize(
    ("settings", "culprits"),
    [
        ({"policy": "learning_automaton"}, "policy"),
        ({"arms": {"small": Arm()}}, "arms"),
        ({"weights": {"quality": 1.0}}, "weights"),
        ({"featurizer": FakeEmbeddings(size=2)}, "featurizer"),
        ({"fallback": False, "timeout_s": 1.0}, "fallback, timeout_s"),
        ({"timeout": 1.0}, "timeout_s"),
        ({"breaker": None}, "breaker"),
        ({"namespace": "mine"}, "namespace"),
        ({"seed": 0}, "seed"),
        ({"max_decisions": 10}, "max_decisions"),
    ],
)
def test_what_a_router_brings_with_it_cannot_be_given_beside_it(
    settings: Mapping[str, Any], culprits: str
) -> None:
    """It would have no effect, and nobody would know."""
    model = two()

    with pytest.raises(ConfigError, match=f"a router brings its own {culprits}: leave"):
        RoutedChatModel(models=model.models, router=model.router, **settings)


def test_a_router_of_other_arms_is_refused() -> None:
    """Both are named."""
    router = Router(arms=[Arm(name="huge")])

    with pytest.raises(ConfigError, match=r"the router's arms are \['huge'\], and the models"):
        RoutedChatModel(models=two().models, router=router)


@pytest.mark.parametrize("settings", [{"timeout": 2.0}, {"timeout": None, "timeout_s": 2.0}])
def test_every_chat_model_s_timeout_is_the_arms_time_limit(settings: Mapping[str, Any]) -> None:
    """Under LangChain's name for it; None says nothing."""
    pool = two(**settings).router.pool

    assert [2.0, 2.0] == [pool[name].timeout_s for name in pool.names]


def test_a_setting_of_the_wrong_type_is_refused() -> None:
    """What pydantic checks in every chat model it checks here too."""
    with pytest.raises(ValidationError, match="temperature"):
        two(temperature="hot")


def test_what_only_the_arms_can_honour_is_ignored_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Code that builds any chat model may hand over ``api_key`` and ``max_retries``."""
    two(api_key="sk-secret", max_retries=2)

    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "api_key is ignored here" in told
    assert "max_retries is ignored here" in told
    assert "sk-secret" not in told


@pytest.mark.parametrize("given", [[], "", [HumanMessage("")]])
def test_an_empty_prompt_is_the_arm_s_to_judge(given: Any) -> None:
    """Nothing of ours breaks where there is nothing to read."""

    class Silent(ScriptedChatModel):
        def invoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            return AIMessage("Say something")

    assert "Say something" == RoutedChatModel(models={"a": Silent()}).invoke(given).text


@pytest.mark.parametrize(
    "name", ["gpt-4o (eu)", "öst/weiß:7b", "a\nb", " ", "{x}", "model", "None", "🦙", "a" * 300]
)
def test_an_arm_may_have_any_name(name: str) -> None:
    """Names are names: nothing is read into them."""
    model = RoutedChatModel(models={name: ScriptedChatModel(), "other": ScriptedChatModel()})

    answer = model.invoke("Hello", model=name)

    assert name == arm_of(answer)
    assert name in str(model.explain(answer))


# What it says of itself


def test_it_is_a_chat_model() -> None:
    """It stands wherever LangChain wants a `BaseChatModel`."""
    model = two()

    chain = ChatPromptTemplate.from_template("{x}") | model | StrOutputParser()

    assert isinstance(model, BaseChatModel)
    assert chain.invoke({"x": "Hello"}).startswith("I am")


def test_its_type_is_its_own() -> None:
    """LangChain's code branches on provider names: none of them is borrowed."""
    model = two()

    assert "pickllm-router" == model._llm_type
    assert ("pickllm", "pickllm(large,small)", "chat") == (
        model._get_ls_params()["ls_provider"],
        model._get_ls_params()["ls_model_name"],
        model._get_ls_params()["ls_model_type"],
    )


def test_pools_are_told_apart_by_their_parameters() -> None:
    """Two pools have two identities, for a cache keyed by a model's own description."""
    one, other = two(), RoutedChatModel(models={"small": ScriptedChatModel()})

    assert one._get_llm_string() != other._get_llm_string()


def test_a_cache_of_all_models_does_not_answer_for_the_router() -> None:
    """The choice is not in a router's cache key, so only the arms are cached."""
    from langchain_core.globals import get_llm_cache, set_llm_cache

    before = get_llm_cache()
    set_llm_cache(InMemoryCache())
    try:
        model = two()
        answers = [model.invoke("Hello", model=name).text for name in ("small", "large", "small")]
    finally:
        set_llm_cache(before)

    assert ["I am small", "I am large", "I am small"] == answers
    assert [1, 1] == [arm.calls for arm in model.models.values()]


def test_nothing_secret_shows_in_texts_about_the_model() -> None:
    """The arms' keys are in no repr, dump or serialised chain."""
    arm = ScriptedChatModel(api_key="sk-secret")
    model = RoutedChatModel(models={"small": arm})
    chain = ChatPromptTemplate.from_template("{x}") | model.bind_tools([WEATHER])

    texts = [
        repr(model),
        str(model),
        repr(model.router),
        dumps(model),
        dumps(chain),
        repr(chain),
        str(model.model_dump()),
        str(model.model_copy()),
        str(model.asdict()),
        model._get_llm_string(),
    ]

    assert "sk-secret" in repr(arm)
    assert [] == [text for text in texts if "sk-secret" in text]


def test_its_repr_names_arms_and_policy() -> None:
    """Enough to know it by in a log."""
    assert "arms=['small', 'large'], policy='random()'" in repr(two())


def test_it_counts_the_tokens_of_its_most_wasteful_arm() -> None:
    """What has to fit must fit every arm."""
    arms = {
        "small": ScriptedChatModel(custom_get_token_ids=lambda _: [1, 2, 3]),
        "large": ScriptedChatModel(custom_get_token_ids=lambda _: [1, 2, 3, 4, 5]),
    }

    assert 5 == RoutedChatModel(models=arms).get_num_tokens("Hello")


def test_wrappers_that_call_the_hooks_of_a_chat_model_get_answers() -> None:
    """``_generate``, ``_agenerate`` and ``_stream`` work for who bypasses the public methods."""
    model = two()
    asked: list[BaseMessage] = [HumanMessage("Hello")]

    whole = model._generate(asked).generations[0].message
    later = asyncio.run(model._agenerate(asked)).generations[0].message
    chunks = [chunk.message for chunk in model._stream(asked)]

    assert "counted" == model.feedback(whole, 1.0)
    assert "counted" == model.feedback(later, 1.0)
    assert "counted" == model.feedback(chunks[0], 1.0)
