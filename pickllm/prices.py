"""What a call costs, from three sources: stated per hour, stated per token, the price table.

The table is the one of `genai-prices`, which knows providers, tiers, cached tokens and dates; it is
read from the installed package and nothing is fetched. What none of the three knows is unknown:
None, never zero.
"""

from functools import lru_cache

from pickllm.types import Arm, Usage

__all__ = ["cost_usd", "has_price", "usd_per_token"]

_ONE_TOKEN = Usage(tokens_in=1, tokens_out=1)


def cost_usd(arm: Arm, usage: Usage | None, latency_s: float) -> float | None:
    """Cost of one call in USD, or None where the price or the token count is unknown."""
    if arm.usd_per_hour is not None:
        return arm.usd_per_hour * latency_s / 3600.0
    if usage is None:
        return None
    if arm.usd_per_mtok_in is not None and arm.usd_per_mtok_out is not None:
        tokens_usd = usage.tokens_in * arm.usd_per_mtok_in + usage.tokens_out * arm.usd_per_mtok_out
        return tokens_usd / 1e6
    return _from_table(arm, usage)


def has_price(arm: Arm) -> bool:
    """Whether a call of this arm that reports its tokens gets a price."""
    return cost_usd(arm, _ONE_TOKEN, 1.0) is not None


def usd_per_token(arm: Arm) -> tuple[float, float] | None:
    """Price of a token in and of one out; None where unknown, or paid by the hour."""
    if arm.usd_per_mtok_in is not None and arm.usd_per_mtok_out is not None:
        return arm.usd_per_mtok_in / 1e6, arm.usd_per_mtok_out / 1e6
    if arm.usd_per_hour is not None or arm.model is None:
        return None
    return _table_usd_per_token(arm.model, arm.provider)


@lru_cache(maxsize=4096)
def _table_usd_per_token(model: str, provider: str | None) -> tuple[float, float] | None:
    """As a long call has it, so that a price is not rounded away."""
    if not _in_table(model, provider):
        return None
    tokens = 1_000
    usd_in = _table_usd(model, provider, Usage(tokens_in=tokens, tokens_out=0))
    usd_out = _table_usd(model, provider, Usage(tokens_in=0, tokens_out=tokens))
    return usd_in / tokens, usd_out / tokens


def _from_table(arm: Arm, usage: Usage) -> float | None:
    if arm.model is None or not _in_table(arm.model, arm.provider):
        return None
    try:
        return _table_usd(arm.model, arm.provider, usage)
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return None  # a provider's odd token count must not take its answer away


@lru_cache(maxsize=4096)
def _in_table(model: str, provider: str | None) -> bool:
    """Looked up once for each model: a miss costs as much as a hit."""
    try:
        _table_usd(model, provider, _ONE_TOKEN)
    except (ImportError, LookupError):
        return False
    return True


def _table_usd(model: str, provider: str | None, usage: Usage) -> float:
    """Look a call up. Imports here, for the table takes a tenth of a second to load."""
    from genai_prices import Usage as TableUsage
    from genai_prices import calc_price

    counts = TableUsage(
        input_tokens=usage.tokens_in,
        output_tokens=usage.tokens_out,
        cache_read_tokens=usage.tokens_in_cached,
    )
    if provider is not None and "://" in provider:
        return float(calc_price(counts, model, provider_api_url=provider).total_price)
    return float(calc_price(counts, model, provider_id=provider).total_price)
