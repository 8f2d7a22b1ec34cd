"""A clock that only moves when it is told to, a port that moves it, and the four drivers alike."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pickllm import Arm, ArmError, Outcome, Request, Routed, Router, drive
from pickllm.protocols import Asking, Port
from pickllm.steps import Call
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Decision

Driver = Callable[[Asking[Routed], Port, "FakeClock"], "Shown"]


@dataclass(slots=True)
class FakeClock:
    """Seconds that pass only where a test says so."""

    now_s: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


class TickingPort(ScriptedPort):
    """A scripted port whose arms take a second of the fake clock each."""

    def __init__(self, arm_to_script: Mapping[str, Script], clock: FakeClock) -> None:
        super().__init__(arm_to_script)
        self.clock = clock

    def _begin(self, call: Call) -> Script:
        self.clock.now_s += 1.0
        return super()._begin(call)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a caller saw of one request."""

    text: str
    error: Exception | None = None

    @property
    def told(self) -> tuple[str, str, str, tuple[str, ...]]:
        """Text, error, the arm's own error and its notes: what two runs can be compared by."""
        original = self.error.original if isinstance(self.error, ArmError) else self.error
        notes = getattr(original, "__notes__", [])
        return self.text, type(self.error).__name__, type(original).__name__, tuple(notes)


def through_run(flow: Asking[Routed], port: Port, clock: FakeClock) -> Shown:
    """The answer as a whole."""
    try:
        return Shown(text=drive.run(flow, port, clock=clock).reply.text)
    except Exception as error:
        return Shown(text="", error=error)


def through_arun(flow: Asking[Routed], port: Port, clock: FakeClock) -> Shown:
    """The answer as a whole, under a loop."""
    try:
        return Shown(text=asyncio.run(drive.arun(flow, port, clock=clock)).reply.text)
    except Exception as error:
        return Shown(text="", error=error)


def through_stream(flow: Asking[Routed], port: Port, clock: FakeClock) -> Shown:
    """The answer piece by piece."""
    pieces: list[str] = []
    try:
        pieces.extend(drive.stream(flow, port, clock=clock))
    except Exception as error:
        return Shown(text="".join(pieces), error=error)
    return Shown(text="".join(pieces))


def through_astream(flow: Asking[Routed], port: Port, clock: FakeClock) -> Shown:
    """The answer piece by piece, under a loop."""
    pieces: list[str] = []

    async def read() -> None:
        async for piece in drive.astream(flow, port, clock=clock):
            pieces.append(piece)  # noqa: PERF401  # what was shown before a failure counts

    try:
        asyncio.run(read())
    except Exception as error:
        return Shown(text="".join(pieces), error=error)
    return Shown(text="".join(pieces))


DRIVERS: Mapping[str, Driver] = {
    "run": through_run,
    "arun": through_arun,
    "stream": through_stream,
    "astream": through_astream,
}


def mistyped(value: object) -> Any:
    """A value that the type checker would refuse, for tests of what happens without one."""
    return value


def settled(router: Router, *, text: str = "2 + 2 =", latency_s: float = 0.5) -> Decision:
    """A decision whose arm has answered, made without a port."""
    decision = router.decide(Request(text=text))
    router.settle(answered(decision, latency_s=latency_s))
    return decision


def answered(
    decision: Decision, *, latency_s: float = 0.5, cost_usd: float | None = 0.001
) -> Outcome:
    """The chosen arm gave an answer."""
    attempt = Attempt(arm=decision.arm, status="ok", latency_s=latency_s, cost_usd=cost_usd)
    return Outcome(decision_id=decision.id, attempts=(attempt,))


def priced(*names: str) -> list[Arm]:
    """Arms that all cost the same."""
    return [Arm(name=name, usd_per_mtok_in=1.0, usd_per_mtok_out=2.0) for name in names]
