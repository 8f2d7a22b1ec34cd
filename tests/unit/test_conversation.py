"""What is read of a conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Arm, ConfigError, Request, Router
from pickllm.features import Conversation, ConversationFeatures, HashedText
from pickllm.ranking import routellm
from pickllm.types import Role, Said
from tests.ranking.battles import ByLength

PRIMES = "Prove that there are infinitely many primes."
TALK = (
    Said(role="system", text="You are kind."),
    Said(role="user", text=PRIMES),
    Said(role="assistant", text="Suppose there were finitely many."),
    Said(role="user", text="Why?"),
)


def said(*turns: tuple[Role, str]) -> list[Said]:
    """A conversation."""
    return [Said(role=role, text=text) for role, text in turns]


def test_a_short_turn_is_read_with_what_it_is_about() -> None:
    """Neither the system nor an answer is, unless its end is asked for."""
    assert f"{PRIMES}\n\nWhy?" == Conversation().text(TALK)
    assert f"{PRIMES}\n\nmany.\n\nWhy?" == Conversation(answer_chars=5).text(TALK)
    assert "Why?" == Conversation(enough_words=0).text(TALK)
    assert "Why?" == Conversation(earlier_turns=0).text(TALK)


def test_a_turn_that_stands_for_itself_is_the_very_text() -> None:
    """As rankers are fitted on."""
    last = "Write a poem about the sea in winter, with six lines and one rhyme."

    assert last == Conversation().text([*TALK, Said(role="user", text=last)])
    assert PRIMES == Conversation().text(TALK[:2])


def test_turns_are_taken_until_there_are_enough_words() -> None:
    """The newest first, and no more of them than allowed."""
    talk = said(("user", "one " * 20), ("user", "two two"), ("user", "three"), ("user", "four"))

    assert "two two\n\nthree\n\nfour" == Conversation(earlier_turns=2).text(talk)
    assert "three\n\nfour" == Conversation(enough_words=2).text(talk)


def test_a_request_without_turns_is_its_text() -> None:
    """So is one whose turns say nothing of the user's."""
    reads = Conversation()

    assert "Why?" == reads.text_of(Request(text="Why?"))
    assert "Why?" == reads.text_of(Request(text="Why?", turns=TALK[:1]))
    assert f"{PRIMES}\n\nWhy?" == reads.text_of(Request(text="Why?", turns=TALK))


@given(text=st.text(max_size=60), most=st.integers(16, 40))
def test_a_long_text_keeps_head_and_tail(text: str, most: int) -> None:
    """No longer than allowed, and the same where it is not too long."""
    cut = Conversation(most_chars=most).cut(text)

    assert len(cut) <= most
    if len(text) <= most:
        assert text == cut
    else:
        assert (text[:6], text[-6:]) == (cut[:6], cut[-6:])


@pytest.mark.parametrize("settings", [{"enough_words": -1}, {"most_chars": 3}])
def test_settings_are_checked(settings: dict[str, int]) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        Conversation(**settings)


def test_any_featurizer_may_read_the_conversation() -> None:
    """A router shows it what it asks for; kept state tells it apart by its name."""
    words = HashedText()
    arms = [Arm(name=name, usd_per_hour=1.0) for name in ("a", "b")]
    router = Router(
        arms=arms, policy="contextual", featurizer=ConversationFeatures(featurizer=words)
    )
    seen = router.decide(Request(text="Why?", turns=TALK)).features

    assert words.features(f"{PRIMES}\n\nWhy?").tolist() == seen.tolist()
    assert words.name != ConversationFeatures(featurizer=words).name


def test_a_ranker_routes_on_the_conversation() -> None:
    """By itself, in every driver: the short question is as hard as what it is about."""
    policy = routellm(
        ByLength(arms=("small", "large")), strong="large", weak="small", threshold=0.4
    )
    arms = [Arm(name=name, usd_per_hour=1.0) for name in ("small", "large")]
    router = Router(arms=arms, policy=policy)
    alone = routellm(
        ByLength(arms=("small", "large")),
        strong="large",
        weak="small",
        threshold=0.4,
        reads=Conversation(enough_words=0),
    )
    request = Request(text="Why?", turns=TALK)

    assert "large" == router.decide(request).arm
    assert "small" == Router(arms=arms, policy=alone).decide(Request(text="Why?", turns=TALK)).arm
    assert "small" == router.decide(Request(text="Why?")).arm
