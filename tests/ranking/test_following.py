"""A threshold that follows the traffic."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Arm, ConfigError, Outcome, Request, Router
from pickllm.ranking import FollowingThreshold, routellm
from pickllm.ranking.following import RecentRates
from pickllm.stores.codec import decode, encode
from pickllm.testing import check_policy, experience, situation
from pickllm.types import Attempt, Decision, Hold, Observation
from tests.ranking.battles import ByLength

ARMS = ("small", "large")
POOL = [Arm(name=name, usd_per_hour=1.0) for name in ARMS]
RULE = routellm(ByLength(arms=ARMS), strong="large", weak="small", threshold=0.5)
POLICY = FollowingThreshold(rule=RULE, share=0.3, memory=200, trust=20.0, reach=0.2)
ATTEMPT = Attempt(arm="small", status="ok", latency_s=0.1)


def seen(rate: float, time_s: float) -> Observation:
    """A request whose win rate was that."""
    strengths = np.array([0.5, 2.0 * rate - 0.5], dtype=np.float32)
    of = experience("small", reward=1.0).decision
    decision = replace(of, time_s=time_s, features=strengths)
    return Observation(decision=decision, attempt=ATTEMPT)


def after(policy: FollowingThreshold, rates: list[tuple[float, float]]) -> RecentRates:
    """What is learnt of win rates, with their times."""
    state = policy.init(ARMS, 2)
    for time_s, rate in rates:
        state = policy.observe(state, seen(rate, time_s))
    return state


def test_it_keeps_what_every_policy_promises() -> None:
    """State, probabilities, no surprises."""
    check_policy(POLICY, arms=ARMS)


def test_nobody_is_asked_for_feedback(caplog: pytest.LogCaptureFixture) -> None:
    """It learns from win rates."""
    router = Router(arms=POOL, policy=POLICY, seed=1)
    for _ in range(120):
        decision = router.decide(Request(text="x"))
        router.settle(Outcome(decision_id=decision.id, attempts=(ATTEMPT,)))

    assert [] == caplog.messages


def test_the_share_is_kept_as_prompts_get_harder() -> None:
    """A fixed threshold sends all of them to the strong arm; this one comes back to the share."""
    rng = np.random.default_rng(0)
    fixed = Router(arms=POOL, policy=RULE, seed=1)
    policy = replace(POLICY, reach=0.5)
    following = Router(arms=POOL, policy=policy, seed=1)
    asked: dict[str, list[str]] = {"fixed": [], "following": []}
    for _ in range(500):
        request = Request(text="x" * int(rng.integers(60, 100)))
        for name, router in (("fixed", fixed), ("following", following)):
            decision = router.decide(replace(request, id=f"{request.id} {name}"))
            router.settle(Outcome(decision_id=decision.id, attempts=(ATTEMPT,)))
            asked[name].append(decision.arm)

    assert 500 == asked["fixed"].count("large")
    assert 0.3 == pytest.approx(asked["following"][-300:].count("large") / 300, abs=0.08)


def test_a_step_is_small_and_the_way_has_an_end() -> None:
    """One strange request is hardly felt, and any number of them ends at the reach."""
    calm = after(POLICY, [(float(at), 0.4 + 0.001 * at) for at in range(100)])
    shaken = POLICY.observe(calm, seen(1.0, 200.0))
    mad = after(POLICY, [(float(at), 1.0) for at in range(1_000)])

    assert abs(POLICY.threshold_at(shaken) - POLICY.threshold_at(calm)) < 0.005
    assert 0.7 == pytest.approx(POLICY.threshold_at(mad))
    assert 200 == len(mad.rates)
    assert 0.5 == POLICY.threshold_at(POLICY.init(ARMS, 2))


@given(
    rates=st.lists(
        st.tuples(st.integers(0, 50).map(float), st.floats(0.25, 0.75, width=16)), max_size=40
    ),
    split=st.integers(0, 40),
)
def test_workers_learn_as_one(rates: list[tuple[float, float]], split: int) -> None:
    """In any order, with what is too old left out; a fresh state adds nothing."""
    policy = replace(POLICY, memory=15)
    parts = [after(policy, rates[:split]), after(policy, rates[split:]), policy.init(ARMS, 2)]

    whole = after(policy, rates)
    assert whole == policy.merge(parts) == policy.merge(parts[::-1])
    assert whole == after(policy, rates[::-1])


def test_a_request_counts_once() -> None:
    """However many arms were asked for it; one that was held or not ranked does not."""
    once = after(POLICY, [(1.0, 0.6)])
    blind = seen(0.25, 2.0)  # strengths of .5 and 0 are a rank; none at all is not

    assert once == after(POLICY, [(1.0, 0.6), (1.0, 0.6)])
    for decision in (
        replace(blind.decision, features=np.zeros(2, dtype=np.float32)),
        replace(blind.decision, held=Hold(arm="small", reason="tool loop")),
    ):
        assert once == POLICY.observe(once, replace(blind, decision=decision))
    assert isinstance(blind.decision, Decision)


def test_judgements_teach_it_nothing() -> None:
    """Nor is there anything to take back."""
    state = after(POLICY, [(1.0, 0.6)])
    told = experience("small", reward=1.0)

    assert state == POLICY.learn(state, told) == POLICY.unlearn(state, told)


def test_its_state_outlives_the_process() -> None:
    """Saved and loaded, and under another share, it is where it was."""
    state = after(POLICY, [(1.0, 0.6), (2.0, 0.7)])
    kept = encode(state, policy=POLICY.state_name)
    other = replace(POLICY, share=1.0)

    assert state == decode(kept, like=other.init(ARMS, 2), policy=other.state_name)
    assert other.threshold_at(state) < POLICY.threshold_at(state)


def test_it_decides_by_its_own_threshold() -> None:
    """Probabilities and estimates are the rule's."""
    state = after(POLICY, [(float(at), 0.75) for at in range(200)])
    features = seen(0.6, 0.0).decision.features
    here = situation(*ARMS, features=features)

    assert (0.0, 1.0) == RULE.decided_at(0.5, here).probabilities
    assert (1.0, 0.0) == POLICY.decide(state, here, None).probabilities  # type: ignore[arg-type]  # not drawn from


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"memory": 0}, {"trust": -1.0}, {"reach": -0.1}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        replace(POLICY, **wrong)  # type: ignore[arg-type]  # wrong values are the point
