"""What all figures share: panels, captions, a running mean, and the PNG."""

from pathlib import Path
from typing import Any

import numpy as np

from pickllm.errors import MissingExtra
from pickllm.evaluation.table import Matrix

__all__ = ["WINDOW", "caption", "legend_beside", "new_panels", "running_mean", "save_png"]

WINDOW = 25
"""Prompts over which a reward is averaged for the eye."""


def new_panels(count: int, *, width: float = 5.2) -> tuple[Any, Any]:
    """A figure of ``count`` panels side by side; each ``width`` inches wide."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("drawing", extra="eval") from error
    figure = Figure(figsize=(width * count, 3.8), layout="constrained")
    return figure, figure.subplots(1, count)


def legend_beside(figure: Any, panel: Any) -> None:
    """One legend for all panels, to their right."""
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right center", frameon=False)


def caption(panel: Any, title: str, x: str, y: str, *, legend: bool = False) -> None:
    """Title and axes of a panel."""
    panel.set_title(title)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(alpha=0.3)
    if legend:
        panel.legend(frameon=False)


def running_mean(values: Matrix, window: int = WINDOW) -> Matrix:
    """Mean over the last ``window`` values, over fewer at the start."""
    sums = np.cumsum(values)
    sums[window:] -= sums[:-window].copy()
    return sums / np.minimum(np.arange(1, len(values) + 1), window)


def save_png(figure: Any, path: Path) -> None:
    """Write the figure; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
