"""What a user may write for a router's settings, and what it becomes, checked."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pickllm.budget import Budget, can_be_capped
from pickllm.errors import ConfigError
from pickllm.features import checked_featurizer, default_features
from pickllm.health import Breaker
from pickllm.numeric import check_counts
from pickllm.policies import (
    Contextual,
    LearningAutomaton,
    PolicyLike,
    Wrapped,
    policy_of,
)
from pickllm.pool import Pool
from pickllm.protocols import BringsFeatures, Cache, Cascade, Featurizer, Policy, Reward
from pickllm.rewards import WeightedReward
from pickllm.types import Anchors, Arm, Weights

if TYPE_CHECKING:
    from pickllm.transcripts import Transcripts

__all__ = [
    "DEFAULT_BREAKER",
    "DEFAULT_POLICY",
    "Fallback",
    "WeightsLike",
    "anchors_of",
    "answers_of",
    "budget_of",
    "cascade_of",
    "check_kinds",
    "check_prices",
    "fallback_of",
    "featurizer_for",
    "policy_for",
    "pool_of",
    "reward_of",
    "sources_of",
    "transcripts_of",
    "weights_in",
    "weights_of",
]

logger = logging.getLogger("pickllm")

DEFAULT_BREAKER = Breaker()
"""When an arm is given a rest unless the user says otherwise."""

DEFAULT_POLICY = "contextual"
"""How to choose unless the user says otherwise."""

Fallback: TypeAlias = bool | Sequence[str]
"""True: the next best arm takes over from one that failed; False: none does; or names, in order."""

WeightsLike: TypeAlias = Weights | Mapping[str, float]
"""Weights, or a mapping such as ``{"quality": 0.7, "cost": 0.3}``; what it leaves out is zero."""


def pool_of(arms: Pool | Mapping[str, Arm] | Iterable[Arm]) -> Pool:
    """The pool that these arms make."""
    if isinstance(arms, Pool):
        return arms
    if not isinstance(arms, Iterable):
        kind = type(arms).__name__
        raise ConfigError(f"arms must be a list of Arm, or Arms by name; they are {kind}")
    return Pool.of(arms) if isinstance(arms, Mapping) else Pool(arms)


def check_kinds(*, seed: object, namespace: object, max_decisions: object) -> None:
    """See that these are what they must be, where much else would do until much later."""
    if seed is not None:
        check_counts(seed=seed)
    if not isinstance(namespace, str) or not namespace:
        raise ConfigError("namespace must be a string that is not empty, such as 'default'")
    check_counts(max_decisions=max_decisions)


def policy_for(given: PolicyLike, pool: Pool, reward: Reward) -> Policy[Any]:
    """The policy, once it is known to be able to learn on this pool.

    The contextual one weighs quality, cost and latency itself, as `WeightedReward` does. Where the
    user has another reward, it learns that instead.
    """
    policy = policy_of(given)
    if isinstance(policy, Contextual) and not isinstance(reward, WeightedReward):
        policy = replace(policy, quality=replace(policy.quality, target="reward"))
    _check_names(policy, pool)
    if (
        isinstance(policy, LearningAutomaton)
        and len(pool) > 1
        and (policy.floor * len(pool) >= 1.0)
    ):
        raise ConfigError(
            f"a floor of {policy.floor} leaves nothing to learn with {len(pool)} arms: it must be "
            f"below {1.0 / len(pool):.3g}"
        )
    return policy


def _check_names(policy: Policy[Any], pool: Pool) -> None:
    """Refuse names that the pool does not have; tell of arms that a ranker says nothing about."""
    unknown = sorted(set(getattr(policy, "names_arms", ())) - set(pool.names))
    if unknown:
        raise ConfigError(
            f"{', '.join(map(repr, unknown))} names no arm of the pool {list(pool.names)}; it "
            f"stands in the policy: {policy.name}"
        )
    ranked = getattr(_innermost(policy), "ranks_arms", None)
    if ranked is None:
        return
    unranked = [name for name in pool.names if name not in ranked]
    if len(unranked) == len(pool):
        raise ConfigError(
            f"the ranker knows {list(ranked)}, and none of them is in the pool {list(pool.names)}: "
            "name the arms as they were named where it was fitted"
        )
    if unranked:
        logger.warning(
            "the ranker does not know %s: they count as the mean of the arms that it knows",
            ", ".join(map(repr, unranked)),
        )


def _innermost(policy: Policy[Any]) -> Policy[Any]:
    """What all wrappers are around."""
    while isinstance(policy, Wrapped):
        policy = policy.inner
    return policy


def featurizer_for(policy: Policy[Any], given: Featurizer | None) -> Featurizer | None:
    """The featurizer given, or the usual one for a policy of ours that looks at the prompt.

    A policy that brings features of its own puts them before what is given.
    """
    if given is not None:
        checked_featurizer(given)
    inner = _innermost(policy)
    if isinstance(inner, BringsFeatures):
        return inner.featurizer_with(given)
    if given is None and getattr(policy, "looks_at_prompt", False):
        return default_features()
    return given


def reward_of(weights: WeightsLike | None, reward: Reward | None) -> Reward:
    """The reward given, or the default one with these weights."""
    if reward is not None:
        if weights is not None:
            raise ConfigError("give weights or a reward, not both: a reward has its own weights")
        if isinstance(reward, type):
            raise ConfigError(f"reward is the class {reward.__name__}; give an instance of it")
        try:
            reward(score=1.0, cost_usd=0.0, latency_s=1.0)
        except TypeError as error:
            raise ConfigError(
                "reward must be callable with score=, cost_usd= and latency_s=, such as "
                f"WeightedReward(); it is {type(reward).__name__}"
            ) from error
        return reward
    return WeightedReward(weights=weights_of(weights) if weights is not None else Weights())


def weights_of(given: WeightsLike) -> Weights:
    """The weights that ``given`` stands for, or `ConfigError`."""
    if isinstance(given, Weights):
        return given
    unknown = sorted(set(given) - set(Weights().by_name))
    if unknown:
        raise ConfigError(f"no weight is called {unknown}; there are quality, cost and latency")
    return Weights(**{**dict.fromkeys(Weights().by_name, 0.0), **given})


def anchors_of(reward: Reward) -> Anchors:
    """The anchors of a reward that has some, else the usual ones."""
    anchors = getattr(reward, "anchors", None)
    return anchors if isinstance(anchors, Anchors) else Anchors()


def weights_in(reward: Reward) -> Weights:
    """The weights of a reward that has some, else the usual ones."""
    weights = getattr(reward, "weights", None)
    return weights if isinstance(weights, Weights) else Weights()


def cascade_of(given: Cascade | None, pool: Pool) -> Cascade | None:
    """The cascade, once it is known that the arms it names are there."""
    if given is None:
        return None
    if not callable(getattr(given, "move", None)) or isinstance(given, type):
        kind = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise ConfigError(f"cascade is {kind}; give a Cascade, such as ThresholdCascade(...)")
    unknown = sorted(set(getattr(given, "order", ())) - set(pool.names))
    if unknown:
        raise ConfigError(f"the cascade asks {unknown}, and the pool has only {list(pool.names)}")
    return given


def transcripts_of(given: "Transcripts | None") -> "Transcripts | None":
    """The keeper of transcripts, once it is known to be one."""
    if given is None:
        return None
    from pickllm.transcripts import Transcripts

    if not isinstance(given, Transcripts):
        raise ConfigError(
            f"transcripts is {type(given).__name__}; give Transcripts('sqlite:///kept.db', …)"
        )
    return given


def answers_of(given: Cache | None) -> Cache | None:
    """The cache of answers, once it is known to be one."""
    able = all(callable(getattr(given, name, None)) for name in ("recall", "keep", "judged"))
    if given is not None and (not able or isinstance(given, type)):
        kind = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise ConfigError(
            f"answers is {kind}; give a cache, such as AnswerCache() or "
            'AnswerCache(store="sqlite:///answers.db")'
        )
    return given


def sources_of(learns_from: Iterable[str] | None) -> frozenset[str] | None:
    """The sources of feedback that teach; None is all."""
    if isinstance(learns_from, str):
        raise ConfigError(f"learns_from must be a list of sources, such as [{learns_from!r}]")
    return None if learns_from is None else frozenset(learns_from)


def fallback_of(fallback: Fallback, pool: Pool) -> Fallback:
    """The fallback, once it is known to name arms of the pool."""
    if isinstance(fallback, bool):
        return fallback
    if (
        isinstance(fallback, str)
        or not isinstance(fallback, Sequence)
        or not set(fallback) <= set(pool.names)
    ):
        raise ConfigError(f"fallback must be True, False or names of {list(pool.names)}")
    return tuple(fallback) or False


def budget_of(budget: Budget | None, pool: Pool) -> Budget | None:
    """The budget, once it is known that some arm can be held to it."""
    if budget is None:
        return None
    if not isinstance(budget, Budget):
        raise ConfigError(
            f"budget must be a Budget, or None for none; it is {type(budget).__name__}"
        )
    uncapped = [name for name in pool.names if not can_be_capped(pool[name], budget)]
    if len(uncapped) == len(pool):
        raise ConfigError(
            "a budget needs to know what calls cost, and no arm has a price: state "
            "usd_per_mtok_in and usd_per_mtok_out, usd_per_hour or reserve_usd in its Arm"
        )
    if uncapped:
        logger.warning(
            "no price is known for %s, so under a budget nobody asks them: state one, or "
            "reserve_usd, in arms={...: Arm(...)}",
            ", ".join(map(repr, uncapped)),
        )
    return budget


def check_prices(pool: Pool, reward: Reward) -> None:
    """Tell that an unknown price keeps cost out of the rewards; refuse it where cost is all."""
    weights = getattr(reward, "weights", None)
    if not pool.unpriced or weights is None:
        return
    if weights.quality == weights.latency == 0.0:
        raise ConfigError(
            f"only cost has a weight, and no price is known for {list(pool.unpriced)}: "
            "state it in arms={...: Arm(...)}, or give quality or latency a weight"
        )
    if weights.cost > 0.0:
        logger.warning(
            "no price is known for %s, so cost stays out of the reward of every arm: state "
            "usd_per_mtok_in and usd_per_mtok_out, or usd_per_hour, in arms={...: Arm(...)}",
            ", ".join(map(repr, pool.unpriced)),
        )
