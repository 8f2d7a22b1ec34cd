"""Cascades: fit one on recorded answers, and see it beside what is simpler.

pickllm fit cascade answers.parquet --out cascade       columns prompt, NAME|answer, NAME|cost_usd
                                                        and NAME|score, or --strongest NAME
pickllm fit cascade sqlite:///routes.db --base cascade --max-usd 0.004 --out newer
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from pickllm.arrays import Floats
from pickllm.cascading.fitted import AnswerTable, CascadeFitting, FittedCascade, agreement_with
from pickllm.cascading.online import recent_of, refitted_on, scored_of
from pickllm.cascading.saved import load_cascade, save_cascade
from pickllm.cascading.scored import Plan, ScoredTable
from pickllm.cascading.thresholds import ThresholdCascade
from pickllm.commands.showing import show
from pickllm.errors import ConfigError
from pickllm.evaluation.frontier import upper_hull
from pickllm.evaluation.journal import read_ledger
from pickllm.evaluation.table_files import is_table_file, read_columns

__all__ = ["Beside", "baselines", "fit_cascade", "read_answer_table", "refit_cascade"]

logger = logging.getLogger("pickllm")

_ANSWER, _SCORE, _COST = "|answer", "|score", "|cost_usd"
_HEAD = ("on prompts held out", "quality", "USD per 1,000 prompts")
_AGREED_HEAD = ("on the newer half", "agrees with the last arm", "USD per 1,000 prompts")
_LEAST = 100
"""Of requests, to set thresholds by, and as many to show them on."""
_TESTS_HEAD = ("tested, safest first", "quality", "USD per prompt", "beside the best", "p")


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """One line of the comparison."""

    name: str
    quality: float
    cost_usd: float
    """Mean for each prompt."""


def fit_cascade(
    console: Console, table: Path, out: Path, *, fitting: CascadeFitting, strongest: str | None
) -> None:
    """Fit a cascade, show it beside single models, mixtures and hindsight, and keep it."""
    fitted = fitting.fit(read_answer_table(table, strongest=strongest))
    show(console, _TESTS_HEAD, fitted.confirmed.rows())
    lines = _lines(fitted)
    show(
        console,
        _HEAD,
        [(each.name, f"{each.quality:.4f}", f"{1e3 * each.cost_usd:.4f}") for each in lines],
    )
    console.print(escape(_verdict(fitted)), highlight=False)
    save_cascade(out, fitted.cascade)
    console.print(f"Kept {escape(fitted.cascade.name)} in {escape(str(out))}", highlight=False)


def refit_cascade(
    console: Console, store: str, base: str, out: Path, *, namespace: str, max_usd: float
) -> None:
    """Set thresholds by the older half of a ledger's requests; show old and new on the other half.

    Args:
        console: Where both are shown, beside single models.
        store: Address of the store that the cascade's router writes to.
        base: Folder of the cascade.
        out: Where the newer one goes.
        namespace: Of the store.
        max_usd: What a request may cost in the mean.

    Raises:
        ConfigError: The cascade explored nothing, or too little; or there is no budget, without
            which the last arm, whose answers are taken for right, would always be asked.
    """
    if not base or not np.isfinite(max_usd):
        raise ConfigError("with a store, give the cascade's folder as --base, and --max-usd")
    cascade = load_cascade(base)
    if not isinstance(cascade, ThresholdCascade):
        raise ConfigError(f"{base} has no thresholds: fit it anew on recorded answers")
    records = read_ledger(store, namespace=namespace)
    recent = recent_of(each.outcome for each in records if each.outcome is not None)
    table = scored_of(cascade, recent)
    if table is None or len(table) < 2 * _LEAST:
        raise ConfigError(
            f"{store} holds {0 if table is None else len(table)} requests for which all arms of "
            f"{base} were asked; {2 * _LEAST} are needed. A cascade with explore above 0 makes them"
        )
    older, newer = (table.take(half) for half in np.array_split(np.arange(len(table)), 2))
    fresh = refitted_on(older, cascade, mean_usd=max_usd)
    plans = {arm: newer.single(column) for column, arm in enumerate(newer.arms)}
    plans |= {"as it was": _plan(cascade), "set anew": _plan(fresh)}
    show(console, _AGREED_HEAD, [_agreed(newer, name, plan) for name, plan in plans.items()])
    save_cascade(out, fresh)
    console.print(f"Kept {escape(fresh.name)} in {escape(str(out))}", highlight=False)


def read_answer_table(path: Path, *, strongest: str | None = None) -> AnswerTable:
    """Recorded answers of a file; rows in which something is missing are left out.

    Args:
        path: CSV or Parquet, with a column ``prompt``.
        strongest: The arm whose answers are taken for right, where there are no scores.

    Raises:
        ConfigError: A column is missing, or holds what it must not.
    """
    if not is_table_file(path):
        raise ConfigError(f"{path} is neither .csv nor .parquet")
    columns = read_columns(path)
    arms = tuple(name.removesuffix(_ANSWER) for name in columns if name.endswith(_ANSWER))
    suffixes = (_COST,) if strongest else (_COST, _SCORE)
    wanted = ["prompt", *(arm + suffix for arm in arms for suffix in suffixes)]
    lacking = [name for name in wanted if name not in columns]
    if strongest is not None and strongest not in arms:
        lacking.append(strongest + _ANSWER)
    if lacking or len(arms) < 2:
        raise ConfigError(
            f"{path} must hold prompt, and NAME{_ANSWER}, NAME{_COST} and NAME{_SCORE} of two "
            "models or more (no scores with --strongest); it "
            + (f"lacks {lacking[:3]}" if lacking else f"has answers of {list(arms)}")
        )
    cost = _numbers(path, columns, arms, _COST, most=np.inf)
    quality = np.zeros_like(cost) if strongest else _numbers(path, columns, arms, _SCORE, most=1.0)
    said = [[columns[arm + _ANSWER][row] for arm in arms] for row in range(len(cost))]
    there = [all(text is not None for text in row) for row in said]
    kept = np.flatnonzero(np.array(there) & np.isfinite(cost + quality).all(axis=1)).tolist()
    answers = tuple(tuple(map(str, said[row])) for row in kept)
    if not kept:
        raise ConfigError(f"{path} has no row in which nothing is missing")
    if len(kept) < len(said):
        logger.warning("%d of %d rows of %s lack something", len(said) - len(kept), len(said), path)
    labels = agreement_with(answers, arms.index(strongest)) if strongest else quality[kept]
    return AnswerTable(
        arms=arms,
        prompts=tuple(str(columns["prompt"][row]) for row in kept),
        answers=answers,
        quality=labels,
        cost_usd=cost[kept],
    )


def baselines(table: ScoredTable, *, epsilon: float, mean_usd: float) -> list[Beside]:
    """What a cascade is measured by: single arms, the cheapest good one, mixtures, hindsight.

    Args:
        table: Rows that nothing was fitted on.
        epsilon: How much worse than the best the cheap one may be.
        mean_usd: What the mixture of single arms may cost: as much as the cascade.

    """
    quality, cost = table.quality.mean(axis=0), table.cost_usd.mean(axis=0)
    singles = [
        Beside(name=arm, quality=float(quality[column]), cost_usd=float(cost[column]))
        for column, arm in enumerate(table.arms)
    ]
    good = [each for each in singles if each.quality >= quality.max() - epsilon]
    cheap = min(good, key=lambda each: each.cost_usd)
    hull = upper_hull(cost, quality)
    mixed = min(mean_usd, float(cost.max()))
    best, paid = _hindsight(table)
    return [
        *singles,
        Beside(name=f"best cheap: {cheap.name}", quality=cheap.quality, cost_usd=cheap.cost_usd),
        Beside(name="mixture at this cost", quality=hull.quality_at(mixed), cost_usd=mixed),
        Beside(name="hindsight", quality=best, cost_usd=paid),
    ]


def _plan(cascade: ThresholdCascade) -> Plan:
    thresholds = cascade.thresholds[: len(cascade.order) - 1]
    return Plan(order=cascade.order, thresholds=thresholds)


def _agreed(table: ScoredTable, name: str, plan: Plan) -> tuple[str, str, str]:
    played = table.played(plan)
    quality, cost = table.shares @ played.quality, table.shares @ played.cost_usd
    return name, f"{quality / len(table):.4f}", f"{1e3 * cost / len(table):.4f}"


def _verdict(fitted: FittedCascade) -> str:
    found, kept = fitted.confirmed, fitted.cascade.order[0]
    if found.is_cascade:
        return (
            f"At most {found.epsilon:g} worse than {found.best_single} with probability "
            f"{1.0 - found.delta:g}, at {found.cost_share:.0%} of its cost."
        )
    in_budget = "" if kept == found.best_single else ", the best single model in the budget,"
    return (
        f"No cascade was confirmed: {kept} alone{in_budget} is kept. More prompts, a larger "
        "epsilon or a larger budget may help."
    )


def _lines(fitted: FittedCascade) -> list[Beside]:
    played = fitted.played
    quality, cost = float(played.quality.mean()), float(played.cost_usd.mean())
    return [
        *baselines(fitted.confirm.table, epsilon=fitted.confirmed.epsilon, mean_usd=cost),
        Beside(name="the cascade", quality=quality, cost_usd=cost),
    ]


def _hindsight(table: ScoredTable) -> tuple[float, float]:
    """Quality and cost of asking, for each prompt, the cheapest of the best arms alone."""
    best = table.quality.max(axis=1)
    costs = np.where(table.quality >= best[:, None], table.cost_usd, np.inf)
    return float(best.mean()), float(costs.min(axis=1).mean())


def _numbers(
    path: Path,
    columns: Mapping[str, Sequence[object]],
    arms: tuple[str, ...],
    suffix: str,
    *,
    most: float,
) -> Floats:
    """``[rows, arms]``, from 0 to ``most``; NaN where nothing stands."""
    found = []
    for column in (arm + suffix for arm in arms):
        try:
            numbers = np.array([_number(cell) for cell in columns[column]])
        except ValueError as error:
            raise ConfigError(f"the column {column} of {path}: {error}") from error
        beyond = numbers[(numbers < 0.0) | (numbers > most)]
        if beyond.size:
            raise ConfigError(
                f"the column {column} of {path} must hold numbers in [0, {most:g}]; there is "
                f"{beyond[0]:g}"
            )
        found.append(numbers)
    return np.array(found).T


def _number(cell: object) -> float:
    return float("nan") if cell is None or cell == "" else float(str(cell))
