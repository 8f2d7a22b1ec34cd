"""The default policy: what it learns, what it weighs, and what it is told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pickllm import (
    Arm,
    ConfigError,
    Contextual,
    Drift,
    Outcome,
    PaperReward,
    Request,
    Router,
    Usage,
    Watched,
    Weights,
    contextual,
    epsilon_greedy,
)
from pickllm.policies.expenses import Expenses
from pickllm.rng import Rng
from pickllm.stores import MemoryStore
from pickllm.testing import experience, situation
from pickllm.types import Attempt, Choice, Decision, Observation
from tests.unit.doubles import FakeClock, answered, priced, settled

RNG = Rng(seed=1, number=1)
CHEAP = Arm(name="cheap", usd_per_mtok_in=0.1, usd_per_mtok_out=0.4)
DEAR = Arm(name="dear", usd_per_mtok_in=10.0, usd_per_mtok_out=40.0)
USAGE = Usage(tokens_in=100, tokens_out=100)
QUALITY = Weights(quality=1.0, cost=0.0, latency=0.0)


def asked(
    router: Router,
    scores: dict[str, float],
    *,
    rounds: int,
    text: str = "2 + 2 =",
    weights: Weights | None = None,
) -> list[str]:
    """The arms that ``rounds`` requests went to, each judged by its arm's score."""
    arms = []
    for _ in range(rounds):
        decision = router.decide(Request(text=text, weights=weights))
        attempt = Attempt(arm=decision.arm, status="ok", latency_s=0.5, usage=USAGE)
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
        router.feedback(decision.id, scores[decision.arm])
        arms.append(decision.arm)
    return arms


def share(arms: list[str], arm: str) -> float:
    """How many of them are that arm."""
    return arms.count(arm) / len(arms)


def likeliest(choice: Choice | Decision, arms: tuple[str, ...]) -> str:
    """The arm with the highest probability."""
    return arms[int(np.argmax(choice.probabilities))]


def test_it_is_the_default() -> None:
    """A router that is told nothing has it, with features that need nothing."""
    router = Router(arms=[CHEAP, DEAR])
    assert isinstance(router.policy, Contextual)
    assert (49,) == router.decide(Request(text="2 + 2 =")).features.shape


def test_it_learns_which_prompts_an_arm_is_good_at() -> None:
    """Sums go to one arm and words to the other, after a few hundred scores."""
    router = Router(arms=priced("sums", "words"), weights={"quality": 1.0}, seed=3)
    texts = {"sums": "12 + 7 * 33 = ?", "words": "Who wrote the play called Hamlet?"}
    for number in range(400):
        kind = ("sums", "words")[number % 2]
        decision = router.decide(Request(text=texts[kind]))
        router.settle(answered(decision))
        router.feedback(decision.id, float(decision.arm == kind))
    for kind, text in texts.items():
        decision = router.decide(Request(text=text))
        assert kind == likeliest(decision, decision.arms)


def test_before_any_feedback_the_dearer_arm_is_expected_to_be_better() -> None:
    """A tenth for each tenfold price, by its settings; and nothing where prices are alike."""
    cards = (CHEAP, DEAR)
    policy = Contextual()
    given = replace(situation("cheap", "dear"), cards=cards, weights=QUALITY)
    state = policy.init(("cheap", "dear"), 0)
    choice = policy.decide(state, given, RNG)
    assert [0.5, 0.7] == pytest.approx([each.quality for each in choice.forecasts])
    flat = Contextual(price_prior=0.0).decide(state, given, RNG)
    assert [0.6, 0.6] == pytest.approx([each.quality for each in flat.forecasts])


def test_prior_by_name_counts_as_said() -> None:
    """Arms that are named get theirs, the others what their price suggests."""
    policy = contextual(prior={"cheap": 0.9})
    given = replace(situation("cheap", "dear"), cards=(CHEAP, DEAR))
    choice = policy.decide(policy.init((), 0), given, RNG)
    assert [0.9, 0.7] == pytest.approx([each.quality for each in choice.forecasts])


def test_weights_of_a_request_count_at_once() -> None:
    """One state, and each request goes where its own weights say; nothing is learnt again."""
    router = Router(arms=[CHEAP, DEAR], weights=QUALITY, seed=1)
    asked(router, {"cheap": 0.6, "dear": 0.9}, rounds=120)
    thrifty = Weights(quality=0.2, cost=0.8, latency=0.0)
    assert share(asked(router, {"cheap": 0.6, "dear": 0.9}, rounds=50), "dear") > 0.8
    arms = asked(router, {"cheap": 0.6, "dear": 0.9}, rounds=50, weights=thrifty)
    assert share(arms, "cheap") > 0.8


def test_price_of_the_moment_counts_at_once() -> None:
    """Tokens are learnt and prices looked up, so a new price needs no new call."""
    policy = Contextual()
    state = policy.init(("cheap", "dear"), 0)
    for arm in ("cheap", "dear"):
        made = experience(arm, reward=0.5).decision
        attempt = Attempt(arm=arm, status="ok", latency_s=1.0, usage=USAGE, cost_usd=1.0)
        state = policy.observe(state, Observation(decision=made, attempt=attempt))
    before = replace(situation("cheap", "dear"), cards=(CHEAP, DEAR))
    repriced = replace(DEAR, usd_per_mtok_in=0.1, usd_per_mtok_out=0.4)
    after = replace(before, cards=(CHEAP, repriced))
    costs = [policy.decide(state, each, RNG).forecasts[1].cost_usd for each in (before, after)]
    assert [0.005, 0.00005] == pytest.approx(costs)


def test_arm_whose_tokens_are_not_told_costs_what_it_cost() -> None:
    """Without usage the costs observed are taken, and their geometric mean."""
    booked = Expenses()
    for cost_usd in (0.001, 0.1):
        attempt = Attempt(arm="cheap", status="ok", latency_s=2.0, cost_usd=cost_usd)
        made = experience("cheap", reward=0.5).decision
        booked = booked.plus(Observation(decision=made, attempt=attempt))
    costs, latencies = booked.expected(replace(situation("cheap"), cards=(CHEAP,)))
    assert [0.01] == pytest.approx(costs)
    assert [2.0] == pytest.approx(latencies)


def test_unknown_price_keeps_cost_out_for_all() -> None:
    """Costs of some arms alone cannot be compared."""
    policy = Contextual(prior=0.6)
    weights = Weights(quality=0.5, cost=0.5, latency=0.0)
    given = replace(situation("cheap", "dark"), cards=(CHEAP, Arm(name="dark")), weights=weights)
    choice = policy.decide(policy.init((), 0), given, RNG)
    assert choice.values[0] == choice.values[1]
    assert choice.forecasts[1].cost_usd is None


def test_calls_are_booked_though_nobody_judges_them() -> None:
    """Cost and latency come with the outcome; the quality waits for feedback."""
    router = Router(arms=priced("a", "b"), seed=1)
    for _ in range(30):
        settled(router)
    assert 0 == router.state.steps
    decision = router.decide(Request(text="2 + 2 ="))
    assert [0.001, 0.001] == pytest.approx([f.cost_usd for f in decision.forecasts])
    assert [0.5, 0.5] == pytest.approx([f.latency_s for f in decision.forecasts])


def test_correction_leaves_the_bookings_alone() -> None:
    """A score that is taken back changes the quality, and not what the call took."""
    router = Router(arms=priced("a", "b"), seed=1)
    decision = settled(router)
    router.feedback(decision.id, 1.0)
    before = router.state
    router.feedback(decision.id, 0.0, correction=True)
    assert before.expenses == router.state.expenses
    assert before.quality != router.state.quality


def test_budget_is_kept_without_any_feedback() -> None:
    """Spending beyond the budget shifts requests to the cheap arm until the mean is right."""
    usage = {"cheap": 0.0001, "dear": 0.01}
    router = Router(
        arms=[CHEAP, DEAR],
        policy=contextual(prior={"cheap": 0.3, "dear": 0.9}, budget_usd=0.004),
        weights=QUALITY,
        seed=2,
    )
    spent = []
    for _ in range(1_000):
        decision = router.decide(Request(text="2 + 2 ="))
        attempt = Attempt(
            arm=decision.arm, status="ok", latency_s=1.0, cost_usd=usage[decision.arm]
        )
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
        spent.append(usage[decision.arm])
    assert 0.004 == pytest.approx(np.mean(spent[200:]), rel=0.15)


def test_model_updated_forgets_most_of_one_arm() -> None:
    """The arm is unsure again, the others are as they were."""
    clock = FakeClock()
    router = Router(arms=priced("a", "b"), weights=QUALITY, seed=1, clock=clock)
    for _ in range(100):
        clock.now_s += 1.0
        asked(router, {"a": 0.9, "b": 0.4}, rounds=1)
    before = router.decide(Request(text="2 + 2 =")).forecasts
    clock.now_s += 1.0
    router.model_updated("a")
    after = router.decide(Request(text="2 + 2 =")).forecasts
    assert after[0].spread > 2.0 * before[0].spread
    assert before[1].quality == pytest.approx(after[1].quality)
    assert before[1].spread == pytest.approx(after[1].spread)


def test_model_updated_is_refused_where_nobody_listens() -> None:
    """An arm that is not there, or a policy that cannot be told, is an error."""
    with pytest.raises(ConfigError, match="no arm is called 'c'"):
        Router(arms=priced("a", "b")).model_updated("c")
    with pytest.raises(ConfigError, match="cannot be told"):
        Router(arms=priced("a", "b"), policy="learning_automaton").model_updated("a")


def test_silent_change_of_a_model_is_found() -> None:
    """An arm that falls from .9 to .2 loses the traffic within a hundred requests."""
    clock = FakeClock()
    router = Router(arms=priced("a", "b"), weights=QUALITY, seed=1, clock=clock)

    def phase(scores: dict[str, float], rounds: int) -> list[str]:
        arms = []
        for _ in range(rounds):
            clock.now_s += 1.0
            arms += asked(router, scores, rounds=1)
        return arms

    phase({"a": 0.9, "b": 0.6}, 600)
    after = phase({"a": 0.2, "b": 0.6}, 200)
    assert share(after[100:], "b") > 0.9


def test_reward_of_your_own_is_learnt_in_place_of_the_score() -> None:
    """The policy weighs as the default reward does; another one it learns as it is."""
    router = Router(arms=priced("a", "b"), reward=PaperReward())
    assert "target=reward" in router.policy.name
    assert "target=score" in Router(arms=priced("a", "b")).policy.name


def test_kept_state_is_read_whatever_the_exploration() -> None:
    """Explorer, prior and budget may change between two starts; other features may not."""
    store = MemoryStore()
    router = Router(arms=priced("a", "b"), store=store, seed=1)
    asked(router, {"a": 1.0, "b": 0.0}, rounds=20)
    again = Router(arms=priced("a", "b"), store=store, policy=contextual(budget_usd=1.0))
    assert router.state == again.state
    kept = Router(arms=priced("a"), store=store, namespace="n", policy=epsilon_greedy(epsilon=0.5))
    asked(kept, {"a": 1.0}, rounds=3)
    other = Router(arms=priced("a"), store=store, namespace="n", policy=epsilon_greedy(epsilon=0.1))
    assert kept.state == other.state


def test_explanation_tells_quality_cost_and_latency() -> None:
    """What a value is made of stands beside it."""
    router = Router(arms=[CHEAP, DEAR], seed=1)
    page = str(router.explain(settled(router).id))
    assert "(quality 0.70 ± 0.2" in page
    assert "cost $0.013, latency unknown" in page


def test_watched_policy_learns_and_does_not_serve() -> None:
    """The incumbent answers everything; what would have been done is in the ledger."""
    policy = Watched(policy=contextual(), incumbent="a")
    router = Router(arms=priced("a", "b"), policy=policy, seed=1)
    assert {"a"} == set(asked(router, {"a": 0.4, "b": 0.9}, rounds=20))
    last = router.last_decision
    assert last is not None
    assert (1.0, 0.0) == last.probabilities
    assert 0.0 < last.shadow[1] < 1.0
    assert 20 == router.state.steps


@pytest.mark.parametrize(
    "settings",
    [
        *({"prior": 1.5}, {"budget_usd": 0.0}, {"pace": 0.0}, {"price_prior": -1.0}),
        *({"prior": "high"}, {"prior": {"a": "high"}}, {"budget_usd": "1"}, {"pace": None}),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    """A setting out of its range, or no number, is an error when it is made."""
    with pytest.raises(ConfigError):
        Contextual(**settings)
    with pytest.raises(ConfigError, match="half_life_s must be a number"):
        contextual(half_life_s="a week")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigError, match="slack and threshold"):
        Drift(slack=0.0)
