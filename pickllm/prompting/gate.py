"""The cost gate: an adaptation only where it pays, and only where it was shown to lose nothing.

    saved = usd_in * (bill(as given) - bill(as adapted)) - own_cost_usd        > least_saving_usd

``bill`` counts tokens at the full price, with the provider's discount for a beginning that it has
read before (`PrefixDiscount`). What is said before the last question began earlier prompts, too; of
the adapted conversation only so much of it as is still the same. An adaptation that does the same
to every prompt says so by a property ``stable``: then its own beginning repeats as well.

And there must be a `Proof` that holds for the arm and for this very adaptation, settings and all:
see `prove`. Without one, the arm reads the conversation as it was given.

An arm whose price is unknown is taken to be saved tokens, as far as the adaptation is free.

>>> from pickllm.prompting import Trimmed
>>> long = "All the rules of the house. " * 400
>>> turns = (Said(role="system", text=long, at=0), Said(role="user", text="Hello " * 60, at=1),
...          Said(role="assistant", text="Hello.", at=2), Said(role="user", text="Why?", at=3))
>>> arm = Arm(name="a", usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)
>>> gate = Gated(adaptation=Trimmed(most_exchanges=1), proofs=None)
>>> gate.saving(Request(text="", turns=turns), arm).usd > 0       # no discount is known of
True
>>> cached = Gated(adaptation=Trimmed(most_exchanges=1), proofs=None,
...                own_cost_usd=0.00002, discounts={"a": PrefixDiscount(read_share=0.1)})
>>> round(cached.saving(Request(text="", turns=turns), arm).usd, 6)   # what goes cost a tenth
-1e-05
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pickllm.errors import ConfigError
from pickllm.prices import usd_per_token
from pickllm.prompting.conversation import CountTokens, about_tokens, question_place, tokens_of
from pickllm.prompting.prefix_discount import PrefixDiscount
from pickllm.prompting.proof import Proof
from pickllm.protocols import Adaptation
from pickllm.types import Arm, Request, Said

__all__ = ["Gated", "Saving"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What an adaptation of one prompt comes to."""

    turns: Sequence[Said] = field(repr=False)
    """As adapted."""
    tokens: int
    """Fewer than before; may be negative."""
    bill_tokens: float
    """The same at the full price, with what is lost in the provider's discount."""
    usd: float | None
    """Less the adaptation's own cost; None where the arm's price is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gated:
    """An `Adaptation`: another one, where it pays."""

    adaptation: Adaptation
    proofs: Sequence[Proof] | None
    """What was shown of it, for each arm. None asks for no proof: on your own responsibility."""
    own_cost_usd: float = 0.0
    """What adapting one prompt costs: of a compressor on a machine of its own, seconds times
    price."""
    least_saving_usd: float = 0.0
    """A prompt must save more than this."""
    discounts: Mapping[str, PrefixDiscount] = field(default_factory=dict)
    """Arm to discount; where an arm is not named, the price table is asked."""
    count_tokens: CountTokens = field(default=about_tokens, repr=False)

    def __post_init__(self) -> None:
        for each in self.proofs or ():
            if each.adaptation != self.adaptation.name:
                raise ConfigError(
                    f"the proof is of {each.adaptation}, and this is {self.adaptation.name}: "
                    "prove it anew"
                )
        if self.own_cost_usd < 0.0 or self.least_saving_usd < 0.0:
            raise ConfigError("own_cost_usd and least_saving_usd must be at least 0")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"gated({self.adaptation.name})"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The adapted conversation where it pays, else the one given."""
        if not self.allows(arm):
            return request.turns
        saving = self.saving(request, arm)
        if saving.usd is None:
            pays = saving.bill_tokens > 0.0 and not self.own_cost_usd
        else:
            pays = saving.usd > self.least_saving_usd
        return saving.turns if pays else request.turns

    def allows(self, arm: Arm) -> bool:
        """Whether it was proven for this arm, or needs no proof."""
        if self.proofs is None:
            return True
        return any(each.proven and each.arm == arm.name for each in self.proofs)

    def saving(self, request: Request, arm: Arm) -> Saving:
        """What adapting this prompt comes to."""
        turns = tuple(self.adaptation.adapted(request, arm))
        discount = self.discounts.get(arm.name) or PrefixDiscount.of(arm)
        stable = bool(getattr(self.adaptation, "stable", False))
        known = _beginning(request.turns)
        repeated = _beginning(turns) if stable else _same(known, turns)
        before, after = (tokens_of(each, self.count_tokens) for each in (request.turns, turns))
        bill_tokens = discount.bill_tokens(
            tokens=before, repeated=tokens_of(known, self.count_tokens)
        ) - discount.bill_tokens(tokens=after, repeated=tokens_of(repeated, self.count_tokens))
        price = usd_per_token(arm)
        usd = None if price is None else bill_tokens * price[0] - self.own_cost_usd
        return Saving(turns=turns, tokens=before - after, bill_tokens=bill_tokens, usd=usd)


def _beginning(turns: Sequence[Said]) -> Sequence[Said]:
    """What earlier prompts of the conversation, or of the application, began with as well."""
    place = question_place(turns)
    return turns if place is None else turns[:place]


def _same(known: Sequence[Said], turns: Sequence[Said]) -> Sequence[Said]:
    """So much of the known beginning as these begin with."""
    for place, (one, other) in enumerate(zip(known, turns, strict=False)):
        if one.role != other.role or one.text != other.text:
            return known[:place]
    return known[: len(turns)]
