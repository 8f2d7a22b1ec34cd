"""History trimming: what was said long ago is left out, the rest stays as it is.

Whole exchanges go, the oldest first, until what is left fits; system messages, the first
``keep_first`` and the last ``keep_last`` exchanges stay whatever their length. A tool call never
loses its result, for both stand in one exchange.

Providers read what they have read before at a discount as long as it *begins* the same. Leaving out
one more exchange at every turn gives that up every time; so exchanges go in steps:

    left out = ceil(needed / step_exchanges) * step_exchanges

and between two steps the beginning is the same.

>>> chat = [Said(role=role, text=f"{role} {n} " + "x" * 70, at=2 * n + (role == "assistant"))
...         for n in range(5) for role in ("user", "assistant")][:-1]
>>> trimmed = Trimmed(budget_tokens=130)
>>> [said.at for said in trimmed.adapted(Request(text="", turns=tuple(chat)), Arm())]
[4, 5, 6, 7, 8]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pickllm.errors import ConfigError
from pickllm.numeric import check_counts
from pickllm.prompting.conversation import CountTokens, about_tokens, exchanges, tokens_of
from pickllm.types import Arm, Request, Said

__all__ = ["Trimmed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimmed:
    """An `Adaptation`: as many of the latest exchanges as fit."""

    budget_tokens: int | None = None
    """For the whole conversation, system messages included; None is no limit."""
    most_exchanges: int | None = None
    """Counting the one under way; None is no limit."""
    keep_first: int = 0
    """So many of the first stay: where they state the task."""
    keep_last: int = 1
    """So many of the last stay, at least 1, even over the budget."""
    step_exchanges: int = 1
    """They go so many at a time."""
    count_tokens: CountTokens = field(default=about_tokens, repr=False)

    def __post_init__(self) -> None:
        if self.budget_tokens is None and self.most_exchanges is None:
            raise ConfigError("give budget_tokens or most_exchanges: else nothing is trimmed")
        limits = {"budget_tokens": self.budget_tokens, "most_exchanges": self.most_exchanges}
        check_counts(**{name: limit for name, limit in limits.items() if limit is not None})
        check_counts(
            keep_first=self.keep_first,
            keep_last=self.keep_last,
            step_exchanges=self.step_exchanges,
        )
        if min(self.budget_tokens or 1, self.most_exchanges or 1, self.keep_last) < 1:
            raise ConfigError("budget_tokens, most_exchanges and keep_last must be at least 1")
        if self.keep_first < 0 or self.step_exchanges < 1:
            raise ConfigError("keep_first must be at least 0, step_exchanges at least 1")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return (
            f"trimmed(tokens={self.budget_tokens}, exchanges={self.most_exchanges}, "
            f"keep={self.keep_first}+{self.keep_last}, step={self.step_exchanges})"
        )

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation without its oldest exchanges."""
        turns = request.turns
        found = exchanges(turns)
        spare = found[self.keep_first : max(len(found) - self.keep_last, self.keep_first)]
        needed = self._needed(turns, found, spare)
        if not needed:
            return turns
        steps = -(-needed // self.step_exchanges)
        gone = {place for each in spare[: steps * self.step_exchanges] for place in each}
        return [said for place, said in enumerate(turns) if place not in gone]

    def _needed(self, turns: Sequence[Said], found: list[list[int]], spare: list[list[int]]) -> int:
        """How many exchanges have to go."""
        most = len(found) if self.most_exchanges is None else self.most_exchanges
        needed = min(max(len(found) - most, 0), len(spare))
        if self.budget_tokens is None:
            return needed
        lengths = [tokens_of([turns[place] for place in each], self.count_tokens) for each in spare]
        over = tokens_of(turns, self.count_tokens) - sum(lengths[:needed]) - self.budget_tokens
        while over > 0 and needed < len(spare):
            over -= lengths[needed]
            needed += 1
        return needed
