"""What arms read in place of the conversation, between a router and whatever adapts it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from pickllm import Arm, Request, Router, drive
from pickllm.steps import Call
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Said
from tests.unit.doubles import DRIVERS, Driver, FakeClock, priced

FINE = Script(pieces=("fine",))
TURNS = (Said(role="system", text="rules", at=0), Said(role="user", text="a long question", at=1))
ASKED = Request(text="a long question", id="r", turns=TURNS)


class Reading(ScriptedPort):
    """Notes what each arm was given to read."""

    def __init__(self, **scripts: Script) -> None:
        super().__init__(scripts)
        self.read: dict[str, Sequence[Said] | None] = {}

    def _begin(self, call: Call) -> Script:
        self.read[call.arm] = call.turns
        return super()._begin(call)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shorter:
    """Leaves the last word of the question to one of the arms."""

    arm: str
    name: str = "shorter"

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """Shorter for that arm."""
        if arm.name != self.arm:
            return request.turns
        return (request.turns[0], Said(role="user", text="question", at=1))


class Failing(Shorter):
    """Fails."""

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        raise RuntimeError(request.text)


@pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)
def test_each_arm_reads_its_own(driver: Driver) -> None:
    """Also the one that takes over; who gains nothing reads what was given."""
    router = Router(
        arms=priced("a", "b"), policy=lambda _: {"a": 1.0}, adaptations=Shorter(arm="a")
    )
    port = Reading(a=Script(pieces=(), error=OSError("no")), b=FINE)

    assert "fine" == driver(router.flow(ASKED), port, FakeClock()).text
    assert (TURNS[0], Said(role="user", text="question", at=1)) == port.read["a"]
    assert port.read["b"] is None
    assert 1 == router.stats()["prompts_adapted"]


def test_one_that_fails_leaves_the_prompt_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """The answer counts more; it is counted, and no prompt is in the log."""
    router = Router(arms=priced("a"), adaptations=Failing(arm="a"))
    port = Reading(a=FINE)

    assert "fine" == drive.run(router.flow(ASKED), port).reply.text
    assert port.read["a"] is None
    assert 1 == router.stats()["adaptation_failures"]
    assert "question" not in caplog.text


def test_without_the_conversation_nothing_is_adapted() -> None:
    """Whoever gives only a text has nothing that could be changed."""
    router = Router(arms=priced("a"), adaptations=Failing(arm="a"))
    drive.run(router.flow(Request(text="q")), Reading(a=FINE))
    assert 0 == router.stats().get("adaptation_failures", 0)
