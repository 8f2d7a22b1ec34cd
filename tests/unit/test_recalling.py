"""Answers given before, between a router and whatever keeps them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pickllm import Arm, Request, Router, drive
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Hold, Kept, Piece, Reply
from tests.unit.doubles import DRIVERS, Driver, FakeClock, priced

FINE = {"a": Script(pieces=("fine", "!")), "b": Script(pieces=("fine", "!"))}
every_driver = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)


@dataclass(slots=True)
class Shelf:
    """Keeps answers by their text, and what was said of them."""

    kept: dict[str, Kept] = field(default_factory=dict)
    heard: list[tuple[str, float]] = field(default_factory=list)

    def recall(self, request: Request) -> Kept | None:
        """By the text alone."""
        return self.kept.get(request.text)

    def keep(self, request: Request, kept: Kept) -> None:
        """By the text alone."""
        self.kept[request.text] = kept

    def judged(self, decision_id: str, value: float) -> None:
        """Write it down."""
        self.heard.append((decision_id, value))


class Broken(Shelf):
    """Nothing works."""

    def recall(self, request: Request) -> Kept | None:
        raise ConnectionError(request.text)

    def keep(self, request: Request, kept: Kept) -> None:
        raise ConnectionError(request.text)

    def judged(self, decision_id: str, value: float) -> None:
        raise ConnectionError(decision_id)


def asking(request_id: str, **others: Any) -> Request:
    """A request that may be answered as others were."""
    return Request(**{"text": "q", "id": request_id, "call_digest": "d", **others})


def served(shelf: Any, **settings: Any) -> tuple[Router, ScriptedPort]:
    """A router with that shelf."""
    settings = {"arms": priced("a", "b"), "policy": lambda _: {"a": 1.0}, **settings}
    return Router(answers=shelf, seed=1, **settings), ScriptedPort(FINE)


@every_driver
def test_the_second_time_no_arm_is_asked(driver: Driver) -> None:
    """The same words come, at no cost, under a decision of its own."""
    router, port = served(Shelf())
    shown = [driver(router.flow(asking(i)), port, FakeClock()).text for i in ("one", "two")]

    assert ["fine!", "fine!"] == shown
    assert ["a"] == port.asked
    outcome = router.ledger["two"].outcome
    assert outcome is not None
    assert (0.0, False) == (outcome.cost_usd, outcome.attempts[0].called)
    assert "a was not chosen anew but held: answered before" in str(router.explain("two"))
    assert 1 == router.stats()["answers_recited"]


def test_what_is_said_of_it_reaches_the_shelf_and_no_policy() -> None:
    """It is about an answer that was given under another decision; no arm has earned anything."""
    shelf = Shelf()
    router, port = served(shelf, policy="epsilon_greedy")
    for request_id in ("one", "two"):
        drive.run(router.flow(asking(request_id)), port)

    assert "noted" == router.feedback("two", 0.0)
    assert {("one", 0.0), ("two", 0.0)} == set(shelf.heard)
    assert 0 == router.state.steps
    assert "counted" == router.feedback("one", 1.0)
    assert ("one", 1.0) == shelf.heard[-1]


def test_under_a_loop_the_shelf_hears_it_too() -> None:
    """A moment later, in a thread: it may block."""
    shelf = Shelf()
    router, port = served(shelf)

    async def judged() -> None:
        await drive.arun(router.flow(asking("one")), port)
        router.feedback("one", 0.5)
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(judged())
    assert [("one", 0.5)] == shelf.heard


@pytest.mark.parametrize(
    "second",
    [
        asking("two", call_digest=""),
        asking("two", once=True),
        asking("two", only=("b",)),
        asking("two", hold=Hold(arm="a", reason="tool loop", continues="one")),
    ],
    ids=["nobody says what shapes it", "asking has effects", "another arm is meant", "a tool loop"],
)
def test_where_it_must_not_serve_an_arm_is_asked(second: Request) -> None:
    """The shelf has an answer, and it is left there."""
    router, port = served(Shelf(), policy="random")
    drive.run(router.flow(asking("one", only=("a",))), port)
    drive.run(router.flow(second), port)

    assert 2 == len(port.asked)


def test_an_arm_that_is_gone_answers_no_more() -> None:
    """Its answers may be on the shelf for long."""
    shelf = Shelf()
    for _ in range(2):
        router, port = served(shelf, arms=[Arm(name="b")], policy="random")
        shelf.kept["q"] = Kept(text="old", arm="a", decision_id="zero")
        assert "fine!" == drive.run(router.flow(asking("one")), port).reply.text


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: replace(reply, calls_tools=True),
        lambda reply: replace(reply, plain=False),
        lambda reply: replace(reply, called=False),
        lambda reply: replace(reply, text=""),
    ],
    ids=["asks for tools", "more than text", "from a cache", "empty"],
)
def test_what_is_no_answer_is_not_kept(change: Callable[[Reply], Reply]) -> None:
    """Only words that a model gave."""

    class Odd(ScriptedPort):
        """Its replies are such."""

        def join(self, call: Any, pieces: Any) -> Reply:
            return change(super().join(call, pieces))

    shelf = Shelf()
    router, _ = served(shelf)
    drive.run(router.flow(asking("one")), Odd(FINE))
    assert {} == shelf.kept


@every_driver
def test_a_shelf_that_fails_is_a_miss(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    """The answer comes from an arm, the failures are counted, and no prompt is in the log."""
    router, port = served(Broken())
    secret = asking("one", text="a secret")

    assert "fine!" == driver(router.flow(secret), port, FakeClock()).text
    assert "counted" == router.feedback("one", 1.0)
    assert 3 == router.stats()["cache_failures"]
    assert "secret" not in caplog.text


@every_driver
def test_what_is_no_kept_answer_is_a_miss(driver: Driver) -> None:
    """A cache of one's own may give back anything."""

    class Odd(Shelf):
        def recall(self, request: Request) -> Any:
            return "fine!"

    router, port = served(Odd())

    assert "fine!" == driver(router.flow(asking("one")), port, FakeClock()).text
    assert ["a"] == port.asked
    assert 1 == router.stats()["cache_failures"]


@every_driver
def test_what_cannot_be_shown_is_a_miss(driver: Driver) -> None:
    """A kept answer that its framework cannot read is not shown, and an arm is asked."""

    class Choosy(ScriptedPort):
        """Cannot make anything of what was kept."""

        def recited(self, decision: Any, kept: Kept) -> Reply:
            raise ValueError(kept.text)

        def recited_pieces(self, decision: Any, kept: Kept) -> Any:
            raise ValueError(kept.text)
            yield Piece(payload="", visible=False)

    shelf = Shelf(kept={"q": Kept(text="{", arm="a", decision_id="zero")})
    router, _ = served(shelf)
    assert "fine!" == driver(router.flow(asking("one")), Choosy(FINE), FakeClock()).text
    assert 1 == len(router.ledger)


def test_recitals_say_nothing_of_convergence() -> None:
    """A policy has not come to rest because the same was asked again and again."""
    router, port = served(Shelf(), policy="random")
    for number in range(60):
        drive.run(router.flow(asking(str(number))), port)
    assert router.convergence().since is None


def test_a_shelf_answers_where_no_arm_can() -> None:
    """All are down, and the answer is there all the same."""
    router, port = served(Shelf(), budget=None)
    drive.run(router.flow(asking("one")), port)
    down = ScriptedPort({name: Script(pieces=(), error=OSError("down")) for name in "ab"})
    assert "fine!" == drive.run(router.flow(asking("two")), down).reply.text


@pytest.mark.parametrize("status", ["abandoned", "ok"])
def test_a_stream_that_is_being_read_may_be_judged(status: str) -> None:
    """While it is shown, and after its reader has left; a second word of the same is not heard."""
    shelf = Shelf()
    router, port = served(shelf)
    drive.run(router.flow(asking("one")), port)
    streaming = drive.stream(router.flow(asking("two")), port)

    assert "fine!" == next(streaming)
    assert "noted" == router.feedback("two", 0.0) or "waiting"
    if status == "abandoned":
        streaming.close()
    else:
        assert [] == list(streaming)
    outcome = router.ledger["two"].outcome
    assert outcome is not None
    assert status == outcome.status
    assert {("one", 0.0), ("two", 0.0)} == set(shelf.heard)
    assert "repeated" == router.feedback("two", 1.0)
    assert {("one", 0.0), ("two", 0.0)} == set(shelf.heard)
