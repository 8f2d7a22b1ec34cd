"""Several adaptations at once, and other ones for other arms."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from pickllm.errors import ConfigError
from pickllm.prompting import (
    Compressed,
    Example,
    Extractive,
    Selected,
    Trimmed,
    adaptations_of,
)
from pickllm.types import Arm, Request, Said

TURNS = (
    Said(role="user", text="Hello", at=0),
    Said(role="assistant", text="Hello.", at=1),
    Said(role="user", text="2 + 2 =", at=2),
)
REQUEST = Request(text="2 + 2 =", turns=TURNS)
ONE = Trimmed(most_exchanges=1)
SUMS = Selected(examples=[Example(question="1 + 2 =", answer="3")])


def test_one_is_for_every_arm() -> None:
    """Whatever it is called."""
    every = adaptations_of(ONE)

    assert [2] == [said.at for said in every.adapted(REQUEST, Arm(name="any"))]


def test_several_work_one_after_another() -> None:
    """Each on what the one before has left."""
    both = adaptations_of([ONE, SUMS])

    assert [None, None, 2] == [said.at for said in both.adapted(REQUEST, Arm(name="any"))]


def test_each_arm_has_its_own() -> None:
    """The star is for the others; an empty list is nothing at all."""
    mixed = adaptations_of({"small": [ONE, SUMS], "large": [], "*": ONE}, arms=["small", "large"])

    lengths = [len(mixed.adapted(REQUEST, Arm(name=arm))) for arm in ("small", "large", "other")]

    assert [3, 3, 1] == lengths
    assert REQUEST.turns == mixed.adapted(REQUEST, Arm(name="large"))
    assert "*: trimmed" in mixed.name
    assert "small: trimmed" in mixed.name


def test_arms_that_are_not_there_are_refused() -> None:
    """A slip of the pen would go unnoticed for long."""
    with pytest.raises(ConfigError, match="smal"):
        adaptations_of({"smal": ONE}, arms=["small"])


@pytest.mark.parametrize("given", [Trimmed, "trimmed", [ONE, len], {"*": None}])
def test_what_is_no_adaptation_is_refused(given: object) -> None:
    """With words that say what is wanted."""
    with pytest.raises(ConfigError, match="adapted"):
        adaptations_of(given)  # type: ignore[arg-type]  # on purpose


class Careless:
    """Someone's own, that changes what a tool said."""

    name = "careless"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """Everything in capitals."""
        return [
            Said(role=said.role, text=said.text.upper(), at=said.at, plain=said.plain)
            for said in request.turns
        ]


def test_adaptations_of_others_are_watched() -> None:
    """What no adaptation may do is raised, and the arm reads what was given."""
    turns = (
        *TURNS,
        Said(role="assistant", text="", at=3, plain=False),
        Said(role="tool", text="four", at=4),
    )

    with pytest.raises(ConfigError, match="Careless"):
        adaptations_of(Careless()).adapted(Request(text="", turns=turns), Arm(name="small"))


class Yielding:
    """Someone's own, that is a generator."""

    name = "yielding"

    def adapted(self, request: Request, arm: Arm) -> Iterator[Said]:
        """The question alone."""
        yield request.turns[-1]


def test_a_generator_is_read_once() -> None:
    """Whoever watches it must not leave the arm an empty conversation."""
    yielding = adaptations_of([Yielding(), SUMS])  # type: ignore[list-item]  # on purpose

    adapted = yielding.adapted(REQUEST, Arm(name="any"))

    assert [None, None, 2] == [said.at for said in adapted]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Trimmed, {"budget_tokens": "5"}, "budget_tokens must be a whole number"),
        (Trimmed, {"most_exchanges": True}, "most_exchanges must be a whole number"),
        (Selected, {"examples": ["a"]}, "examples are"),
        (Selected, {"examples": 5}, "examples are"),
        (Selected, {"marked": "Example:", "most": "3"}, "most must be a whole number"),
        (Compressed, {"compressor": 5}, "compressor must be one"),
        (Compressed, {"compressor": Extractive}, "compressor must be one"),
        (Compressed, {"roles": "user"}, "roles is a collection"),
    ],
)
def test_settings_of_another_kind_are_told_in_words(
    kind: Callable[..., object], settings: dict[str, object], message: str
) -> None:
    """At once, and not by whatever fails with them later."""
    with pytest.raises(ConfigError, match=message):
        kind(**settings)
