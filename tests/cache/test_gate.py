"""The gate: questions that ask something else never pass, and those put otherwise do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm.cache.gate import compare
from pickllm.cache.reading import read
from tests.cache.pairs import NARROWED, OPPOSITE, PARAPHRASED, REWORDED, UNSEEN

texts = st.text(alphabet=st.sampled_from("what is thé no  5,.?'aB\n`ß"), max_size=40)


@pytest.mark.parametrize("kind", OPPOSITE)
def test_opposites_are_told_apart(kind: str) -> None:
    """Not one of some hundred pairs that ask something else reads alike, or comes near."""
    passed = [pair for pair in OPPOSITE[kind] if compare(*map(read, pair)).kind]

    assert [] == passed


def test_opposites_that_no_rule_was_made_for_are_told_apart() -> None:
    """Of those not one reads alike; that some are near is why other words are never enough."""
    found = [compare(*map(read, pair)).kind for pair in UNSEEN["opposite"]]

    assert {"", "replaced"} == set(found)


NAMES = ["bills", "cheers", "dune", "gates", "genesis", "giants", "jaguar", "opera", "subway"]


@pytest.mark.parametrize("word", NAMES)
def test_a_word_that_is_a_name_too_keeps_its_capital(word: str) -> None:
    """A team, a book, a maker or a program is asked about with it, and a thing without."""
    asked = (f"Where did the {each} come from?" for each in (word, word.capitalize()))

    assert not compare(*map(read, asked)).same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who is in the charge of the nurse?", "Who is in charge of the nurse?"),
        ("Did it take the place of the fair?", "Did it take place of the fair?"),
        ("How long was he in the prison?", "How long was he in prison?"),
        ("Who is the man that was king?", "Who was the man that is king?"),
    ],
)
def test_an_article_and_a_tense_may_turn_a_question_round(one: str, other: str) -> None:
    """As few and a few do."""
    assert not compare(read(one), read(other)).same


def test_there_are_enough_of_them() -> None:
    """Some hundred, of many kinds."""
    assert len(OPPOSITE) == 14
    assert sum(map(len, OPPOSITE.values())) > 600


@pytest.mark.parametrize("kind", PARAPHRASED)
def test_what_is_put_otherwise_reads_alike(kind: str) -> None:
    """Courtesy, marks, case, blanks, short forms and the turning of a question say nothing new."""
    missed = [pair for pair in PARAPHRASED[kind] if not compare(*map(read, pair)).same]

    assert [] == missed


@pytest.mark.parametrize("pair", [*NARROWED, *REWORDED])
def test_other_words_never_read_alike(pair: tuple[str, str]) -> None:
    """A special case of a question, or the same in other words, is near at most."""
    assert not compare(*map(read, pair)).same


@given(texts, texts)
def test_the_order_of_two_questions_means_nothing(one: str, other: str) -> None:
    """A question is as near to another as that is to it."""
    assert compare(read(one), read(other)) == compare(read(other), read(one))


@given(texts)
def test_every_text_reads_like_itself(text: str) -> None:
    """Whatever it is, and it is not nothing unless it is blank."""
    assert compare(read(text), read(text)).same
    assert read(text).words


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_is_not_understood_reads_as_itself(one: str, other: str) -> None:
    """Texts that are no English prose read alike only where they are the same."""
    readings = read(one), read(other)
    if not readings[0].prose and readings[0] == readings[1]:
        assert readings[0].words == readings[1].words
        assert not readings[1].prose


def test_reasons_name_what_differs() -> None:
    """An explanation says which word it was."""
    asked = "How many users have more than 10 posts?"

    for other, word in (
        ("How many users have more than 12 posts?", "number"),
        ("How many users have less than 10 posts?", "alone"),
        ("How many posts have more than 10 users?", "order"),
        ("How many users of Berlin have more than 10 posts?", "'of'"),
        ("Users have more than 10 posts, how many?", "begin"),
    ):
        assert word in compare(read(asked), read(other)).reason


def test_too_many_other_words_are_not_near() -> None:
    """Three words may be others, not four."""
    asked = "Why do cats purr and hens cluck loudly?"

    assert compare(read(asked), read(asked.replace("cats", "big wild stray cats"))).near
    assert not compare(read(asked), read(asked.replace("cats", "big wild stray gaunt cats"))).near
