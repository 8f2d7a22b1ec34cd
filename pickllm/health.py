"""Which arms are resting after failing again and again: a circuit breaker for each arm.

    closed ──`failures` in a row──► open ──`rest_s` later──► half-open ──a trial succeeds──► closed
                                     ▲                           │
                                     └───────the trial fails─────┘

An open arm is not eligible, and `explain` says so. A half-open one is eligible for one call at a
time, or for the few that are decided at the same moment. Where every arm rests, none does, and
where all others fail, those at rest are asked last: that is better than not answering.

>>> health = Health(Breaker(failures=2, rest_s=30.0))
>>> health.failed("api", 0.0), health.failed("api", 1.0)
(None, None)
>>> health.split(("api", "local"), 11.0)
(('local',), {'api': 'resting after 2 failures in a row, for 20 s more'})
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pickllm.errors import ConfigError

__all__ = ["AT_REST", "Breaker", "Health"]

AT_REST = "resting"
"""How the reason of an arm at rest begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """When an arm is given a rest, and how long."""

    failures: int = 5
    """Failures in a row that open the circuit, at least 1."""
    rest_s: float = 30.0
    """How long it stays open before one call is let through."""

    def __post_init__(self) -> None:
        if self.failures < 1 or not self.rest_s > 0.0:
            raise ConfigError(
                f"failures must be at least 1 and rest_s above 0; they are {self.failures} and "
                f"{self.rest_s}"
            )


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until_s: float = 0.0
    """While the circuit is open, or a trial is under way: when the next call may go through."""


class Health:
    """The circuits of a pool's arms. Not locked: its router is. Times are seconds of one clock."""

    def __init__(self, breaker: Breaker | None) -> None:
        if not isinstance(breaker, Breaker | None):
            raise ConfigError(
                f"breaker must be a Breaker, or None for none; it is {type(breaker).__name__}"
            )
        self.breaker = breaker
        self._arm_to_circuit: dict[str, _Circuit] = {}

    def split(self, arms: Sequence[str], now_s: float) -> tuple[tuple[str, ...], dict[str, str]]:
        """Arms that may be asked, and for each other one the reason why not."""
        if not self._arm_to_circuit:
            return tuple(arms), {}
        reasons = {arm: self._why_not(arm, now_s) for arm in arms}
        healthy = tuple(arm for arm in arms if not reasons[arm])
        if not healthy:
            return tuple(arms), {}
        return healthy, {arm: reason for arm, reason in reasons.items() if reason}

    def asked(self, arm: str, now_s: float) -> None:
        """An arm is asked; if it is half-open, this is its trial, and others wait for it."""
        circuit = self._arm_to_circuit.get(arm)
        if self.breaker and circuit and circuit.failures >= self.breaker.failures:
            circuit.open_until_s = now_s + self.breaker.rest_s

    def succeeded(self, arm: str) -> None:
        """An arm answered: its circuit closes."""
        self._arm_to_circuit.pop(arm, None)

    def failed(self, arm: str, now_s: float) -> None:
        """An arm failed once more."""
        if self.breaker is None:
            return
        circuit = self._arm_to_circuit.setdefault(arm, _Circuit())
        circuit.failures += 1
        if circuit.failures >= self.breaker.failures:
            circuit.open_until_s = now_s + self.breaker.rest_s

    def _why_not(self, arm: str, now_s: float) -> str:
        circuit = self._arm_to_circuit.get(arm)
        if circuit is None or circuit.open_until_s <= now_s:
            return ""
        return (
            f"{AT_REST} after {circuit.failures} failures in a row, "
            f"for {circuit.open_until_s - now_s:.0f} s more"
        )
