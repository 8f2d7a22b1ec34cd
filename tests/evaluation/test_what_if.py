"""What other policies would have earned: those that stay as they are, and those that learn."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pickllm import (
    ConfigError,
    Fixed,
    Guarded,
    Random,
    Watched,
    WeightedReward,
    Weights,
    contextual,
    epsilon_greedy,
    lin_ucb,
)
from pickllm.evaluation import OutcomeTable, replay_many
from pickllm.evaluation.logged import LoggedDecisions, logged_from_table
from pickllm.evaluation.what_if import passage_of, what_if, what_if_fixed
from pickllm.policies import PolicyLike, policy_of

QUALITY = WeightedReward(weights=Weights(quality=1.0, cost=0.0, latency=0.0))
CHANCES = (0.3, 0.5, 0.8)
Array = NDArray[np.float64]


def table_of(count: int, seed: int) -> OutcomeTable:
    """Three arms that are right in 30, 50 and 80 % of the cases."""
    score = (np.random.default_rng(seed).random((count, 3)) < CHANCES).astype(float)
    return OutcomeTable(
        arms=("a", "b", "c"),
        score=score,
        cost_usd=np.zeros_like(score),
        latency_s=np.zeros_like(score),
    )


def log_of(
    count: int, seed: int, odds: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)
) -> LoggedDecisions:
    """What a policy with these odds has logged."""
    table = table_of(count, seed)
    return logged_from_table(table, np.tile(odds, (count, 1)), reward=QUALITY, seed=seed + 999)


@pytest.mark.parametrize(("arm", "truth"), [*zip("abc", CHANCES, strict=True)])
def test_a_single_arm_is_valued_at_its_worth(arm: str, truth: float) -> None:
    """By a policy, or by its probabilities; every method's interval holds the truth here."""
    logged = log_of(3_000, seed=1)

    by_policy = what_if(logged, Fixed(arm=arm))
    by_odds = what_if_fixed(logged, logged.always(arm), name="always")

    assert by_policy.method_to_estimate == by_odds.method_to_estimate
    assert (3_000, f"fixed(arm={arm!r})", "always") == (
        by_policy.steps,
        by_policy.name,
        by_odds.name,
    )
    for each in by_policy.method_to_estimate.values():
        assert each.low < truth < each.high
        assert each.high - each.low < 0.15


@pytest.mark.parametrize(
    "policy", [Fixed(arm="z"), Guarded(policy="ucb1", baseline="z"), contextual(prior={"z": 0.5})]
)
def test_a_policy_that_names_an_arm_the_log_has_not_is_refused(policy: PolicyLike) -> None:
    """What it would have earned by another arm is no answer."""
    with pytest.raises(ConfigError, match=r"\['z'\] stand in .* has \['a', 'b', 'c'\]"):
        what_if(log_of(50, seed=1), policy)


def test_the_policy_that_was_live_is_valued_at_the_log_s_mean() -> None:
    """Every weight is one."""
    logged = log_of(500, seed=2)
    found = what_if(logged, Random())

    assert found.method_to_estimate["snips"].value == pytest.approx(logged.reward.mean())
    assert (500.0, ()) == (found.method_to_estimate["snips"].ess, found.warnings)


@pytest.mark.parametrize(
    "policy", [contextual(), lin_ucb(), Watched(policy="contextual", incumbent="a")]
)
def test_a_policy_that_looks_at_prompts_is_told_of_a_log_without(policy: PolicyLike) -> None:
    """It would be judged as if it were blind; with features, or if it looks at none, it is not."""
    blind = log_of(100, seed=2)
    seeing = replace(blind, features=np.random.default_rng(0).random((100, 2)))

    (words,) = [
        each for each in what_if(blind, policy, passages=2).warnings if "featurizer=" in each
    ]
    assert words.startswith("this policy looks at the prompt, and the log holds no features")
    for log, other in ((seeing, policy), (blind, epsilon_greedy())):
        assert not any("featurizer=" in each for each in what_if(log, other).warnings)


def test_a_learner_is_led_through_a_history_of_its_own() -> None:
    """It accepts about one row in three of a uniform log, and learns which arm is best."""
    logged = log_of(3_000, seed=3)
    policy = epsilon_greedy(epsilon=0.1)
    passage = passage_of(logged, policy, seed=1)

    assert 700 < passage.steps < 1_300
    assert passage.steps == passage.state.steps
    assert passage.probabilities[-1].argmax() == 2
    again = passage_of(logged, policy, seed=1)
    np.testing.assert_array_equal(passage.probabilities, again.probabilities)


def test_a_learner_s_estimates_centre_on_what_it_really_earns() -> None:
    """Mean of 60 logs beside the mean of 60 real sessions as long as its history."""
    policy = epsilon_greedy(epsilon=0.1)
    found = [what_if(log_of(600, seed=seed), policy, passages=2, seed=seed) for seed in range(60)]
    steps = int(np.mean([each.steps for each in found]))
    lived = [
        replay_many(policy, table_of(steps, 5_000 + seed), sessions=1, reward=QUALITY, seed=seed)[0]
        for seed in range(60)
    ]
    truth = float(np.mean([session.rewards.mean() for session in lived]))

    for method in ("snips", "dr"):
        values = np.array([each.method_to_estimate[method].value for each in found])
        noise = 4 * np.hypot(values.std(), np.std([s.rewards.mean() for s in lived])) / np.sqrt(60)
        assert abs(values.mean() - truth) < noise + 0.01


def test_a_log_with_a_favourite_teaches_a_learner_too() -> None:
    """The acceptance makes up for the odds."""
    passage = passage_of(log_of(4_000, seed=5, odds=(0.8, 0.1, 0.1)), epsilon_greedy(), seed=1)

    assert passage.probabilities[-1].argmax() == 2
    assert 100 < passage.steps < 1_500


def test_what_is_learnt_from_may_be_all_or_nothing() -> None:
    """All rows warm a policy up; with nothing it stays as it was given."""
    logged = log_of(500, seed=4)
    policy = epsilon_greedy()

    warmed = passage_of(logged, policy, learns_from="all")
    still = passage_of(logged, policy, learns_from="nothing", state=warmed.state)

    assert (500, 500) == (warmed.steps, warmed.state.steps)
    assert warmed.state is still.state
    assert 1 == len(np.unique(still.probabilities, axis=0))
    assert warmed.state.estimates.arm_to_count == {
        arm: int((logged.chosen == index).sum()) for index, arm in enumerate(logged.arms)
    }


def test_choosers_see_features_and_eligible_arms() -> None:
    """As live: a function may look at the vector, and at who may answer."""
    logged = log_of(100, seed=6)
    rows = np.arange(100)
    seen = LoggedDecisions(
        arms=logged.arms,
        chosen=np.where(rows % 2, 0, logged.chosen).astype(np.intp),
        probabilities=np.where((rows % 2)[:, None], np.eye(3)[0], logged.probabilities),
        eligible=np.where((rows % 2)[:, None], np.eye(3, dtype=bool)[0], logged.eligible),
        reward=logged.reward,
        score=logged.score,
        cost_usd=logged.cost_usd,
        latency_s=logged.latency_s,
        time_s=logged.time_s,
        features=(rows[:, None] % 4).astype(np.float64),
        values=logged.values,
    )

    found = what_if(seen, lambda s: "c" if s.features[0] == 0.0 else s.arms[0]).probabilities

    np.testing.assert_array_equal(found[0:4], np.eye(3)[[2, 0, 0, 0]])


def test_a_policy_by_name_and_settings_of_the_estimate() -> None:
    """As the command line gives them."""
    found = what_if(
        log_of(300, seed=7), policy_of("q_learning"), name="q", interval="bootstrap", resamples=50
    )

    assert "q" == found.name
    with pytest.raises(ConfigError):
        passage_of(log_of(10, seed=8), Random(), quantile=2.0)
