"""Scorers that need no model."""

from typing import Any

import pytest

from pickllm import ConfigError, Reply, Request, exact_match
from pickllm.scoring import FunctionScorer, scorer_of
from pickllm.types import Work


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("Paris", "Paris", 1.0),
        ("  paris.\n", "PARIS", 1.0),
        ("New\n York", "new york", 1.0),
        ("Straße", "STRASSE", 1.0),
        ("", "", 1.0),
        ("Paris", "Rome", 0.0),
        ("It is Paris", "Paris", 0.0),
        ("3.14", "314", 0.0),
        ("", "Paris", 0.0),
    ],
)
def test_exact_match_forgives_case_space_and_a_full_stop(
    answer: str, reference: str, score: float
) -> None:
    """Case, spaces around and a full stop at the end do not count; all else does."""
    assert score == exact_match(answer, reference)


def test_function_scores_prompt_and_answer() -> None:
    """A function becomes a scorer that yields one piece of work."""
    seen: list[tuple[str, str]] = []

    def grade(prompt: str, answer: str) -> float:
        seen.append((prompt, answer))
        return 0.5

    scoring = scorer_of(grade).score(Request(text="2 + 2 ="), Reply(text="4"))
    step = next(scoring)
    assert isinstance(step, Work)
    with pytest.raises(StopIteration) as stop:
        scoring.send(step.run())
    assert 0.5 == stop.value.value
    assert [("2 + 2 =", "4")] == seen


def test_a_scorer_stands_for_itself() -> None:
    """What is a scorer already is taken as it is."""
    scorer = FunctionScorer(grade=exact_match)
    assert scorer is scorer_of(scorer)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (0.5, "must be a scorer or a function of prompt and answer; it is float"),
        (FunctionScorer, "is the class FunctionScorer; give an instance"),
    ],
)
def test_what_is_no_scorer_is_refused(given: Any, told: str) -> None:
    """Something that cannot score is an error when the router is built."""
    with pytest.raises(ConfigError, match=told):
        scorer_of(given)
