"""Published policies under their names, made of the blocks beside this file.

>>> q_learning(alpha=0.2).title
'q_learning'
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pickllm import estimators, explorers  # whose names are imported when a recipe takes them
from pickllm.policies.contextual import Contextual
from pickllm.policies.drift import Drift
from pickllm.policies.value import ValuePolicy
from pickllm.protocols import Explorer

if TYPE_CHECKING:
    from pickllm.estimators import LogisticState, RidgeState, RunningMeanState, Sums

__all__ = [
    "beta_thompson",
    "contextual",
    "discounted_ucb",
    "epsilon_greedy",
    "lin_thompson",
    "lin_ucb",
    "logistic",
    "q_learning",
    "softmax",
    "square_cb",
    "ucb1",
]


def epsilon_greedy(
    *, epsilon: float = 0.1, decay: float = 1.0, least: float = 0.0
) -> "ValuePolicy[RunningMeanState]":
    """The arm with the best mean reward, and with probability ``epsilon`` any arm.

    Sutton and Barto, Reinforcement Learning (2018), section 2.4.
    """
    return ValuePolicy(
        estimator=estimators.RunningMean(),
        explorer=explorers.EpsilonGreedy(epsilon=epsilon, decay=decay, least=least),
    )


def q_learning(
    *,
    alpha: float = 0.1,
    epsilon: float = 0.1,
    decay: float = 1.0,
    least: float = 0.0,
    initial: float = 1.0,
) -> "ValuePolicy[RunningMeanState]":
    """The PickLLM paper's stateless Q-learning (arXiv 2412.12170): ``Q += alpha * (R - Q)``.

    ``initial`` is Q0. The default is optimistic, so every arm is tried early. Starting at 0 with
    rewards above 0 and an epsilon that decays from a small value freezes on the first arm tried:
    in 2,000 simulated sessions (alpha .1, epsilon .1 * .99 ** t, four arms) the greedy arm was the
    best one in 26 % of them, against 93 % with a constant epsilon of .1 and 97 % with
    1 * .99 ** t.
    """
    return ValuePolicy(
        title="q_learning",
        estimator=estimators.RunningMean(step=alpha, initial=initial),
        explorer=explorers.EpsilonGreedy(epsilon=epsilon, decay=decay, least=least),
    )


def ucb1(*, width: float = 2.0, epsilon: float = 0.02) -> "ValuePolicy[RunningMeanState]":
    """The arm with the highest upper bound, ``mean + sqrt(2 ln t / n)``, whatever the prompt.

    The spread of a mean is ``1 / (2 sqrt(n))`` here, so a ``width`` of 2 is the published bound;
    a smaller one, such as .4, explores less and earns more on rewards that are close together.
    Auer, Cesa-Bianchi and Fischer (2002).
    """
    return ValuePolicy(
        title="ucb1",
        estimator=estimators.RunningMean(),
        explorer=explorers.UpperBound(width=width, growing=True, epsilon=epsilon),
    )


def discounted_ucb(
    *, half_life_s: float = 86_400.0, width: float = 0.4, epsilon: float = 0.02
) -> "ValuePolicy[Sums]":
    """Upper bounds on means that forget by age. Garivier and Moulines (2008), arXiv 0805.3415."""
    return ValuePolicy(
        title="discounted_ucb",
        estimator=estimators.DiscountedMean(half_life_s=half_life_s),
        explorer=explorers.UpperBound(width=width, growing=True, epsilon=epsilon),
    )


def beta_thompson(*, epsilon: float = 0.02) -> "ValuePolicy[Sums]":
    """Each arm as often as its Beta posterior says that it is the best. Thompson (1933)."""
    return ValuePolicy(
        title="beta_thompson",
        estimator=estimators.BetaCounts(),
        explorer=explorers.Thompson(posterior="beta", epsilon=epsilon),
    )


def softmax(*, temperature: float = 0.05) -> "ValuePolicy[RunningMeanState]":
    """Arms in proportion to the exponential of their mean rewards (Boltzmann)."""
    return ValuePolicy(
        title="softmax",
        estimator=estimators.RunningMean(),
        explorer=explorers.Softmax(temperature=temperature),
    )


def lin_ucb(
    *, width: float = 0.3, penalty: float = 1.0, epsilon: float = 0.02
) -> "ValuePolicy[RidgeState]":
    """LinUCB with disjoint arms: the highest upper bound of a ridge regression on the features.

    Li et al. (2010), arXiv 1003.0146, whose alpha is ``width``.
    """
    return ValuePolicy(
        title="lin_ucb",
        estimator=estimators.Ridge(penalty=penalty),
        explorer=explorers.UpperBound(width=width, epsilon=epsilon),
    )


def lin_thompson(
    *, width: float = 0.3, penalty: float = 1.0, epsilon: float = 0.02
) -> "ValuePolicy[RidgeState]":
    """Linear Thompson sampling: each arm as often as it is likely to be the best for the prompt.

    Agrawal and Goyal (2013), arXiv 1209.3352, whose v is ``width``.
    """
    return ValuePolicy(
        title="lin_thompson",
        estimator=estimators.Ridge(penalty=penalty),
        explorer=explorers.Thompson(width=width, epsilon=epsilon),
    )


def square_cb(
    *, gamma: float = 10.0, growth: float = 0.5, penalty: float = 1.0
) -> "ValuePolicy[RidgeState]":
    """Inverse gap weighting on a ridge regression. Foster and Rakhlin (2020), arXiv 2002.04926."""
    return ValuePolicy(
        title="square_cb",
        estimator=estimators.Ridge(penalty=penalty),
        explorer=explorers.SquareCB(gamma=gamma, growth=growth),
    )


def logistic(
    *, width: float = 1.0, penalty: float = 1.0, epsilon: float = 0.02
) -> "ValuePolicy[LogisticState]":
    """Thompson sampling on a logistic regression. Chapelle and Li (2011)."""
    return ValuePolicy(
        title="logistic",
        estimator=estimators.Logistic(penalty=penalty),
        explorer=explorers.Thompson(width=width, epsilon=epsilon),
    )


def contextual(  # one for each thing to be said
    *,
    prior: Mapping[str, float] | float | None = None,
    budget_usd: float | None = None,
    half_life_s: float | None = None,
    explorer: Explorer | None = None,
    drift: Drift | None = Drift(),  # noqa: B008  # a frozen value
) -> Contextual:
    """The default policy, by what is most often said of it; see `Contextual` for the rest."""
    usual = Contextual()
    return replace(
        usual,
        quality=replace(usual.quality, forgetting=estimators.Forgetting(half_life_s=half_life_s)),
        explorer=explorer or usual.explorer,
        prior=prior,
        budget_usd=budget_usd,
        drift=drift,
    )
