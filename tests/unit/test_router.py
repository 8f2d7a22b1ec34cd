"""The router: what it refuses, what it books, and what it tells of itself."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pickllm import (
    Arm,
    ConfigError,
    Fixed,
    FunctionPolicy,
    Guarded,
    LearningAutomaton,
    NoEligibleArm,
    Outcome,
    PaperReward,
    Pool,
    Random,
    Reply,
    Request,
    Router,
    UnknownDecision,
    Usage,
    Watched,
    WeightedReward,
    Weights,
    contextual,
    drive,
    epsilon_greedy,
)
from pickllm.policies import POLICIES
from pickllm.protocols import Policy
from pickllm.rng import Rng
from pickllm.steps import Call
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Attempt, Choice, Experience, Piece, Situation
from tests.unit.doubles import answered, mistyped, priced, settled

ARMS = priced("a", "b")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"arms": []}, "the pool is empty"),
        ({"arms": {}}, "the pool is empty"),
        ({"arms": ["gpt-4o"]}, "'gpt-4o' is str; it must be an Arm"),
        ({"policy": "thompson"}, "no policy is called 'thompson'"),
        ({"policy": LearningAutomaton}, "policy is the class LearningAutomaton"),
        ({"policy": 0.1}, "it is float"),
        ({"store": "mysql://x"}, "no store at 'mysql'"),
        ({"store": MemoryStore}, "store is the class MemoryStore"),
        ({"store": 3}, "int has no get"),
        ({"scorer": 1.0}, "scorer must be a scorer or a function"),
        ({"weights": {"quality": 0.0}}, "all weights are zero"),
        ({"weights": {}}, "all weights are zero"),
        ({"weights": {"quality": 1.0, "speed": 1.0}}, r"no weight is called \['speed'\]"),
        ({"weights": {"quality": 1.0, "cost": -0.1}}, "the weight of cost is -0.1"),
        ({"weights": {"quality": math.nan}}, "the weight of quality is nan"),
        ({"weights": Weights(), "reward": PaperReward()}, "weights or a reward, not both"),
        ({"reward": PaperReward}, "reward is the class PaperReward; give an instance"),
        ({"fallback": ["gone"]}, r"names of \['a', 'b'\]"),
        ({"fallback": ("a", "gone")}, r"names of \['a', 'b'\]"),
        ({"fallback": "a"}, r"names of \['a', 'b'\]"),
        ({"fallback": None}, r"fallback must be True, False or names of"),
        ({"max_decisions": 0}, "max_decisions is 0"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], told: str) -> None:
    """A setting that cannot work is found when the router is built, and says what would."""
    with pytest.raises(ConfigError, match=told):
        Router(**{"arms": ARMS, **settings})


def test_arms_come_as_a_list_by_name_or_as_a_pool() -> None:
    """All three make the same pool, and a generator does as well."""
    pool = Pool([Arm(name="a"), Arm(name="b")])
    for arms in (pool, [Arm(name="a"), Arm(name="b")], {"a": Arm(), "b": Arm()}):
        assert ("a", "b") == Router(arms=arms).pool.names
    assert ("a", "b") == Router(arms=(Arm(name=name) for name in "ab")).pool.names
    assert pool is Router(arms=pool).pool


def test_weights_by_name_leave_the_rest_at_zero() -> None:
    """A mapping says all: what it leaves out does not matter."""
    router = Router(arms=ARMS, weights={"quality": 0.7, "cost": 0.3})
    assert WeightedReward(weights=Weights(quality=0.7, cost=0.3, latency=0.0)) == router.reward
    assert WeightedReward() == Router(arms=ARMS).reward
    assert PaperReward() == Router(arms=ARMS, reward=PaperReward()).reward


def test_decision_is_booked_as_it_was_drawn() -> None:
    """A decision carries arms, probabilities, values, reasons, policy, session and time."""
    arms = [*priced("a", "b"), Arm(name="short", context_tokens=5)]
    router = Router(arms=arms, policy=LearningAutomaton(), seed=3, clock=lambda: 1234.5)
    request = Request(text="2 + 2 =", id="r1", tokens=9, session="s", tenant="t")
    decision = router.decide(request)
    assert ("r1", 1234.5, ("a", "b"), (0.5, 0.5), (0.5, 0.5), "s", "t") == (
        decision.id,
        decision.time_s,
        decision.arms,
        decision.probabilities,
        decision.values,
        decision.session,
        decision.tenant,
    )
    assert {"short": "prompt of about 9 tokens, window of 5"} == decision.ineligible
    assert LearningAutomaton().name == decision.policy
    assert decision.probability(decision.arm) == decision.propensity
    assert 0.0 == decision.probability("short")
    assert router.knows("r1")
    assert not router.knows("r2")


def test_request_that_nobody_may_answer_is_not_booked() -> None:
    """Without an eligible arm there is no decision."""
    router = Router(arms=ARMS)
    with pytest.raises(NoEligibleArm, match="a: not among the arms asked for"):
        router.decide(Request(text="", only=("gone",)))
    assert 0 == len(router.ledger)
    assert {} == router.stats()


def test_two_requests_may_not_share_an_id() -> None:
    """The second request with an id is refused, and the first stays booked."""
    router = Router(arms=ARMS)
    router.decide(Request(text="", id="r1"))
    with pytest.raises(ConfigError, match="'r1' is taken"):
        router.decide(Request(text="", id="r1"))
    assert 1 == router.stats()["decisions"]


@pytest.mark.parametrize("name", POLICIES)
def test_same_seed_makes_the_same_session(name: str) -> None:
    """Two routers with one seed draw and learn the same, with another seed not."""

    def session(seed: int) -> tuple[list[str], Any]:
        arms = priced("a", "b", "c")
        router = Router(arms=arms, policy=name, seed=seed, clock=lambda: 0.0)
        drawn = []
        for number in range(40):
            decision = settled(router)
            drawn.append(decision.arm)
            router.feedback(decision.id, (number % 5) / 4)
        return drawn, router.state

    assert session(1) == session(1)
    assert session(1)[0] != session(2)[0]


def test_routers_without_a_seed_draw_their_own() -> None:
    """A seed nobody gave is drawn, and can be read to repeat the session."""
    router = Router(arms=ARMS)
    assert router.seed != Router(arms=ARMS).seed
    again = Router(arms=ARMS, seed=router.seed)
    assert [settled(router).arm for _ in range(20)] == [settled(again).arm for _ in range(20)]


def test_outcome_is_booked_once() -> None:
    """A second outcome of one decision is refused, and one of an unknown decision too."""
    router = Router(arms=ARMS)
    decision = settled(router)
    with pytest.raises(ConfigError, match="has an outcome already"):
        router.settle(answered(decision))
    with pytest.raises(UnknownDecision, match="no decision 'gone' here"):
        router.settle(answered(replace(decision, id="gone")))


def test_stats_count_what_happened() -> None:
    """Decisions, outcomes and feedback by verdict, unknown decisions."""
    router = Router(arms=ARMS)
    one, two = settled(router), router.decide(Request(text=""))
    for decision_id, value in ((one.id, 1.0), (one.id, 0.0), (two.id, 1.0)):
        router.feedback(decision_id, value)
    router.feedback(one.id, 0.5, correction=True)
    for ask in (router.explain, lambda name: router.feedback(name, 1.0)):
        with pytest.raises(UnknownDecision):
            ask("gone")
    assert {
        "decisions": 2,
        "outcome_ok": 1,
        "feedback_counted": 1,
        "feedback_repeated": 1,
        "feedback_waiting": 1,
        "feedback_corrected": 1,
        "unknown_decisions": 2,
    } == {name: count for name, count in router.stats().items() if count}


def test_stats_are_a_copy() -> None:
    """What a caller does to the counts stays with the caller."""
    router = Router(arms=ARMS)
    router.stats()["decisions"] = 99
    assert {} == router.stats()


def test_silence_is_told_once_after_a_hundred_decisions(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred decisions and no feedback: one warning that says what to do."""
    router = Router(arms=ARMS)
    for _ in range(99):
        settled(router)
    assert [] == caplog.messages
    for _ in range(150):
        settled(router)
    assert 1 == len(caplog.messages)
    assert caplog.messages[0].startswith("100 decisions and no feedback: nothing is learnt.")


def test_one_judgement_breaks_the_silence(caplog: pytest.LogCaptureFixture) -> None:
    """A router that has heard something does not complain."""
    router = Router(arms=ARMS)
    router.feedback(settled(router).id, 0.0)
    for _ in range(150):
        settled(router)
    assert [] == caplog.messages


def test_unpriced_arm_keeps_cost_out_of_all_rewards(caplog: pytest.LogCaptureFixture) -> None:
    """Costs of some arms alone cannot be compared: one warning, and cost counts for none."""
    weights = {"quality": 0.5, "cost": 0.5}
    arms = [*ARMS, Arm(name="dark"), Arm(name="grey")]
    router = Router(arms=arms, policy="epsilon_greedy", weights=weights, seed=1)
    assert 1 == len(caplog.messages)
    assert "no price is known for 'dark', 'grey', so cost stays out" in caplog.messages[0]
    decision = router.decide(Request(text="", only=("a",)))
    router.settle(answered(decision, cost_usd=1.0))
    router.feedback(decision.id, 0.75)
    assert {"a": 0.75} == pytest.approx(router.state.estimates.arm_to_mean)


def test_priced_arms_are_weighed_by_cost(caplog: pytest.LogCaptureFixture) -> None:
    """With every price known, the cost is in the reward and there is no warning."""
    weights = {"quality": 0.5, "cost": 0.5}
    router = Router(arms=ARMS, policy="epsilon_greedy", weights=weights, seed=1)
    decision = router.decide(Request(text=""))
    router.settle(answered(decision, cost_usd=1.0))
    router.feedback(decision.id, 0.75)
    assert {decision.arm: 0.375} == pytest.approx(router.state.estimates.arm_to_mean)
    assert [] == caplog.messages


def test_unpriced_arm_is_no_matter_where_cost_has_no_weight(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever does not weigh cost is not told of prices."""
    Router(arms=[Arm(name="dark")], weights={"quality": 1.0})
    assert [] == caplog.messages


def test_reset_starts_a_new_session() -> None:
    """What was learnt is forgotten, and late feedback on it can teach the new session nothing."""
    router = Router(arms=ARMS, policy="learning_automaton")
    decision = settled(router)
    router.feedback(decision.id, 1.0)
    router.reset()
    assert {"a": 0.5, "b": 0.5} == router.state.arm_to_probability
    with pytest.raises(UnknownDecision):
        router.feedback(decision.id, 1.0, correction=True)
    assert {"a": 0.5, "b": 0.5} == router.state.arm_to_probability


def test_convergence_looks_at_the_decisions_held() -> None:
    """A router on one arm converges as soon as patience allows."""
    router = Router(arms=ARMS, policy=Fixed(arm="b"))
    for _ in range(5):
        settled(router)
    assert router.convergence(patience=5).converged
    assert not router.convergence(patience=6).converged
    assert ("b", 0, 1.0, 5) == (
        router.convergence(patience=5).arm,
        router.convergence(patience=5).since,
        router.convergence(patience=5).probability,
        router.convergence(patience=5).decisions,
    )


def test_automaton_session_converges() -> None:
    """A session that rewards one arm only comes to rest on it."""
    router = Router(arms=ARMS, policy=LearningAutomaton(step=0.3), seed=4)
    for _ in range(200):
        decision = settled(router)
        router.feedback(decision.id, float(decision.arm == "a"))
    assert "a" == router.convergence().arm
    assert router.convergence().converged


def test_function_chooses() -> None:
    """A function given as the policy decides, and is named in the decision."""
    router = Router(arms=ARMS, policy=lambda situation: situation.arms[-1])
    assert "b" == router.decide(Request(text="")).arm
    assert isinstance(router.policy, FunctionPolicy)


def test_function_that_names_no_arm_is_told() -> None:
    """A function's mistake surfaces with what it returned, and books nothing."""
    router = Router(arms=ARMS, policy=lambda _: "gone")
    with pytest.raises(ConfigError, match="it returned 'gone'"):
        router.decide(Request(text=""))
    assert 0 == len(router.ledger)


@pytest.mark.parametrize(
    "probabilities", [(1.0,), (0.5, 0.25, 0.25), (1.0, 1.0), (0.0, 0.0), (1.5, -0.5), (math.nan, 1)]
)
def test_policy_that_breaks_its_promise_is_told(probabilities: tuple[float, ...]) -> None:
    """Probabilities of another length, or that are none, surface before anything is drawn."""

    class Broken(FunctionPolicy):
        def decide(self, state: None, situation: Situation, rng: Rng) -> Choice:
            return Choice(probabilities=probabilities)

    policy: Policy[None] = Broken(function=mistyped(None))
    with pytest.raises(ConfigError, match="one for each eligible arm"):
        Router(arms=ARMS, policy=policy).decide(Request(text=""))


def test_weights_of_cost_alone_need_prices() -> None:
    """Nothing could ever be rewarded, so the router is refused and not each piece of feedback."""
    with pytest.raises(ConfigError, match=r"only cost has a weight.*'b'"):
        Router(arms=[Arm(name="a", usd_per_hour=1.0), Arm(name="b")], weights={"cost": 1.0})


def test_policy_that_fails_to_learn_takes_no_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    """A failing arm is blamed while the flow runs; a policy that raises then is counted."""

    class Stubborn(Fixed):
        def learn(self, state: None, experience: Experience) -> None:
            raise RuntimeError("no")

    router = Router(arms=ARMS, policy=Stubborn(arm="a"))
    port = ScriptedPort({"a": Script(error=OSError()), "b": Script(pieces=("yes",))})
    assert "yes" == drive.run(router.flow(Request(text="")), port).reply.text
    assert 1 == router.stats()["learning_failures"]
    assert ["the reward or the policy failed: RuntimeError"] == caplog.messages


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"policy": Fixed(arm="gone")}, "names no arm of the pool"),
        ({"policy": Watched(policy=Random(), incumbent="gone")}, "'gone' names no arm"),
        ({"policy": Watched(policy=Fixed(arm="gone"), incumbent="a")}, "'gone' names no arm"),
        ({"policy": Guarded(policy=Random(), baseline="gone")}, "'gone' names no arm"),
        ({"policy": Guarded(policy=Random(), baseline={"a": 1.0, "gone": 1.0})}, "'gone' names"),
        ({"policy": contextual(prior={"a": 0.5, "gone": 0.3})}, "'gone' names no arm"),
        (
            {"policy": Watched(policy=contextual(prior={"gone": 0.3}), incumbent="a")},
            "'gone' names no arm",
        ),
        ({"policy": LearningAutomaton(floor=0.5)}, "leaves nothing to learn with 2 arms"),
        ({"policy": epsilon_greedy}, "epsilon_greedy.* itself; call it"),
        ({"breaker": False}, "breaker must be a Breaker, or None"),
        ({"reward": 3}, "reward must be callable with score="),
        ({"weights": {"quality": "a"}}, "must be a number of at least 0"),
        ({"arms": None}, "arms must be a list of Arm"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"namespace": ""}, "namespace must be a string"),
        ({"max_decisions": "x"}, "max_decisions must be a whole number"),
        ({"arms": [Arm(name="a", can={"vision": True})]}, "can must map some of"),  # type: ignore[dict-item]  # that is the point
    ],
)
def test_mistake_of_a_newcomer_is_told_at_once(settings: dict[str, Any], says: str) -> None:
    """When the router is made, and never at the first call."""
    with pytest.raises(ConfigError, match=says):
        Router(**({"arms": ARMS} | settings))


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"latency_s": float("inf")}, "latency_s inf"),
        ({"cost_usd": -1.0}, "cost_usd -1.0"),
        ({"cost_usd": float("nan")}, "cost_usd nan"),
        ({"usage": Usage(tokens_in=mistyped(None), tokens_out=3)}, "tokens are no counts"),
        ({"usage": Usage(tokens_in=1, tokens_out=10**400)}, "tokens are no counts"),
        ({"status": "OK"}, "the status 'OK'"),
        ({"latency_s": "1"}, "latency_s '1'"),
        ({"cost_usd": "1"}, "cost_usd '1'"),
    ],
)
def test_odd_numbers_are_refused(odd: dict[str, Any], words: str) -> None:
    """Nothing is learnt of them, and the decision still waits for its outcome."""
    router = Router(arms=priced("a"))
    decision = router.decide(Request(text=""))
    attempt = Attempt(**{"arm": "a", "status": "ok", "latency_s": 1.0, **odd})
    with pytest.raises(ConfigError, match=words):
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    router.settle(answered(decision))


def test_words_are_no_request_and_no_outcome() -> None:
    """A prompt alone is the first thing that a newcomer gives."""
    router = Router(arms=priced("a"))
    with pytest.raises(ConfigError, match=r"give a Request\(text=...\); this is str"):
        router.decide("Why?")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ConfigError, match=r"give an Outcome\(...\); this is str"):
        router.settle("ok")  # type: ignore[arg-type]  # that is the point


def test_odd_numbers_of_an_arm_take_no_answer_away() -> None:
    """What a provider reports may be anything: it is unknown then, and the store takes the rest."""
    router = Router(arms=priced("a"), store=MemoryStore(), seed=1)
    odd = Usage(tokens_in=mistyped(None), tokens_out=3)

    class Odd(ScriptedPort):
        """Its counts are odd."""

        def join(self, call: Call, pieces: Sequence[Piece]) -> Reply:
            return replace(super().join(call, pieces), usage=odd)

    port = Odd({"a": Script()})
    assert "yes" == drive.run(router.flow(Request(text="", id="r")), port).reply.text
    assert "counted" == router.feedback("r", 1.0)
    assert 0 == router.stats().get("store_unwritable", 0)


def test_what_has_usage_is_priced() -> None:
    """Whoever calls arms by themselves need not work out what that cost."""
    router = Router(arms=priced("a"))
    decision = router.decide(Request(text=""))
    usage = Usage(tokens_in=1_000_000, tokens_out=1_000_000)
    attempt = Attempt(arm="a", status="ok", latency_s=1.0, usage=usage)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))

    outcome = router.ledger[decision.id].outcome
    assert outcome is not None
    assert 3.0 == outcome.cost_usd
