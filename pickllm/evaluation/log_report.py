"""A log on one page: what was earned, how it was chosen, what else could have been had.

    write_report(read_log("traffic.jsonl"), Path("report"))

Writes ``report.html``, which needs nothing beside itself, and its figures as PNG.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pickllm.evaluation.comparison import LOG_HEAD, LogComparison, compare_on_log, weights_told
from pickllm.evaluation.evidence import Evidence
from pickllm.evaluation.log import LogEntry
from pickllm.evaluation.log_figures import (
    calibration_figure,
    frontier_figure,
    odds_figure,
    reward_figure,
)
from pickllm.evaluation.logged import Column, LoggedDecisions, log_warnings
from pickllm.evaluation.off_policy import Estimate, estimate
from pickllm.evaluation.page import Page
from pickllm.evaluation.table import Matrix
from pickllm.policies import PolicyLike
from pickllm.protocols import Reward
from pickllm.scoring.reliability import Reliability, reliability

__all__ = ["arm_reliability", "write_report"]

_FEWEST = 20
"""Decisions below which an arm's calibration is not measured."""


def write_report(
    entries: Sequence[LogEntry],
    folder: Path,
    *,
    policies: Mapping[str, PolicyLike] | None = None,
    reward: Reward | None = None,
    source: str | None = None,
    seed: int = 0,
) -> Path:
    """Write the page and its figures into ``folder``; returns the page's path."""
    logged = LoggedDecisions.of(entries, reward=reward, source=source)
    folder.mkdir(parents=True, exist_ok=True)
    compared = compare_on_log(logged, policies or {}, seed=seed)
    page = Page(title="What a log of decisions tells")
    _tell_what_it_is_about(page, entries, logged, weights_told(reward))
    _draw_reward(page, folder, logged, compared)
    odds_figure(folder / "odds.png", logged)
    page.heading("How it was chosen")
    page.picture(folder / "odds.png", "Probability of each arm over time")
    page.heading("What others would have earned")
    page.table(LOG_HEAD, compared.rows)
    for words in compared.warnings:
        page.text(f"Beware: {words}.")
    _draw_frontier(page, folder, logged)
    _draw_calibration(page, folder, logged)
    page.write(folder / "report.html")
    return folder / "report.html"


def arm_reliability(logged: LoggedDecisions) -> dict[str, Reliability]:
    """For each arm drawn often enough, the policy's expectations beside the rewards that came."""
    found = {}
    expected = logged.values[np.arange(len(logged)), logged.chosen]
    for index, arm in enumerate(logged.arms):
        rows = (logged.chosen == index) & (expected >= 0.0) & (expected <= 1.0)
        if rows.sum() >= _FEWEST:
            found[arm] = reliability(expected[rows], logged.reward[rows])
    return found


def _tell_what_it_is_about(
    page: Page, entries: Sequence[LogEntry], logged: LoggedDecisions, rewards: str
) -> None:
    policies = sorted({entry.policy for entry in entries if not entry.held})
    page.text(f"{len(logged)} decisions with a reward, by {'; '.join(policies)}. {rewards}")
    if logged.left_out:
        told = ", ".join(f"{count} {why}" for why, count in sorted(logged.left_out.items()))
        page.text(f"Left out: {told}.")
    drawn = np.bincount(logged.chosen, minlength=len(logged.arms))
    rates = logged.arm_to_feedback_rate
    page.table(
        ("arm", "drawn", "judged", "mean score", "mean latency"),
        [
            [
                arm,
                f"{drawn[index]}",
                f"{rates.get(arm, 1.0):.0%}",
                _mean(logged.score[logged.chosen == index], ".3f"),
                _mean(logged.latency_s[logged.chosen == index], ".2f", " s"),
            ]
            for index, arm in enumerate(logged.arms)
        ],
    )
    for words in log_warnings(logged):
        page.text(f"Beware: {words}.")


def _draw_reward(
    page: Page, folder: Path, logged: LoggedDecisions, compared: LogComparison
) -> None:
    best = compared.best_arm
    reward_figure(folder / "reward.png", logged, best.method_to_estimate["dr"], best.name)
    page.heading("What was earned")
    page.text(
        f"The best single arm by hindsight is {best.name}; what it would have earned is an "
        "estimate, so the regret against it is one too: the band is its 95 % interval."
    )
    page.picture(folder / "reward.png", "Reward and regret over time")


def _draw_frontier(page: Page, folder: Path, logged: LoggedDecisions) -> None:
    page.heading("Quality for its cost")
    known = logged.only(~np.isnan(logged.cost_usd)) if not np.isnan(logged.cost_usd).all() else None
    drawn = set() if known is None else set(known.chosen.tolist())
    if known is None or len(drawn) < len(known.arms):
        page.text("The cost of some arm is unknown: state its price, and this figure can be drawn.")
        return
    targets = {arm: known.always(arm) for arm in known.arms}
    targets["as logged"] = known.probabilities
    frontier_figure(
        folder / "frontier.png",
        name_to_quality={name: _mean_of(known, t, known.score) for name, t in targets.items()},
        name_to_cost_usd={name: _mean_of(known, t, known.cost_usd) for name, t in targets.items()},
        arms=known.arms,
    )
    page.text(
        "The dashed line is what a coin between two arms buys, without a look at any prompt. A "
        "policy earns its keep above it."
    )
    page.picture(folder / "frontier.png", "Score over cost")


def _draw_calibration(page: Page, folder: Path, logged: LoggedDecisions) -> None:
    page.heading("Whether expectations were met")
    measured = arm_reliability(logged)
    if not measured:
        page.text("The policy did not say what it expected, or too seldom to be measured.")
        return
    calibration_figure(folder / "calibration.png", measured)
    page.picture(folder / "calibration.png", "Expected and observed reward by arm")
    page.table(
        ("arm", "ECE", "Brier"),
        [[arm, f"{each.ece:.3f}", f"{each.brier:.3f}"] for arm, each in measured.items()],
    )


def _mean_of(logged: LoggedDecisions, target: Matrix, outcome: Column) -> Estimate:
    evidence = Evidence(
        target=target,
        probabilities=logged.probabilities,
        chosen=logged.chosen,
        outcome=outcome,
    )
    return estimate(evidence, "snips")


def _mean(values: Column, spec: str, unit: str = "") -> str:
    return f"{values.mean():{spec}}{unit}" if values.size else "unknown"
