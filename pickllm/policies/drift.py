r"""Whether an arm's answers have become better or worse than they are expected to be.

Page and Hinkley's test, both ways, on what was expected less what came:

    low  = max(0, low  + expected - score - slack)        alarm when low  > threshold
    high = max(0, high + score - expected - slack)        alarm when high > threshold

With the defaults a fall of .4 is found after about 50 scores of 0 and 1, and noise alone raises an
alarm less than once in a million scores.

References: Page, Continuous inspection schemes (1954); Hinkley (1971).

>>> drift, seen, raised = Drift(), (0.0, 0.0), False
>>> for count in range(1, 100):
...     seen, raised = drift.after(seen, expected=0.8, score=0.4)
...     if raised:
...         break
>>> count
50
"""

import math
from dataclasses import dataclass

from pickllm.errors import ConfigError

__all__ = ["Drift"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """Settings of the test."""

    slack: float = 0.1
    """A change of less than this is none, above 0."""
    threshold: float = 15.0
    """How much must add up for an alarm, above 0: the higher, the rarer and the later."""

    def __post_init__(self) -> None:
        if not (0.0 < self.slack < math.inf and 0.0 < self.threshold < math.inf):
            raise ConfigError(
                f"slack and threshold must be above 0; they are {self.slack} and {self.threshold}"
            )

    def after(
        self, seen: tuple[float, ...], *, expected: float, score: float
    ) -> tuple[tuple[float, float], bool]:
        """Both sums after one more score, and whether they raise an alarm, which clears them."""
        low, high = seen
        low = max(0.0, low + expected - score - self.slack)
        high = max(0.0, high + score - expected - self.slack)
        raised = max(low, high) > self.threshold
        return ((0.0, 0.0) if raised else (low, high)), raised
