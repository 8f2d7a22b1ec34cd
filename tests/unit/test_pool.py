"""Which arms a pool takes, and which of them may answer."""

import math
from typing import Any

import pytest

from pickllm import Arm, ConfigError, NoEligibleArm, Pool, Request
from tests.unit.doubles import mistyped


def test_pool_keeps_its_order_and_fills_names_in() -> None:
    """Arms given by name take their names from the keys, in order."""
    pool = Pool.of({"b": Arm(), "a": Arm(name="a", usd_per_hour=1.0)})
    assert ("b", "a") == pool.names
    assert Arm(name="b") == pool["b"]
    assert 2 == len(pool)


def test_arm_without_a_needed_capability_is_not_eligible() -> None:
    """An arm known to lack what the request needs is left out, with the reason."""
    pool = Pool([Arm(name="text", can={"tools": False, "images": True}), Arm(name="any")])
    names, reasons = pool.eligible(Request(text="", needs=frozenset({"tools", "images"})))
    assert (("any",), {"text": "cannot do tools"}) == (names, reasons)


def test_what_is_unknown_is_allowed() -> None:
    """An arm of which nothing is known may answer anything."""
    request = Request(text="", needs=frozenset({"audio", "pdf"}), tokens=10**9)
    assert (("a",), {}) == Pool([Arm(name="a")]).eligible(request)


def test_prompt_longer_than_the_window_is_not_eligible() -> None:
    """A window holds a prompt of just its own length, and none longer."""
    pool = Pool([Arm(name="short", context_tokens=100), Arm(name="long", context_tokens=1000)])
    assert ("short", "long") == pool.eligible(Request(text="", tokens=100))[0]
    names, reasons = pool.eligible(Request(text="", tokens=101))
    assert ("long",) == names
    assert {"short": "prompt of about 101 tokens, window of 100"} == reasons


def test_caller_may_name_the_arms() -> None:
    """A request for some arms only leaves the others out, in the pool's order."""
    pool = Pool([Arm(name="a"), Arm(name="b"), Arm(name="c")])
    names, reasons = pool.eligible(Request(text="", only=("c", "a")))
    assert (("a", "c"), {"b": "not among the arms asked for"}) == (names, reasons)


def test_no_eligible_arm_says_why_for_each() -> None:
    """The error names every arm with its reason."""
    pool = Pool([Arm(name="a", context_tokens=1), Arm(name="b", can={"tools": False})])
    with pytest.raises(NoEligibleArm, match=r"a: prompt of about 9.*; b: cannot do tools"):
        pool.eligible(Request(text="", tokens=9, needs=frozenset({"tools"})))


def test_unpriced_arms_are_those_without_any_price() -> None:
    """Stated, hourly and listed prices are prices; a price of zero is one too."""
    pool = Pool(
        [
            Arm(name="stated", usd_per_mtok_in=0.0, usd_per_mtok_out=0.0),
            Arm(name="hourly", usd_per_hour=0.0),
            Arm(name="listed", provider="openai", model="gpt-4o-mini"),
            Arm(name="unknown", provider="openai", model="no such model"),
            Arm(name="bare"),
        ]
    )
    assert ("unknown", "bare") == pool.unpriced


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Pool([]), "the pool is empty"),
        (lambda: Pool.of({}), "the pool is empty"),
        (lambda: Pool([Arm(name="a"), Arm(name="b"), Arm(name="a")]), r"one name: \['a'\]"),
        (lambda: Pool([Arm()]), "an arm has no name"),
        (lambda: Pool(mistyped(["small", "large"])), "'small' is str; it must be an Arm"),
        (lambda: Pool(mistyped([Arm])), "is type; it must be an Arm"),
        (lambda: Pool.of(mistyped({"a": "gpt-4o"})), "'a' is str; it must be an Arm"),
        (lambda: Pool.of({"a": Arm(name="b")}), "'a' says that its name is 'b'"),
        (lambda: Pool([Arm(name="a", usd_per_mtok_in=1.0)]), "state both"),
        (lambda: Pool([Arm(name="a", usd_per_mtok_out=1.0)]), "state both"),
        (
            lambda: Pool([Arm(name="a", usd_per_hour=1, usd_per_mtok_in=1, usd_per_mtok_out=1)]),
            "per hour or per token, not both",
        ),
        (lambda: Pool([Arm(name="a", timeout_s=0)]), "must be above zero"),
        (lambda: Pool([Arm(name="a", context_tokens=0)]), "must be above zero"),
    ],
)
def test_arms_that_cannot_work_are_refused(make: Any, told: str) -> None:
    """An arm that cannot work is an error when the pool is made, and says which and why."""
    with pytest.raises(ConfigError, match=told):
        make()


@pytest.mark.parametrize(
    "field", ["usd_per_mtok_in", "usd_per_mtok_out", "usd_per_hour", "context_tokens", "timeout_s"]
)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "1"])
def test_numbers_of_arms_must_be_numbers(field: str, value: Any) -> None:
    """A price, window or time limit that is negative or no finite number is refused."""
    with pytest.raises(ConfigError, match=f"arm 'a': {field}"):
        Pool([Arm(name="a", **{field: value})])


@pytest.mark.parametrize(
    ("field", "given", "told"),
    [
        ("only", "small", r"only must list arms, such as \('small',\)"),
        ("weights", {"quality": 1.0}, "must be Weights"),
        ("id", None, "id of a request must be text"),
        ("tenant", 42, "tenant of a request must be text"),
        ("session", b"1", "session of a request must be text"),
    ],
)
def test_request_of_odd_fields_is_refused(field: str, given: Any, told: str) -> None:
    """An arm whose name is part of another's would be asked; no other worker could read the id."""
    with pytest.raises(ConfigError, match=told):
        Request(text="2 + 2 =", **{field: given})
