"""Scorers that need no model: references, formats, signals, and several at once."""

from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pickllm import ConfigError, Reply, Request, exact_match
from pickllm.protocols import Scorer
from pickllm.scoring import (
    EmbeddingMatch,
    FirstOf,
    FunctionScorer,
    JSONMatch,
    ReferenceMatch,
    RegexMatch,
    ReplySignals,
    Weighted,
    agreements,
    fuzzy_match,
    is_refusal,
    scorer_of,
    signal_score,
    word_match,
)
from pickllm.steps import Work
from pickllm.types import Vector

ASKED = Request(text="2 + 2 =")


def scored(scorer: Scorer, answer: str, *, asked: str = "2 + 2 =", **reply: Any) -> float | None:
    """What a scorer says of an answer, its work done right here."""
    scoring = scorer.score(Request(text=asked), Reply(text=answer, **reply))
    try:
        step = next(scoring)
        while True:
            assert isinstance(step, Work)
            step = scoring.send(step.run())
    except StopIteration as stop:
        said: float | None = stop.value
        return said


def saying(score: float | None, asked: list[str] | None = None) -> FunctionScorer:
    """A scorer that always says the same."""

    def grade(_prompt: str, answer: str) -> float | None:
        if asked is not None:
            asked.append(answer)
        return score

    return FunctionScorer(grade=grade)


# Functions


def test_function_scores_prompt_and_answer() -> None:
    """A function becomes a scorer that yields one piece of work."""
    seen: list[tuple[str, str]] = []

    def grade(prompt: str, answer: str) -> float:
        seen.append((prompt, answer))
        return 0.5

    assert 0.5 == scored(scorer_of(grade), "4")
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


# Likeness


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


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("kitten", "sitting", 8 / 13),  # i, t, t, n
        ("", "", 1.0),
        ("", "abc", 0.0),
        ("ABC.", "abc", 1.0),
        ("abc", "xyz", 0.0),
        ("ab" * 500, "ba" * 500, 1998 / 2000),
        ("naïve café", "naive cafe", 16 / 20),
    ],
)
def test_fuzzy_match_counts_the_letters_in_common(
    answer: str, reference: str, score: float
) -> None:
    """Twice the longest common subsequence over both lengths: worked out by hand."""
    assert score == fuzzy_match(answer, reference)


def longest_common(one: str, other: str) -> int:
    """The textbook's table, cell by cell."""
    row = [0] * (len(other) + 1)
    for letter in one:
        before = row[:]
        for j, against in enumerate(other):
            row[j + 1] = before[j] + 1 if letter == against else max(before[j + 1], row[j])
    return row[-1]


@given(st.text("abc ", max_size=40), st.text("abc ", max_size=40))
def test_fuzzy_match_is_the_textbook_s(one: str, other: str) -> None:
    """The bits come to the same as the table, and to no less than difflib's blocks."""
    one, other = " ".join(one.split()), " ".join(other.split())
    expected = 2 * longest_common(one, other) / (len(one) + len(other)) if one + other else 1.0

    assert expected == fuzzy_match(one, other) == fuzzy_match(other, one)
    assert expected >= SequenceMatcher(None, one, other, autojunk=False).ratio() - 1e-12


def test_word_match_is_squad_s_f1() -> None:
    """Words count as often as they stand there; their order does not."""
    assert 2 * 2 / (3 + 3) == word_match("the the cat", "The cat, dog")
    assert (1.0, 0.0, 1.0) == (word_match("b a", "A b!"), word_match("a", ""), word_match("", "?"))


class Letters:
    """A featurizer: how often a and b stand there, b counted against."""

    dim = 2

    def features(self, text: str) -> Vector:
        """Two numbers."""
        return np.array([text.count("a"), -text.count("b")], dtype=np.float32)


def test_embedding_match_is_the_cosine() -> None:
    """In [0, 1], and 0 where a text has no features at all."""
    alike = EmbeddingMatch(featurizer=Letters())

    assert (1.0, 0.0, 0.0) == (alike("aa", "a"), alike("a", "b"), alike("", "a"))
    assert alike("ab", "a") == pytest.approx(0.5**0.5)


def test_a_reference_is_found_by_its_prompt() -> None:
    """One or several, in a mapping or by a function; a prompt without one is not judged."""
    known = ReferenceMatch(references={"2 + 2 =": ("4", "four"), "capital?": "Paris"})

    assert 1.0 == scored(known, "Four.")
    assert 0.0 == scored(known, "Rome", asked="capital?")
    assert None is scored(known, "42", asked="unknown")
    near = ReferenceMatch(references=lambda prompt: prompt[::-1], similarity=fuzzy_match)
    assert 0.8 == scored(near, "cb", asked="abc")


def test_agreement_is_the_mean_likeness_to_the_others() -> None:
    """Of a single answer nothing can be said."""
    assert (2 / 3, 2 / 3, 0.0, 2 / 3) == agreements(["4", "4.", "5", " 4"])
    assert (None,) == agreements(["4"])
    assert () == agreements([])


# Formats


@pytest.mark.parametrize(
    ("answer", "found", "whole"),
    [("#ff8800", 1.0, 1.0), (" #ff8800\n", 1.0, 1.0), ("It is #ff8800", 1.0, 0.0), ("", 0.0, 0.0)],
)
def test_a_pattern_is_found_or_is_all_there_is(answer: str, found: float, whole: float) -> None:
    """Spaces around do not count."""
    pattern = r"#[0-9a-f]{6}"
    assert found == scored(RegexMatch(pattern=pattern), answer)
    assert whole == scored(RegexMatch(pattern=pattern, whole=True), answer)


def test_a_pattern_that_cannot_be_read_is_refused() -> None:
    """When the scorer is made."""
    with pytest.raises(ConfigError, match="cannot be read"):
        RegexMatch(pattern="(")


class Colour(BaseModel):
    """What an answer should hold."""

    name: str
    hex: str


SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "hex": {"pattern": "^#"}},
}


@pytest.mark.parametrize(
    ("answer", "any_json", "schema", "model"),
    [
        ('{"name": "red", "hex": "#f00"}', 1.0, 1.0, 1.0),
        ('```json\n{"name": "red", "hex": "#f00"}\n```', 1.0, 1.0, 1.0),
        ('{"name": "red"}', 1.0, 1.0, 0.0),
        ('{"name": "red", "hex": "f00"}', 1.0, 0.0, 1.0),
        ('{"hex": "#f00"}', 1.0, 0.0, 0.0),
        ("[1, 2]", 1.0, 0.0, 0.0),
        ('Here: {"name": "red"}', 0.0, 0.0, 0.0),
        ('{"name": NaN}', 0.0, 0.0, 0.0),
        ("[" * 100_000, 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
    ],
)
def test_json_is_checked_by_schema_or_model(
    answer: str, any_json: float, schema: float, model: float
) -> None:
    """A JSON schema, a pydantic model, or any JSON; in one fence at most."""
    assert any_json == scored(JSONMatch(), answer)
    assert schema == scored(JSONMatch(schema=SCHEMA), answer)
    assert model == scored(JSONMatch(schema=Colour), answer)


def test_a_fence_may_be_forbidden() -> None:
    """For answers that a program reads as they stand."""
    assert 0.0 == scored(JSONMatch(fenced=False), "```json\n{}\n```")


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, int, "{}"])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    """When the scorer is made."""
    with pytest.raises(ConfigError, match="schema"):
        JSONMatch(schema=schema)


# Signals


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "I cannot help you with this.",
        "As an AI language model, I am not able to answer medical questions.",
        "Unfortunately, I am unable to comply.",
        "I apologize, but I cannot provide that.".replace("I apologize", "Apologies"),
    ],
)
def test_a_refusal_is_told_by_its_beginning(answer: str) -> None:
    """In English, with either apostrophe."""
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Paris.",
        "I'm sorry for your loss. Here is what to do first: call the bank.",
        "I can't believe how simple it is: 4.",
        "The court held that it cannot help the plaintiff.",
        "I'm sorry, but I can't help with all of it. " + "But here is a part. " * 100,
    ],
)
def test_an_answer_is_no_refusal(answer: str) -> None:
    """Sorrow and inability alone are none."""
    assert not is_refusal(answer)


@pytest.mark.parametrize(
    ("answer", "reason", "score"),
    [
        ("A mathematician.", "stop", None),
        ("A mathematician.", None, None),
        ("A mathem", "length", 0.2),
        ("A mathem", "MAX_TOKENS", 0.2),
        ("", "stop", 0.0),
        ("Well", "content_filter", 0.0),
        ("Well", "SAFETY", 0.0),
        ("I cannot help with that", "length", 0.0),
    ],
)
def test_a_reply_gives_away_what_is_amiss(
    answer: str, reason: str | None, score: float | None
) -> None:
    """The worst of it counts; where nothing is, there is silence."""
    assert score == scored(ReplySignals(), answer, finish_reason=reason)


def test_a_signal_may_be_switched_off() -> None:
    """Where answers are meant to be cut off."""
    assert None is scored(ReplySignals(truncated=None), "A mathem", finish_reason="length")
    with pytest.raises(ConfigError):
        ReplySignals(refused=2.0)


def test_what_a_reader_does_has_a_score() -> None:
    """By name; a name that is not there is an error."""
    assert (0.0, 1.0) == (signal_score("regenerate"), signal_score("copied"))
    with pytest.raises(ConfigError, match="no signal is called 'yawn'"):
        signal_score("yawn")


@pytest.mark.parametrize(
    "scorer",
    [saying(1.0), ReplySignals(), JSONMatch(), RegexMatch(pattern="")],
    ids=lambda scorer: type(scorer).__name__,
)
def test_a_turn_that_calls_tools_is_no_answer(scorer: Scorer) -> None:
    """Its text is not judged."""
    assert None is scored(scorer, "", calls_tools=True)


# Several at once


def test_the_first_that_can_tell_is_the_last_that_is_asked() -> None:
    """So what costs money comes last."""
    asked: list[str] = []
    combined = FirstOf(scorers=(saying(None, asked), saying(0.25, asked), saying(1.0, asked)))

    assert (0.25, ["4", "4"]) == (scored(combined, "4"), asked)
    assert None is scored(FirstOf(scorers=(saying(None), lambda *_: None)), "4")


def test_a_weighted_mean_leaves_out_who_is_silent() -> None:
    """Their weights, too."""
    parts = ((saying(0.5), 3.0), (saying(1.0), 1.0), (saying(None), 9.0))

    assert 0.625 == scored(Weighted(parts=parts), "4")
    assert None is scored(Weighted(parts=parts[2:]), "4")


@pytest.mark.parametrize(
    "make",
    [
        lambda: FirstOf(scorers=()),
        lambda: Weighted(parts=()),
        lambda: Weighted(parts=((saying(1.0), 0.0),)),
        lambda: Weighted(parts=((saying(1.0), float("inf")),)),
        lambda: FirstOf(scorers=(mistyped(1.0),)),
    ],
)
def test_combinations_of_nothing_are_refused(make: Any) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        make()


def mistyped(value: object) -> Any:
    """A value that the type checker would refuse."""
    return value
