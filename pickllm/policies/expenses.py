"""What an arm's answers take, learnt from calls alone: tokens, cost and latency. No judge needed.

Cost is tokens times the price of the moment, so that a new price counts at once. Where an arm does
not report tokens, it is the cost observed. All means are of logarithms, as the reward counts them:
one answer of a minute among many of a second moves little.

>>> from pickllm.testing import decision
>>> from pickllm.types import Attempt, Usage
>>> usage = Usage(tokens_in=100, tokens_out=50)
>>> attempt = Attempt(arm="a", status="ok", latency_s=2.0, usage=usage)
>>> booked = Expenses().plus(Observation(decision=decision("a"), attempt=attempt))
>>> card = Arm(name="a", usd_per_mtok_in=1.0, usd_per_mtok_out=10.0)
>>> situation = Situation(arms=("a",), request=Request(text="2 + 2 ="), cards=(card,))
>>> costs_usd, latencies_s = booked.expected(situation)
>>> round(costs_usd[0], 6), latencies_s
(0.0006, [2.0])
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pickllm.estimators import Forgetting, Sums
from pickllm.prices import usd_per_token
from pickllm.types import Arm, Observation, Request, Situation

__all__ = ["Expenses"]

_FORGETTING = Forgetting(half_life_s=86_400.0, buckets=4)
"""Prices are looked up, not learnt; lengths and latencies of last week say little."""
_TOKENS_IN, _TOKENS_OUT, _LATENCY_S = 500.0, 200.0, 3.0
"""A call of which nothing is known."""
_LEAST_USD, _LEAST_S = 1e-9, 1e-4
_ANSWERS, _LOG_LATENCY, _TOLD, _IN, _LOG_OUT, _PRICED, _LOG_COST, _PAID, _ASKED = range(9)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expenses:
    """Sums of what calls took, by arm and time; see `pickllm.estimators.Sums`."""

    sums: Sums = field(default_factory=Sums)
    """``[9]`` for each arm and bucket."""
    arm_to_total: dict[str, list[float]] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    """The buckets added up at ``reference_s``; worked out when first needed."""
    reference_s: float = field(default=0.0, init=False, repr=False, compare=False)

    def plus(self, observation: Observation) -> "Expenses":
        """With one more attempt booked."""
        attempt, decision = observation.attempt, observation.decision
        if not attempt.called:
            return self
        added = _added(observation)
        arm, updates = attempt.arm, self.sums.updates(attempt.arm)
        start = _FORGETTING.start(decision.time_s, updates)
        sums = self.sums.learnt(arm, start, np.array(added), decision.time_s, _FORGETTING)
        after = Expenses(sums=sums)
        if self.arm_to_total is not None:
            weight = _FORGETTING.weight(start, self.reference_s, updates)
            before = self.arm_to_total.get(arm, [0.0] * len(added))
            total = [b + weight * a for b, a in zip(before, added, strict=True)]
            _remember(after, {**self.arm_to_total, arm: total}, self.reference_s)
        return after

    def changed(self, arm: str, time_s: float) -> "Expenses":
        """Where the model behind ``arm`` is another one."""
        return Expenses(sums=self.sums.changed(arm, time_s))

    @staticmethod
    def merged(states: Sequence["Expenses"]) -> "Expenses":
        """What all have booked."""
        return Expenses(sums=Sums.merged([state.sums for state in states]))

    def overspent(self, budget_usd: float, now_s: float) -> float:
        """By how many requests' budgets more was spent than allowed; negative for less."""
        totals = self._totals(now_s).values()
        paid = math.fsum(total[_PAID] for total in totals)
        return paid / budget_usd - math.fsum(total[_ASKED] for total in totals)

    def expected(self, situation: Situation) -> tuple[list[float | None], list[float | None]]:
        """Cost in USD and latency in seconds of each eligible arm; None where nothing is known."""
        arm_to_total = self._totals(situation.time_s)
        nothing = [0.0] * 9
        totals = [arm_to_total.get(arm, nothing) for arm in situation.arms]
        latencies_s = [
            math.exp(total[_LOG_LATENCY] / total[_ANSWERS]) if total[_ANSWERS] > 1e-9 else None
            for total in totals
        ]
        cards = situation.cards or tuple(Arm(name=arm) for arm in situation.arms)
        usual = _usual(totals, situation.request)
        costs_usd = [
            _cost_usd(card, total, latency_s, usual, situation.request)
            for card, total, latency_s in zip(cards, totals, latencies_s, strict=True)
        ]
        return costs_usd, latencies_s

    def means_usd(
        self, situation: Situation, costs_usd: Sequence[float | None]
    ) -> tuple[float, ...]:
        """What calls cost in the mean, ``[eligible arms]``, where ``costs_usd`` are as expected.

        Expected costs are means of logarithms: of what scatters the sum comes to more. Unknown ones
        count for nothing.
        """
        arm_to_total = self._totals(situation.time_s)
        nothing = [0.0] * 9
        return tuple(
            [
                (cost_usd or 0.0) * _scatter(arm_to_total.get(arm, nothing))
                for arm, cost_usd in zip(situation.arms, costs_usd, strict=True)
            ]
        )

    def _totals(self, now_s: float) -> dict[str, list[float]]:
        reference_s = _FORGETTING.reference(now_s)
        if self.arm_to_total is None or self.reference_s != reference_s:
            totals = {
                arm: [] if total is None else total.tolist()
                for arm in self.sums.arm_to_sums
                for total in [self.sums.total(arm, now_s, _FORGETTING)]
            }
            _remember(self, totals, reference_s)
            return totals
        return self.arm_to_total


def _remember(expenses: Expenses, arm_to_total: dict[str, list[float]], reference_s: float) -> None:
    """Follows from the sums: nothing has changed."""
    object.__setattr__(expenses, "reference_s", reference_s)
    object.__setattr__(expenses, "arm_to_total", arm_to_total)


def _added(observation: Observation) -> list[float]:
    attempt, added = observation.attempt, [0.0] * 9
    added[_ASKED] = float(attempt.arm == observation.decision.arm)
    if attempt.cost_usd is not None:
        added[_PAID] = attempt.cost_usd
    if attempt.status != "ok":
        return added
    added[_ANSWERS] = 1.0
    added[_LOG_LATENCY] = math.log(max(attempt.latency_s, _LEAST_S))
    if attempt.usage is not None:
        added[_TOLD] = 1.0
        added[_IN] = attempt.usage.tokens_in
        added[_LOG_OUT] = math.log(max(attempt.usage.tokens_out, 1))
    if attempt.cost_usd is not None:
        added[_PRICED] = 1.0
        added[_LOG_COST] = math.log(max(attempt.cost_usd, _LEAST_USD))
    return added


def _usual(totals: list[list[float]], request: Request) -> tuple[float, float]:
    """Tokens in and out of an arm that has told none: as the others', or a guess."""
    told = math.fsum(total[_TOLD] for total in totals)
    if told <= 1e-9:
        return float(request.tokens or _TOKENS_IN), _TOKENS_OUT
    tokens_in = request.tokens or math.fsum(total[_IN] for total in totals) / told
    return tokens_in, math.exp(math.fsum(total[_LOG_OUT] for total in totals) / told)


def _scatter(total: list[float]) -> float:
    """By how much the mean of the costs observed is above that of their logarithms, at least 1."""
    if total[_PRICED] <= 1e-9:
        return 1.0
    usual = math.exp(total[_LOG_COST] / total[_PRICED])
    return max(total[_PAID] / total[_PRICED] / usual, 1.0)


def _cost_usd(
    card: Arm,
    total: list[float],
    latency_s: float | None,
    usual: tuple[float, float],
    request: Request,
) -> float | None:
    if card.usd_per_hour is not None:
        return card.usd_per_hour * (_LATENCY_S if latency_s is None else latency_s) / 3600.0
    price, told = usd_per_token(card), total[_TOLD]
    if price is not None and told > 1e-9:
        tokens_in = request.tokens or total[_IN] / told
        return price[0] * tokens_in + price[1] * math.exp(total[_LOG_OUT] / told)
    if total[_PRICED] > 1e-9:
        return math.exp(total[_LOG_COST] / total[_PRICED])
    return None if price is None else price[0] * usual[0] + price[1] * usual[1]
