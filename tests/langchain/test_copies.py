"""Copies that part ways: what was learnt is in both, and from then on each learns by itself."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache

from langchain_pickllm import RoutedChatModel
from pickllm import Arm
from pickllm.policies import POLICIES, epsilon_greedy
from tests.langchain.recording import MODEL_WAYS
from tests.langchain.scripted import ScriptedChatModel


def pickled(model: RoutedChatModel) -> RoutedChatModel:
    """The model after a journey to another process."""
    again: RoutedChatModel = pickle.loads(pickle.dumps(model))
    return again


WAYS_TO_COPY: dict[str, Callable[[RoutedChatModel], RoutedChatModel]] = {
    "deepcopy": copy.deepcopy,
    "pickle": pickled,
}
every_copy = pytest.mark.parametrize("copied", WAYS_TO_COPY)


def model_of(**settings: Any) -> RoutedChatModel:
    """Two arms."""
    models = {name: ScriptedChatModel(says=name) for name in ("small", "large")}
    defaults = {"policy": epsilon_greedy(epsilon=0.0), "weights": {"quality": 1.0}, "seed": 1}
    return RoutedChatModel(models=models, **{**defaults, **settings})


def teach(model: RoutedChatModel, best: str) -> None:
    """That arm is right, the other wrong."""
    for name in ("small", "large"):
        for _ in range(5):
            model.feedback(model.invoke("Hello", model=name), float(name == best))


def favourites(model: RoutedChatModel) -> set[str]:
    """Who is asked now."""
    return {model.invoke("Hello").text for _ in range(5)}


@every_copy
def test_a_copy_knows_what_was_learnt(copied: str) -> None:
    """And feedback on earlier answers reaches it, too."""
    model = model_of()
    answer = model.invoke("Hello")
    teach(model, "large")

    other = WAYS_TO_COPY[copied](model)

    assert {"large"} == favourites(other)
    assert "counted" == other.feedback(answer, 1.0)


@every_copy
def test_copies_learn_apart(copied: str) -> None:
    """Neither the state, nor the decisions, nor the arms are shared."""
    model = model_of()
    teach(model, "large")
    other = WAYS_TO_COPY[copied](model)
    for _ in range(4):
        teach(other, "small")
    for name in ("small", "large"):
        other.models[name].says = f"the other's {name}"

    assert ({"large"}, {"the other's small"}) == (favourites(model), favourites(other))
    assert len(other.router.ledger) > len(model.router.ledger)


@every_copy
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_can_be_copied(copied: str, policy: str) -> None:
    """With the same seed both go on alike."""
    model = model_of(policy=policy)
    teach(model, "large")
    other = WAYS_TO_COPY[copied](model)

    both = [[each.invoke("Hello").text for _ in range(10)] for each in (model, other)]

    assert both[0] == both[1]


@every_copy
def test_a_copy_has_all_the_settings(copied: str, tmp_path: Path) -> None:
    """Arms, limits, time limits, store, stickiness, temperature, tags, cache."""
    model = model_of(
        arms={"small": Arm(usd_per_hour=1.0, timeout_s=5.0), "large": Arm(usd_per_hour=2.0)},
        store=f"sqlite:///{tmp_path / 'routes.db'}",
        sticky=True,
        temperature=0.5,
        tags=["t"],
        cache=InMemoryCache(),
        max_decisions=7,
        fallback=["large"],
    )
    other = WAYS_TO_COPY[copied](model)

    assert [model.router.pool[name] for name in model.models] == [
        other.router.pool[name] for name in other.models
    ]
    assert (True, 0.5, ["t"]) == (other.sticky, other.temperature, other.tags)
    assert (7, ("large",)) == (other.router.ledger.max_decisions, other.router.fallback)
    assert isinstance(other.cache, InMemoryCache)


@every_copy
@pytest.mark.parametrize("way", MODEL_WAYS)
def test_a_copy_works_in_every_way(copied: str, way: str) -> None:
    """Locks and all."""
    other = WAYS_TO_COPY[copied](model_of())

    assert "counted" == other.feedback(MODEL_WAYS[way](other, "Hello", {}), 1.0)


@every_copy
def test_bindings_of_a_copy_are_bindings_of_it(copied: str) -> None:
    """A model within what was put around it is copied with it."""
    model = model_of()
    bound: Any = model.bind(stop=["x"])
    other: Any = WAYS_TO_COPY[copied](bound)

    other.invoke("Hello")

    assert (0, 1) == (len(model.router.ledger), len(other.bound.router.ledger))


def test_what_cannot_be_copied_says_so_itself() -> None:
    """An arm's own error, unchanged."""
    model = model_of(policy=lambda _: "small")

    with pytest.raises(Exception, match="pickle") as caught:
        pickle.dumps(model)

    assert type(caught.value) in {AttributeError, pickle.PicklingError}
