"""What an explanation says."""

import pytest

from pickllm import Arm, Feedback, Pool
from pickllm.booking.ledger import Record
from pickllm.explanation import Explanation
from pickllm.types import Attempt, Decision, Outcome

POOL = Pool(
    [
        Arm(name="small", usd_per_hour=1.5),
        Arm(name="large", usd_per_mtok_in=2.5, usd_per_mtok_out=10.0),
        Arm(name="listed", model="gpt-4o-mini"),
        Arm(name="blind", can={"images": False}),
    ]
)


def decided(arm: str, probabilities: dict[str, float], **more: object) -> Decision:
    """A decision for ``arm``."""
    settings: dict[str, object] = {
        "id": "d1",
        "time_s": 0.0,
        "arm": arm,
        "propensity": probabilities[arm],
        "arms": tuple(probabilities),
        "probabilities": tuple(probabilities.values()),
        "policy": "test()",
    }
    return Decision(**{**settings, **more})  # type: ignore[arg-type]  # each of its own type


def explained(decision: Decision, **more: object) -> Explanation:
    """The explanation of a decision."""
    return Explanation.of(Record(decision=decision, **more), POOL)  # type: ignore[arg-type]  # likewise


def test_explanation_reads_as_a_page() -> None:
    """Decision, reason, policy, then a line for each arm, attempt and judgement."""
    decision = decided(
        "small",
        {"listed": 0.25, "large": 0.6, "small": 0.15},
        values=(None, 0.75, 0.5),
        ineligible={"blind": "cannot do images"},
    )
    attempts = (
        Attempt(arm="small", status="error", latency_s=0.5, error="ValueError"),
        Attempt(arm="large", status="ok", latency_s=1.25, first_piece_s=0.3, cost_usd=0.0021),
    )
    page = explained(
        decision,
        outcome=Outcome(decision_id="d1", attempts=attempts),
        source_to_feedback={"user": Feedback(decision_id="d1", value=0.5, source="user")},
    )
    assert [
        "decision d1: small, answered by large (ok)",
        "  small was drawn to explore (15.0%); large was likelier (60.0%)",
        "  policy test()",
        "  arm large: probability 0.600, value 0.750, $2.5 in, $10 out per million tokens",
        (
            "  arm listed: probability 0.250, value not known yet, "
            "price of gpt-4o-mini as in the price table, where it is there"
        ),
        "  arm small: probability 0.150, value 0.500, $1.5 an hour",
        "  arm blind: not eligible, cannot do images",
        "  asked small: error (ValueError), 0.500 s, cost unknown",
        "  asked large: ok, 1.250 s, first piece 0.300 s, cost $0.0021",
        "  scored 0.50 by 'user'",
    ] == str(page).splitlines()


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (decided("small", {"small": 1.0}), "small was the only arm that could answer"),
        (decided("small", {"small": 1.0, "large": 0.0}), "test was sure of small"),
        (
            decided("small", {"small": 0.9, "large": 0.1}),
            "small was the likeliest arm (90.0%); with 10.0% another would have been drawn",
        ),
        (
            decided("large", {"small": 0.9, "large": 0.1}),
            "large was drawn to explore (10.0%); small was likelier (90.0%)",
        ),
    ],
)
def test_reason_tells_why_in_one_sentence(decision: Decision, reason: str) -> None:
    """Only arm, sure, likeliest or explored: the sentence says which."""
    assert reason == explained(decision).reason


def test_open_decision_can_be_explained() -> None:
    """Before its answer has come, a decision has no attempts, and unknown prices say so."""
    page = Explanation.of(
        Record(decision=decided("blind", {"blind": 1.0})), Pool([Arm(name="blind")])
    )
    assert ("open", (), {}) == (page.status, page.attempts, page.source_to_score)
    assert "  arm blind: probability 1.000, value not known yet, price unknown" in str(page)


def test_answer_from_a_cache_is_told() -> None:
    """An attempt that the framework's cache answered says so."""
    cached = Attempt(arm="small", status="ok", latency_s=0.0, cost_usd=0.0, called=False)
    page = explained(
        decided("small", {"small": 1.0}), outcome=Outcome(decision_id="d1", attempts=(cached,))
    )
    assert "  asked small: ok, 0.000 s, cost $0, from the cache" in str(page).splitlines()
