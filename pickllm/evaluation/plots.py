"""The figures of a session, as PNG. The only place that draws.

session_figure       reward, arm probabilities and cumulative cost over a session
convergence_figure   probability of the leading arm and reward, for several learning rates
probabilities_figure probability of every arm, a panel for each learning rate
weights_figure       what other weights of cost and latency make of cost, latency and accuracy
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pickllm.errors import MissingExtra
from pickllm.evaluation.replay import Session
from pickllm.evaluation.table import Matrix, Summary

__all__ = ["convergence_figure", "probabilities_figure", "session_figure", "weights_figure"]

Label = TypeVar("Label", float, str)
"""A learning rate of the automaton, or the name of a policy."""

_WINDOW = 25
"""Prompts over which a reward is averaged for the eye."""


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
    figure, (left, middle, right) = _panels(3)
    left.plot(_smoothed(rewards), color="black")
    _label(left, f"Reward, mean over {_WINDOW} prompts", "prompt", "reward")
    for column, arm in enumerate(arms):
        middle.plot(probabilities[:, column], label=arm)
    middle.set_ylim(-0.02, 1.02)
    _label(middle, "Arm probabilities", "prompt", "probability", legend=True)
    for name, costs in name_to_costs_usd.items():
        right.plot(np.cumsum(costs), label=name, linewidth=2.5 if name == "router" else 1.2)
    known = bool(name_to_costs_usd)
    _label(right, "Cost so far" if known else "Cost unknown", "prompt", "USD", legend=known)
    _save(figure, path)


def convergence_figure(path: Path, label_to_sessions: Mapping[Label, Sequence[Session]]) -> None:
    """Draw how learning rates or policies converge: the mean over the sessions of each."""
    figure, (left, right) = _panels(2)
    for label, sessions in label_to_sessions.items():
        leading = np.mean([session.probabilities.max(axis=1) for session in sessions], axis=0)
        reward = np.mean([session.rewards for session in sessions], axis=0)
        left.plot(leading, label=_named(label))
        right.plot(_smoothed(reward))
    count = max(len(sessions) for sessions in label_to_sessions.values())
    _label(left, f"Likeliest arm, mean of {count} sessions", "prompt", "probability")
    _label(right, "Reward", "prompt", "reward")
    _legend_beside(figure, left)
    _save(figure, path)


def probabilities_figure(path: Path, label_to_sessions: Mapping[Label, Sequence[Session]]) -> None:
    """Draw the probability of each arm over a session: the mean over the sessions of each label."""
    figure, panels = _panels(len(label_to_sessions), width=3.4)
    panels = np.atleast_1d(panels)
    for panel, (label, sessions) in zip(panels, label_to_sessions.items(), strict=True):
        means = np.mean([session.probabilities for session in sessions], axis=0)
        for column, arm in enumerate(sessions[0].arms):
            panel.plot(means[:, column], label=arm)
        panel.set_ylim(0.0, 1.0)
        _label(panel, _named(label), "prompt", "mean probability")
    _legend_beside(figure, panels[0])
    _save(figure, path)


def weights_figure(path: Path, label_to_summary: Mapping[str, Summary]) -> None:
    """Draw what each setting of the weights came to."""
    figure, panels = _panels(3)
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
        _label(panel, title, unit, "")
    _save(figure, path)


def _panels(count: int, *, width: float = 5.2) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("drawing", extra="eval") from error
    figure = Figure(figsize=(width * count, 3.8), layout="constrained")
    return figure, figure.subplots(1, count)


def _legend_beside(figure: Any, panel: Any) -> None:
    """One legend for all panels, to their right."""
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right center", frameon=False)


def _named(label: float | str) -> str:
    return label if isinstance(label, str) else f"b = {label:g}"


def _label(panel: Any, title: str, x: str, y: str, *, legend: bool = False) -> None:
    panel.set_title(title)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(alpha=0.3)
    if legend:
        panel.legend(frameon=False)


def _smoothed(values: Matrix) -> Matrix:
    """Running mean over the last ``_WINDOW`` values, over fewer at the start."""
    sums = np.cumsum(values)
    sums[_WINDOW:] -= sums[:-_WINDOW].copy()
    return sums / np.minimum(np.arange(1, len(values) + 1), _WINDOW)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
