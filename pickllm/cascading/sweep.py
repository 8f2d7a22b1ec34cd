"""All cascades of a table at once: every order of up to three arms, every threshold that matters.

    two arms     sort by the first score; the k best are shown, the others ask on: n + 1 cascades
    three arms   cut both scores at up to 60 quantiles, add up the cells: 3,600 cascades

What a threshold changes are sums over the rows above it and below it, so sums over cells between
neighbouring thresholds, added up once, hold the exact quality and cost of all of them: O(n log n)
for two arms, O(n + grid²) for three, where a search tries some thresholds and plays each.

    maximise  mean quality   over orders and thresholds
    subject to  mean cost <= b,   share of rows that cost more than c  <= a

References: the problem is that of Chen, Zaharia and Zou, FrugalGPT (2023), arXiv 2305.05176; the
limit on the tail of the cost follows C3PO (2025), arXiv 2511.07396.

>>> table = ScoredTable(
...     arms=("small", "large"),
...     score=np.array([[0.9, 0.9], [0.3, 0.8], [0.6, 0.9]]),
...     quality=np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]),
...     cost_usd=np.full((3, 2), [0.001, 0.01]),
... )
>>> best = best_within(frontier(table), mean_usd=0.005)
>>> best.order, best.thresholds, best.quality, round(best.cost_usd, 6)
(('small', 'large'), (0.6,), 1.0, 0.004333)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.cascading.scored import Plan, ScoredTable, best_scored
from pickllm.errors import ConfigError

__all__ = ["Sweep", "best_within", "cheapest_reaching", "frontier"]

_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What is tried."""

    arms: int = 3
    """Longest cascade: 1, 2 or 3."""
    grid: int = 60
    """Thresholds tried for each of the first two of three arms, at least 3."""
    stops: bool = False
    """Whether two arms are tried with a lower threshold, too, on a grid."""
    tail_usd: float = float("inf")
    """A row that costs more is dear."""
    tail_share: float = 0.05
    """The share of rows that may be dear, in [0, 1]."""

    def __post_init__(self) -> None:
        if self.arms not in {1, 2, 3} or self.grid < 3:
            raise ConfigError("a sweep is over 1, 2 or 3 arms, with a grid of at least 3")
        if not 0.0 <= self.tail_share <= 1.0 or not self.tail_usd > 0.0:
            raise ConfigError("tail_share must lie in [0, 1] and tail_usd be above 0")


def frontier(
    table: ScoredTable, sweep: Sweep | None = None, *, orders: Sequence[tuple[str, ...]] = ()
) -> tuple[Plan, ...]:
    """The plans that no other beats in both quality and cost; cheapest first.

    Args:
        table: What to try them on.
        sweep: What is tried.
        orders: Only these orders; all of up to ``sweep.arms`` arms by default.

    Raises:
        ConfigError: No plan keeps the limit on the tail.
    """
    tried = sweep or Sweep()
    lengths = range(1, min(tried.arms, len(table.arms)) + 1)
    wanted = orders or [order for n in lengths for order in permutations(table.arms, n)]
    best: list[Plan] = []
    for order in wanted:
        best += [plan for each in _tried(table, order, tried) for plan in each]
    if not best:
        raise ConfigError("every cascade has more dear prompts than tail_share; raise a limit")
    return tuple(_undominated(best))


def best_within(plans: Sequence[Plan], *, mean_usd: float) -> Plan:
    """The plan of the best quality at a mean cost of at most ``mean_usd``.

    Raises:
        ConfigError: None is so cheap.
    """
    within = [plan for plan in plans if plan.cost_usd <= mean_usd]
    if not within:
        least = min(plan.cost_usd for plan in plans)
        raise ConfigError(f"nothing costs at most {mean_usd:g} USD; the cheapest costs {least:g}")
    return max(within, key=lambda plan: (plan.quality, -plan.cost_usd))


def cheapest_reaching(plans: Sequence[Plan], *, quality: float) -> Plan:
    """The cheapest plan of at least that quality; the best there is where none reaches it."""
    reaching = [plan for plan in plans if plan.quality >= quality]
    if not reaching:
        return max(plans, key=lambda plan: (plan.quality, -plan.cost_usd))
    return min(reaching, key=lambda plan: (plan.cost_usd, -plan.quality))


def _tried(table: ScoredTable, order: tuple[str, ...], sweep: Sweep) -> Iterator[list[Plan]]:
    if len(order) == 1:
        plan = table.single(table.columns(order)[0])
        dear = np.mean(table.shares * (table.cost_usd[:, table.columns(order)[0]] > sweep.tail_usd))
        yield [plan] if dear <= sweep.tail_share else []
    elif len(order) == 2:
        yield _two(table, order, sweep)
        if sweep.stops:
            yield _two_with_stops(table, order, sweep)
    else:
        yield _three(table, order, sweep)


def _two(table: ScoredTable, order: tuple[str, ...], sweep: Sweep) -> list[Plan]:
    """One cascade for each distinct score of the first arm, and one that always asks on."""
    stages = _Stages(table, order, sweep)
    cuts = np.unique(stages.scores[:, 0])
    cell = np.searchsorted(cuts, stages.scores[:, 0])  # which score it is
    shown = stages.summed(cell, len(cuts), 0)
    asked_on = stages.summed(cell, len(cuts), 1)
    # with the threshold at cut k, cells from k on are shown, and those below ask on
    totals = _from(shown) + _below(asked_on)
    thresholds = np.append(cuts, _above(float(cuts[-1])))
    tried = slice(1, len(cuts) + (thresholds[-1] > cuts[-1]))  # all rows reach the lowest
    return _plans(totals[:, tried], len(table), sweep, order, thresholds[tried, None])


def _two_with_stops(table: ScoredTable, order: tuple[str, ...], sweep: Sweep) -> list[Plan]:
    """Rows between a lower and an upper threshold ask on, on a grid of both."""
    stages = _Stages(table, order, sweep)
    cuts = stages.grid(0, sweep.grid)
    cell = np.searchsorted(cuts, stages.scores[:, 0], side="right")
    shown = stages.summed(cell, len(cuts) + 1, 0)
    asked_on = stages.summed(cell, len(cuts) + 1, 1)
    above, below = _from(shown)[:, 1:], _below(shown)[:, 1:]
    between = _below(asked_on)[:, 1:]
    upper, lower = np.triu_indices(len(cuts))[::-1]  # upper >= lower
    totals = above[:, upper] + below[:, lower] + between[:, upper] - between[:, lower]
    return _plans(totals, len(table), sweep, order, cuts[upper, None], cuts[lower, None])


def _three(table: ScoredTable, order: tuple[str, ...], sweep: Sweep) -> list[Plan]:
    """A grid over both thresholds, its cells added up."""
    stages = _Stages(table, order, sweep)
    first, second = stages.grid(0, sweep.grid), stages.grid(1, sweep.grid)
    rows, columns = len(first) + 1, len(second) + 1
    cell = np.searchsorted(first, stages.scores[:, 0], side="right") * columns
    cell += np.searchsorted(second, stages.scores[:, 1], side="right")
    sums = [stages.summed(cell, rows * columns, k).reshape(-1, rows, columns) for k in range(3)]
    # threshold i of the first arm: cells of rows > i are shown; of the others, those of columns > j
    # show the second, and the rest ask the third
    shown = _from(sums[0].sum(axis=2))[:, 1:-1, None]
    second_shown = np.cumsum(_reversed_sums(sums[1])[:, :, 1:], axis=1)[:, :-1]
    asked_on = np.cumsum(np.cumsum(sums[2], axis=2)[:, :, :-1], axis=1)[:, :-1]
    totals = (shown + second_shown + asked_on).reshape(sums[0].shape[0], -1)
    both = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    return _plans(totals, len(table), sweep, order, both)


def _plans(  # noqa: PLR0917  # sums, what they are of, and the thresholds they belong to
    totals: Floats,
    rows: int,
    sweep: Sweep,
    order: tuple[str, ...],
    thresholds: Floats,
    stop_below: Floats | None = None,
) -> list[Plan]:
    """Plans of sums ``[3, plans]`` that keep the limit on the tail and that no other beats."""
    quality, cost, dear = totals / rows
    kept = np.flatnonzero(dear <= sweep.tail_share + _ROUNDING)
    return [
        Plan(
            order=order,
            thresholds=tuple(thresholds[place].tolist()),
            stop_below=() if stop_below is None else tuple(stop_below[place].tolist()),
            quality=float(quality[place]),
            cost_usd=float(cost[place]),
        )
        for place in kept[_best_places(quality[kept], cost[kept])].tolist()
    ]


def _undominated(plans: Sequence[Plan]) -> list[Plan]:
    places = _best_places(
        np.array([plan.quality for plan in plans]), np.array([plan.cost_usd for plan in plans])
    )
    return [plans[place] for place in places.tolist()]


def _best_places(quality: Floats, cost: Floats) -> Integers:
    """Places of those that nothing as cheap is as good as, cheapest first."""
    if not len(quality):
        return np.zeros(0, dtype=np.intp)
    order = np.lexsort((-quality, cost))
    highest = np.maximum.accumulate(quality[order])
    better = np.append(True, np.diff(highest) > _ROUNDING)
    return np.asarray(order[better])


class _Stages:
    """What stopping at each stage of an order comes to: quality, cost and dearness of each row."""

    def __init__(self, table: ScoredTable, order: tuple[str, ...], sweep: Sweep) -> None:
        columns = table.columns(order)
        self.scores = table.score[:, columns]
        quality = table.quality[:, columns].copy()
        best = best_scored(self.scores, np.full(len(table), len(columns)))
        quality[:, -1] = np.take_along_axis(quality, best[:, None], axis=1)[:, 0]
        cost = np.cumsum(table.cost_usd[:, columns] + table.scorer_usd, axis=1)
        parts = (quality, cost, (cost > sweep.tail_usd).astype(np.float64))
        self.parts = tuple(part * table.shares[:, None] for part in parts)

    def summed(self, cell: Integers, cells: int, stage: int) -> Floats:
        """Sums of quality, cost and dearness of stopping at a stage, ``[3, cells]``."""
        return np.stack([np.bincount(cell, part[:, stage], cells) for part in self.parts])

    def grid(self, stage: int, size: int) -> Floats:
        """Thresholds at quantiles of a stage's scores, rising, and one that none reaches.

        Of the first stage the lowest is left out: all reach it, so no other arm is asked.
        """
        scores = self.scores[:, stage]
        cuts = np.quantile(scores, np.linspace(0, 1, size), method="lower")
        cuts = np.unique(np.append(cuts, _above(float(scores.max()))))
        return cuts[1:] if len(cuts) > 1 and not stage else cuts


def _above(score: float) -> float:
    """A threshold that this score does not reach; 1 for a score of 1, which has none above."""
    return min(float(np.nextafter(score, 2.0)), 1.0)


def _from(sums: Floats) -> Floats:
    """Sums from each cell on, and none: ``[3, cells + 1]``."""
    return np.pad(_reversed_sums(sums), ((0, 0), (0, 1)))


def _below(sums: Floats) -> Floats:
    """Sums below each cell, and of all: ``[3, cells + 1]``."""
    return np.pad(np.cumsum(sums, axis=1), ((0, 0), (1, 0)))


def _reversed_sums(sums: Floats) -> Floats:
    return np.asarray(np.cumsum(sums[..., ::-1], axis=-1)[..., ::-1])
