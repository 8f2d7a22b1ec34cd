"""What a prompt costs where its beginning has been read before: providers' prefix caches.

    bill(prompt) = usd_in * (tokens - hit_rate * repeated * (1 - read_share))

``repeated`` are the tokens at its beginning that earlier prompts began with as well: all before the
message that holds the last question, where that is long enough for the provider to keep. Only a
beginning that is the same to the last letter counts, so what varies belongs at the end.

>>> arm = Arm(name="mini", provider="openai", model="gpt-4o-mini")
>>> PrefixDiscount.of(arm).read_share
0.5
>>> PrefixDiscount(read_share=0.1).bill_tokens(tokens=3000, repeated=2000)
1200.0
>>> PrefixDiscount(read_share=0.1).bill_tokens(tokens=900, repeated=800)
900.0
"""

from dataclasses import dataclass
from functools import lru_cache

from pickllm.errors import ConfigError
from pickllm.prices import cost_usd
from pickllm.types import Arm, Usage

__all__ = ["PrefixDiscount"]

_MANY = 100_000
"""Tokens of a prompt whose price is asked for, so that it is not rounded away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefixDiscount:
    """What an arm's provider takes off for what it has read before."""

    read_share: float = 1.0
    """Price of a token that was read before, as a share of the full one: 0.1 with Anthropic, 0.1
    to 0.5 with OpenAI, 1 where there is no cache."""
    least_tokens: int = 1_024
    """Shorter beginnings are not kept."""
    hit_rate: float = 1.0
    """In [0, 1]: how often a beginning is still there; ``Usage.tokens_in_cached`` tells. 1 is the
    cautious guess: it lets an adaptation gain least."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.read_share <= 1.0 and 0.0 <= self.hit_rate <= 1.0):
            raise ConfigError("read_share and hit_rate must lie in [0, 1]")
        if self.least_tokens < 0:
            raise ConfigError("least_tokens must be at least 0")

    @classmethod
    def of(cls, arm: Arm) -> "PrefixDiscount":
        """As the price table has it for the arm's provider and model; none where it knows none."""
        if arm.model is None or arm.usd_per_hour is not None:
            return cls()
        return cls(read_share=_read_share(arm.model, arm.provider))

    def bill_tokens(self, *, tokens: int, repeated: int) -> float:
        """What a prompt costs, in tokens at the full price."""
        kept = repeated if repeated >= self.least_tokens else 0
        return tokens - self.hit_rate * kept * (1.0 - self.read_share)


@lru_cache(maxsize=4096)
def _read_share(model: str, provider: str | None) -> float:
    """Looked up once for each model."""
    known = Arm(model=model, provider=provider)
    full = cost_usd(known, Usage(tokens_in=_MANY, tokens_out=0), 0.0)
    read = Usage(tokens_in=_MANY, tokens_out=0, tokens_in_cached=_MANY)
    cached = cost_usd(known, read, 0.0)
    return min(max(cached / full, 0.0), 1.0) if full and cached is not None else 1.0
