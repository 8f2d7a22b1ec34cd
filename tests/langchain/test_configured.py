"""What is set on the router and acts in its arms: caches, output version, token counts."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from langchain_pickllm import RoutedChatModel
from tests.langchain.recording import MODEL_WAYS
from tests.langchain.scripted import ScriptedChatModel

cached_ways = pytest.mark.parametrize(
    "way", ["invoke", "ainvoke", "batch", "abatch", "generate", "agenerate"]
)


class TwinChatModel(ScriptedChatModel):
    """Does not tell LangChain which model it is."""

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {}


@pytest.fixture
def everyones() -> Iterator[InMemoryCache]:
    """A cache for all models of the process."""
    before, cache = get_llm_cache(), InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(before)


def pool(kind: type[ScriptedChatModel] = ScriptedChatModel, **settings: Any) -> RoutedChatModel:
    """Two arms, which are pinned by the call."""
    own = settings.pop("own", {})
    models = {name: kind(says=f"{name} says", model_name="m", **own.get(name, {})) for name in "ab"}
    return RoutedChatModel(models=models, **settings)


def said(model: RoutedChatModel, way: str, *arms: str) -> list[str]:
    """The same question to these arms, one after the other."""
    return [MODEL_WAYS[way](model.bind(model=arm), "Hello", {}).text for arm in arms]


def calls(model: RoutedChatModel) -> list[int]:
    """How often each arm was asked."""
    return [model.models[name].calls for name in "ab"]


# Caches


@cached_ways
@pytest.mark.parametrize("everyone_s", [True, False])
def test_a_cache_is_its_arms(way: str, everyones: InMemoryCache, *, everyone_s: bool) -> None:
    """The router's, or everyone's: each arm's answers are kept under its own key."""
    cache = everyones if everyone_s else InMemoryCache()
    arms = iter("aabba")
    settings: dict[str, Any] = {} if everyone_s else {"cache": cache}
    model = pool(policy=lambda _: next(arms), **settings)

    texts = [MODEL_WAYS[way](model, "Hello", {}).text for _ in range(5)]

    assert ["a says", "a says", "b says", "b says", "a says"] == texts
    assert ([1, 1], 2) == (calls(model), len(cache._cache))


@cached_ways
def test_a_cached_answer_is_a_decision_of_its_own(way: str) -> None:
    """But no model gave it, so there is nothing to learn from it."""
    model = pool(cache=InMemoryCache(), policy=lambda _: {"a": 1.0})

    first, second = (MODEL_WAYS[way](model, "Hello", {}) for _ in range(2))

    ids = [answer.response_metadata["pickllm"]["decision_id"] for answer in (first, second)]
    assert ids == [record.decision.id for record in model.router.ledger]
    assert ["counted", "no_answer"] == [model.feedback(m, 1.0) for m in (first, second)]


def test_the_user_s_arms_are_left_as_they_are() -> None:
    """A cache or an output version is put on copies."""
    model = pool(cache=InMemoryCache(), output_version="v1")
    model.invoke("Hello")

    assert {(None, None)} == {(arm.cache, arm.output_version) for arm in model.models.values()}


@pytest.mark.usefixtures("everyones")
def test_an_arm_that_wants_no_cache_has_none() -> None:
    """What is set on an arm counts more."""
    model = pool(cache=InMemoryCache(), own={"a": {"cache": False}})

    said(model, "invoke", "a", "a", "b", "b")

    assert [2, 1] == calls(model)


def test_an_arm_s_own_cache_is_used() -> None:
    """And the router's stays empty."""
    own, router_s = InMemoryCache(), InMemoryCache()
    model = pool(cache=router_s, own={"a": {"cache": own}})

    said(model, "invoke", "a", "a")

    assert ([1, 0], 1, 0) == (calls(model), len(own._cache), len(router_s._cache))


@pytest.mark.usefixtures("everyones")
def test_a_router_that_wants_no_cache_has_none_in_its_arms() -> None:
    """``cache=False`` holds against everyone's cache."""
    model = pool(cache=False)

    said(model, "invoke", "a", "a")

    assert [2, 0] == calls(model)


@pytest.mark.parametrize("where", ["everyone's", "the router's", "the arms'"])
def test_arms_with_one_key_go_past_the_cache(where: str, everyones: InMemoryCache) -> None:
    """They would answer for each other."""
    if where != "everyone's":
        set_llm_cache(None)
    cache = InMemoryCache()
    where_to_settings: dict[str, dict[str, Any]] = {
        "everyone's": {},
        "the router's": {"cache": cache},
        "the arms'": {"own": {"a": {"cache": cache}, "b": {"cache": cache}}},
    }
    model = pool(TwinChatModel, **where_to_settings[where])

    assert ["a says", "b says", "a says"] == said(model, "invoke", "a", "b", "a")
    assert ([2, 1], 0, 0) == (calls(model), len(cache._cache), len(everyones._cache))


def test_behind_wrappers_arms_are_told_apart_as_well() -> None:
    """``with_retry`` and ``bind`` hide neither key nor cache."""
    cache = InMemoryCache()
    twins = {name: TwinChatModel(says=f"{name} says") for name in "ab"}
    wrapped: Any = {"a": twins["a"].with_retry(), "b": twins["b"].bind(stop=["x"])}
    model = RoutedChatModel(models=wrapped, cache=cache)

    assert ["a says", "b says"] == said(model, "invoke", "a", "b")


def test_a_cached_answer_is_not_touched() -> None:
    """The decision stands in a copy: what the cache holds is what the arm said."""
    cache = InMemoryCache()
    pool(cache=cache, policy=lambda _: {"a": 1.0}).invoke("Hello")

    ((kept,),) = cache._cache.values()
    assert "pickllm" not in kept.message.response_metadata  # type: ignore[attr-defined]  # a chat's


# The shape of the output


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_an_output_version_acts_in_the_arm(way: str) -> None:
    """The content is what the arm's own setting makes of it, in streams too."""
    arm = ScriptedChatModel()
    model = RoutedChatModel(models={"only": arm}, output_version="v1")
    alone = ScriptedChatModel(output_version="v1")

    content = MODEL_WAYS[way](model, "Hello", {}).content

    assert MODEL_WAYS[way](alone, "Hello", {}).content == content


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_an_arm_s_own_output_version_counts_more(way: str) -> None:
    """What is set on an arm is not overruled."""
    arm = ScriptedChatModel(output_version="v0")
    model = RoutedChatModel(models={"only": arm}, output_version="v1")

    assert "Hello there, friend" == MODEL_WAYS[way](model, "Hello", {}).content


# Counting tokens


def words(text: str) -> list[int]:
    """A tokenizer."""
    return list(range(len(text.split())))


def fails(text: str) -> list[int]:
    """A tokenizer that wants to fetch its vocabulary."""
    raise ConnectionError(text)


def counting(*counters: Any) -> RoutedChatModel:
    """Arms that count this way."""
    models = {
        str(n): ScriptedChatModel(custom_get_token_ids=counter)
        for n, counter in enumerate(counters)
    }
    return RoutedChatModel(models=models)


def test_the_arm_that_counts_most_counts() -> None:
    """A prompt that fits by this count fits every arm."""
    messages = [HumanMessage("one two three")]
    double: Any = lambda text: [*words(text), *words(text)]  # noqa: E731  # beside its single
    single, both = counting(words), counting(words, double)

    assert 2 * single.get_num_tokens_from_messages(messages) == both.get_num_tokens_from_messages(
        messages
    )
    assert both.get_num_tokens("one two three") > single.get_num_tokens("one two three")


@pytest.mark.parametrize("counters", [(None,), (fails,), (None, fails)])
def test_without_a_counter_it_is_an_estimate(counters: Any) -> None:
    """Nothing is fetched, and no other model's tokenizer is asked."""
    messages = [HumanMessage("one two three")]
    model = counting(*counters)

    estimate = count_tokens_approximately(messages)
    assert estimate == model.get_num_tokens_from_messages(messages)
    assert estimate == model.get_num_tokens("one two three")


@pytest.mark.parametrize("counters", [(None,), (fails,), (words,)])
def test_tools_are_counted_with_the_messages(counters: Any) -> None:
    """By the estimate, where an arm's own counter knows of text alone."""
    messages = [HumanMessage("one two three")]
    wordy = {"name": "wordy", "description": "word " * 800, "parameters": {}}
    model = counting(*counters)

    without = model.get_num_tokens_from_messages(messages)
    assert 900 < model.get_num_tokens_from_messages(messages, [wordy]) - without < 1100


def test_one_counter_that_fails_leaves_the_others() -> None:
    """It is left out."""
    alone, both = counting(words), counting(fails, words)

    assert alone.get_num_tokens("one two") == both.get_num_tokens("one two")
