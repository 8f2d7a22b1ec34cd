"""What explorers share: equal bests share, and what nobody knows yet counts as a best one.

>>> shared_by_best((0.9, None, 0.2), 0.0)
(0.5, 0.5, 0.0)
"""

from collections.abc import Sequence

__all__ = ["optimistic", "shared_by_best"]


def shared_by_best(values: Sequence[float | None], epsilon: float) -> tuple[float, ...]:
    """``epsilon / arms`` for every arm; the rest is shared by the best ones.

    No arm wins by its place in the pool. An arm never rewarded counts as a best one: it is tried
    soon, and yet one whose rewards never come cannot take all the traffic.
    """
    best = max([value for value in values if value is not None], default=0.0)
    is_best = [value is None or value >= best for value in values]
    floor = epsilon / len(values)
    share = floor + (1.0 - epsilon) / sum(is_best)
    return tuple([share if best_one else floor for best_one in is_best])


def optimistic(values: Sequence[float | None]) -> list[float]:
    """The values, with the best one in the place of those that nobody knows."""
    best = max((value for value in values if value is not None), default=0.0)
    return [best if value is None else value for value in values]
