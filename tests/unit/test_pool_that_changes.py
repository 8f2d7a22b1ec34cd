"""Arms that come, go and cost something else while requests go on."""

from dataclasses import replace

import pytest

from pickllm import (
    Arm,
    ArmError,
    Budget,
    ConfigError,
    Fixed,
    Outcome,
    Request,
    Router,
    Usage,
    Watched,
    contextual,
)
from pickllm.cascading import ThresholdCascade
from pickllm.policies import POLICIES
from pickllm.scoring import ReplySignals
from pickllm.steps import Call
from pickllm.stores import MemoryStore
from pickllm.types import Attempt
from tests.unit.doubles import priced, settled

MINI = Arm(name="mini", usd_per_mtok_in=0.15, usd_per_mtok_out=0.6)
LARGE = Arm(name="large", usd_per_mtok_in=2.5, usd_per_mtok_out=10.0)
USAGE = Usage(tokens_in=1_000_000, tokens_out=0)


def taught(router: Router, arm_to_score: dict[str, float], requests: int = 60) -> None:
    """So many answers, each judged as its arm is."""
    for _ in range(requests):
        decision = router.decide(Request(text="2 + 2 ="))
        usage = Usage(tokens_in=100, tokens_out=200)
        attempt = Attempt(arm=decision.arm, status="ok", latency_s=1.0, usage=usage)
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
        router.feedback(decision.id, arm_to_score[decision.arm])


def likeliest(router: Router) -> str:
    """The arm that the next request would most likely go to."""
    decision = router.decide(Request(text="2 + 2 ="))
    return max(decision.arms, key=decision.probability)


def test_a_new_price_counts_from_the_next_request_on() -> None:
    """Nothing has to be learnt again, and nothing is forgotten."""
    router = Router(arms=[MINI, LARGE], weights={"quality": 0.6, "cost": 0.4}, seed=1)
    taught(router, {"mini": 0.7, "large": 0.8})
    before = router.state
    assert "mini" == likeliest(router)

    router.update_arm(replace(MINI, usd_per_mtok_in=25.0, usd_per_mtok_out=100.0))

    assert "large" == likeliest(router)
    assert before is router.state


def test_a_call_costs_what_its_arm_costs_when_it_ends() -> None:
    """For the ledger, and for the budget."""
    router = Router(arms=[MINI], budget=Budget(usd=100.0), seed=1)
    decision = router.decide(Request(text="2 + 2 ="))
    router.update_arm(replace(MINI, usd_per_mtok_in=3.0))
    attempt = Attempt(arm="mini", status="ok", latency_s=1.0, usage=USAGE)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))

    outcome = router.ledger[decision.id].outcome
    assert outcome is not None
    assert (3.0, 97.0) == (outcome.attempts[0].cost_usd, router.budget_left_usd())


@pytest.mark.parametrize("policy", POLICIES)
def test_an_arm_that_is_taken_out_is_asked_no_more_and_may_come_back(policy: str) -> None:
    """Whatever the policy."""
    router = Router(arms=priced("a", "b", "c"), policy=policy, seed=1)
    taught(router, {"a": 0.2, "b": 0.5, "c": 0.9}, requests=30)

    router.remove_arm("c")
    assert {"a", "b"} >= {settled(router).arm for _ in range(30)}
    router.add_arm(router.pool["c"])

    assert ("a", "b", "c") == router.pool.names == router.decide(Request(text="")).arms


@pytest.mark.parametrize("policy", ["contextual", "ucb1", "q_learning", "learning_automaton"])
def test_what_was_learnt_of_an_arm_waits_for_it(policy: str) -> None:
    """It is the best one again as soon as it is back."""
    router = Router(arms=priced("a", "b", "c"), policy=policy, weights={"quality": 1.0}, seed=1)
    taught(router, {"a": 0.0, "b": 0.5, "c": 1.0}, requests=300)
    router.remove_arm("c")
    taught(router, {"a": 0.0, "b": 0.5}, requests=30)
    router.add_arm(router.pool["c"])
    assert "c" == likeliest(router)


def test_calls_under_way_come_to_their_end() -> None:
    """They are priced, explained and judged as if their arm were still there."""
    router = Router(arms=[MINI, LARGE], policy=Fixed(arm="mini"), seed=1)
    under_way = router.decide(Request(text="2 + 2 =", only=("large",)))
    router.remove_arm("large")
    router.add_arm(Arm(name="new", usd_per_mtok_in=1.0, usd_per_mtok_out=1.0))

    attempt = Attempt(arm="large", status="ok", latency_s=1.0, usage=USAGE)
    router.settle(Outcome(decision_id=under_way.id, attempts=(attempt,)))

    assert "counted" == router.feedback(under_way.id, 1.0)
    assert "$2.5 in, $10 out per million tokens" in str(router.explain(under_way.id))
    assert "cost $2.5" in str(router.explain(under_way.id))


def test_an_arm_that_was_taken_out_meanwhile_does_not_take_over() -> None:
    """Though it might have answered when the request came."""
    router = Router(arms=[MINI, LARGE], policy=Fixed(arm="mini"), seed=1)
    flow = router.flow(Request(text="2 + 2 ="))
    assert isinstance(next(flow), Call)
    router.remove_arm("large")
    with pytest.raises(ArmError, match="no route"):
        flow.throw(ArmError("no route", arm="mini"))


def test_a_decision_for_an_arm_of_another_worker_is_explained() -> None:
    """What this pool does not have has no price here."""
    store = MemoryStore()
    other = Router(arms=priced("a", "gone"), policy=Fixed(arm="gone"), store=store)
    decision = settled(other)
    other.save()
    router = Router(arms=priced("a"), policy="random", store=store)

    assert "counted" == router.feedback(decision.id, 1.0)
    assert "arm gone: probability 1.000, value not known yet, not in this pool" in str(
        router.explain(decision.id)
    )


def test_what_the_settings_name_cannot_be_taken_out() -> None:
    """Nor can the last one, of all or of those a budget can hold, nor one that is not there.

    And the pool stays as it was.
    """
    watched = Router(arms=[MINI, LARGE], policy=Watched(policy="ucb1", incumbent="mini"))
    fallen_back = Router(arms=[MINI, LARGE], fallback=["large"])
    climbing = Router(
        arms=[MINI, LARGE],
        cascade=ThresholdCascade(order=("mini", "large"), thresholds=(0.5,), scorer=ReplySignals()),
    )
    capped = Router(arms=[MINI, Arm(name="large")], budget=Budget(usd=1.0))
    for router, name, told in [
        (capped, "mini", "no arm has a price"),
        (watched, "mini", "names no arm of the pool"),
        (fallen_back, "large", "fallback must be"),
        (climbing, "mini", "the cascade asks"),
        (climbing, "other", "no arm is called 'other'"),
        (Router(arms=[MINI]), "mini", "the pool is empty"),
        (Router(arms=[MINI, LARGE], policy=contextual(prior={"mini": 0.5})), "mini", "'mini'"),
    ]:
        before = router.pool
        with pytest.raises(ConfigError, match=told):
            router.remove_arm(name)
        assert before is router.pool


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        (Arm(name="other", usd_per_hour=1.0), "no arm is called 'other'"),
        (Arm(name="mini"), "no price is known for 'mini'"),
        (replace(MINI, usd_per_mtok_in=-1.0), "must not be negative"),
        ("mini", "no arm is called ''"),
    ],
)
def test_an_odd_card_changes_nothing(arm: Arm, told: str) -> None:
    """It is refused before anything goes by it."""
    router = Router(arms=[MINI, LARGE])
    with pytest.raises(ConfigError, match=told):
        router.update_arm(arm)
    assert MINI == router.pool["mini"]


def test_once_all_prices_are_known_cost_counts() -> None:
    """As if they had been known from the start."""
    router = Router(arms=[MINI, Arm(name="large")], policy=Fixed(arm="mini"), seed=1)
    without = _reward(router)
    router.update_arm(LARGE)
    assert without != _reward(router)


def _reward(router: Router) -> float:
    """What a perfect answer earns that took a second."""
    decision = router.decide(Request(text="2 + 2 ="))
    attempt = Attempt(arm=decision.arm, status="ok", latency_s=1.0, cost_usd=0.5)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    router.feedback(decision.id, 1.0)
    return router.ledger[decision.id].source_to_lesson["user"].reward
