"""An arm that hangs: its caller goes on within the limit, or another arm takes over."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from pickllm import Arm, ArmTimeout, Request, Router, drive
from pickllm.steps import Call
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Piece, Reply
from tests.unit.doubles import DRIVERS, FakeClock, priced

LIMIT_S = 0.05


class Hanging(ScriptedPort):
    """Arm a hangs after some pieces, until the test is over; the others answer."""

    def __init__(self, *pieces: str) -> None:
        super().__init__({"a": Script(pieces=pieces), "b": Script(pieces=("other",))})
        self.over = threading.Event()

    def call(self, call: Call) -> Reply:
        if call.arm == "a":
            self.asked.append("a")
            self.over.wait()
        return super().call(call)

    async def acall(self, call: Call) -> Reply:
        if call.arm == "a":
            self.asked.append("a")
            await asyncio.Event().wait()
        return await super().acall(call)

    def stream(self, call: Call) -> Iterator[Piece]:
        yield from super().stream(call)
        if call.arm == "a":
            self.over.wait()

    async def astream(self, call: Call) -> AsyncIterator[Piece]:
        async for piece in super().astream(call):
            yield piece
        if call.arm == "a":
            await asyncio.Event().wait()


@pytest.fixture
def _all_threads_end() -> Iterator[None]:
    """Arms that were left hanging end with the test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "pickllm-arm":
            thread.join(timeout=5.0)
            assert not thread.is_alive()


def limited(*names: str) -> list[Arm]:
    """Arms with a short time limit."""
    return [replace(arm, timeout_s=LIMIT_S) for arm in priced(*names)]


@pytest.mark.usefixtures("_all_threads_end")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("pieces", [(), ("",)], ids=["silent", "invisible"])
def test_hanging_arm_is_a_timeout(driver: str, pieces: tuple[str, ...]) -> None:
    """Without a fallback the caller gets `ArmTimeout`, which says what to do."""
    port = Hanging(*pieces)
    router = Router(arms=limited("a"))
    shown = DRIVERS[driver](router.flow(Request(text="", id="r")), port, FakeClock())
    port.over.set()
    assert isinstance(shown.error, ArmTimeout)
    told = "arm 'a' gave nothing for 0.05 s: raise its timeout_s if it may take longer"
    assert told == str(shown.error)
    assert shown.error is shown.error.original
    outcome = router.ledger["r"].outcome
    assert outcome is not None
    assert "ArmTimeout" == outcome.attempts[0].error


@pytest.mark.usefixtures("_all_threads_end")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("pieces", [(), ("",)], ids=["silent", "invisible"])
def test_another_arm_takes_over_from_one_that_hangs(driver: str, pieces: tuple[str, ...]) -> None:
    """A timeout is a failure like any other."""
    port = Hanging(*pieces)
    router = Router(arms=limited("a", "b"), policy=lambda _: "a")
    shown = DRIVERS[driver](router.flow(Request(text="")), port, FakeClock())
    port.over.set()
    assert ("other", None) == (shown.text, shown.error)
    assert ["a", "b"] == port.asked


@pytest.mark.usefixtures("_all_threads_end")
@pytest.mark.parametrize("driver", ["stream", "astream"])
def test_stream_that_stops_in_sight_is_a_timeout(driver: str) -> None:
    """The limit is for each piece: an arm that hangs in the middle surfaces, no other is asked."""
    port = Hanging("half")
    router = Router(arms=limited("a", "b"), policy=lambda _: "a")
    shown = DRIVERS[driver](router.flow(Request(text="")), port, FakeClock())
    port.over.set()
    assert "half" == shown.text
    assert isinstance(shown.error, ArmTimeout)
    assert shown.error.shown
    assert ["a"] == port.asked


@pytest.mark.usefixtures("_all_threads_end")
@pytest.mark.parametrize("driver", DRIVERS)
def test_arm_within_its_limit_is_not_disturbed(driver: str) -> None:
    """A limit changes nothing for an arm that keeps it."""
    port = ScriptedPort({"a": Script(pieces=("one", "", "two"))})
    router = Router(arms=[replace(arm, timeout_s=60.0) for arm in priced("a")])
    shown = DRIVERS[driver](router.flow(Request(text="")), port, FakeClock())
    assert ("onetwo", None) == (shown.text, shown.error)
    assert ["a"] == port.closed


@pytest.mark.usefixtures("_all_threads_end")
@pytest.mark.parametrize("driver", DRIVERS)
def test_failure_of_a_limited_arm_is_its_own(driver: str) -> None:
    """An arm's own error comes out of its thread as it is, even a `TimeoutError`."""
    own = TimeoutError("theirs")
    port = ScriptedPort({"a": Script(pieces=(), error=own)})
    router = Router(arms=limited("a"))
    error = DRIVERS[driver](router.flow(Request(text="")), port, FakeClock()).error
    assert not isinstance(error, ArmTimeout)
    assert error is not None
    assert own is error.__cause__


@pytest.mark.usefixtures("_all_threads_end")
def test_slow_reader_is_no_timeout() -> None:
    """The limit is for the arm: a consumer may take its time over a piece."""
    port = ScriptedPort({"a": Script(pieces=("one", "two"))})
    router = Router(arms=limited("a"))
    pause, shown = threading.Event(), []
    for piece in drive.stream(router.flow(Request(text="")), port):
        shown.append(piece)
        pause.wait(2 * LIMIT_S)
    assert ["one", "two"] == shown


@pytest.mark.usefixtures("_all_threads_end")
def test_limited_stream_that_is_left_stops_its_arm() -> None:
    """The thread closes the arm's iterator at its next piece."""
    closed = threading.Event()

    class Endless(ScriptedPort):
        def stream(self, call: Call) -> Iterator[Piece]:
            try:
                while True:
                    yield Piece(payload="more", visible=True)
            finally:
                closed.set()

    router = Router(arms=[replace(arm, timeout_s=60.0) for arm in priced("a")])
    streaming = drive.stream(router.flow(Request(text="", id="r")), Endless({"a": Script()}))
    assert "more" == next(streaming)
    streaming.close()
    assert closed.wait(5.0)
    assert "abandoned" == router.ledger["r"].status


@pytest.mark.usefixtures("_all_threads_end")
@pytest.mark.parametrize("driver", DRIVERS)
def test_context_reaches_a_limited_arm(driver: str) -> None:
    """Context variables, which tracing lives on, are seen in the arm's thread too."""
    name: ContextVar[str] = ContextVar("name", default="lost")
    seen: list[str] = []

    class Looks(ScriptedPort):
        def _begin(self, call: Call) -> Script:
            seen.append(name.get())
            return super()._begin(call)

    name.set("kept")
    router = Router(arms=[replace(arm, timeout_s=60.0) for arm in priced("a")])
    DRIVERS[driver](router.flow(Request(text="")), Looks({"a": Script()}), FakeClock())
    assert ["kept"] == seen


@pytest.mark.usefixtures("_all_threads_end")
def test_interrupt_in_a_limited_arm_passes_through() -> None:
    """What is no `Exception` is nobody's failure, in a thread or not."""

    class Impatient(ScriptedPort):
        def call(self, call: Call) -> Any:
            raise KeyboardInterrupt

    router = Router(arms=limited("a"))
    with pytest.raises(KeyboardInterrupt):
        drive.run(router.flow(Request(text="", id="r")), Impatient({"a": Script()}))
    assert "cancelled" == router.ledger["r"].status


_HANGS = """
import threading
from pickllm import Arm, ArmTimeout, Request, Router, drive
from pickllm.testing import ScriptedPort

class Hangs(ScriptedPort):
    def call(self, call):
        threading.Event().wait()

router = Router(arms=[Arm(name="a", timeout_s=0.05)], weights={"quality": 1.0})
try:
    drive.run(router.flow(Request(text="")), Hangs({}))
except ArmTimeout:
    raise SystemExit(7)
"""


def test_arm_that_hangs_does_not_hold_the_interpreter() -> None:
    """A process whose arm hangs for ever can still end."""
    ended = subprocess.run([sys.executable, "-c", _HANGS], timeout=60, check=False)
    assert 7 == ended.returncode
