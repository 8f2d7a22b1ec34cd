"""The figures of a log, as PNG.

reward_figure       reward, and what is missing to the best single arm
odds_figure         probability of each arm over the time of the log
frontier_figure     cost and quality of each arm, the static hull, and the policy that was live
calibration_figure  what the policy expected of each arm, beside what came of it
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pickllm.evaluation.drawing import WINDOW, caption, new_panels, running_mean, save_png
from pickllm.evaluation.frontier import upper_hull
from pickllm.evaluation.logged import LoggedDecisions
from pickllm.evaluation.off_policy import Estimate
from pickllm.scoring.reliability import Reliability

__all__ = ["calibration_figure", "frontier_figure", "odds_figure", "reward_figure"]


def reward_figure(path: Path, logged: LoggedDecisions, best: Estimate, name: str) -> None:
    """Draw the reward, and the regret against ``best``, the estimate of the best single arm."""
    figure, (left, right) = new_panels(2)
    window = _window(logged)
    left.plot(running_mean(logged.reward, window), color="black")
    left.axhspan(best.low, best.high, alpha=0.2)
    left.axhline(best.value, linewidth=1.0, label=name)
    title = f"Reward, mean over {window} decisions"
    caption(left, title, "decision", "reward", legend=True)
    counted, earned = np.arange(1, len(logged) + 1), np.cumsum(logged.reward)
    right.plot(counted * best.value - earned, color="black")
    right.fill_between(
        counted, counted * best.low - earned, counted * best.high - earned, alpha=0.2
    )
    right.axhline(0.0, color="grey", linewidth=1.0)
    caption(right, f"Regret against {name}, estimated", "decision", "reward not earned")
    save_png(figure, path)


def odds_figure(path: Path, logged: LoggedDecisions) -> None:
    """Draw the probability that each arm had, and how often it was drawn."""
    figure, (left, right) = new_panels(2)
    window = _window(logged)
    for index, arm in enumerate(logged.arms):
        left.plot(running_mean(logged.probabilities[:, index], window), label=arm)
        right.plot(np.cumsum(logged.chosen == index), label=arm)
    left.set_ylim(-0.02, 1.02)
    title = f"Arm probabilities, mean over {window}"
    caption(left, title, "decision", "probability", legend=True)
    caption(right, "Times drawn so far", "decision", "decisions")
    save_png(figure, path)


def frontier_figure(
    path: Path,
    *,
    name_to_quality: Mapping[str, Estimate],
    name_to_cost_usd: Mapping[str, Estimate],
    arms: Sequence[str],
) -> None:
    """Draw quality over mean cost with both intervals; ``arms`` make up the static hull."""
    figure, panel = new_panels(1, width=7.0)
    for name, quality in name_to_quality.items():
        cost = name_to_cost_usd[name]
        panel.errorbar(
            cost.value,
            quality.value,
            xerr=[[max(cost.value - cost.low, 0.0)], [max(cost.high - cost.value, 0.0)]],
            yerr=[
                [max(quality.value - quality.low, 0.0)],
                [max(quality.high - quality.value, 0.0)],
            ],
            fmt="o" if name in arms else "*",
            markersize=6 if name in arms else 13,
            capsize=2,
            label=name,
        )
    costs = np.array([name_to_cost_usd[arm].value for arm in arms])
    qualities = np.array([name_to_quality[arm].value for arm in arms])
    hull = upper_hull(costs, qualities)
    panel.plot(hull.cost, hull.quality, "--", color="grey", label="static hull")
    caption(panel, "Quality for its cost, estimated", "USD for each decision", "score")
    figure.legend(loc="outside right center", frameon=False)
    save_png(figure, path)


def calibration_figure(path: Path, arm_to_reliability: Mapping[str, Reliability]) -> None:
    """Draw expected against observed, in bins of equally many decisions."""
    figure, panel = new_panels(1, width=6.0)
    panel.plot([0.0, 1.0], [0.0, 1.0], color="grey", linewidth=1.0)
    for arm, measured in arm_to_reliability.items():
        panel.plot(
            [each.probability for each in measured.bins],
            [each.label for each in measured.bins],
            "o-",
            label=f"{arm}: ECE {measured.ece:.3f}",
        )
    caption(panel, "What the policy expected", "expected reward", "reward", legend=True)
    save_png(figure, path)


def _window(logged: LoggedDecisions) -> int:
    """Decisions to average over for the eye: more of them in a longer log."""
    return max(WINDOW, len(logged) // 40)
