"""Which cascade to run: found on some rows, confirmed on others, or not run at all.

    fit      the scorer learns from these rows; nothing else does       (before a table is scored)
    tune     all cascades are tried; a few along the frontier are candidates, safest first
    confirm  each is tested in that order:  H0  mean(cascade - best single) <= -epsilon
             until one cannot be rejected at level delta; the cheapest rejected before it is taken

The cheapest of thousands of cascades that seem good enough on some rows is worse on others: it was
chosen for its luck. Tested in an order that the confirming rows had no part in, the first false one
ends the tests, so with probability 1 - delta whatever is taken is at most epsilon worse than the
best single arm (fixed sequence testing). Where not even the first is confirmed, the best single arm
that the budget allows is taken. Which arms these are the tuning rows say.

References: Angelopoulos et al., Learn then test (2021), arXiv 2110.01052, with the test of
`pickllm.betting`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import sqrt

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.betting import p_above
from pickllm.cascading.predictive import PredictiveCascade
from pickllm.cascading.scored import Plan, Played, ScoredTable
from pickllm.cascading.sweep import Sweep, frontier
from pickllm.errors import ConfigError

__all__ = [
    "Candidate",
    "CascadeSelection",
    "Confirmed",
    "Recorded",
    "Test",
    "confirmed",
    "parts_of",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """Something that may be confirmed, and what it made of the confirming rows."""

    choice: Plan | PredictiveCascade
    cost_usd: float
    """Mean for each prompt on the tuning rows: what the cheapest is told by."""
    played: Played


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """One candidate, on the confirming rows."""

    choice: Plan | PredictiveCascade
    tuned_usd: float
    """Mean cost of a prompt on the tuning rows."""
    quality: float
    cost_usd: float
    """Mean for each prompt."""
    difference: float
    """Mean quality less that of the best single arm."""
    interval: tuple[float, float]
    """95 % interval of that difference, by the normal approximation; the test is exact."""
    p_value: float
    """Of its being at most -epsilon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """What was taken, and why."""

    choice: Plan | PredictiveCascade
    """A plan of one arm where nothing was confirmed: the best single one that the budget allows."""
    is_cascade: bool
    best_single: str
    best_quality: float
    """On the confirming rows."""
    best_cost_usd: float
    """Mean for each prompt, on the confirming rows."""
    quality: float
    """Of what was taken, on the confirming rows."""
    cost_usd: float
    epsilon: float
    delta: float
    tests: tuple[Test, ...] = ()
    """Safest first; the last one failed unless all were confirmed."""

    @property
    def cost_share(self) -> float:
        """What it costs, as a share of the best single arm."""
        return self.cost_usd / self.best_cost_usd if self.best_cost_usd else float("nan")

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The tests as a table to print: cascade, quality, cost, difference, p-value."""
        return [
            (
                _words(test.choice),
                f"{test.quality:.4f}",
                f"{test.cost_usd:.6f}",
                f"{test.difference:+.4f} [{test.interval[0]:+.4f}, {test.interval[1]:+.4f}]",
                f"{test.p_value:.4f}",
            )
            for test in self.tests
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """Recorded answers with what a predictive cascade looks at beside."""

    table: ScoredTable
    features: Floats
    """Of the prompts, ``[rows, dim]``."""
    agreement: Floats | None = None
    """How far each two answers agree, ``[rows, arms, arms]``; or None."""

    def take(self, rows: Integers) -> "Recorded":
        """Some rows: their places, or a mask."""
        return Recorded(
            table=self.table.take(rows),
            features=self.features[rows],
            agreement=None if self.agreement is None else self.agreement[rows],
        )

    def played(self, cascade: PredictiveCascade) -> Played:
        """What the cascade would have made of every row."""
        return cascade.played(self.table, self.features, agreement=self.agreement)


@dataclass(frozen=True, kw_only=True, slots=True)
class CascadeSelection:
    """What is promised, and what is tried for it."""

    epsilon: float = 0.01
    """How much worse than the best single arm the quality may be, in (0, 1)."""
    delta: float = 0.1
    """Probability that it is worse still, in (0, 1)."""
    candidates: int = 16
    """At most so many are tested, at least 2."""
    max_usd: float = float("inf")
    """What a prompt may cost in the mean, on the tuning rows."""
    sweep: Sweep = field(default_factory=Sweep)

    def __post_init__(self) -> None:
        if not (0.0 < self.epsilon < 1.0 and 0.0 < self.delta < 1.0):
            raise ConfigError("epsilon and delta must lie in (0, 1)")
        if self.candidates < 2 or not self.max_usd > 0.0:
            raise ConfigError("candidates must be at least 2, and max_usd above 0")

    def select(self, tune: ScoredTable, confirm: ScoredTable, *, seed: int = 0) -> Confirmed:
        """The cheapest confirmed cascade by thresholds, or the best single arm in the budget.

        Args:
            tune: Rows that cascades are tried on; the scorer has not seen them.
            confirm: Other rows, that nothing has seen.
            seed: Puts the confirming rows into an order.

        Raises:
            ConfigError: No single arm is as cheap as `max_usd` wants it.
        """
        single, otherwise = tune.single(tune.best_single), self._best_in_budget(tune)
        candidates = [
            Candidate(choice=plan, cost_usd=plan.cost_usd, played=confirm.played(plan))
            for plan in self._safest_first(tune, single)
        ]
        return confirmed(
            candidates, confirm, single=single, otherwise=otherwise, selection=self, seed=seed
        )

    def select_predictive(
        self,
        cascade: PredictiveCascade,
        tune: Recorded,
        confirm: Recorded,
        *,
        seed: int = 0,
    ) -> Confirmed:
        """The confirmed cascade that pays least for quality, or the best single arm in the budget.

        Args:
            cascade: What is tried with ever lower worth of quality; its model may have been
                fitted on the tuning rows.
            tune: Rows that say what each costs.
            confirm: Other rows, that nothing has seen.
            seed: Puts the confirming rows into an order.

        Raises:
            ConfigError: No single arm is as cheap as `max_usd` wants it.
        """
        single = tune.table.single(tune.table.best_single)
        otherwise = self._best_in_budget(tune.table)
        limit = min(self.max_usd, single.cost_usd)
        candidates: list[Candidate] = []
        for worth in np.geomspace(3e3, 1.0, 2 * self.candidates) * single.cost_usd:
            each = replace(cascade, usd_per_quality=float(worth))
            cost = float(tune.played(each).cost_usd.mean())
            before = candidates[-1].cost_usd if candidates else limit
            if cost < before:
                candidates.append(
                    Candidate(choice=each, cost_usd=cost, played=confirm.played(each))
                )
        return confirmed(
            candidates, confirm.table, single=single, otherwise=otherwise, selection=self, seed=seed
        )

    def _best_in_budget(self, tune: ScoredTable) -> Plan:
        singles = [tune.single(column) for column in tune.best_first]
        in_budget = [single for single in singles if single.cost_usd <= self.max_usd]
        if not in_budget:
            least = min(single.cost_usd for single in singles)
            raise ConfigError(
                f"no model costs as little as ${self.max_usd:g} a prompt in the mean, and the "
                f"cheapest costs ${least:.3g}: raise max_usd"
            )
        return in_budget[0]

    def _safest_first(self, tune: ScoredTable, single: Plan) -> tuple[Plan, ...]:
        """Cascades cheaper than the best single arm that might do, those surest to do first."""
        alone = tune.quality[:, tune.columns(single.order)[0]]
        limit = min(self.max_usd, single.cost_usd)
        cheaper = [plan for plan in frontier(tune, self.sweep) if plan.cost_usd < limit]
        surety = [_surety(tune.played(plan).quality - alone, self.epsilon) for plan in cheaper]
        hopeful = [(sure, plan) for sure, plan in zip(surety, cheaper, strict=True) if sure > 0.0]
        return _by_price(hopeful, self.candidates)


def confirmed(
    candidates: Sequence[Candidate],
    confirm: ScoredTable,
    *,
    single: Plan,
    otherwise: Plan,
    selection: CascadeSelection,
    seed: int = 0,
) -> Confirmed:
    """Test candidates in their order until one fails, and take the cheapest that did not.

    Args:
        candidates: In an order that the confirming rows had no part in.
        confirm: The confirming rows.
        single: The best arm alone.
        otherwise: What is taken where nothing is confirmed: the same, if the budget allows it.
        selection: What is promised.
        seed: Puts the confirming rows into an order.
    """
    order = np.random.default_rng(seed).permutation(len(confirm))
    alone = confirm.played(single)
    tests: list[Test] = []
    for candidate in candidates:
        tests.append(_test(candidate, alone.quality, order, selection))
        if tests[-1].p_value > selection.delta:
            break
    passed = [test for test in tests if test.p_value <= selection.delta]
    taken = min(passed, key=lambda test: test.tuned_usd, default=None)
    instead = confirm.played(otherwise)
    return Confirmed(
        choice=taken.choice if taken else otherwise,
        is_cascade=taken is not None,
        best_single=single.order[0],
        best_quality=float(alone.quality.mean()),
        best_cost_usd=float(alone.cost_usd.mean()),
        quality=taken.quality if taken else float(instead.quality.mean()),
        cost_usd=taken.cost_usd if taken else float(instead.cost_usd.mean()),
        epsilon=selection.epsilon,
        delta=selection.delta,
        tests=tuple(tests),
    )


def parts_of(
    rows: int,
    shares: Sequence[float],
    *,
    seed: int,
    group: Integers | None = None,
) -> tuple[Integers, ...]:
    """Masks that share rows out at random, groups whole: ``[parts]`` of ``[rows]``.

    >>> [int(mask.sum()) for mask in parts_of(10, (0.5, 0.3, 0.2), seed=1)]
    [5, 3, 2]
    """
    if not all(share > 0.0 for share in shares) or abs(sum(shares) - 1.0) > 1e-9:
        raise ConfigError(f"shares must be above 0 and add up to 1; they are {tuple(shares)}")
    names, group_of = np.unique(np.arange(rows) if group is None else group, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names)) / max(1, len(names))
    ends = np.cumsum(shares)[:-1] - 1e-12
    part = np.searchsorted(ends, place, side="right")[group_of]
    return tuple(part == number for number in range(len(shares)))


def _surety(difference: Floats, epsilon: float) -> float:
    """By how many standard errors the mean difference lies above -epsilon."""
    error = float(difference.std()) / sqrt(len(difference)) + 1.0 / len(difference)
    return (float(difference.mean()) + epsilon) / error


def _by_price(hopeful: list[tuple[float, Plan]], most: int) -> tuple[Plan, ...]:
    """The surest plan, then the surest of each band of ever lower prices; at most so many."""
    if not hopeful:
        return ()
    _, surest = max(hopeful, key=lambda pair: pair[0])
    prices = [plan.cost_usd for _, plan in hopeful if plan.cost_usd <= surest.cost_usd]
    ends = np.geomspace(max(min(prices), 1e-12), max(surest.cost_usd, 1e-12), most)[::-1]
    bands = [
        [pair for pair in hopeful if low <= pair[1].cost_usd < high]
        for high, low in pairwise(ends.tolist())
    ]
    return (surest, *(max(band, key=lambda pair: pair[0])[1] for band in bands if band))


def _test(
    candidate: Candidate, alone: Floats, order: Integers, selection: CascadeSelection
) -> Test:
    played = candidate.played
    difference = (played.quality - alone)[order]
    error = 1.96 * float(difference.std()) / sqrt(len(difference))
    mean = float(difference.mean())
    return Test(
        choice=candidate.choice,
        tuned_usd=candidate.cost_usd,
        quality=float(played.quality.mean()),
        cost_usd=float(played.cost_usd.mean()),
        difference=mean,
        interval=(mean - error, mean + error),
        p_value=p_above(difference, bound=-selection.epsilon, confidence=1.0 - selection.delta),
    )


def _words(plan: Plan | PredictiveCascade) -> str:
    if isinstance(plan, PredictiveCascade):
        return f"predictive ({plan.usd_per_quality:.3g} USD for an answer)"
    if not plan.thresholds:
        return plan.order[0]
    steps = [
        f"{arm} ({'' if not plan.stop_below else f'{plan.stop_below[i]:.3f} to '}{threshold:.3f})"
        for i, (arm, threshold) in enumerate(zip(plan.order, plan.thresholds, strict=False))
    ]
    return " > ".join([*steps, plan.order[-1]])
