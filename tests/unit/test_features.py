"""Features of prompts: the same for the same, near for the near, finite for anything."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import (
    Arm,
    Combined,
    ConfigError,
    HashedText,
    Request,
    Router,
    Surface,
    contextual,
    drive,
    lin_ucb,
)
from pickllm.embedded import EmbeddedFeatures
from pickllm.features import default_features, featurizer_name
from pickllm.policies import PolicyLike
from pickllm.protocols import Featurizer
from pickllm.testing import Script, ScriptedPort

FEATURIZERS: dict[str, Featurizer] = {
    "hashed": HashedText(),
    "words": HashedText(ngrams=0.0),
    "runs": HashedText(words=0.0, ngram=8),
    "surface": Surface(),
    "default": default_features(),
}


@pytest.mark.parametrize("featurizer", FEATURIZERS.values(), ids=FEATURIZERS.keys())
@given(text=st.text())
def test_any_text_has_features(featurizer: Featurizer, text: str) -> None:
    """Any text, lone surrogates among it, makes ``dim`` finite numbers, the same each time."""
    vector = featurizer.features(text)
    assert (featurizer.dim,) == vector.shape
    assert np.float32 == vector.dtype
    assert np.isfinite(vector).all()
    np.testing.assert_array_equal(vector, featurizer.features(text))


def test_words_are_hashed_wherever_they_stand() -> None:
    """Order and capitals mean nothing to the words."""
    words = HashedText(ngrams=0.0)
    one, other = words.features("alpha beta, GAMMA"), words.features("gamma. beta alpha")
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_vectors_have_the_length_that_was_asked_for() -> None:
    """Of any prompt that has a word."""
    for length in (0.5, 1.0):
        vector = HashedText(length=length).features("Who wrote Hamlet?")
        assert length == pytest.approx(float(np.linalg.norm(vector)))
    assert 0.0 == HashedText().features("").sum()


def test_long_prompt_is_looked_at_from_both_ends() -> None:
    """What is in the middle of a very long prompt costs no time, and changes nothing."""
    features = HashedText(most_bytes=200)
    long = "begin " * 50 + "{}" + " end" * 50
    np.testing.assert_array_equal(
        features.features(long.format("x" * 999)), features.features(long.format("y" * 999))
    )


def test_combined_features_stand_one_after_another() -> None:
    """The dimensions add up, and the name tells the parts."""
    both = Combined(parts=(Surface(), HashedText(dim=8)))
    text = "2 + 2 ="
    np.testing.assert_array_equal(both.features(text)[:17], Surface().features(text))
    assert 25 == both.dim
    assert "surface() + hashed_text(dim=8" in featurizer_name(both)


def test_featurizer_without_a_name_is_known_by_its_type() -> None:
    """So kept state is told apart by it too."""

    class Mine:
        dim = 3

    assert "Mine(dim=3)" == featurizer_name(Mine())  # type: ignore[arg-type]  # it need not run


@pytest.mark.parametrize(
    "settings",
    [{"dim": 1}, {"ngram": 9}, {"words": 0.0, "ngrams": 0.0}, {"length": 0.0}, {"words": -1.0}],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    """A setting out of its range is an error when it is made."""
    with pytest.raises(ConfigError):
        HashedText(**settings)  # type: ignore[arg-type]  # each of its own type
    with pytest.raises(ConfigError, match="nothing to combine"):
        Combined(parts=())


class Odd:
    """Says that its vectors have two numbers, and gives what it was told to."""

    dim = 2

    def __init__(self, given: object) -> None:
        self.given = given

    def features(self, text: str) -> Any:
        return self.given


ODD: dict[str, object] = {
    "no number": [0.5, float("nan")],
    "infinite": [float("-inf"), 0.5],
    "too large": [1e300, 0.5],
    "too short": [0.5],
    "too long": [0.5, 0.5, 0.5],
    "a matrix": [[0.5, 0.5]],
    "words": "secret prompt",
    "nothing": None,
}


@pytest.mark.parametrize("policy", [contextual(), lin_ucb(), "logistic", "square_cb"], ids=str)
@pytest.mark.parametrize("given", ODD.values(), ids=ODD.keys())
def test_features_that_are_none_do_not_take_the_answer_away(
    given: object, policy: PolicyLike, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told and counted like a featurizer that fails, and nothing is learnt from them."""
    router = Router(arms=[Arm(name="a")], policy=policy, featurizer=Odd(given), seed=1)

    routed = drive.run(router.flow(Request(text="secret prompt")), ScriptedPort({"a": Script()}))
    router.feedback(routed.decision.id, 1.0)

    assert ("yes", [0.0, 0.0]) == (routed.reply.text, routed.decision.features.tolist())
    assert 1 == router.stats()["featurizer_failures"]
    assert "the featurizer failed (features must " in caplog.text
    assert "secret" not in caplog.text


def test_numbers_of_any_kind_are_features() -> None:
    """A list of whole numbers is a vector, too."""
    router = Router(arms=[Arm(name="a")], featurizer=Odd([1, 2]), seed=1)
    features = router.decide(Request(text="Why?")).features
    assert ([1.0, 2.0], "float32") == (features.tolist(), str(features.dtype))


@pytest.mark.parametrize("given", [[0.5], [float("nan"), 1.0]], ids=str)
def test_features_brought_along_must_be_those_of_the_featurizer(given: list[float]) -> None:
    """Who makes them wrong is told: the prompt is not looked at in their place."""
    router = Router(arms=[Arm(name="a")], featurizer=Odd([1, 2]), seed=1)
    with pytest.raises(ConfigError, match="features must"):
        router.decide(Request(text="Why?"), np.array(given, dtype=np.float32))


def test_an_embedding_that_is_no_vector_is_asked_again() -> None:
    """Only vectors are remembered: once it is well again, the prompt is seen."""
    answers = iter([[float("nan"), 0.0], [0.0, 1.0]])
    embedded = EmbeddedFeatures(embed=lambda _: next(answers))
    with pytest.raises(ConfigError, match="finite"):
        embedded.features("Why?")
    assert [0.0, 1.0] == embedded.features("Why?").tolist()


def _unreachable(text: str) -> list[float]:
    raise ConnectionError(text)


class NoLength(Odd):
    dim = 0


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: 3, "int is no featurizer"),
        (lambda: Surface, "Surface is no featurizer"),
        (lambda: len, "EmbeddedFeatures"),
        (lambda: NoLength([]), "at least 1"),
        (lambda: EmbeddedFeatures(embed=_unreachable), "ConnectionError"),
        (lambda: EmbeddedFeatures(embed=lambda _: []), "at least 1"),
    ],
    ids=["number", "class", "function", "no length", "away", "empty"],
)
def test_what_cannot_be_a_featurizer_is_refused(made: Callable[[], Any], words: str) -> None:
    """By a router when it is made, and inside of others."""
    with pytest.raises(ConfigError, match=words):
        Router(arms=[Arm(name="a")], featurizer=made())
    with pytest.raises(ConfigError, match=words):
        Combined(parts=(Surface(), made()))
