"""Routers on graded answers, beside what is not kind: random, hindsight, each model alone.

    two arms    APGR with its interval, CPT(50 %), CPT(80 %); APGR less that of neighbours
    more        AIQ over the static hull's range of costs, and how much of it mixtures alone give

Neighbours are fitted out of fold on the very table, so they are no leak; a router that does not
beat them has not learnt more than the table itself would tell. A router must not have been fitted
on the prompts that it is judged by; that is for you to see to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pickllm.arrays import Floats
from pickllm.data.preferences import MARK, from_grades
from pickllm.embedding.contract import Embedder
from pickllm.errors import ConfigError
from pickllm.evaluation.drawing import caption, new_panels, save_png
from pickllm.evaluation.frontier import Hull, aiq, upper_hull
from pickllm.evaluation.intervals import Rows, apgr_difference, apgr_interval, bootstrap
from pickllm.evaluation.metrics import cpt, routing_curve
from pickllm.evaluation.page import Page
from pickllm.evaluation.sessions import Interval
from pickllm.evaluation.table import OutcomeTable
from pickllm.ranking.contract import embedded_prompts
from pickllm.ranking.regression import Neighbours
from pickllm.ranking.saved import SavedRouter
from pickllm.ranking.selection import out_of_fold, prompt_folds

__all__ = [
    "POOL_HEAD",
    "Comparison",
    "chosen_at",
    "compare_routers",
    "pair_head",
    "write_comparison",
]

POOL_HEAD = ("", "AIQ (95 %)", "less static hull", "best quality", "at a mean cost, USD")
"""Columns of the table of three arms and more."""
_NEIGHBOURS = "neighbours, out of fold"
_FOLDS = 5
_COST_WEIGHTS = (0.0, *np.geomspace(1e-3, 1e2, 60).tolist(), np.inf)
"""What the whole range of mean prices is worth in quality, from nothing to everything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A table, and the lines of its figure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    name_to_line: Mapping[str, tuple[Floats, Floats]]
    """Points of each router, x and y."""
    name_to_point: Mapping[str, tuple[float, float]]
    """Each arm alone."""
    axes: tuple[str, str]


def pair_head(baseline: str = _NEIGHBOURS) -> tuple[str, ...]:
    """Columns of the table of two arms."""
    return ("", "APGR (95 %)", "CPT 50 %", "CPT 80 %", f"less {baseline} (95 %)")


def compare_routers(
    table: OutcomeTable,
    routers: Mapping[str, SavedRouter],
    *,
    embedder: Embedder | None = None,
    seed: int = 0,
    draws: int = 1_000,
) -> Comparison:
    """All routers on one table.

    Args:
        table: Grades of two arms or more, with the prompts.
        routers: By name; each knows the arms of the table.
        embedder: Makes the vectors of the neighbours; None leaves them out.
        seed: Deals folds and draws.
        draws: Of the bootstrap.

    Raises:
        ConfigError: The table has no prompts, too few arms or arms with nothing between them; or a
            router does not know an arm.
    """
    if not table.prompts or len(table.arms) < 2:
        raise ConfigError("routers are compared on a table with a column prompt and two arms")
    name_to_strengths = {name: _strengths(name, router, table) for name, router in routers.items()}
    if embedder is not None:
        name_to_strengths[_NEIGHBOURS] = _neighbours(table, embedder, seed)
    compare = _compare_pair if len(table.arms) == 2 else _compare_pool
    return compare(table, name_to_strengths, np.random.default_rng(seed), draws)


def write_comparison(compared: Comparison, folder: Path, *, table: str) -> Path:
    """Write the curves as PNG, and one HTML page with all; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "routers.png"
    figure, panel = new_panels(1, width=8.0)
    for name, (x, y) in compared.name_to_line.items():
        panel.plot(x, y, label=name, marker="." if len(x) < 5 else None)
    for name, point in compared.name_to_point.items():
        panel.plot(*([value] for value in point), "o", color="black", markersize=4)
        panel.annotate(name, point, textcoords="offset points", xytext=(5, -10), fontsize=8)
    caption(panel, "Routers", *compared.axes, legend=True)
    save_png(figure, picture)
    page = Page(title="What routers make of graded answers")
    page.text(f"{table}. Intervals are 95 % of a bootstrap over prompts.")
    page.table(compared.head, compared.rows)
    page.picture(picture, "Quality of each router over what it spends")
    page.write(folder / "routers.html")
    return folder / "routers.html"


def chosen_at(strengths: Floats, price: Floats, weight: float) -> Floats:
    """The arm of the highest strength less its price times a weight, ``[prompts]``.

    Args:
        strengths: Expected quality, ``[prompts, arms]``.
        price: Of each arm, from 0 for the cheapest to 1 for the dearest, ``[arms]``.
        weight: At least 0; infinity is the cheapest arm always.
    """
    if np.isinf(weight):
        return np.full(len(strengths), int(price.argmin()))
    return np.asarray((strengths - weight * price).argmax(axis=1))


def _strengths(name: str, router: SavedRouter, table: OutcomeTable) -> Floats:
    """In the order of the table's arms, ``[prompts, arms]``."""
    if missing := set(table.arms).difference(router.ranker.arms):
        raise ConfigError(
            f"{name} ({router.card.ranker}) does not know the arm {min(missing)!r}: evaluate it on "
            f"a table of {', '.join(each for each in router.ranker.arms if each != MARK)}"
        )
    order = [router.ranker.arms.index(arm) for arm in table.arms]
    return np.asarray(router.ranker.strengths(router.prompts(table.prompts))[:, order])


def _neighbours(table: OutcomeTable, embedder: Embedder, seed: int) -> Floats:
    grades = from_grades(table, table.prompts)
    prompts = embedded_prompts(grades.prompts, embedder)
    folds = prompt_folds(prompts, folds=_FOLDS, rng=np.random.default_rng(seed))
    ranker = Neighbours(count=min(100, max(1, len(prompts) // 4)))
    found = out_of_fold(ranker, grades, prompts, folds)
    place = {text: number for number, text in enumerate(grades.prompts)}
    rows = [place[text] for text in table.prompts]
    order = [grades.arms.index(arm) for arm in table.arms]
    return np.asarray(found[rows][:, order])


def _compare_pair(
    table: OutcomeTable,
    name_to_strengths: Mapping[str, Floats],
    rng: np.random.Generator,
    draws: int,
) -> Comparison:
    low, high = np.argsort(table.score.mean(axis=0), kind="stable").tolist()
    weak, strong = table.score[:, low], table.score[:, high]
    if not strong.mean() > weak.mean():
        raise ConfigError("the two models are equally good here: there is no gap to recover")
    name_to_scores = {
        name: each[:, high] - each[:, low] for name, each in name_to_strengths.items()
    }
    name_to_scores |= {"random": np.zeros(len(table)), "oracle": strong - weak}
    baseline = name_to_scores.get(_NEIGHBOURS, name_to_scores["random"])
    rows, lines = [], {}
    for name, scores in name_to_scores.items():
        curve = routing_curve(scores, weak, strong)
        alone = apgr_interval(scores, weak, strong, rng=rng, draws=draws)
        apart = apgr_difference(scores, baseline, weak, strong, rng=rng, draws=draws)
        less = (
            ""
            if scores is baseline
            else f"{apart.mean:+.3f} ({apart.low:+.3f} to {apart.high:+.3f})"
        )
        rows.append((name, _told(alone), f"{cpt(curve, 0.5):.1%}", f"{cpt(curve, 0.8):.1%}", less))
        lines[name] = curve.share, curve.quality
    for arm, quality in ((low, weak.mean()), (high, strong.mean())):
        rows.append((f"always {table.arms[arm]}: {quality:.1%} quality", "", "", "", ""))
    return Comparison(
        head=pair_head(_NEIGHBOURS if _NEIGHBOURS in name_to_scores else "random"),
        rows=tuple(rows),
        name_to_line=lines,
        name_to_point={
            f"always {table.arms[low]}": (0.0, float(weak.mean())),
            f"always {table.arms[high]}": (1.0, float(strong.mean())),
        },
        axes=(f"share of calls to {table.arms[high]}", "mean quality"),
    )


def _compare_pool(
    table: OutcomeTable,
    name_to_strengths: Mapping[str, Floats],
    rng: np.random.Generator,
    draws: int,
) -> Comparison:
    between = _CostRange.of(table)
    cost, quality = table.cost_usd.mean(axis=0), table.score.mean(axis=0)
    static = upper_hull(cost, quality)
    price = (cost - cost.min()) / (cost.max() - cost.min())
    rows, lines = [], {}
    for name, strengths in {**name_to_strengths, "oracle": table.score}.items():
        points = [chosen_at(strengths, price, weight) for weight in _COST_WEIGHTS]
        costs, qualities = _means(table, points, np.arange(len(table)))
        rows.append(_pool_row(name, costs, qualities, between.areas(table, points, rng, draws)))
        hull = upper_hull(costs, qualities)
        lines[name] = hull.cost, hull.quality
    name_to_point = {
        **dict(zip(table.arms, zip(cost.tolist(), quality.tolist(), strict=True), strict=True)),
        "random": (float(cost.mean()), float(quality.mean())),
    }
    rows.append(("mixtures of single models", f"{between.aiq(static):.3f}", "", "", ""))
    rows += [
        (f"always {arm}" if arm in table.arms else arm, "", "", f"{q:.1%}", f"{c:.3g}")
        for arm, (c, q) in name_to_point.items()
    ]
    lines["mixtures of single models"] = static.cost, static.quality
    return Comparison(
        head=POOL_HEAD,
        rows=tuple(rows),
        name_to_line=lines,
        name_to_point=name_to_point,
        axes=("mean cost of a prompt, USD", "mean quality"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _CostRange:
    """Mean costs of a prompt between which single models are worth mixing."""

    low: float
    high: float

    @staticmethod
    def of(table: OutcomeTable) -> "_CostRange":
        if np.isnan(table.cost_usd).any():
            raise ConfigError(
                "three arms and more are compared by cost: state NAME|cost_usd for each"
            )
        static = _static_hull(table, np.arange(len(table)))
        found = _CostRange(low=float(static.cost[0]), high=float(static.cost[-1]))
        if not found.high > found.low:
            raise ConfigError("the cheapest arm is the best one here: there is nothing to route")
        return found

    def aiq(self, hull: Hull) -> float:
        return aiq(hull, low=self.low, high=self.high)

    def areas(
        self, table: OutcomeTable, points: Sequence[Floats], rng: np.random.Generator, draws: int
    ) -> tuple[Interval, Interval]:
        """AIQ of what was chosen at each weight, and less the static hull's."""

        def measured(draw: Rows) -> float:
            return self.aiq(upper_hull(*_means(table, points, draw)))

        def apart(draw: Rows) -> float:
            return measured(draw) - self.aiq(_static_hull(table, draw))

        at_most = min(draws, 200)  # a hull for each draw takes its time
        alone, less = (
            bootstrap(area, prompts=len(table), rng=rng, draws=at_most)
            for area in (measured, apart)
        )
        return alone, less


def _pool_row(
    name: str, costs: Floats, qualities: Floats, areas: tuple[Interval, Interval]
) -> tuple[str, ...]:
    best = int(qualities.argmax())
    alone, less = areas
    return (
        name,
        _told(alone),
        f"{less.mean:+.3f} ({less.low:+.3f} to {less.high:+.3f})",
        f"{qualities[best]:.1%}",
        f"{costs[best]:.3g}",
    )


def _static_hull(table: OutcomeTable, rows: Rows) -> Hull:
    """What mixtures of single models give."""
    return upper_hull(table.cost_usd[rows].mean(axis=0), table.score[rows].mean(axis=0))


def _means(table: OutcomeTable, points: Sequence[Floats], rows: Rows) -> tuple[Floats, Floats]:
    """Mean cost and quality of what was chosen at each weight, ``[weights]`` each."""
    chosen = np.stack(points)[:, rows]
    return table.cost_usd[rows, chosen].mean(axis=1), table.score[rows, chosen].mean(axis=1)


def _told(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"
