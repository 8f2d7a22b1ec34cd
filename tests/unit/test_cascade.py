"""A cascade at work: what is shown, what is booked, and what becomes of what is not shown."""

import asyncio
import contextlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Abstained, ArmError, Breaker, Budget, Request, Router, drive
from pickllm.cascading import ThresholdCascade
from pickllm.protocols import Asking
from pickllm.rng import Rng
from pickllm.scoring.rules import scorer_of
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort, situation
from pickllm.types import Attempt, Draft, Hold, Kept, Move, Piece, Reply, Situation, Usage
from tests.unit.doubles import DRIVERS, Driver, FakeClock, priced

RIGHT = Script(pieces=("right", ", and", " sure"))
WRONG = Script(pieces=("wrong", ", but", " sure"))
BROKEN = Script(pieces=(), error=ValueError("no"))
LONG = Script(pieces=("wrong " * 5, "wrong " * 5, "right"))

every_driver = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS)


def is_right(_: str, answer: str) -> float:
    """The scorer of these tests."""
    return 0.9 if answer.startswith("right") else 0.1


def climber(arms: Sequence[str] = ("small", "large"), **settings: Any) -> Router:
    """A router that asks its arms in their order until one is right."""
    how = {"thresholds": (0.5,) * (len(arms) - 1), "scorer": is_right, **settings.pop("how", {})}
    cascade = ThresholdCascade(order=tuple(arms), **how)
    return Router(arms=priced(*arms), cascade=cascade, seed=1, **settings)


def booked(router: Router, request_id: str = "r") -> list[tuple[str, str, float | None]]:
    """Who was asked, and how it ended."""
    return [(a.arm, a.status, a.score) for a in attempts(router, request_id)]


def attempts(router: Router, request_id: str = "r") -> tuple[Attempt, ...]:
    """The attempts of a request."""
    outcome = router.ledger[request_id].outcome
    assert outcome is not None
    return outcome.attempts


def asked(driver: Driver, router: Router, scripts: Mapping[str, Script]) -> str:
    """What a caller sees."""
    shown = driver(router.flow(Request(text="q", id="r")), ScriptedPort(scripts), FakeClock())
    if shown.error is not None:
        raise shown.error
    return shown.text


@every_driver
def test_a_good_answer_ends_it(driver: Driver) -> None:
    """The second arm is not asked."""
    router, port = climber(), ScriptedPort({"small": RIGHT, "large": RIGHT})
    driver(router.flow(Request(text="q", id="r")), port, FakeClock())

    assert ["small"] == port.asked
    assert [("small", "ok", 0.9)] == booked(router)


@every_driver
def test_whole_answers_are_held_against_the_last_arm_s(driver: Driver) -> None:
    """A label where nobody grades drafts; half an answer, or one alone, has none."""
    both = climber()
    asked(driver, both, {"small": WRONG, "large": RIGHT})
    alone = climber()
    asked(driver, alone, {"small": RIGHT, "large": RIGHT})
    cut = climber(how={"hold_back_chars": 8})
    asked(driver, cut, {"small": LONG, "large": RIGHT})

    agreed = {each.arm: each.agreement for each in attempts(both)}
    assert {"small": pytest.approx(1 / 3), "large": 1.0} == agreed
    assert [None] == [each.agreement for each in attempts(alone)]
    if driver in {DRIVERS["stream"], DRIVERS["astream"]}:
        assert [None, None] == [each.agreement for each in attempts(cut)]


@every_driver
def test_a_rejected_draft_is_never_seen(driver: Driver) -> None:
    """The consumer sees the second answer alone, and both are booked."""
    router = climber()

    assert "right, and sure" == asked(driver, router, {"small": WRONG, "large": RIGHT})
    assert [("small", "rejected", 0.1), ("large", "ok", 0.9)] == booked(router)
    assert 1 == router.stats()["drafts_rejected"]
    assert 0 == router.stats()["fallbacks"]


@every_driver
def test_the_best_draft_is_shown_and_not_the_last(driver: Driver) -> None:
    """Who was asked last is no better for it."""

    def length(_: str, answer: str) -> float:
        return {"wrong, but sure": 0.3, "no": 0.1}[answer]

    router = climber(how={"scorer": length})

    assert "wrong, but sure" == asked(
        driver, router, {"small": WRONG, "large": Script(pieces=("no",))}
    )
    assert [("large", "rejected", 0.1), ("small", "ok", 0.3)] == booked(router)
    assert "small" == router.answered_by("r")


@every_driver
def test_nothing_good_enough_is_an_error_with_the_drafts(driver: Driver) -> None:
    """Whoever catches it has what was bought, and no arm is credited with an answer."""
    router = climber(how={"abstain_below": 0.5})

    with pytest.raises(Abstained, match="no answer was good enough") as told:
        asked(driver, router, {"small": WRONG, "large": WRONG})

    assert [0.1, 0.1] == [score for _, score in told.value.replies]
    assert "wrong" not in str(told.value)
    assert ["rejected", "rejected"] == [status for _, status, _ in booked(router)]
    assert "no_answer" == router.feedback("r", 1.0)


@every_driver
@pytest.mark.parametrize(
    ("scripts", "text", "statuses"),
    [
        ({"small": BROKEN, "large": RIGHT}, "right, and sure", ["error", "ok"]),
        ({"small": WRONG, "large": BROKEN}, "wrong, but sure", ["error", "ok"]),
    ],
    ids=["the first", "the last"],
)
def test_an_arm_that_fails_is_out_of_the_cascade(
    driver: Driver, scripts: Mapping[str, Script], text: str, statuses: list[str]
) -> None:
    """The others go on, and a draft that is there is better than no answer."""
    router = climber()

    assert text == asked(driver, router, scripts)
    assert statuses == [status for _, status, _ in booked(router)]


@every_driver
@pytest.mark.parametrize(
    ("scripts", "statuses"),
    [
        ({"small": BROKEN, "large": RIGHT}, ["error"]),
        ({"small": WRONG, "large": BROKEN}, ["rejected", "error"]),
        ({"small": LONG, "large": BROKEN}, ["rejected", "error"]),
    ],
    ids=["the first", "the last", "the last, beside a draft that stands still"],
)
def test_without_fallback_a_failure_is_the_caller_s(
    driver: Driver, scripts: Mapping[str, Script], statuses: list[str]
) -> None:
    """Nobody takes over: no dearer arm, and no draft that would not do."""
    router = climber(fallback=False, how={"hold_back_chars": 40})

    with pytest.raises(ArmError, match="failed"):
        asked(driver, router, scripts)

    assert statuses == [status for _, status, _ in booked(router)]
    assert 0 == router.stats()["fallbacks"]


@pytest.mark.parametrize("settings", [{"fallback": False}, {"how": {"abstain_below": 0.5}}])
def test_an_arm_that_failed_beside_a_draft_is_to_blame(settings: dict[str, Any]) -> None:
    """The request was none for all arms: one has answered, however badly."""
    router = climber(breaker=Breaker(failures=1), **settings)

    with pytest.raises((ArmError, Abstained)):
        asked(DRIVERS["run"], router, {"small": WRONG, "large": BROKEN})

    assert "resting" in router.decide(Request(text="q")).ineligible["large"]


@every_driver
def test_where_all_fail_arms_outside_take_over(driver: Driver) -> None:
    """As they do without a cascade."""
    how: dict[str, Any] = {"order": ("a", "b"), "thresholds": (0.5,), "scorer": is_right}
    router = Router(arms=priced("a", "b", "c"), cascade=ThresholdCascade(**how), seed=1)

    assert "right, and sure" == asked(driver, router, {"a": BROKEN, "b": BROKEN, "c": RIGHT})


@every_driver
def test_where_none_is_left_the_first_failure_is_told(driver: Driver) -> None:
    """With a word about the others."""
    router = climber()
    with pytest.raises(ArmError, match="'small' failed") as told:
        asked(driver, router, {"small": BROKEN, "large": BROKEN})
    assert "arm 'large' failed too: ValueError" in told.value.original.__notes__


def test_a_long_stream_is_scored_by_its_beginning() -> None:
    """It stands still at the window, is left where it is poor, and what came of it is paid for."""
    usage = Usage(tokens_in=1, tokens_out=1)
    router = climber(how={"hold_back_chars": 40})
    port = ScriptedPort({"small": Script(pieces=LONG.pieces, usage=usage), "large": RIGHT})

    shown = list(drive.stream(router.flow(Request(text="q", id="r")), port))

    assert ["right", ", and", " sure"] == shown
    assert ["small", "large"] == port.closed
    assert [("small", "rejected", 0.1), ("large", "ok", None)] == booked(router)
    assert 0.0 < (attempts(router)[0].cost_usd or 0.0)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_good_beginning_is_shown_before_the_end_is_there(way: str) -> None:
    """From then on pieces are shown as they come, and another arm is never asked."""
    pieces = ("right " * 8, "and", " on", " and on")
    router = climber(how={"hold_back_chars": 40})
    port = Counting({"small": Script(pieces=pieces), "large": RIGHT})
    flow = router.flow(Request(text="q", id="r"))

    if way == "stream":
        shown = [(piece, port.given) for piece in drive.stream(flow, port)]
    else:

        async def read() -> list[tuple[str, int]]:
            return [(piece, port.given) async for piece in drive.astream(flow, port)]

        shown = asyncio.run(read())

    assert list(pieces) == [piece for piece, _ in shown]
    assert [1, 2, 3, 4] == [given for _, given in shown]
    assert ["small"] == port.asked
    assert [("small", "ok", 0.9)] == booked(router)


class Counting(ScriptedPort):
    """Counts the pieces that were pulled."""

    given = 0

    def _play(self, arm: str, script: Script) -> Any:
        for piece in super()._play(arm, script):
            self.given += 1
            yield piece


def test_who_breaks_off_after_the_window_is_told_of() -> None:
    """Part of it was shown, so no other arm may go on."""
    router = climber(how={"hold_back_chars": 5})
    breaking = Script(pieces=("right", " and"), error=ValueError("gone"), error_after=2)
    flow = router.flow(Request(text="q", id="r"))
    streaming = drive.stream(flow, ScriptedPort({"small": breaking, "large": RIGHT}))

    assert ["right", " and"] == [next(streaming), next(streaming)]
    with pytest.raises(ArmError, match="'small' failed"):
        next(streaming)
    assert ["error"] == [status for _, status, _ in booked(router)]


def test_a_consumer_who_leaves_leaves_nothing_open() -> None:
    """Neither what is shown nor what stands still."""
    router = climber(how={"hold_back_chars": 5})
    port = ScriptedPort({"small": RIGHT, "large": RIGHT})
    streaming = drive.stream(router.flow(Request(text="q", id="r")), port)
    next(streaming)
    streaming.close()

    assert ["small"] == port.closed
    assert [("small", "abandoned", None)] == booked(router)
    assert "counted" == router.feedback("r", 1.0)


def test_whoever_is_cancelled_while_a_draft_is_scored_leaves_nothing_open() -> None:
    """The stream that stands still is closed."""
    scoring = asyncio.Event()

    class Slow:
        """A scorer that takes for ever."""

        def score(self, request: Request, reply: Reply) -> Asking[float | None]:
            asyncio.get_running_loop().call_soon(scoring.set)
            yield from scorer_of(is_right).score(request, reply)
            raise asyncio.CancelledError

    router = climber(how={"hold_back_chars": 5, "scorer": Slow()})
    port = ScriptedPort({"small": RIGHT, "large": RIGHT})

    async def read() -> None:
        async for _ in drive.astream(router.flow(Request(text="q", id="r")), port):
            raise AssertionError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(read())
    assert ["small"] == port.closed
    assert [("small", "cancelled", None)] == booked(router)


def test_a_final_arm_is_not_held_back() -> None:
    """Where nothing is compared any more, its pieces come as they come, and are scored after."""
    router = Router(arms=priced("small", "large"), cascade=Escalating(), seed=1)
    port = Counting({"small": WRONG, "large": RIGHT})
    streaming = drive.stream(router.flow(Request(text="q", id="r")), port)
    shown = [(piece, port.given) for piece in streaming]

    assert [("right", 4), (", and", 5), (" sure", 6)] == shown
    assert 0.9 == router.ledger["r"].source_to_feedback["scorer"].value


def test_a_final_arm_that_calls_tools_is_not_held_back_either() -> None:
    """There is something to see, though it has no text."""

    class Calling(Counting):
        """Gives pieces without text."""

        def _play(self, arm: str, script: Script) -> Any:
            for piece in super()._play(arm, script):
                yield replace(piece, chars=0)

    router = Router(arms=priced("small", "large"), cascade=Escalating(), seed=1)
    port = Calling({"small": WRONG, "large": RIGHT})
    streaming = drive.stream(router.flow(Request(text="q", id="r")), port)

    assert ("right", 4) == (next(streaming), port.given)
    streaming.close()


@every_driver
def test_a_port_hears_what_is_shown(driver: Driver) -> None:
    """The moment before it is: so that whoever watches a model can be told."""
    for small, large in ((RIGHT, WRONG), (WRONG, RIGHT)):
        port = ScriptedPort({"small": small, "large": large})
        driver(climber().flow(Request(text="q", id="r")), port, FakeClock())
        assert ["right, and sure"] == port.released


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalating:
    """Asks the small arm, and then shows what the large one says."""

    name: str = "escalating"
    hold_back_chars: int = 100
    scorer: Any = field(default_factory=lambda: scorer_of(is_right))

    def move(self, situation: Situation, drafts: Sequence[Draft], rng: Rng) -> Move:
        """Its two moves."""
        return Move(ask="large", final=True) if drafts else Move(ask="small")


@pytest.mark.parametrize(
    "move", [Move(ask="nobody"), Move(show=7), Move(ask="small")], ids=["unknown", "none", "again"]
)
def test_a_cascade_that_errs_takes_no_answer_away(move: Move) -> None:
    """What it bought is shown, and the error is counted."""

    class Erring(Escalating):
        """Makes a move that cannot be made."""

        def move(self, situation: Situation, drafts: Sequence[Draft], rng: Rng) -> Move:
            return move if drafts else super().move(situation, drafts, rng)

    router = Router(arms=priced("small", "large"), cascade=Erring(), seed=1)

    assert "wrong, but sure" == asked(DRIVERS["run"], router, {"small": WRONG, "large": RIGHT})
    assert 1 == router.stats()["cascade_failures"]


def test_a_scorer_that_fails_takes_no_answer_away() -> None:
    """Nobody can tell, so the next arm is asked; in the end one answer is shown."""

    def failing(_: str, __: str) -> float:
        raise RuntimeError

    router = climber(how={"scorer": failing})
    assert "right, and sure" == asked(DRIVERS["run"], router, {"small": WRONG, "large": RIGHT})
    assert 2 == router.stats()["scorer_failures"]


@every_driver
def test_tool_calls_are_scored_by_their_arguments(driver: Driver) -> None:
    """A call that fits is as good as a call can be, whatever the text beside it."""
    router = climber()
    port = Calling({"small": WRONG, "large": WRONG}, arm_to_fit={"small": False, "large": True})
    driver(router.flow(Request(text="q", id="r")), port, FakeClock())

    assert [("small", "rejected", 0.0), ("large", "ok", 1.0)] == booked(router)


class Calling(ScriptedPort):
    """Every answer asks for a tool."""

    def __init__(self, scripts: Mapping[str, Script], arm_to_fit: Mapping[str, bool]) -> None:
        super().__init__(scripts)
        self.arm_to_fit = arm_to_fit

    def join(self, call: Any, pieces: Sequence[Piece]) -> Reply:
        text = super().join(call, pieces).text
        return Reply(text=text, message=text, calls_tools=True, tools_fit=self.arm_to_fit[call.arm])


@pytest.mark.parametrize(
    "request_",
    [
        Request(text="q", id="r", once=True),
        Request(text="q", id="r", hold=Hold(arm="small", reason="tool loop")),
        Request(text="q", id="r", only=("small",)),
    ],
    ids=["asking has effects", "a tool loop", "pinned"],
)
def test_where_one_arm_must_answer_it_does(request_: Request) -> None:
    """Nothing is drafted, and nothing is asked twice."""
    router = climber(policy=lambda _: {"small": 1.0})
    port = ScriptedPort({"small": WRONG, "large": RIGHT})

    assert "wrong, but sure" == drive.run(router.flow(request_), port).reply.text
    assert ["small"] == port.asked


def test_what_was_not_shown_teaches_too() -> None:
    """The policy hears of both arms, here and in other workers: what each draft was worth."""
    store = MemoryStore()
    router = climber(policy="epsilon_greedy", store=store)
    asked(DRIVERS["run"], router, {"small": WRONG, "large": RIGHT})
    router.close()
    other = climber(policy="epsilon_greedy", store=store)

    for state in (router.state, other.state):
        choice = router.policy.decide(state, situation("small", "large"), Rng(seed=1, number=1))
        small, large = (value or 0.0 for value in choice.values)
        assert 2 == state.steps
        assert 0.0 < small < large


def test_a_cap_ends_the_climb() -> None:
    """Where the next arm does not fit into the budget, the best of what is there is shown."""
    usage = Usage(tokens_in=10, tokens_out=10)
    budget = Budget(usd=0.0012, window_s=3600.0, max_tokens_out=500)
    router = climber(budget=budget)
    port = ScriptedPort({"small": Script(pieces=WRONG.pieces, usage=usage), "large": RIGHT})

    text = drive.run(router.flow(Request(text="q", id="r", tokens=10)), port).reply.text

    assert "wrong, but sure" == text
    assert ["small"] == port.asked


def test_a_cascade_of_unknown_arms_is_refused() -> None:
    """With the names that there are."""
    cascade = ThresholdCascade(
        order=("small", "huge"), thresholds=(0.5,), scorer=scorer_of(is_right)
    )
    with pytest.raises(ValueError, match=r"the cascade asks \['huge'\]"):
        Router(arms=priced("small", "large"), cascade=cascade)


scripts = st.builds(
    Script,
    pieces=st.lists(st.sampled_from(["", "right", "wrong", "x" * 50]), min_size=1, max_size=4).map(
        tuple
    ),
    error=st.sampled_from([None, None, ValueError("no")]),
    error_after=st.integers(0, 4),
)


@given(arms=st.lists(scripts, min_size=2, max_size=4), window=st.integers(1, 80))
def test_the_consumer_sees_one_answer(arms: list[Script], window: int) -> None:
    """Whatever arms say and wherever they break off: the pieces of one arm, from its first on."""
    names = [f"arm {number}" for number in range(len(arms))]
    router = climber(names, how={"hold_back_chars": window})
    port = ScriptedPort(dict(zip(names, arms, strict=True)))
    shown: list[str] = []
    with contextlib.suppress(ArmError):
        shown.extend(drive.stream(router.flow(Request(text="q", id="r")), port))

    assert any("".join(script.pieces).startswith("".join(shown)) for script in arms)
    assert sorted(port.asked) == sorted(port.closed)
    assert {a.arm for a in attempts(router)} == set(port.asked)


def test_a_last_arm_with_nothing_beside_it_streams_at_once() -> None:
    """The first draft was left at its beginning, so the second is shown as it comes."""
    router = climber(how={"hold_back_chars": 40})
    port = Counting({"small": LONG, "large": RIGHT})
    streaming = drive.stream(router.flow(Request(text="q", id="r")), port)
    shown = [(piece, port.given) for piece in streaming]

    assert [("right", 3), (", and", 4), (" sure", 5)] == shown
    assert [("small", "rejected", 0.1), ("large", "ok", None)] == booked(router)


def test_a_cascade_of_one_arm_only_names_it() -> None:
    """As one that was fitted may be; nothing is held back or scored."""
    cascade = ThresholdCascade(order=("large",), thresholds=(), scorer=scorer_of(is_right))
    router = Router(arms=priced("small", "large"), cascade=cascade, seed=1)
    port = Counting({"small": RIGHT, "large": WRONG})
    streaming = drive.stream(router.flow(Request(text="q", id="r")), port)

    assert ("wrong", 1) == (next(streaming), port.given)


def test_what_was_explored_says_how_likely_it_was() -> None:
    """So that what is learnt from it later can be weighed."""
    router = climber(how={"explore": 0.5})
    for number in range(20):
        port = ScriptedPort({"small": RIGHT, "large": RIGHT})
        drive.run(router.flow(Request(text="q", id=str(number))), port)

    chances = {
        (len(attempts(router, str(number))), attempts(router, str(number))[-1].propensity)
        for number in range(20)
    }
    assert {(1, 1.0), (2, 0.5)} == chances


def test_forgetting_a_model_forgets_its_answers() -> None:
    """A cache that can is told."""
    forgotten: list[str] = []

    class Shelf:
        """Keeps nothing."""

        def recall(self, request: Request) -> None:
            """Nothing is there."""

        def keep(self, request: Request, kept: Kept) -> None:
            """Nothing is kept."""

        def judged(self, decision_id: str, value: float) -> None:
            """Nothing is heard."""

        def forget(self, arm: str) -> None:
            """Write it down."""
            forgotten.append(arm)

    router = Router(arms=priced("a"), answers=Shelf())
    router.model_updated("a")
    assert ["a"] == forgotten


@every_driver
def test_a_draft_that_stands_still_is_shown_where_the_next_arm_fails(driver: Driver) -> None:
    """To its end: half an answer is never given for a whole one."""
    router = climber(how={"hold_back_chars": 40})

    assert "".join(LONG.pieces) == asked(driver, router, {"small": LONG, "large": BROKEN})
    assert ["error", "ok"] == [status for _, status, _ in booked(router)]


def test_what_was_not_shown_is_no_judgement_of_what_was() -> None:
    """Other workers, and who reads the journal, find one score for the answer: its own."""
    store = MemoryStore()
    router = climber(policy="epsilon_greedy", store=store)
    asked(DRIVERS["run"], router, {"small": WRONG, "large": RIGHT})
    router.close()
    other = climber(policy="epsilon_greedy", store=store)

    assert {"scorer": 0.9} == other.explain("r").source_to_score
    assert {"scorer": 0.9} == {
        source: feedback.value for source, feedback in other.ledger["r"].source_to_feedback.items()
    }


def test_abstaining_survives_the_way_out_of_another_process() -> None:
    """With its message and the answers that were bought."""
    told = Abstained("none is good enough", replies=[(Reply(text="so?"), 0.2)])

    found = pickle.loads(pickle.dumps(told))  # what process pools do

    assert (told.args, told.replies) == (found.args, found.replies)
