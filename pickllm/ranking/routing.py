"""Rankers as policies of a router: ``policy=`` is all that has to be said.

    routellm            two arms and a threshold, RouteLLM's way              threshold.py
    ranked              any arms: strengths as expected quality, weighed against cost and latency
    ranked_contextual   the same to begin with; feedback teaches what the ranker got wrong

The last two are `Contextual`, with quality from the ranker: weights, prices and budget may change
from one request to the next, and an arm that the ranker does not know counts as the mean of those
that it knows. All three bring their features, so the router needs no ``featurizer``.

>>> from pickllm import Arm, Request, Router
>>> from pickllm.data import Battle, preference_table
>>> from pickllm.ranking import WordRidge, prompts_of
>>> table = preference_table([
...     Battle(prompt="add 2 and 3", first="large", second="small", winner="first"),
...     Battle(prompt="a poem, please", first="large", second="small", winner="tie"),
... ])
>>> fitted = WordRidge(bits=10, penalty=1.0).fit(table, prompts_of(table))
>>> pool = [Arm(name="small", usd_per_hour=0.1), Arm(name="large", usd_per_hour=2.5)]
>>> policy = routellm(fitted, strong="large", weak="small", threshold=0.7)
>>> router = Router(arms=pool, policy=policy)
>>> [router.decide(Request(text=text)).arm for text in ("add 2 and 4", "a poem, now")]
['large', 'small']
"""

from dataclasses import dataclass, replace

from pickllm.estimators import Forgetting, ResidualRidge
from pickllm.explorers import EpsilonGreedy
from pickllm.features import Conversation, default_features
from pickllm.policies import Contextual, ContextualState, Drift
from pickllm.protocols import Explorer, Featurizer
from pickllm.ranking.contract import FittedRanker
from pickllm.ranking.features import RankedFeatures
from pickllm.ranking.threshold import WinRateThreshold
from pickllm.types import Experience

__all__ = ["RankedContextual", "ranked", "ranked_contextual", "routellm"]

_USUAL = Conversation()


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedContextual(Contextual):
    """`Contextual` whose quality begins as a ranker says. `ranked_contextual` puts it together."""

    ranking: RankedFeatures
    """What ranks the prompts."""
    learns: bool = True
    """Whether feedback corrects the ranker."""

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        learns = "learning" if self.learns else "not learning"
        return f"ranked by {self.ranking.name}, {learns}: {super(RankedContextual, self).name}"

    @property
    def state_name(self) -> str:
        """Corrections hang on the ranker that they correct."""
        learns = "learning" if self.learns else "not learning"
        return f"{learns} beside {super(RankedContextual, self).state_name}"

    @property
    def ranks_arms(self) -> tuple[str, ...]:
        """Those that the ranker knows."""
        return self.ranking.arms

    def featurizer_with(self, given: Featurizer | None) -> Featurizer:
        """Strengths before what the user gave, or before what the ranking has."""
        return self.ranking if given is None else replace(self.ranking, base=given)

    def learn(self, state: ContextualState, experience: Experience) -> ContextualState:
        """One more score into the corrections, where it learns."""
        return super(RankedContextual, self).learn(state, experience) if self.learns else state

    def unlearn(self, state: ContextualState, experience: Experience) -> ContextualState:
        """One score out of the corrections, where it learns."""
        return super(RankedContextual, self).unlearn(state, experience) if self.learns else state


def routellm(  # one for each thing to be said
    ranker: FittedRanker,
    *,
    strong: str,
    weak: str,
    threshold: float,
    embedder: Featurizer | None = None,
    epsilon: float = 0.0,
    reads: Conversation = _USUAL,
) -> WinRateThreshold:
    """The strong arm where its win rate reaches the threshold, else the weak one.

    Args:
        ranker: Fitted on battles that both arms are in.
        strong: Name of the arm that is better, and dearer.
        weak: Name of the other.
        threshold: From `threshold_for_share` or `threshold_for_gain` of `win_rates`.
        embedder: The one that the ranker was fitted on; None for one that reads texts.
        epsilon: Share of requests that go to either at random, so that both stay comparable.
        reads: What of a conversation is ranked.

    Raises:
        ConfigError: The ranker does not know an arm, or reads vectors and there is no embedder.
    """
    ranking = RankedFeatures(ranker=ranker, embedder=embedder, reads=reads)
    return WinRateThreshold(
        arms=ranking.arms,
        strong=strong,
        weak=weak,
        threshold=threshold,
        epsilon=epsilon,
        ranking=ranking,
    )


def ranked(
    ranker: FittedRanker,
    *,
    embedder: Featurizer | None = None,
    budget_usd: float | None = None,
    epsilon: float = 0.01,
    reads: Conversation = _USUAL,
) -> RankedContextual:
    """The arm with the highest utility, quality being what the ranker says, for good.

    What calls cost and take is still learnt from the calls themselves. For quality to be weighed
    against cost in one unit, fit on grades (`from_grades`): a share of battles won says less.

    Args:
        ranker: Fitted on any number of arms.
        embedder: The one that it was fitted on; None for one that reads texts.
        budget_usd: What a request may cost on average; None is no budget.
        epsilon: Share of requests that go to any arm at random, in [0, 1].
        reads: What of a conversation is ranked.
    """
    ranking = RankedFeatures(ranker=ranker, embedder=embedder, reads=reads)
    return RankedContextual(
        quality=ResidualRidge(target="score", forecast=ranking.arms),
        explorer=EpsilonGreedy(epsilon=epsilon),
        budget_usd=budget_usd,
        drift=None,
        ranking=ranking,
        learns=False,
    )


def ranked_contextual(  # one for each thing to be said
    ranker: FittedRanker,
    *,
    embedder: Featurizer | None = None,
    trust: float = 20.0,
    base: Featurizer | None = None,
    budget_usd: float | None = None,
    half_life_s: float | None = None,
    explorer: Explorer | None = None,
    drift: Drift | None = Drift(),  # noqa: B008  # a frozen value
    reads: Conversation = _USUAL,
    title: str = "",
) -> RankedContextual:
    """The default policy, beginning with what a ranker says instead of with what prices suggest.

    Args:
        ranker: Fitted on any number of arms; arms that it does not know may be in the pool.
        embedder: The one that it was fitted on; None for one that reads texts.
        trust: How many scores of an arm it takes to move the level of the ranker half the way.
        base: What else to look at; words and surface by default.
        budget_usd: What a request may cost on average; None is no budget.
        half_life_s: Scores of this age count half; None for all alike.
        explorer: Chooses among utilities; Thompson sampling by default.
        drift: When an arm is taken to have changed; None never.
        reads: What of a conversation is ranked, and looked at by ``base``.
        title: What this fit is called in names and logs. A router with a store that gets a new fit
            goes on with its corrections, each beside the strengths that it was made for.

    Raises:
        ConfigError: The ranker reads vectors, and there is no embedder.
    """
    ranking = RankedFeatures(
        ranker=ranker,
        embedder=embedder,
        base=base or default_features(),
        reads=reads,
        title=title,
    )
    usual = Contextual()
    quality = ResidualRidge(
        target="score",
        forecast=ranking.arms,
        penalty=usual.quality.penalty,
        prior_count=trust,
        noise=usual.quality.noise,
        forgetting=Forgetting(half_life_s=half_life_s),
    )
    return RankedContextual(
        quality=quality,
        explorer=explorer or usual.explorer,
        budget_usd=budget_usd,
        drift=drift,
        ranking=ranking,
    )
