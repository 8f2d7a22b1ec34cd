"""Every way in: what comes is the arm's own, with the decision beside it."""

import asyncio
from typing import Any

import numpy as np
import pytest
from llama_index.core import Settings
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import LLM, ChatMessage, MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.stamp import stamp_on
from pickllm import Arm, ConfigError, NoEligibleArm, Router, Weights
from pickllm.types import Situation
from tests.llamaindex.recording import recorded
from tests.llamaindex.scripted import ScriptedLLM, ScriptedTextLLM, user
from tests.llamaindex.ways import ANSWERS, STREAMS, WAYS, answer


class Song(BaseModel):
    """What is asked for."""

    title: str


async def _finished(awaited: Any) -> None:
    answered = await awaited
    if hasattr(answered, "__aiter__"):
        _ = [frame async for frame in answered]


every_way = pytest.mark.parametrize("way", WAYS)
every_answer = pytest.mark.parametrize("way", ANSWERS)

PRICES = {name: Arm(usd_per_hour=1.0) for name in ("small", "large")}


def pool(**settings: Any) -> dict[str, LLM]:
    """Two arms that say their names."""
    return {name: ScriptedLLM(says=name, model=name, **settings) for name in ("small", "large")}


def routed(llms: dict[str, LLM] | None = None, **settings: Any) -> RoutedLLM:
    """Two arms, seeded."""
    return RoutedLLM(llms=llms or pool(), **{"seed": 1, **settings})


@every_way
def test_every_way_reaches_one_arm(way: str) -> None:
    """And one decision is booked for it."""
    llm = routed(arms=PRICES)

    text = answer(WAYS[way](llm, "Hello"))

    assert text in ("small", "large")
    assert (1, 1) == (llm.stats()["decisions"], llm.stats()["outcome_ok"])
    assert [1] == [arm.calls for arm in llm.llms.values() if arm.calls]


@every_answer
def test_the_response_is_the_arms_own_with_the_decision(way: str) -> None:
    """Text, raw and role are as they came; the message itself carries nothing."""
    arm = ScriptedLLM()
    alone, response = ANSWERS[way](arm, "Hello"), ANSWERS[way](routed({"only": arm}), "Hello")

    assert answer(alone) == answer(response)
    assert alone.raw == response.raw
    assert "only" == response.additional_kwargs["pickllm"]["arm"]
    assert {} == getattr(response, "message", ChatMessage()).additional_kwargs
    assert {} == alone.additional_kwargs


@every_answer
def test_feedback_and_explanation_go_by_the_response(way: str) -> None:
    """Or by the id in it."""
    llm = routed(arms=PRICES)
    response = ANSWERS[way](llm, "Hello")

    assert "counted" == llm.feedback(response, 1.0)
    assert "repeated" == llm.feedback(stamp_on(response)["decision_id"], 0.0)
    assert answer(response) == llm.explain(response).decision.arm
    assert "ok" == llm.explain(response).status


@pytest.mark.parametrize("way", [way for way in ANSWERS if way not in STREAMS])
def test_reported_tokens_are_what_it_cost(way: str) -> None:
    """The usage in the provider's own object is counted."""
    prices = {"only": Arm(usd_per_mtok_in=1e6, usd_per_mtok_out=1e6)}
    llm = RoutedLLM(llms={"only": ScriptedLLM(says="one two")}, arms=prices)
    response = ANSWERS[way](llm, "a b c")

    assert 5.0 == llm.explain(response).attempts[-1].cost_usd


@pytest.mark.parametrize("way", [*STREAMS, "predict", "apredict", "stream", "astream"])
def test_tokens_are_found_where_the_result_does_not_say_them(way: str) -> None:
    """In the last frame of a stream, and in the events below a prediction."""
    prices = {"only": Arm(usd_per_mtok_in=1e6, usd_per_mtok_out=1e6)}
    llm = RoutedLLM(llms={"only": ScriptedLLM(says="one two")}, arms=prices)
    WAYS[way](llm, "a b c")
    last = llm.router.last_decision
    assert last is not None

    assert 5.0 == llm.explain(last.id).attempts[-1].cost_usd


@pytest.mark.parametrize("way", STREAMS)
def test_every_frame_carries_the_decision(way: str) -> None:
    """For a consumer may keep any of them."""
    llm = routed()
    if way.startswith("a"):
        response = ANSWERS[way](llm, "Hello")
        assert stamp_on(response)
        return
    given = user("Hello") if "chat" in way else "Hello"
    stamps = [stamp_on(frame)["decision_id"] for frame in getattr(llm, way)(given)]
    assert len(stamps) > 1
    assert {stamps[0]} == set(stamps)


def test_the_default_policy_is_the_cores() -> None:
    """As everywhere else."""
    assert Router(arms=[Arm(name="small")]).policy.name == routed().router.policy.name


def test_model_pins_and_narrows() -> None:
    """An argument of the call that no arm gets to see."""
    llm = routed()

    assert "large" == answer(llm.chat(user("Hello"), model="large"))
    assert answer(llm.complete("Hello", model=["small"])) == "small"
    assert {} == llm.llms["large"].seen[0].kwargs
    with pytest.raises(ConfigError, match="names no arm"):
        llm.chat(user("Hello"), model="huge")


@every_answer
def test_weights_of_a_call_are_the_routers_business(way: str) -> None:
    """They say what matters for this one, and no arm gets to see them."""
    seen: list[Weights] = []

    def noting(situation: Situation) -> str:
        seen.append(situation.weights)
        return "small"

    llm = routed(policy=noting, arms=PRICES)
    name = way.removeprefix("a")
    given: Any = user("Hello") if "chat" in name else "Hello"
    if way.startswith("a"):
        asyncio.run(_finished(getattr(llm, way)(given, weights={"cost": 1})))
    else:
        answered = getattr(llm, way)(given, weights={"cost": 1})
        list(answered) if way in STREAMS else None
    llm.chat(user("Hello"))

    assert [Weights(quality=0, cost=1, latency=0), Weights()] == seen
    assert all(asked.kwargs == {} for asked in llm.llms["small"].seen)
    with pytest.raises(ConfigError, match="no weight is called"):
        llm.complete("Hello", weights={"speed": 1})


def test_weights_of_a_structure_go_through_its_settings() -> None:
    """As a pin does."""
    seen: list[Weights] = []

    def noting(situation: Situation) -> str:
        seen.append(situation.weights)
        return "only"

    llm = RoutedLLM(llms={"only": ScriptedTextLLM(says='{"title": "Blue"}')}, policy=noting)
    llm.structured_predict(Song, PromptTemplate("A song"), {"weights": {"cost": 1}})

    assert [Weights(quality=0, cost=1, latency=0)] == seen


@every_way
def test_arguments_reach_the_arm(way: str) -> None:
    """Whatever the caller gives for the provider."""
    llm = routed()
    if way in ("chat", "complete"):
        given: Any = user("Hello") if way == "chat" else "Hello"
        getattr(llm, way)(given, temperature=0.5)
        seen = [asked for arm in llm.llms.values() for asked in arm.seen]
        assert [{"temperature": 0.5}] == [dict(asked.kwargs) for asked in seen]


def test_the_callback_manager_reaches_the_arms() -> None:
    """Tokens are counted as for the arm alone, with ``Settings`` or with an argument."""
    counter = TokenCountingHandler(tokenizer=str.split)
    alone = ScriptedLLM(callback_manager=CallbackManager([counter]))
    alone.chat(user("a b c"))
    expected = counter.total_llm_token_count
    again = TokenCountingHandler(tokenizer=str.split)
    llm = RoutedLLM(llms={"only": ScriptedLLM()}, callback_manager=CallbackManager([again]))
    llm.chat(user("a b c"))
    late = TokenCountingHandler(tokenizer=str.split)
    llm.callback_manager = CallbackManager([late])
    llm.chat(user("a b c"))

    assert expected > 0
    assert [expected, expected] == [again.total_llm_token_count, late.total_llm_token_count]


def test_settings_take_it_as_any_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Settings.llm`` hands its callback manager on."""
    llm = routed()
    manager = CallbackManager([TokenCountingHandler(tokenizer=str.split)])
    monkeypatch.setattr(Settings, "_llm", llm)
    monkeypatch.setattr(Settings, "_callback_manager", manager)

    assert Settings.llm is llm
    assert [manager, manager] == [arm.callback_manager for arm in llm.llms.values()]


def test_the_rate_limiter_is_asked_once_for_each_call() -> None:
    """Sync and async."""

    class Limiter:
        taken = 0

        def acquire(self) -> None:
            self.taken += 1

        async def async_acquire(self) -> None:
            self.taken += 1

    limiter = Limiter()
    llm = routed(rate_limiter=limiter)
    for ask in WAYS.values():
        ask(llm, "Hello")

    assert len(WAYS) == limiter.taken


def test_metadata_of_a_mixed_pool() -> None:
    """The smallest window, room left for a prompt, and what some arm can."""
    llms = {"text": ScriptedTextLLM(), "able": ScriptedLLM(window=100_000)}
    llm = RoutedLLM(llms=llms)
    backwards = RoutedLLM(llms=dict(reversed(llms.items())))

    assert 2_000 == llm.metadata.context_window
    assert 64 == llm.metadata.num_output
    assert llm.metadata.is_chat_model
    assert llm.metadata.is_function_calling_model
    assert "pickllm(able,text)" == llm.metadata.model_name
    assert llm.metadata == backwards.metadata
    assert 100_000 == RoutedLLM(llms=llms, context_window="max").metadata.context_window
    assert 9_000 == RoutedLLM(llms=llms, context_window=9_000).metadata.context_window
    wrong: Any = {"context_window": "huge"}
    with pytest.raises(ConfigError, match="context_window must be"):
        RoutedLLM(llms=llms, **wrong)


def test_a_prompt_goes_to_arms_whose_window_holds_it() -> None:
    """And where none does, the error says so for each."""
    llms = {"text": ScriptedTextLLM(window=100), "able": ScriptedLLM(window=3_000)}
    llm = RoutedLLM(llms=llms, seed=1)
    long = "word " * 500

    assert {"able"} == {stamp_on(llm.chat(user(long)))["arm"] for _ in range(5)}
    with pytest.raises(NoEligibleArm, match=r"window of 100.*window of 3000"):
        llm.complete("word " * 5_000)


def test_images_go_only_to_arms_that_read_them() -> None:
    """A text arm would drop them silently; nested ones and those of earlier turns count, too."""
    picture = ChatMessage(role="user", blocks=[ImageBlock(url="http://localhost/a.png")])
    asked = [picture, *user("What is on it?")]
    llms: dict[str, LLM] = {"text": ScriptedTextLLM(), "eyes": ScriptedLLM(says="A cat")}

    assert "A cat" == answer(RoutedLLM(llms=llms).chat(asked))
    with pytest.raises(NoEligibleArm, match="cannot do images"):
        RoutedLLM(llms={"text": ScriptedTextLLM()}).chat(asked)
    blind = RoutedLLM(llms=llms, modalities={"eyes": {"text"}, "text": {"text", "image"}})
    assert "text" == stamp_on(blind.chat(asked))["arm"]


def test_a_router_in_a_router_works() -> None:
    """Each has its decision, and each can be told."""
    inner = routed()
    outer = RoutedLLM(llms={"inner": inner, "inner2": MockLLM(max_tokens=1)})
    response = outer.chat(user("Hello"), model="inner")
    stamp = stamp_on(response)

    assert "inner" == stamp["arm"]
    assert answer(response) == stamp["inner"]["arm"]
    assert "counted" == outer.feedback(response, 1.0)
    assert "counted" == inner.feedback(stamp["inner"]["decision_id"], 1.0)
    *_, frame = outer.stream_chat(user("Hello"), model="inner")
    assert answer(frame) == stamp_on(frame)["inner"]["arm"]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"llms": {}}, "pool is empty"),
        ({"llms": []}, "llms must map names"),
        ({"llms": {"a": "gpt-4o"}}, "no LLM but str"),
        ({"llms": {"a": MockLLM}}, "no LLM but MockLLM"),
        ({"llms": {1: MockLLM()}}, "must be a string"),
        ({"llms": {"a": MockLLM()}, "arms": {"b": Arm()}}, "arms names"),
        ({"llms": {"a": MockLLM()}, "modalities": {"b": {"text"}}}, "modalities names"),
        ({"llms": {"a": MockLLM()}, "modalities": {"a": {"smell"}}}, "must be some of"),
        ({"llms": {"a": MockLLM()}, "temprature": 1}, "takes no temprature"),
        ({"llms": {"a": MockLLM()}, "featurizer": 3}, "featurizer must be"),
        ({"llms": {"a": MockLLM()}, "router": 3}, "router must be"),
        ({"llms": {"a": MockLLM()}, "callback_manager": 3}, "callback_manager must be"),
        ({"llms": {"a": MockLLM()}, "seed": "x"}, "seed must be"),
        ({"llms": {"a": MockLLM()}, "sticky": "yes"}, "sticky must be"),
        ({"llms": {"a": MockLLM()}, "namespace": ""}, "namespace must be"),
        ({"llms": {"a": MockLLM()}, "learns_from": "user"}, "must be a list of sources"),
    ],
)
def test_what_cannot_work_is_told_at_once(settings: dict[str, Any], complaint: str) -> None:
    """With what to do."""
    with pytest.raises(ConfigError, match=complaint):
        RoutedLLM(**settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout_s", 1.0),
        ("fallback", False),
        ("breaker", None),
        ("namespace", "other"),
        ("learns_from", ["user"]),
        ("modalities", {}),
    ],
)
def test_a_router_brings_its_own_settings(name: str, value: object) -> None:
    """What it would not honour is not taken in silence."""
    given: dict[str, Any] = {name: value}
    shared = routed().router

    assert shared is RoutedLLM(llms=pool(), router=shared, sticky=True).router
    with pytest.raises(ConfigError, match=f"brings its own {name}"):
        RoutedLLM(llms=pool(), router=shared, **given)


def test_only_the_sources_that_it_learns_from_teach() -> None:
    """That an answer parsed, say, is booked and shown, and changes nothing."""
    llms = {name: ScriptedTextLLM(says='{"title": "Blue"}') for name in ("one", "two")}
    llm = RoutedLLM(llms=llms, learns_from=["user"], policy="epsilon_greedy", seed=1)
    fresh = str(llm.router.state)
    llm.structured_predict(Song, PromptTemplate("A song"))
    last = llm.router.last_decision
    assert last is not None

    assert {"parse": 1.0} == llm.explain(last.id).source_to_score
    assert fresh == str(llm.router.state)
    assert "counted" == llm.feedback(last.id, 1.0)
    assert fresh != str(llm.router.state)


@pytest.mark.parametrize("score", [np.bool_(True), np.float32(1.0), np.int64(1), True])
def test_scores_of_numpy_are_numbers(score: Any) -> None:
    """As the comparison of two arrays' elements returns them."""
    llm = routed(arms=PRICES)

    assert "counted" == llm.feedback(llm.complete("Hello"), score)


@every_answer
def test_spans_and_events_are_those_of_the_arm_below_one_of_the_router(way: str) -> None:
    """Nothing is told of twice."""
    arm = ScriptedLLM()
    with recorded() as alone:
        ANSWERS[way](arm, "Hello")
    with recorded() as with_router:
        ANSWERS[way](RoutedLLM(llms={"only": arm}), "Hello")

    events = [name for name in with_router.events if name != "PickLLMRoutingEvent"]
    assert alone.events == events
    assert [f"RoutedLLM.{way}"] == with_router.roots
    assert {f"ScriptedLLM.{way}": f"RoutedLLM.{way}"} == with_router.parents


def test_dispatcher_is_left_as_it_was() -> None:
    """One handler of each kind for all routed LLMs of a process."""
    routed()
    before = len(get_dispatcher().span_handlers), len(get_dispatcher().event_handlers)
    routed()

    assert before == (len(get_dispatcher().span_handlers), len(get_dispatcher().event_handlers))


def test_feedback_on_what_carries_no_decision_says_what_to_do() -> None:
    """An engine's response, say, or an arm's own."""
    llm = routed()
    with pytest.raises(ConfigError, match="instrument_tags"):
        llm.feedback(object(), 1.0)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigError, match="carries no decision"):
        llm.feedback(llm.llms["small"].chat(user("Hello")), 1.0)
    with pytest.raises(LookupError):
        llm.feedback("nowhere", 1.0)


def test_the_event_of_a_routing_holds_nothing_of_the_prompt() -> None:
    """But who could answer, how likely who was, and who was asked."""
    llm = routed()
    with recorded() as told:
        response = llm.chat(user("a secret"))
    (event,) = [each for each in told.told if each.class_name() == "PickLLMRoutingEvent"]

    assert stamp_on(response)["decision_id"] == event.decision_id
    assert (stamp_on(response)["arm"], ("small", "large")) == (event.arm, event.arms)
    assert "secret" not in str(event.model_dump())
