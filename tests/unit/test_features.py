"""Features of prompts: the same for the same, near for the near, finite for anything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Combined, ConfigError, HashedText, Surface
from pickllm.features import default_features, featurizer_name
from pickllm.protocols import Featurizer

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
