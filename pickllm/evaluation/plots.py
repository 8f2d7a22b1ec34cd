"""The figures of a session, as PNG.

session_figure       reward, arm probabilities and cumulative cost over a session
convergence_figure   probability of the leading arm and reward, for several learning rates
probabilities_figure probability of every arm, a panel for each learning rate
weights_figure       what other weights of cost and latency make of cost, latency and accuracy
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from pickllm.evaluation.drawing import (
    WINDOW,
    caption,
    legend_beside,
    new_panels,
    running_mean,
    save_png,
)
from pickllm.evaluation.replay import Session
from pickllm.evaluation.table import Matrix, Summary

__all__ = ["convergence_figure", "probabilities_figure", "session_figure", "weights_figure"]

Label = TypeVar("Label", float, str)
"""A learning rate of the automaton, or the name of a policy."""


def session_figure(
    path: Path,
    *,
    arms: Sequence[str],
    probabilities: Matrix,
    rewards: Matrix,
    name_to_costs_usd: Mapping[str, Matrix],
) -> None:
    """Draw one session.

    Args:
        path: Where the PNG goes.
        arms: Names of the arms.
        probabilities: ``[prompts, arms]``.
        rewards: ``[prompts]``.
        name_to_costs_usd: Cost of each prompt for the router and whatever it is set beside,
            each ``[prompts]``; drawn cumulatively.
    """
    figure, (left, middle, right) = new_panels(3)
    left.plot(running_mean(rewards), color="black")
    caption(left, f"Reward, mean over {WINDOW} prompts", "prompt", "reward")
    for column, arm in enumerate(arms):
        middle.plot(probabilities[:, column], label=arm)
    middle.set_ylim(-0.02, 1.02)
    caption(middle, "Arm probabilities", "prompt", "probability", legend=True)
    for name, costs in name_to_costs_usd.items():
        right.plot(np.cumsum(costs), label=name, linewidth=2.5 if name == "router" else 1.2)
    known = bool(name_to_costs_usd)
    caption(right, "Cost so far" if known else "Cost unknown", "prompt", "USD", legend=known)
    save_png(figure, path)


def convergence_figure(path: Path, label_to_sessions: Mapping[Label, Sequence[Session]]) -> None:
    """Draw how learning rates or policies converge: the mean over the sessions of each."""
    figure, (left, right) = new_panels(2)
    for label, sessions in label_to_sessions.items():
        leading = np.mean([session.probabilities.max(axis=1) for session in sessions], axis=0)
        reward = np.mean([session.rewards for session in sessions], axis=0)
        left.plot(leading, label=_named(label))
        right.plot(running_mean(reward))
    count = max(len(sessions) for sessions in label_to_sessions.values())
    caption(left, f"Likeliest arm, mean of {count} sessions", "prompt", "probability")
    caption(right, "Reward", "prompt", "reward")
    legend_beside(figure, left)
    save_png(figure, path)


def probabilities_figure(path: Path, label_to_sessions: Mapping[Label, Sequence[Session]]) -> None:
    """Draw the probability of each arm over a session: the mean over the sessions of each label."""
    figure, panels = new_panels(len(label_to_sessions), width=3.4)
    panels = np.atleast_1d(panels)
    for panel, (label, sessions) in zip(panels, label_to_sessions.items(), strict=True):
        means = np.mean([session.probabilities for session in sessions], axis=0)
        for column, arm in enumerate(sessions[0].arms):
            panel.plot(means[:, column], label=arm)
        panel.set_ylim(0.0, 1.0)
        caption(panel, _named(label), "prompt", "mean probability")
    legend_beside(figure, panels[0])
    save_png(figure, path)


def weights_figure(path: Path, label_to_summary: Mapping[str, Summary]) -> None:
    """Draw what each setting of the weights came to."""
    figure, panels = new_panels(3)
    labels = list(label_to_summary)
    for panel, (title, unit, field) in zip(
        panels,
        (
            ("Accuracy", "share right", "accuracy"),
            ("Session cost", "USD", "cost_usd"),
            ("Mean latency", "s", "latency_s"),
        ),
        strict=True,
    ):
        panel.barh(labels, [getattr(label_to_summary[label], field) for label in labels])
        panel.invert_yaxis()
        panel.locator_params(axis="x", nbins=5)
        panel.tick_params(labelleft=panel is panels[0])
        caption(panel, title, unit, "")
    save_png(figure, path)


def _named(label: float | str) -> str:
    return label if isinstance(label, str) else f"b = {label:g}"
