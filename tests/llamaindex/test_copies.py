"""Copies, pickles and dictionaries: what was learnt goes along, weights and keys do not."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core import MockEmbedding
from llama_index.core.agent.workflow import ReActAgent
from llama_index.core.extractors import TitleExtractor

from llamaindex_pickllm import RoutedLLM
from llamaindex_pickllm.stamp import stamp_on
from pickllm import ConfigError
from pickllm.policies import epsilon_greedy
from tests.llamaindex.scripted import ScriptedLLM, user
from tests.llamaindex.ways import answer

KEY = "sk-very-secret"


def made(**settings: Any) -> RoutedLLM:
    """Two arms with a key, and a router that asks the better one."""
    llms = {name: ScriptedLLM(says=name, api_key=KEY) for name in ("small", "large")}
    given = {"policy": epsilon_greedy(epsilon=0.0), "weights": {"quality": 1.0}, "seed": 1}
    return RoutedLLM(llms=llms, **{**given, **settings})


def teach(llm: RoutedLLM, best: str) -> None:
    """That arm is right, the other wrong."""
    for name in ("small", "large"):
        for _ in range(5):
            llm.feedback(llm.chat(user("Hello"), model=name), float(name == best))


def favourites(llm: RoutedLLM) -> set[str]:
    """Who is asked now."""
    return {answer(llm.chat(user("Hello"))) for _ in range(5)}


def pickled(llm: RoutedLLM) -> RoutedLLM:
    """After a journey to another process."""
    again: RoutedLLM = pickle.loads(pickle.dumps(llm))
    return again


COPIES: dict[str, Callable[[RoutedLLM], RoutedLLM]] = {"deepcopy": copy.deepcopy, "pickle": pickled}
every_copy = pytest.mark.parametrize("way", COPIES)


@every_copy
def test_a_copy_knows_what_was_learnt_and_goes_its_own_way(way: str) -> None:
    """Feedback on earlier answers reaches it, too; what it learns stays with it."""
    llm = made()
    earlier = llm.chat(user("Hello"))
    teach(llm, "large")
    other = COPIES[way](llm)

    assert {"large"} == favourites(other)
    assert "counted" == other.feedback(earlier, 1.0)
    for _ in range(3):
        teach(other, "small")
    assert ({"large"}, {"small"}) == (favourites(llm), favourites(other))


def test_a_deep_copy_shares_the_arms() -> None:
    """Weights are not copied."""
    llm = made(featurizer=MockEmbedding(embed_dim=4))
    other = copy.deepcopy(llm)

    assert all(other.llms[name] is arm for name, arm in llm.llms.items())
    assert other.router is not llm.router
    assert other.router.featurizer is llm.router.featurizer
    assert copy.copy(llm).router is llm.router


def test_a_pickle_drops_no_arm_silently() -> None:
    """One that cannot travel is an error."""

    class Nowhere(ScriptedLLM):
        """No other process can find it."""

    with pytest.raises((AttributeError, pickle.PicklingError), match="Nowhere"):
        pickle.dumps(RoutedLLM(llms={"only": Nowhere()}))


def test_a_dictionary_is_stable_and_says_nothing_learnt_or_secret() -> None:
    """It is the key of ingestion caches."""
    llm, again = made(), made()
    before = json.dumps(llm.to_dict(), sort_keys=True, default=str)
    teach(llm, "large")

    assert before == json.dumps(llm.to_dict(), sort_keys=True, default=str)
    assert before == json.dumps(again.to_dict(), sort_keys=True, default=str)
    other = RoutedLLM(llms={"other": ScriptedLLM()})
    assert before != json.dumps(other.to_dict(), sort_keys=True, default=str)
    extractor = TitleExtractor(llm=llm).to_dict()
    assert " at 0x" not in str(extractor)


@pytest.mark.parametrize(
    ("name", "value", "differs"),
    [
        ("model", "other", True),
        ("says", "Other", True),
        ("system_prompt", "Answer in French.", True),
        ("api_key", "another", False),
    ],
)
def test_a_cache_is_asked_anew_where_an_arm_would_answer_otherwise(
    name: str, value: str, differs: bool
) -> None:
    """Its settings are part of the key, and its access is not."""
    given: dict[str, Any] = {name: value}
    before = RoutedLLM(llms={"only": ScriptedLLM(api_key=KEY)}).to_dict()
    after = RoutedLLM(llms={"only": ScriptedLLM(**{"api_key": KEY, **given})}).to_dict()

    assert differs == (before != after)


def test_no_key_shows_anywhere() -> None:
    """Neither in what it says of itself, nor in payloads."""
    llm = made()
    shown = [repr(llm), str(llm), str(llm.to_dict()), str(llm.to_payload()), llm.to_json()]

    assert not any(KEY in text for text in shown)


def test_a_dictionary_makes_no_router() -> None:
    """It holds no LLMs; the error says what to do."""
    with pytest.raises(ConfigError, match="cannot be rebuilt"):
        RoutedLLM.from_dict(made().to_dict())


def test_agents_hold_the_router_itself() -> None:
    """Pydantic does not copy it."""
    llm = made()

    assert ReActAgent(llm=llm).llm is llm


def test_embeddings_are_features() -> None:
    """Of length one, and asked once for a prompt."""
    llm = made(featurizer=MockEmbedding(embed_dim=4))
    response = llm.chat(user("Hello"))
    features = llm.explain(response).decision.features

    assert [0.5] * 4 == list(features)
    assert stamp_on(response)
