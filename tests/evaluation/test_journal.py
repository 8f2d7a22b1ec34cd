"""What a store keeps of live traffic, read as a log."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pickllm import Arm, Request, Router
from pickllm.cli import app
from pickllm.evaluation import entry_of, read_journal
from pickllm.types import Attempt, Hold, Outcome


def asked(router: Router, value: float | None, **request: object) -> str:
    """One decision, answered, and judged where there is a value."""
    decision = router.decide(Request(text="2 + 2 =", **request))  # type: ignore[arg-type]  # of its fields
    attempt = Attempt(arm=decision.arm, status="ok", latency_s=0.1, cost_usd=0.001)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    if value is not None:
        router.feedback(decision.id, value)
    return decision.id


def router_on(address: str, **settings: object) -> Router:
    """Two arms, chosen at random."""
    arms = [Arm(name=name, usd_per_hour=1.0) for name in ("a", "b")]
    return Router(arms=arms, policy="random", store=address, **settings)  # type: ignore[arg-type]  # of its own


def test_the_journal_says_what_the_ledgers_of_all_workers_say(tmp_path: Path) -> None:
    """Outcomes, judgements in their newest version, turns that went on, and runs around them."""
    address = f"sqlite:///{tmp_path / 'routes.db'}"
    first, second = router_on(address, seed=1), router_on(address, seed=2)
    ids = [asked(router, 0.5) for router in (first, second, first)]
    turn = asked(first, None, hold=Hold(arm="a", reason="tool loop", continues=ids[0]))
    first.save()
    second.feedback(ids[0], 0.9, correction=True)
    first.save()

    entries = {entry.id: entry for entry in read_journal(address)}

    made_by = {ids[0]: first, ids[1]: second, ids[2]: first, turn: first}
    assert {i: entry_of(router.ledger[i]) for i, router in made_by.items()} == entries
    assert {"user": 0.9} == entries[ids[0]].source_to_score


def test_a_session_begun_anew_has_no_past(tmp_path: Path) -> None:
    """What came before a reset is not part of it; another namespace never was."""
    address = f"sqlite:///{tmp_path / 'routes.db'}"
    router = router_on(address)
    asked(router, 1.0)
    asked(router_on(address, namespace="other"), 1.0)
    router.reset()
    kept = asked(router, 1.0)

    assert [kept] == [entry.id for entry in read_journal(address)]


@pytest.mark.parametrize("command", ["replay", "report"])
def test_the_command_line_reads_a_store(command: str, tmp_path: Path) -> None:
    """By its address, as a router does."""
    address = f"sqlite:///{tmp_path / 'routes.db'}"
    router = router_on(address, seed=1)
    for number in range(60):
        asked(router, float(number % 2))
    router.close()
    out = ["--out", str(tmp_path / "report")] if command == "report" else []

    result = CliRunner().invoke(app, [command, address, *out])

    assert 0 == result.exit_code, result.output
