"""What a call costs: stated, by the hour, from the table; and what is unknown stays unknown."""

import sys

import pytest

from pickllm import Arm, Reply, Usage
from pickllm.attempts import failed, interrupted, succeeded
from pickllm.errors import ArmError, Interrupted
from pickllm.prices import _in_table, cost_usd, has_price

USAGE = Usage(tokens_in=1000, tokens_out=500)
API = Arm(name="api", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
HOURLY = Arm(name="own", usd_per_hour=3.6)
LISTED = Arm(name="listed", provider="openai", model="gpt-4o-mini")


def test_stated_prices_are_per_million_tokens() -> None:
    """1000 tokens at $1 and 500 at $2 per million make $0.002, whatever the time."""
    assert 0.002 == pytest.approx(cost_usd(API, USAGE, 60.0))


def test_stated_price_of_zero_is_a_price() -> None:
    """Free is known: it is zero, not unknown."""
    assert 0.0 == cost_usd(Arm(name="f", usd_per_mtok_in=0, usd_per_mtok_out=0), USAGE, 1.0)


def test_own_hardware_costs_its_seconds() -> None:
    """$3.60 an hour make $0.01 in ten seconds, tokens or none."""
    assert 0.01 == pytest.approx(cost_usd(HOURLY, None, 10.0))
    assert 0.01 == pytest.approx(cost_usd(HOURLY, USAGE, 10.0))


@pytest.mark.parametrize("provider", ["openai", None, "https://api.openai.com/v1"])
def test_table_knows_models_by_provider_name_or_address(provider: str | None) -> None:
    """A model of the price table costs what the table says."""
    cost = cost_usd(Arm(name="a", provider=provider, model="gpt-4o-mini"), USAGE, 1.0)
    assert cost is not None
    assert 0.0 < cost < 0.01


def test_table_charges_cached_tokens_less() -> None:
    """Tokens read from the provider's prompt cache are cheaper."""
    cached = Usage(tokens_in=1000, tokens_out=500, tokens_in_cached=1000)
    dear, cheap = cost_usd(LISTED, USAGE, 1.0), cost_usd(LISTED, cached, 1.0)
    assert dear is not None
    assert cheap is not None
    assert cheap < dear


@pytest.mark.parametrize(
    "arm",
    [
        Arm(name="a"),
        Arm(name="a", provider="openai"),
        Arm(name="a", provider="openai", model="no such model"),
        Arm(name="a", provider="no such provider", model="gpt-4o-mini"),
        Arm(name="a", provider="http://localhost:8000/v1", model="gpt-4o-mini"),
    ],
    ids=["nothing", "no model", "model", "provider", "address"],
)
def test_what_nobody_knows_has_no_price(arm: Arm) -> None:
    """An unknown price is None, never zero."""
    assert cost_usd(arm, USAGE, 1.0) is None
    assert not has_price(arm)


@pytest.mark.parametrize("arm", [API, LISTED], ids=["stated", "listed"])
def test_missing_usage_has_no_cost(arm: Arm) -> None:
    """An arm paid by the token that reports none has an unknown cost for this call."""
    assert cost_usd(arm, None, 1.0) is None
    assert has_price(arm)


@pytest.mark.parametrize(
    "usage",
    [Usage(tokens_in=10, tokens_out=1, tokens_in_cached=20), Usage(tokens_in=-1, tokens_out=1)],
    ids=["more cached than sent", "negative"],
)
def test_usage_that_makes_no_sense_has_no_cost(usage: Usage) -> None:
    """A provider's odd token count makes the cost unknown; it must not take the answer away."""
    assert cost_usd(LISTED, usage, 1.0) is None


def test_table_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional price table a listed model has an unknown price."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    _in_table.cache_clear()
    try:
        assert cost_usd(LISTED, USAGE, 1.0) is None
    finally:
        _in_table.cache_clear()


def test_attempt_that_was_answered_carries_its_cost() -> None:
    """Latency, usage and first piece come from the reply, the cost from the arm's price."""
    attempt = succeeded(API, Reply(text="4", usage=USAGE, latency_s=2.0, first_piece_s=0.5))
    assert ("ok", 2.0, 0.5, 0.002, True) == (
        attempt.status,
        attempt.latency_s,
        attempt.first_piece_s,
        attempt.cost_usd,
        attempt.called,
    )


def test_answer_from_a_cache_costs_nothing() -> None:
    """Where the framework's cache answered, no model was called and nothing is due."""
    attempt = succeeded(HOURLY, Reply(text="4", called=False, latency_s=1.0))
    assert (0.0, False) == (attempt.cost_usd, attempt.called)


def test_failure_costs_time_where_time_is_paid() -> None:
    """A failed call of an arm paid by the hour costs its seconds; by the token it is unknown."""
    error = ArmError("broke", arm="own")
    error.latency_s = 10.0
    error.__cause__ = ValueError("the prompt stands in here")
    assert 0.01 == pytest.approx(failed(HOURLY, error).cost_usd or 0.0)
    assert failed(API, error).cost_usd is None
    assert "ValueError" == failed(API, error).error


def test_interrupted_attempt_pays_for_what_was_said() -> None:
    """What an arm had said until it was stopped is paid for; nothing said costs nobody knows."""
    stop = Interrupted("abandoned", so_far=Reply(text="4", usage=USAGE, latency_s=1.0))
    assert ("abandoned", 0.002) == (
        interrupted(API, stop).status,
        interrupted(API, stop).cost_usd,
    )
    silent = interrupted(API, Interrupted("cancelled", so_far=None))
    assert ("cancelled", None) == (silent.status, silent.cost_usd)


def test_cancelled_arm_that_is_paid_by_the_hour_is_paid_for_the_wait() -> None:
    """What was waited before the cancellation is latency, and costs its share of the hour."""
    hourly = Arm(name="a", usd_per_hour=3600.0)
    attempt = interrupted(hourly, Interrupted("cancelled", waited_s=2.0))
    assert (2.0, 2.0) == (attempt.latency_s, attempt.cost_usd)
