"""A hard cap on what is spent in a window of time, and the most that one call can cost.

    Router(arms=arms, budget=Budget(usd=5.0, window_s=86_400.0))

Before an arm is called, the most that the call can cost is set aside; see `pickllm.spending`:

    tokens        tokens_in price_in + tokens_out price_out
    by the hour   timeout_s price
    stated        `Arm.reserve_usd`, whatever the price

The tokens of the prompt are the request's estimate times ``slack``, or, where there is no estimate,
the bytes of its text, for a token is at least a byte. Those of the answer are `Arm.max_tokens_out`,
or the budget's own. An arm whose price is unknown and that has no ``reserve_usd`` cannot be capped:
it is not eligible.

The cap is as hard as these bounds: give each model the limit that its arm states. A call that took
more than was set aside is booked at what it cost, and counted as ``budget_overruns``.

>>> arm = Arm(name="api", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0, max_tokens_out=500)
>>> in_usd(most(arm, Request(text="", tokens=1_000), Budget(usd=1.0, slack=2.0)))
0.003
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pickllm.errors import ConfigError
from pickllm.prices import cost_usd
from pickllm.types import Arm, Request, Usage

__all__ = ["Amount", "Budget", "amount_of", "can_be_capped", "in_usd", "most"]

Amount = int
"""Money in whole units of 1e-12 USD: sums of these are exact, whatever their order."""

_UNITS = 10**12
_STEP = 512
"""Prompts are rounded up to so many tokens where the price table is asked, to remember more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may be spent, on what, and in how long. Windows begin at multiples of their length."""

    usd: float
    """The most that is spent in a window, above 0."""
    window_s: float = 86_400.0
    """Length of a window in seconds, from 1 to 1e9. A day begins at midnight UTC."""
    per: Literal["tenant", "all"] = "tenant"
    """Whether each `Request.tenant` has a cap of its own, or all share one."""
    max_tokens_out: int = 4_096
    """Longest answer of an arm that states none, at least 1."""
    timeout_s: float = 60.0
    """Longest call of an arm paid by the hour that has no time limit of its own, above 0."""
    slack: float = 2.0
    """How many times its estimate a prompt may be long, at least 1."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= least):
                raise ConfigError(
                    f"a budget's {name} must be a number of at least {least}; it is {value!r}"
                )
        if self.window_s > _LONGEST_S:
            raise ConfigError(f"a budget's window_s must be at most {_LONGEST_S:g}")
        if self.per not in ("tenant", "all"):
            raise ConfigError(f'a budget is per "tenant" or per "all"; it is {self.per!r}')


_LONGEST_S = 1e9
_LEAST = {"usd": 1e-9, "window_s": 1.0, "max_tokens_out": 1, "timeout_s": 1e-3, "slack": 1.0}


def amount_of(usd: float) -> Amount:
    """The amount that covers a sum: rounded up, but for what a float's last bits add."""
    return math.ceil(round(usd * _UNITS, 3))


def in_usd(amount: Amount) -> float:
    """The same in USD."""
    return amount / _UNITS


def most(arm: Arm, request: Request, budget: Budget) -> Amount | None:
    """The most that a call can cost; None where the price is unknown and nothing is stated."""
    if arm.reserve_usd is not None:
        return amount_of(arm.reserve_usd)
    if arm.usd_per_hour is not None:
        return amount_of(arm.usd_per_hour * (arm.timeout_s or budget.timeout_s) / 3600.0)
    tokens_out = arm.max_tokens_out or budget.max_tokens_out
    tokens_in = _tokens_in(request, budget)
    if arm.context_tokens is not None:
        tokens_in = min(tokens_in, arm.context_tokens)
        tokens_out = min(tokens_out, arm.context_tokens)
    if arm.usd_per_mtok_in is not None and arm.usd_per_mtok_out is not None:
        usd = (tokens_in * arm.usd_per_mtok_in + tokens_out * arm.usd_per_mtok_out) / 1e6
        return amount_of(usd)
    rounded = -(-tokens_in // _STEP) * _STEP
    usd_of_table = _by_table(arm.model, arm.provider, rounded, tokens_out)
    return None if usd_of_table is None else amount_of(usd_of_table)


def can_be_capped(arm: Arm, budget: Budget) -> bool:
    """Whether there is a most that a call of this arm can cost."""
    return most(arm, Request(text="", id=""), budget) is not None


def _tokens_in(request: Request, budget: Budget) -> int:
    if request.tokens:
        return math.ceil(request.tokens * budget.slack)
    return len(request.text.encode(errors="replace"))


@lru_cache(maxsize=4096)
def _by_table(
    model: str | None, provider: str | None, tokens_in: int, tokens_out: int
) -> float | None:
    """As the table has it for so long a prompt: some tiers are dearer."""
    usage = Usage(tokens_in=tokens_in, tokens_out=tokens_out)
    return cost_usd(Arm(model=model, provider=provider), usage, 0.0)
