"""Rankers in a router: what they choose, what feedback adds, and what is looked at where."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from pickllm import Arm, ConfigError, Guarded, Request, Router, Watched, drive
from pickllm.data import from_grades
from pickllm.embedding import HashingEmbedder
from pickllm.estimators import ResidualRidge
from pickllm.evaluation import OutcomeTable
from pickllm.features import HashedText
from pickllm.policies import Contextual
from pickllm.ranking import (
    RankedFeatures,
    Ridge,
    WordRidge,
    prompts_of,
    ranked,
    ranked_contextual,
    routellm,
    threshold_for_share,
    win_rates,
)
from pickllm.ranking.contract import Prompts
from pickllm.rng import Rng
from pickllm.steps import Work
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort, check_policy, experience, situation
from pickllm.types import Decision
from tests.ranking.battles import ByLength, made_battles
from tests.unit.doubles import answered

POOL = [Arm(name="small", usd_per_hour=0.1), Arm(name="large", usd_per_hour=2.5)]
RANKER = ByLength(arms=("small", "large"))
SHORT, LONG = "x" * 20, "x" * 80
QUALITY = {"quality": 1.0}
RNG = Rng(seed=1, number=1)


def probability(decision: Decision, arm: str) -> float:
    """How likely an arm was."""
    return decision.probabilities[decision.arms.index(arm)]


def test_a_threshold_sends_what_the_strong_arm_wins() -> None:
    """At or above it to the strong arm, for certain, and below it to the weak one."""
    policy = routellm(RANKER, strong="large", weak="small", threshold=0.65)
    router = Router(arms=POOL, policy=policy)

    assert (1.0, 0.0) == router.decide(Request(text=SHORT)).probabilities
    assert (0.0, 1.0) == router.decide(Request(text=LONG)).probabilities


def test_a_ranker_of_other_arms_is_refused() -> None:
    """Strong and weak must both be in the pool; of the arms of other rankers, at least one."""
    named = [Arm(name=name, usd_per_hour=1.0) for name in ("gpt", "large")]
    strangers = [Arm(name=name, usd_per_hour=1.0) for name in ("gpt", "llama")]
    rule = routellm(RANKER, strong="large", weak="small", threshold=0.65)

    with pytest.raises(ConfigError, match="'small' names no arm of the pool"):
        Router(arms=named, policy=rule)
    for policy in (ranked(RANKER), ranked_contextual(RANKER)):
        for given in (policy, Watched(policy=policy, incumbent="gpt")):
            with pytest.raises(ConfigError, match="none of them is in the pool"):
                Router(arms=strangers, policy=given)


def test_an_arm_that_the_ranker_does_not_know_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """It may be in the pool, and counts as the mean of the others."""
    named = [Arm(name=name, usd_per_hour=1.0) for name in ("gpt", "large")]
    Router(arms=named, policy=ranked_contextual(RANKER))
    assert ["the ranker does not know 'gpt': they count as the mean of the arms that it knows"] == (
        caplog.messages
    )


def test_a_threshold_is_a_number() -> None:
    """No win rate reaches one that is none."""
    with pytest.raises(ConfigError, match="not a number"):
        routellm(RANKER, strong="large", weak="small", threshold=float("nan"))


def test_a_calibrated_threshold_gives_its_share_on_live_prompts() -> None:
    """Also for a ranker of vectors, which ranks many at once otherwise than one alone."""
    table, _ = made_battles(300, arms=2)
    embedder = HashingEmbedder(size=32)
    prompts = prompts_of(table, embedder.embed(table.prompts))
    fitted = Ridge(penalty=1.0).fit(table, prompts)
    strong, weak = table.arms[1], table.arms[0]
    threshold = threshold_for_share(win_rates(fitted, prompts, strong=strong, weak=weak), 0.3)
    router = Router(
        arms=[Arm(name=arm, usd_per_hour=1.0) for arm in table.arms],
        policy=routellm(fitted, strong=strong, weak=weak, threshold=threshold, embedder=embedder),
    )

    asked = [router.decide(Request(text=text)).arm for text in table.prompts]

    assert 0.3 == pytest.approx(asked.count(strong) / len(asked), abs=0.005)


def test_a_threshold_explores_where_it_is_told_to() -> None:
    """Epsilon is shared by the pair, and no third arm gets any."""
    policy = routellm(
        ByLength(arms=("other", "small", "large")),
        strong="large",
        weak="small",
        threshold=0.5,
        epsilon=0.1,
    )
    router = Router(arms=[*POOL, Arm(name="other", usd_per_hour=1.0)], policy=policy)

    found = router.decide(Request(text=LONG)).probabilities
    assert pytest.approx((0.05, 0.95, 0.0)) == found


def test_a_threshold_manages_without_its_arms() -> None:
    """The one of the pair that is left serves; with neither, all that there is, alike."""
    policy = routellm(RANKER, strong="large", weak="small", threshold=0.0)

    assert (1.0, 0.0) == policy.decide(None, situation("small", "new"), RNG).probabilities
    assert (0.5, 0.5) == policy.decide(None, situation("new", "newer"), RNG).probabilities


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"strong": "huge"}, "huge"),
        ({"strong": "small"}, "two arms"),
        ({"epsilon": 2.0}, "epsilon"),
    ],
)
def test_a_threshold_that_can_not_be_is_refused(changed: dict[str, object], told: str) -> None:
    """Arms that the ranker does not know, an arm against itself, and an epsilon of 2."""
    policy = routellm(RANKER, strong="large", weak="small", threshold=0.5)
    with pytest.raises(ConfigError, match=told):
        replace(policy, **changed)  # type: ignore[arg-type]  # wrong on purpose


def test_a_ranker_of_vectors_needs_its_embedder() -> None:
    """Said when the policy is made, not when the first prompt comes."""
    with pytest.raises(ConfigError, match="give the embedder"):
        ranked(ByLength(arms=("small", "large"), dim=8))


def test_strengths_are_qualities_beside_cost() -> None:
    """Where only quality counts, the ranker decides; where cost counts for more, the cheap arm."""
    for weights, arm in ((QUALITY, "large"), ({"quality": 0.1, "cost": 0.9}, "small")):
        router = Router(arms=POOL, policy=ranked(RANKER), weights=weights, seed=1)
        for name in ("small", "large") * 3:
            decision = router.decide(Request(text=LONG))
            router.settle(answered(replace(decision, arm=name)))

        assert probability(router.decide(Request(text=LONG)), arm) > 0.9


def test_what_is_ranked_for_good_learns_no_quality() -> None:
    """Any number of bad scores moves nothing; what calls take is booked all the same."""
    router = Router(arms=POOL, policy=ranked(RANKER), weights=QUALITY, seed=1)
    for _ in range(50):
        decision = router.decide(Request(text=LONG))
        router.settle(answered(decision))
        router.feedback(decision.id, 0.0)

    found = router.decide(Request(text=LONG))
    assert [0.5, 0.8] == [pytest.approx(each.quality) for each in found.forecasts]
    assert None is not found.forecasts[1].latency_s


def test_what_needs_no_feedback_does_not_ask_for_it(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred decisions without any are no reason to warn, where nothing would be learnt."""
    router = Router(arms=POOL, policy=ranked(RANKER), seed=1)
    for _ in range(100):
        router.decide(Request(text=LONG))

    assert "no feedback" not in caplog.text


def test_an_arm_that_the_ranker_does_not_know_is_like_the_others() -> None:
    """It is expected to be as good as the mean of those that are known, prompt by prompt."""
    router = Router(
        arms=[*POOL, Arm(name="new", usd_per_hour=1.0)], policy=ranked(RANKER), weights=QUALITY
    )

    found = router.decide(Request(text=LONG)).forecasts

    assert [0.5, 0.8, 0.65] == [pytest.approx(each.quality) for each in found]


def test_a_ranker_that_is_wrong_is_corrected_by_feedback() -> None:
    """It begins as ranked; where the small arm turns out to be better, it ends there."""
    router = Router(arms=POOL, policy=ranked_contextual(RANKER), weights=QUALITY, seed=1)
    first = router.decide(Request(text=LONG))
    for _ in range(150):
        decision = router.decide(Request(text=LONG))
        router.settle(answered(decision))
        router.feedback(decision.id, {"small": 0.9, "large": 0.2}[decision.arm])
    last = router.decide(Request(text=LONG))

    assert [0.5, 0.8] == [pytest.approx(each.quality) for each in first.forecasts]
    assert probability(first, "large") > 0.8
    assert probability(last, "small") > 0.9


def test_a_good_ranker_earns_more_at_the_start() -> None:
    """Over the first fifty requests, against the same policy without it."""
    rng = np.random.default_rng(0)
    earned = {}
    for name, policy in (
        ("ranked", ranked_contextual(RANKER)),
        ("plain", Contextual(price_prior=0.0)),
    ):
        router = Router(arms=POOL, policy=policy, weights=QUALITY, seed=2)
        earned[name] = 0.0
        for _ in range(50):
            text = (SHORT, LONG)[int(rng.integers(2))]
            decision = router.decide(Request(text=text))
            score = float((decision.arm == "large") == (text == LONG))
            router.settle(answered(decision))
            router.feedback(decision.id, score)
            earned[name] += score

    assert earned["ranked"] > earned["plain"] + 5.0


def test_corrections_add_up() -> None:
    """States of two workers merge into what one would have learnt; a score can be taken back."""
    estimator = ResidualRidge(forecast=("small", "large"))
    seen = [
        experience("small", reward=0.9, features=np.array([0.2, 0.7], dtype=np.float32)),
        experience("large", reward=0.1, features=np.array([0.4, 0.6], dtype=np.float32)),
    ]
    fresh = estimator.init(["small", "large"], 2)
    asked = situation("small", "large", features=np.array([0.3, 0.5], dtype=np.float32))
    one, other = (estimator.learn(fresh, each) for each in seen)
    both = estimator.learn(one, seen[1])

    merged = estimator.estimate(estimator.merge([one, other]), asked)
    back = estimator.estimate(estimator.unlearn(both, seen[1]), asked)

    assert pytest.approx(estimator.estimate(both, asked).means) == merged.means
    assert pytest.approx(estimator.estimate(one, asked).means) == back.means


def test_a_new_fit_goes_on_with_what_was_kept() -> None:
    """Feedback on the decisions of an older fit teaches the newer one, too."""
    store = MemoryStore()

    def router(title: str) -> Router:
        policy = ranked_contextual(RANKER, title=title)
        return Router(arms=POOL, policy=policy, store=store, seed=1)

    first = router("monday")
    decision = first.decide(Request(text=LONG))
    first.settle(answered(decision))
    first.feedback(decision.id, 0.0)

    assert [1, 1] == [router(title).state.steps for title in ("monday", "tuesday")]


def test_the_users_features_stand_beside_the_strengths() -> None:
    """What the router is given as featurizer takes the place of the usual words and surface."""
    given = HashedText(dim=8)
    for policy in (ranked_contextual(RANKER), Watched(policy=ranked(RANKER), incumbent="small")):
        router = Router(arms=POOL, policy=policy, featurizer=given)
        features = router.decide(Request(text=LONG)).features

        assert (10,) == features.shape
        assert pytest.approx([0.5, 0.8]) == features[:2].tolist()


def test_a_guard_around_a_ranker_brings_its_features_along() -> None:
    """Wrapped policies see the same."""
    policy = Guarded(
        policy=routellm(RANKER, strong="large", weak="small", threshold=0.5), baseline="small"
    )

    assert (2,) == Router(arms=POOL, policy=policy).decide(Request(text=LONG)).features.shape


def test_embedding_happens_off_the_loop_and_words_do_not_need_to() -> None:
    """A ranker that takes its time is work for a driver; an instant one is asked in place."""
    slow = replace(RANKER, instant=False)
    for ranker, steps in ((slow, 1), (RANKER, 0)):
        router = Router(
            arms=POOL, policy=routellm(ranker, strong="large", weak="small", threshold=0.5)
        )
        port = ScriptedPort({"small": Script(), "large": Script()})
        work = [step for step in router.featurize(Request(text=LONG)) if isinstance(step, Work)]

        assert steps == len(work)
        assert "large" == drive.run(router.flow(Request(text=LONG)), port).decision.arm


def test_a_ranker_that_fails_leaves_an_answer() -> None:
    """It is counted, and the choice falls as if nothing were known."""

    class Broken(ByLength):
        def strengths(self, prompts: Prompts) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
            raise RuntimeError("gone")

    router = Router(arms=POOL, policy=ranked_contextual(Broken(arms=("small", "large"))))

    found = router.decide(Request(text=LONG))

    assert [0.5, 0.5] == [pytest.approx(each.quality) for each in found.forecasts]
    assert 1 == router.stats()["featurizer_failures"]


def test_the_mark_of_grades_is_no_arm() -> None:
    """Rankers of graded answers know it; a router does not."""
    pytest.importorskip("sklearn", reason="words are fitted by scikit-learn")
    blank = np.zeros((2, 2))
    outcomes = OutcomeTable(
        arms=("small", "large"), score=np.eye(2), cost_usd=blank, latency_s=blank
    )
    table = from_grades(outcomes, ["add", "poem"])
    features = RankedFeatures(ranker=WordRidge(bits=8).fit(table, prompts_of(table)))

    assert ("large", "small") == features.arms
    assert (2,) == features.features("add").shape


def test_copies_share_what_was_learnt_beforehand() -> None:
    """A copy of a router copies no ranker."""
    features = RankedFeatures(ranker=RANKER)
    assert features is copy.deepcopy(features)


def test_policies_keep_their_promises_on_arms_of_the_ranker() -> None:
    """The suite that a user's own policy is asked to pass, with a pool that the ranker knows."""
    check_policy(ranked_contextual(RANKER), arms=("large", "small"))
