"""Laws of rewards: in [0, 1], and better is never worse."""

from hypothesis import assume, given
from hypothesis import strategies as st

from pickllm import Anchors, PaperReward, WeightedReward, Weights

SLACK = 1e-12

shares = st.floats(min_value=0.0, max_value=1.0)
costs = st.one_of(st.none(), st.floats(min_value=0.0, max_value=1e6))
amounts = st.floats(min_value=0.0, max_value=1e6)
weight = st.one_of(st.just(0.0), st.floats(min_value=1e-6, max_value=1e6))
weights = (
    st.tuples(weight, weight, weight)
    .filter(any)
    .map(lambda of: Weights(quality=of[0], cost=of[1], latency=of[2]))
)
anchors = st.builds(
    Anchors,
    cost_lo_usd=st.floats(min_value=1e-9, max_value=1e-4),
    cost_hi_usd=st.floats(min_value=1e-3, max_value=1e3),
    latency_lo_s=st.floats(min_value=1e-4, max_value=0.1),
    latency_hi_s=st.floats(min_value=1.0, max_value=1e4),
)
weighted = st.builds(WeightedReward, weights=weights, anchors=anchors)
papers = st.builds(
    PaperReward,
    reading=st.sampled_from(("quotient", "product")),
    weights=weights.filter(lambda of: of.latency > 0.0),
    latency_scaling=st.floats(min_value=1e-3, max_value=1e3),
)


def defined(reward: WeightedReward, *costs: float | None) -> bool:
    """Whether something is left to weigh where a cost is unknown."""
    return None not in costs or reward.weights.quality + reward.weights.latency > 0.0


@given(reward=weighted, score=shares, cost=costs, latency=amounts)
def test_weighted_reward_is_a_share(
    reward: WeightedReward, score: float, cost: float | None, latency: float
) -> None:
    """Whatever the weights, any of them zero, the reward lies in [0, 1]."""
    assume(defined(reward, cost))
    assert 0.0 <= reward(score=score, cost_usd=cost, latency_s=latency) <= 1.0


@given(reward=weighted, scores=st.tuples(shares, shares), cost=costs, latency=amounts)
def test_better_answers_earn_no_less(
    reward: WeightedReward, scores: tuple[float, float], cost: float | None, latency: float
) -> None:
    """The reward rises with the score, all else equal."""
    assume(defined(reward, cost))
    worse, better = (
        reward(score=score, cost_usd=cost, latency_s=latency) for score in sorted(scores)
    )
    assert worse <= better + SLACK


@given(reward=weighted, score=shares, costs=st.tuples(amounts, amounts), latency=amounts)
def test_cheaper_answers_earn_no_less(
    reward: WeightedReward, score: float, costs: tuple[float, float], latency: float
) -> None:
    """The reward falls with the cost, all else equal."""
    cheap, dear = (reward(score=score, cost_usd=cost, latency_s=latency) for cost in sorted(costs))
    assert dear <= cheap + SLACK


@given(reward=weighted, score=shares, cost=costs, latencies=st.tuples(amounts, amounts))
def test_faster_answers_earn_no_less(
    reward: WeightedReward, score: float, cost: float | None, latencies: tuple[float, float]
) -> None:
    """The reward falls with the latency, all else equal."""
    assume(defined(reward, cost))
    fast, slow = (
        reward(score=score, cost_usd=cost, latency_s=latency) for latency in sorted(latencies)
    )
    assert slow <= fast + SLACK


@given(reward=weighted, score=shares, cost=amounts, latency=amounts)
def test_what_has_no_weight_does_not_matter(
    reward: WeightedReward, score: float, cost: float, latency: float
) -> None:
    """A term whose weight is zero can be anything."""
    of = reward.weights
    assert reward(score=score, cost_usd=cost, latency_s=latency) == reward(
        score=score if of.quality else 0.5,
        cost_usd=cost if of.cost else 1.0,
        latency_s=latency if of.latency else 1.0,
    )


@given(reward=papers, score=shares, cost=costs, latency=amounts)
def test_paper_reward_is_a_share(
    reward: PaperReward, score: float, cost: float | None, latency: float
) -> None:
    """Clamped, both readings of the paper stay in [0, 1]."""
    assert 0.0 <= reward(score=score, cost_usd=cost, latency_s=latency) <= 1.0


@given(reward=papers, scores=st.tuples(shares, shares), cost=costs, latency=amounts)
def test_paper_reward_rises_with_the_score(
    reward: PaperReward, scores: tuple[float, float], cost: float | None, latency: float
) -> None:
    """Better answers earn no less, in both readings."""
    worse, better = (
        reward(score=score, cost_usd=cost, latency_s=latency) for score in sorted(scores)
    )
    assert worse <= better + SLACK
