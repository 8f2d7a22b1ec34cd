"""What is proven of an adaptation, and where the gate lets it through."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pickllm.betting import lower_bound
from pickllm.errors import ConfigError
from pickllm.prompting import (
    Gated,
    PrefixDiscount,
    Proof,
    Trimmed,
    about_tokens,
    prove,
)
from pickllm.types import Arm, Reply, Request, Said

ONE = Trimmed(most_exchanges=1)
CHEAP = Arm(name="small", usd_per_mtok_in=1.0, usd_per_mtok_out=1.0)


def row(number: int, *, rules: str = "Be brief.") -> Request:
    """A question behind an exchange that could go."""
    said: list[Said] = [
        Said(role="system", text=rules, at=0),
        Said(role="user", text="Hello, how are you today? " * 10, at=1),
        Said(role="assistant", text="Fine.", at=2),
        Said(role="user", text=f"{number}", at=3),
    ]
    return Request(text=f"{number}", turns=tuple(said))


def echo(turns: Sequence[Said]) -> str:
    """Says what it was asked last."""
    return turns[-1].text


def right(prompt: str, answer: str) -> float:
    """Whether the answer is the prompt."""
    return float(prompt == answer)


def judged(ask: object = echo, rows: int = 200, **settings: object) -> Proof:
    """A proof on trimming."""
    return prove(
        ONE,
        [row(number) for number in range(rows)],
        arm=CHEAP,
        ask=ask,  # type: ignore[arg-type]  # some are wrong on purpose
        scorer=right,
        **settings,  # type: ignore[arg-type]  # as given
    )


def test_what_loses_nothing_is_proven_by_enough_rows() -> None:
    """Two hundred prove a margin of two in a hundred, twenty do not."""
    assert (True, False) == (judged().proven, judged(rows=20).proven)
    assert judged().tokens_saved == pytest.approx(75)


def test_what_loses_is_not_proven() -> None:
    """A model that needs the beginning of the conversation for every tenth question."""

    def needy(turns: Sequence[Said]) -> str:
        return turns[-1].text if len(turns) > 2 or not turns[-1].text.endswith("0") else "?"

    proof = judged(needy, rows=1000)

    assert (1.0, 0.9) == pytest.approx((proof.score_before, proof.score_after))
    assert not proof.proven
    assert proof.change_low <= -0.1


def test_a_model_that_fails_with_the_adapted_prompt_alone_has_lost() -> None:
    """Where it fails either way, nothing is known."""

    def brittle(turns: Sequence[Said]) -> Reply:
        if turns[-1].text in "123" or (len(turns) == 2 and turns[-1].text in "4567"):
            raise TimeoutError
        return Reply(text=turns[-1].text)

    proof = judged(brittle, rows=10)

    assert (7, 3) == (proof.rows, proof.untold)
    assert proof.score_after == pytest.approx(3 / 7)


def test_rows_that_are_left_alone_do_not_count() -> None:
    """They would make any adaptation look harmless."""
    short = [Request(text="1", turns=(Said(role="user", text="1", at=0),))] * 50
    proof = prove(ONE, short, arm=CHEAP, ask=echo, scorer=right)

    assert (0, 50, False) == (proof.rows, proof.untouched, proof.proven)
    assert math.isnan(proof.score_before)
    assert "50 were left alone, and 0 got no answer" in str(proof)


def test_a_score_that_is_none_is_told() -> None:
    """Percent would prove anything."""
    with pytest.raises(ConfigError, match=r"must be a number in \[0, 1\]; this one is 90"):
        prove(ONE, [row(1)], arm=CHEAP, ask=echo, scorer=lambda *_: 90.0)


def test_an_adaptation_may_be_a_generator() -> None:
    """Its messages are counted, compared and shown to a model, and come but once."""

    class Yielding:
        name = ONE.name

        def adapted(self, request: Request, arm: Arm) -> Iterator[Said]:
            yield from ONE.adapted(request, arm)

    yielding: Any = Yielding()
    rows = [row(number) for number in range(200)]
    proof = prove(yielding, rows, arm=CHEAP, ask=echo, scorer=right)

    assert judged() == proof
    gated = Gated(adaptation=yielding, proofs=[proof])
    assert tuple(ONE.adapted(rows[0], CHEAP)) == gated.adapted(rows[0], CHEAP)


def test_an_adaptation_that_breaks_a_conversation_is_told() -> None:
    """Before any model is asked."""

    class Silent:
        name = "silent"

        def adapted(self, request: Request, arm: Arm) -> list[Said]:
            return []

    with pytest.raises(ConfigError, match="the question is gone"):
        prove(Silent(), [row(1)], arm=CHEAP, ask=echo, scorer=right)


def test_the_bound_holds() -> None:
    """In 95 of 100 experiments and more, on small changes that are mostly zero and on even ones."""
    rng = np.random.default_rng(0)
    for odds in ((0.02, 0.96, 0.02), (0.3, 0.3, 0.4), (0.1, 0.9, 0.0)):
        mean = odds[2] - odds[0]
        lows = [
            lower_bound(rng.choice([-1.0, 0.0, 1.0], size=100, p=odds).tolist()) for _ in range(200)
        ]
        assert np.mean(np.array(lows) <= mean) >= 0.95


def test_the_gate_wants_proof_for_the_arm() -> None:
    """Another arm reads the conversation as it was given; so does all the world without proof."""
    gate = Gated(adaptation=ONE, proofs=[judged()])
    none = Gated(adaptation=ONE, proofs=[judged(rows=20)])
    given = row(1)

    assert [0, 3] == [said.at for said in gate.adapted(given, CHEAP)]
    assert given.turns == gate.adapted(given, replace(CHEAP, name="large"))
    assert given.turns == none.adapted(given, CHEAP)


def test_a_proof_of_other_settings_is_refused() -> None:
    """Nothing is proven of them."""
    with pytest.raises(ConfigError, match="prove it anew"):
        Gated(adaptation=Trimmed(most_exchanges=2), proofs=[judged()])


def test_the_gate_counts_what_is_lost_of_a_discount() -> None:
    """To cut a cached beginning pays only where what goes costs more than what is read anew."""
    rules = "All the rules of this house, one after another. " * 200
    old = "A long story of old, told by the fire, at night. " * 400
    turns = (
        Said(role="user", text=old, at=0),
        Said(role="assistant", text=rules, at=1),
        Said(role="user", text=rules, at=2),
        Said(role="assistant", text="Fine.", at=3),
        Said(role="user", text="And?", at=4),
    )
    request = Request(text="And?", turns=turns)
    two = Trimmed(most_exchanges=2)

    def pays(adaptation: Trimmed, discount: PrefixDiscount, cost_usd: float = 0.0) -> bool:
        gate = Gated(
            adaptation=adaptation,
            proofs=None,
            discounts={"small": discount},
            own_cost_usd=cost_usd,
        )
        return gate.adapted(request, CHEAP) != request.turns

    cached = PrefixDiscount(read_share=0.1)
    assert pays(two, PrefixDiscount())
    assert not pays(two, cached)  # what is left is read anew, at ten times the price
    assert pays(two, PrefixDiscount(read_share=0.1, hit_rate=0.1))
    assert pays(ONE, cached)
    assert not pays(ONE, cached, cost_usd=1.0)


def test_what_does_the_same_to_every_prompt_is_cached_as_well() -> None:
    """An adaptation that says that it is stable loses no discount."""

    class Shortened:
        name = "shortened"
        stable = True

        def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
            first, *others = request.turns
            return [replace(first, text=first.text[:8000]), *others]

    request = row(1, rules="All the rules of this house. " * 300)
    saving = Gated(
        adaptation=Shortened(), proofs=None, discounts={"small": PrefixDiscount(read_share=0.1)}
    ).saving(request, CHEAP)

    assert saving.tokens == about_tokens("x" * 8700) - 2000
    assert saving.bill_tokens == pytest.approx(0.1 * saving.tokens)


def test_an_arm_without_a_price_saves_tokens() -> None:
    """As far as the adaptation itself costs nothing."""
    unpriced, request = Arm(name="small"), row(1)

    free = Gated(adaptation=ONE, proofs=None)
    paid = Gated(adaptation=ONE, proofs=None, own_cost_usd=0.1)
    assert [0, 3] == [said.at for said in free.adapted(request, unpriced)]
    assert request.turns == paid.adapted(request, unpriced)
    assert None is free.saving(request, unpriced).usd


def test_discounts_come_from_the_price_table() -> None:
    """Also for an arm whose own price is stated; none for what the table does not know."""
    arms = [
        Arm(provider="anthropic", model="claude-3-5-haiku-latest"),
        Arm(provider="openai", model="gpt-4o-mini", usd_per_mtok_in=9.0, usd_per_mtok_out=9.0),
        Arm(model="nobody-knows"),
        Arm(),
    ]

    shares = [PrefixDiscount.of(arm).read_share for arm in arms]

    assert [0.1, 0.5, 1.0, 1.0] == pytest.approx(shares)
