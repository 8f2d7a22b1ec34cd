"""The ledger: what it holds, what it lets go, and which attempt a judgement is about."""

import pytest

from pickllm import ConfigError, Outcome, UnknownDecision
from pickllm.booking.ledger import Ledger, Record
from pickllm.testing import decision
from pickllm.types import Attempt, Status


def outcome(*statuses: Status, called: bool = True) -> Outcome:
    """Attempts that ended so."""
    attempts = [Attempt(arm=s, status=s, latency_s=1.0, called=called) for s in statuses]
    return Outcome(decision_id="d", attempts=tuple(attempts))


def test_ledger_holds_decisions_in_their_order() -> None:
    """Records come oldest first, by id."""
    ledger = Ledger()
    for name in ("one", "two", "three"):
        assert () == ledger.add(decision(id=name))
    assert ["one", "two", "three"] == [record.decision.id for record in ledger]
    assert 3 == len(ledger)
    assert "two" == ledger["two"].decision.id
    assert "open" == ledger["two"].status


def test_ledger_lets_the_oldest_go() -> None:
    """Beyond its size the oldest record makes room, and is handed out."""
    ledger = Ledger(max_decisions=2)
    ledger.add(decision(id="one"))
    ledger.add(decision(id="two"))
    assert ["one"] == [record.decision.id for record in ledger.add(decision(id="three"))]
    assert "one" not in ledger
    with pytest.raises(UnknownDecision, match=r"no decision 'one' here.*last 2 decisions"):
        ledger["one"]


def test_ledger_refuses_one_id_twice() -> None:
    """Two requests must not share an id."""
    ledger = Ledger()
    ledger.add(decision(id="one"))
    with pytest.raises(ConfigError, match="'one' is taken"):
        ledger.add(decision(id="one"))
    assert 1 == len(ledger)


def test_ledger_holds_at_least_one() -> None:
    """A ledger without room is a mistake."""
    with pytest.raises(ConfigError, match="max_decisions is 0"):
        Ledger(max_decisions=0)


@pytest.mark.parametrize(
    ("ended", "arm"),
    [
        (outcome("ok"), "ok"),
        (outcome("error", "ok"), "ok"),
        (outcome("abandoned"), "abandoned"),
        (outcome("cancelled"), None),
        (outcome("error"), None),
        (outcome("ok", called=False), None),
        (outcome(), None),
        (None, None),
    ],
    ids=["ok", "fallback", "abandoned", "cancelled", "error", "cached", "never called", "open"],
)
def test_judgements_are_about_the_arm_that_answered(ended: Outcome | None, arm: str | None) -> None:
    """A judgement is about the last arm asked, where a model answered and someone read it."""
    answer = Record(decision=decision(), outcome=ended).answer
    assert arm == (answer and answer.arm)


def test_outcome_without_a_call_is_an_error() -> None:
    """A decision that never came to a call has failed."""
    assert "error" == outcome().status
