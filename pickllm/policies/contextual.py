r"""The default: learns how good each arm is for a prompt, and weighs it against cost and latency.

    quality   ridge regression of scores on the prompt's features              estimators/ridge.py
    cost      tokens as observed, times the price of the moment                policies/expenses.py
    latency   as observed
    utility   ( w_q q + w_c (1 - c) + w_l (1 - l) ) / ( w_q + w_c + w_l )      as `WeightedReward`

Only the quality is learnt from feedback. So weights, prices and the set of arms may change from one
request to the next, and nothing has to be learnt again. Before the first feedback an arm's quality
is what you say in ``prior``, or what its price suggests; that counts for ``prior_count`` scores.

With a ``budget_usd`` per request, a dollar gets the price that keeps to it, see
`pickllm.policies.pacing`; that needs no feedback to work. With ``drift``, an arm whose scores are
no longer what was expected of it is learnt anew; `Router.model_updated` does so on demand.

>>> from pickllm.rng import Rng
>>> from pickllm.testing import experience, situation
>>> policy = Contextual(prior={"small": 0.6, "large": 0.6})
>>> state = policy.init(["small", "large"], 0)
>>> for _ in range(50):
...     state = policy.learn(state, experience("small", reward=0.2))
...     state = policy.learn(state, experience("large", reward=0.9))
>>> choice = policy.decide(state, situation("small", "large"), Rng(seed=1, number=1))
>>> [round(forecast.quality, 2) for forecast in choice.forecasts]
[0.22, 0.89]
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pickllm.errors import ConfigError
from pickllm.estimators import Ridge, RidgeState
from pickllm.explorers import Thompson
from pickllm.numeric import check_numbers
from pickllm.policies.drift import Drift
from pickllm.policies.expenses import Expenses
from pickllm.policies.pacing import target_usd, within
from pickllm.prices import usd_per_token
from pickllm.protocols import Explorer
from pickllm.rng import Rng
from pickllm.types import (
    Anchors,
    Arm,
    Choice,
    Estimate,
    Experience,
    Forecast,
    Observation,
    Situation,
    Weights,
)

__all__ = ["Contextual", "ContextualState"]

_QUALITY = Ridge(target="score", penalty=20.0, prior_count=2.0, noise=0.3)
_EXPLORER = Thompson(width=1.0, epsilon=0.01)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextualState:
    """Quality, learnt from feedback, and expenses, learnt from calls."""

    quality: RidgeState
    expenses: Expenses = field(default_factory=Expenses)
    arm_to_drift: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Both sums of the test for drift."""
    latest_s: float = 0.0
    """The newest decision learnt from."""
    steps: int = 0
    """Scores learnt from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contextual:
    """Quality by prompt, cost and latency apart, weighed when deciding."""

    quality: Ridge = _QUALITY
    """Of scores in [0, 1]; with ``target="reward"`` it learns the router's reward instead, and
    weighs nothing, which is how a router with a reward of its own takes it."""
    explorer: Explorer = _EXPLORER
    """Chooses among utilities."""
    prior: Mapping[str, float] | float | None = None
    """Quality expected before any feedback, in [0, 1], for all arms or by name; arms left out, and
    all with None, get theirs from their price."""
    price_prior: float = 0.1
    """How much better an arm of ten times the price is expected to be; 0 for no better."""
    budget_usd: float | None = None
    """What a request may cost on average, above 0; None is no budget."""
    pace: float = 0.005
    """By what share of it a request's budget falls for each one overspent, above 0."""
    drift: Drift | None = field(default_factory=Drift)
    """When an arm is taken to have changed; None never."""

    def __post_init__(self) -> None:
        given = self.prior.values() if isinstance(self.prior, Mapping) else [self.prior]
        for prior in given:
            if prior is None:
                continue
            check_numbers(prior=prior)
            if not 0.0 <= prior <= 1.0:
                raise ConfigError(f"a prior is an expected score in [0, 1]; it is {prior}")
        check_numbers(budget_usd=self.budget_usd or 0, pace=self.pace, price_prior=self.price_prior)
        if self.budget_usd is not None and not 0.0 < self.budget_usd < math.inf:
            raise ConfigError(f"budget_usd must be above 0, or None; it is {self.budget_usd}")
        if not 0.0 < self.pace < math.inf:
            raise ConfigError(f"pace must be above 0; it is {self.pace}")
        if not 0.0 <= self.price_prior <= 1.0:
            raise ConfigError(f"price_prior must lie in [0, 1]; it is {self.price_prior}")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        prior = dict(self.prior) if isinstance(self.prior, Mapping) else self.prior
        return (
            f"contextual: {self.explorer.name} over {self.quality.name}, prior={prior}, "
            f"price_prior={self.price_prior}, budget_usd={self.budget_usd}, pace={self.pace}, "
            f"drift={self.drift}"
        )

    @property
    def state_name(self) -> str:
        """Explorer, priors, budget and drift are no part of what is learnt."""
        return f"contextual of {self.quality.state_name}"

    @property
    def looks_at_prompt(self) -> bool:
        """A router gives it features of its own where the user gave none."""
        return True

    @property
    def names_arms(self) -> tuple[str, ...]:
        """Those with a prior of their own."""
        return tuple(self.prior) if isinstance(self.prior, Mapping) else ()

    def init(self, arms: Sequence[str], dim: int) -> ContextualState:
        """Nothing learnt."""
        return ContextualState(quality=self.quality.init(arms, dim))

    def decide(self, state: ContextualState, situation: Situation, rng: Rng) -> Choice:
        """Predict, weigh, explore."""
        qualities, spreads, counts = self.quality.expected(
            state.quality, situation, self._priors(situation)
        )
        costs_usd, latencies_s = state.expenses.expected(situation)
        weights = _QUALITY_ALONE if self.quality.target == "reward" else situation.weights
        utilities = _utilities(weights, situation.anchors, qualities, costs_usd, latencies_s)
        unit = weights.quality / math.fsum((weights.quality, weights.cost, weights.latency))
        estimate = Estimate(
            means=utilities,
            spreads=tuple([unit * spread for spread in spreads]),
            counts=tuple(counts),
        )
        return Choice(
            probabilities=self._explored(
                state, situation, estimate, rng, costs_usd=costs_usd, unit=unit
            ),
            values=utilities,
            forecasts=tuple(
                [
                    Forecast(
                        quality=min(max(quality, 0.0), 1.0),
                        spread=spread,
                        cost_usd=cost_usd,
                        latency_s=latency_s,
                    )
                    for quality, spread, cost_usd, latency_s in zip(
                        qualities, spreads, costs_usd, latencies_s, strict=True
                    )
                ]
            ),
        )

    def learn(self, state: ContextualState, experience: Experience) -> ContextualState:
        """One more score into the quality of its arm."""
        arm = experience.arm
        quality = self.quality.learn(state.quality, experience)
        expenses, arm_to_drift = state.expenses, state.arm_to_drift
        latest_s = max(state.latest_s, experience.decision.time_s)
        expected = _expected(experience)
        if self.drift is not None and expected is not None:
            seen, raised = self.drift.after(
                arm_to_drift.get(arm, (0.0, 0.0)), expected=expected, score=self._target(experience)
            )
            arm_to_drift = {**arm_to_drift, arm: seen}
            if raised:
                quality = self.quality.model_updated(quality, arm, latest_s)
        return ContextualState(
            quality=quality,
            expenses=expenses,
            arm_to_drift=arm_to_drift,
            latest_s=latest_s,
            steps=state.steps + 1,
        )

    def observe(self, state: ContextualState, observation: Observation) -> ContextualState:
        """One more call into the expenses of its arm."""
        return ContextualState(
            quality=state.quality,
            expenses=state.expenses.plus(observation),
            arm_to_drift=state.arm_to_drift,
            latest_s=state.latest_s,
            steps=state.steps,
        )

    def unlearn(self, state: ContextualState, experience: Experience) -> ContextualState:
        """One score out of the quality of its arm; alarms that it helped to raise stay."""
        return ContextualState(
            quality=self.quality.unlearn(state.quality, experience),
            expenses=state.expenses,
            arm_to_drift=state.arm_to_drift,
            latest_s=state.latest_s,
            steps=state.steps - 1,
        )

    def merge(self, states: Sequence[ContextualState]) -> ContextualState:
        """What all have learnt; of their tests for drift, the ones nearest to an alarm."""
        arms = dict.fromkeys(arm for state in states for arm in state.arm_to_drift)
        seen = {arm: [state.arm_to_drift.get(arm, (0.0, 0.0)) for state in states] for arm in arms}
        return ContextualState(
            quality=self.quality.merge([state.quality for state in states]),
            expenses=Expenses.merged([state.expenses for state in states]),
            arm_to_drift={
                arm: (max(low for low, _ in sums), max(high for _, high in sums))
                for arm, sums in seen.items()
            },
            latest_s=max(state.latest_s for state in states),
            steps=sum(state.steps for state in states),
        )

    def model_updated(self, state: ContextualState, arm: str, time_s: float) -> ContextualState:
        """Little is left of what was learnt of ``arm`` until then."""
        return ContextualState(
            quality=self.quality.model_updated(state.quality, arm, time_s),
            expenses=state.expenses.changed(arm, time_s),
            arm_to_drift={**state.arm_to_drift, arm: (0.0, 0.0)},
            latest_s=max(state.latest_s, time_s),
            steps=state.steps,
        )

    def _target(self, experience: Experience) -> float:
        return experience.score if self.quality.target == "score" else experience.reward

    def _explored(
        self,
        state: ContextualState,
        situation: Situation,
        estimate: Estimate,
        rng: Rng,
        *,
        costs_usd: Sequence[float | None],
        unit: float,
    ) -> tuple[float, ...]:
        """The explorer's probabilities; with a budget, at the price of a dollar that keeps to it.

        ``unit`` is what a quality of 1 is worth among the utilities.
        """
        if self.budget_usd is None or None in costs_usd:
            return self.explorer.probabilities(estimate, state.steps, rng)
        means_usd = state.expenses.means_usd(situation, costs_usd)
        overspent = state.expenses.overspent(self.budget_usd, situation.time_s)

        def explore(price: float) -> tuple[float, ...]:
            pairs = zip(estimate.means, means_usd, strict=True)
            worth = tuple([(value or 0.0) - price * usd for value, usd in pairs])
            priced = Estimate(means=worth, spreads=estimate.spreads, counts=estimate.counts)
            return self.explorer.probabilities(priced, state.steps, rng)

        return within(
            target_usd(self.budget_usd, overspent, self.pace),
            means_usd,
            explore,
            most=(unit or 1.0) / self.budget_usd,
        )

    def _priors(self, situation: Situation) -> tuple[float, ...]:
        """Expected quality of each eligible arm before any feedback, ``[eligible arms]``."""
        if isinstance(self.prior, float | int):
            return (float(self.prior),) * len(situation.arms)
        prices = tuple([_usual_usd(card) for card in situation.cards])
        by_price = _price_priors(prices or (None,) * len(situation.arms), self.price_prior)
        if self.prior is None:
            return by_price
        pairs = zip(situation.arms, by_price, strict=True)
        return tuple(self.prior.get(arm, prior) for arm, prior in pairs)


_QUALITY_ALONE = Weights(quality=1.0, cost=0.0, latency=0.0)


def _utilities(
    weights: Weights,
    anchors: Anchors,
    qualities: list[float],
    costs_usd: list[float | None],
    latencies_s: list[float | None],
) -> tuple[float, ...]:
    """Weighted means of quality, cheapness and speed.

    While one arm's cost is unknown, none counts; an arm never heard of is as fast as the others.
    """
    w_q, w_c, w_l = weights.quality, weights.cost, weights.latency
    total = w_q + w_c + w_l
    worth = [w_q * quality for quality in qualities]
    if w_c > 0.0 and None not in costs_usd:
        shares = _log_shares(costs_usd, anchors.cost_lo_usd, anchors.cost_hi_usd)
        worth = [value + w_c * (1.0 - share) for value, share in zip(worth, shares, strict=True)]
    known = [latency_s for latency_s in latencies_s if latency_s is not None]
    if w_l > 0.0 and known:
        usual = math.exp(math.fsum(map(math.log, known)) / len(known))
        filled = [usual if latency_s is None else latency_s for latency_s in latencies_s]
        shares = _log_shares(filled, anchors.latency_lo_s, anchors.latency_hi_s)
        worth = [value + w_l * (1.0 - share) for value, share in zip(worth, shares, strict=True)]
    return tuple([value / total for value in worth])


def _log_shares(values: Sequence[float | None], lo: float, hi: float) -> list[float]:
    """Values between two anchors, 0 to 1, on a logarithmic scale."""
    scale = 1.0 / math.log(hi / lo)
    return [
        min(math.log(value / lo) * scale, 1.0) if value is not None and value > lo else 0.0
        for value in values
    ]


def _usual_usd(card: Arm) -> float | None:
    """Price of a middling call, to compare arms by before any was made."""
    if card.usd_per_hour is not None:
        return card.usd_per_hour * 3.0 / 3600.0
    price = usd_per_token(card)
    return None if price is None else 500.0 * price[0] + 200.0 * price[1]


@lru_cache(maxsize=256)
def _price_priors(prices: tuple[float | None, ...], slope: float) -> tuple[float, ...]:
    """Above .6 for arms dearer than the mean, below it for cheaper ones; .6 where unknown."""
    logs = [None if price is None else math.log10(max(price, 1e-7)) for price in prices]
    known = [log for log in logs if log is not None]
    middle = math.fsum(known) / len(known) if known else 0.0
    priors = [0.6 if log is None else 0.6 + slope * (log - middle) for log in logs]
    return tuple(min(max(prior, 0.2), 0.9) for prior in priors)


def _expected(experience: Experience) -> float | None:
    """What was expected of the arm when it was chosen; None where nothing was."""
    decision = experience.decision
    if not decision.forecasts or experience.arm not in decision.arms:
        return None
    return decision.forecasts[decision.arms.index(experience.arm)].quality
