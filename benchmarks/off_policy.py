"""Off-policy estimates held against the truth of a table in which every outcome is known.

    python benchmarks/off_policy.py TABLE.parquet --arms a,b,c [--group subset] [--seeds 200]

A log is made by drawing prompts with replacement and, for each, one arm by a logging policy; the
rest of the row is forgotten. Each method then says what another policy would have earned, and the
table says what it really earns. Printed are the root mean square error, the bias and how often the
95 % interval held the truth; ESS and the share of clipped weights tell how hard it was.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickllm import WeightedReward, Weights, epsilon_greedy
from pickllm.evaluation import (
    Evidence,
    OutcomeTable,
    cross_fitted,
    estimate,
    logged_from_table,
    read_table,
    replay_many,
    what_if,
)
from pickllm.evaluation.off_policy import METHODS
from pickllm.evaluation.page import markdown_table

QUALITY = WeightedReward(weights=Weights(quality=1.0, cost=0.0, latency=0.0))
HEAD = ("logged by", "asked about", "method", "RMSE", "bias", "coverage", "width", "ESS", "clipped")
Matrix = NDArray[np.float64]


def main() -> None:
    """Read, measure, print."""
    given = _arguments()
    table = read_table(given.table, arms=given.arms.split(",") if given.arms else ())
    groups = _groups(given.table, given.group, given.arms, len(table))
    rows = []
    for logger, odds in _loggers(table).items():
        for name, target in _targets(table, groups).items():
            measured = _fixed_rows(table, groups, odds=odds, target=target, given=given)
            rows += [[logger, name, *words] for words in measured]
        rows += _learning_rows(table, logger, odds, given)
    print(
        f"{len(table)} prompts, {len(table.arms)} arms; {given.seeds} logs of {given.rows} rows\n"
    )
    print(markdown_table(HEAD, rows))


def _loggers(table: OutcomeTable) -> Mapping[str, Matrix]:
    """Probabilities ``[prompts, arms]`` of those that might have been live."""
    count, arms = table.score.shape
    middle = int(np.argsort(table.score.mean(axis=0))[arms // 2])
    return {
        "uniform": np.full((count, arms), 1.0 / arms),
        "middling arm, 20 % explored": np.tile(0.8 * np.eye(arms)[middle] + 0.2 / arms, (count, 1)),
    }


def _targets(table: OutcomeTable, groups: NDArray[np.intp]) -> Mapping[str, Matrix]:
    """Probabilities ``[prompts, arms]`` of those that are asked about."""
    count, arms = table.score.shape
    best = int(table.score.mean(axis=0).argmax())
    by_group = np.array(
        [table.score[groups == group].mean(axis=0).argmax() for group in range(groups.max() + 1)]
    )
    return {
        "best arm": np.tile(np.eye(arms)[best], (count, 1)),
        "random": np.full((count, arms), 1.0 / arms),
        "best arm of each group": np.eye(arms)[by_group[groups]],
    }


def _fixed_rows(
    table: OutcomeTable,
    groups: NDArray[np.intp],
    *,
    odds: Matrix,
    target: Matrix,
    given: argparse.Namespace,
) -> list[list[str]]:
    truth = float((target * table.score).sum(axis=1).mean())
    features = np.eye(groups.max() + 1)[groups]
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(given.seeds):
        drawn = np.random.default_rng(seed).integers(len(table), size=given.rows)
        logged = logged_from_table(
            table.take(drawn), odds[drawn], reward=QUALITY, features=features[drawn], seed=seed
        )
        evidence = Evidence(
            target=target[drawn],
            probabilities=logged.probabilities,
            chosen=logged.chosen,
            outcome=logged.reward,
            predicted=cross_fitted(
                logged.chosen, logged.reward, arms=len(table.arms), features=logged.features
            ),
        )
        for method in METHODS:
            one = estimate(evidence, method)
            inside = float(one.low <= truth <= one.high)
            found.setdefault(method, []).append(
                (one.value - truth, inside, one.high - one.low, one.ess, one.clip_rate)
            )
        found.setdefault("mean of the log", []).append(
            (float(logged.reward.mean()) - truth, 0.0, 0.0, float(given.rows), 0.0)
        )
    return [[method, *_shown(np.array(each))] for method, each in found.items()]


def _learning_rows(
    table: OutcomeTable, logger: str, odds: Matrix, given: argparse.Namespace
) -> list[list[str]]:
    """A policy that learns on its way; the truth is what it earns when it is really run."""
    policy, seeds = epsilon_greedy(), min(given.seeds, 60)
    found: dict[str, list[tuple[float, ...]]] = {"snips": [], "dr": []}
    steps = []
    for seed in range(seeds):
        drawn = np.random.default_rng(seed).integers(len(table), size=given.rows)
        logged = logged_from_table(table.take(drawn), odds[drawn], reward=QUALITY, seed=seed)
        one = what_if(logged, policy, seed=seed)
        steps.append(one.steps)
        for method, values in one.method_to_estimate.items():
            found[method].append(
                (values.value, values.low, values.high, values.ess, values.clip_rate)
            )
    length = int(np.mean(steps))
    lived = [
        replay_many(
            policy,
            table.take(np.random.default_rng([seed, 1]).integers(len(table), size=length)),
            sessions=1,
            reward=QUALITY,
            seed=seed,
        )[0].rewards.mean()
        for seed in range(seeds)
    ]
    truth = float(np.mean(lived))
    rows = []
    for method, values in found.items():
        value, low, high, ess, clipped = np.array(values).T
        inside = (low <= truth) & (truth <= high)
        columns = np.stack([value - truth, inside, high - low, ess, clipped], axis=1)
        name = f"epsilon_greedy, its first {length} steps"
        rows.append([logger, name, method, *_shown(columns)])
    return rows


def _shown(columns: Matrix) -> list[str]:
    """Error, inside, width, ESS and clip rate ``[seeds, 5]`` as words."""
    error, inside, width, ess, clipped = columns.T
    return [
        f"{np.sqrt((error**2).mean()):.4f}",
        f"{error.mean():+.4f}",
        f"{inside.mean():.1%}" if width.any() else "none",
        f"{width.mean():.3f}",
        f"{ess.mean():.0f}",
        f"{clipped.mean():.1%}",
    ]


def _groups(path: Path, column: str, arms: str, count: int) -> NDArray[np.intp]:
    """A number for each prompt's group, ``[prompts]``; all the same where no column is named."""
    if not column:
        return np.zeros(count, dtype=np.intp)
    columns = _columns(path)
    names = [f"{arm}|score" for arm in arms.split(",")] if arms else list(columns)
    scores = [columns[name] for name in names if name.endswith("|score")]
    whole = [
        group
        for group, *row in zip(columns[column], *scores, strict=True)
        if all(str(score) not in ("None", "nan", "") for score in row)
    ]
    _, groups = np.unique(np.array(whole, dtype=str), return_inverse=True)
    return groups.astype(np.intp)


def _columns(path: Path) -> Mapping[str, Sequence[Any]]:
    if path.suffix == ".parquet":
        from pyarrow.parquet import read_table as read_parquet

        columns: Mapping[str, Sequence[Any]] = read_parquet(path).to_pydict()
        return columns
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return {name: [line[name] for line in lines] for name in lines[0]}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="a .csv or .parquet table of outcomes")
    parser.add_argument("--arms", default="", help="names, by commas; all by default")
    parser.add_argument("--group", default="", help="a column that says of what kind a prompt is")
    parser.add_argument("--rows", type=int, default=2_000, help="decisions in each log")
    parser.add_argument("--seeds", type=int, default=200, help="how many logs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
