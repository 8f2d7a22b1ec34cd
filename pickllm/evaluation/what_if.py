"""What another policy would have earned, had it been live: fixed ones, and such as learn.

    what_if(logged, policy_of("epsilon_greedy"))

A policy that learns nothing has its probabilities for every row, and those are all that `estimate`
needs. One that learns has other probabilities after each lesson, and lives through another history
than the log's. So it is led through the log, row by row, by rejection sampling: a row is accepted
into its history with probability ``c pi(a) / p(a)``, which makes the accepted rows a sample of what
it would itself have done, and it learns from these alone; but every row, accepted or not, adds its
doubly robust estimate, weighted by ``c``. The step ``c`` is a low quantile of the ratios ``p / pi``
seen so far, at most 1: a higher one accepts more, and bends the history towards the log's.

Where such a learner ends is partly luck, so it is led through several times, each with its own
draws, and each beginning at another place of the log and going on at its start: the value is the
mean of these passages, and its interval holds both what the log leaves open and how far they lie
apart. In a log whose arms have changed on the way, ask for a single passage.

What comes of it is the mean reward of the policy's first ``steps`` decisions, as many as were
accepted: few, where it does what the log seldom did. With ``learns_from="all"`` it learns from each
row of the log instead, like a new policy that is warmed up on old traffic; that is another
question, with an answer of less spread.

Reference: Dudík, Erhan, Langford and Li, Sample-efficient nonstationary policy evaluation for
contextual bandits (2012), arXiv 1210.4862, algorithm DR-ns.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal, TypeAlias

import numpy as np

from pickllm.errors import ConfigError
from pickllm.evaluation.evidence import Evidence
from pickllm.evaluation.logged import Column, LoggedDecisions
from pickllm.evaluation.off_policy import Estimate, Method, estimate
from pickllm.evaluation.outcome_model import cross_fitted
from pickllm.evaluation.table import Matrix
from pickllm.policies import PolicyLike, policy_of
from pickllm.protocols import Policy
from pickllm.rng import Rng
from pickllm.types import Choice, Decision, Experience, Request, Situation

__all__ = ["LearnsFrom", "Passage", "WhatIf", "passage_of", "what_if", "what_if_fixed"]

LearnsFrom: TypeAlias = Literal["accepted", "all", "nothing"]
"""Which rows a policy learns from on its way through a log."""

_METHODS: tuple[Method, ...] = ("snips", "dr")
_BLIND = (
    "this policy looks at the prompt, and the log holds no features of prompts: the estimate is of "
    "a policy that sees none, and says nothing of what it would do live. Log with "
    "Router(featurizer=default_features()), and estimate on that log"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A policy's way through a log."""

    probabilities: Matrix
    """``[decisions, arms]``, the policy's own, at the time of each row."""
    row_weights: Column
    """``[decisions]``, how much each row counts: the steps ``c``."""
    steps: int
    """How many rows it has learnt from; for one that learns nothing, all there are."""
    learns: bool
    """Whether it has learnt on the way."""
    state: Any
    """What it had learnt in the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WhatIf:
    """What a policy would have earned, by each method."""

    name: str
    method_to_estimate: Mapping[Method, Estimate]
    steps: int
    """How many decisions of its own that is about."""
    probabilities: Matrix
    """``[decisions, arms]``, by the place in its passage; the mean where there were several."""
    blind: bool = False
    """Whether the policy looks at prompts, and the log says nothing of them."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the estimates doubtful, each told once."""
        told = [_BLIND] if self.blind else []
        told += [words for each in self.method_to_estimate.values() for words in each.warnings]
        return tuple(dict.fromkeys(told))


def what_if(
    logged: LoggedDecisions,
    policy: PolicyLike,
    *,
    name: str = "",
    learns_from: LearnsFrom = "accepted",
    state: Any = None,
    predicted: Matrix | None = None,
    passages: int = 5,
    seed: int = 0,
    **settings: Any,
) -> WhatIf:
    """What a policy would have earned in place of the one that was live.

    Args:
        logged: The log.
        policy: A policy, its name, or a function that chooses.
        name: What to call it; its own name by default.
        learns_from: Accepted rows, all, or nothing: it stays as it is.
        state: What it has learnt before; None is a fresh start.
        predicted: ``[decisions, arms]`` rewards; cross-fitted here by default.
        passages: How often one that learns is led through the log.
        seed: Of its draws, of the acceptance, and of the folds.
        settings: Of `estimate`: clip, interval, resamples.
    """
    if passages < 1:
        raise ConfigError(f"passages is {passages}; at least one is needed")
    chooser = policy_of(policy)
    unknown = sorted(set(getattr(chooser, "names_arms", ())).difference(logged.arms))
    if unknown:
        raise ConfigError(f"{unknown} stand in {chooser.name}; the log has {list(logged.arms)}")
    if predicted is None:
        predicted = _predicted(logged, seed)
    found = []
    for number in range(passages):
        order = np.roll(np.arange(len(logged)), -number * len(logged) // passages)
        turned = logged.only(order)
        passage = passage_of(
            turned, chooser, learns_from=learns_from, state=state, seed=seed + number
        )
        found.append(
            _judged(
                name or chooser.name,
                turned,
                passage.probabilities,
                predicted=predicted[order],
                row_weights=passage.row_weights,
                steps=passage.steps,
                settings={"seed": seed, **settings},
            )
        )
        if not passage.learns:
            break
    blind = not logged.features.shape[1] and bool(getattr(chooser, "looks_at_prompt", False))
    return replace(found[0] if len(found) == 1 else _together(found), blind=blind)


def what_if_fixed(
    logged: LoggedDecisions,
    target: Matrix,
    *,
    name: str,
    predicted: Matrix | None = None,
    seed: int = 0,
    **settings: Any,
) -> WhatIf:
    """The same for given probabilities ``target``, ``[decisions, arms]``."""
    return _judged(
        name,
        logged,
        target,
        predicted=_predicted(logged, seed) if predicted is None else predicted,
        row_weights=None,
        steps=len(logged),
        settings={"seed": seed, **settings},
    )


def passage_of(
    logged: LoggedDecisions,
    policy: Policy[Any],
    *,
    learns_from: LearnsFrom = "accepted",
    state: Any = None,
    quantile: float = 0.05,
    seed: int = 0,
) -> Passage:
    """Lead a policy through a log, oldest row first."""
    if not 0.0 <= quantile <= 1.0:
        raise ConfigError(f"quantile must lie in [0, 1]; it is {quantile}")
    fresh = policy.init(logged.arms, logged.features.shape[1])
    known = fresh if state is None else state
    learns = learns_from != "nothing" and fresh is not None
    rejects = learns and learns_from == "accepted"
    marks = np.random.default_rng([seed, 1]).random(len(logged))
    probabilities = np.zeros_like(logged.probabilities)
    row_weights = np.ones(len(logged))
    ratios: list[float] = []
    step, steps = 1.0, 0
    for row, propensity in enumerate(logged.propensity.tolist()):
        situation = _situation(logged, row)
        choice = policy.decide(known, situation, Rng(seed=seed, number=row))
        probabilities[row, logged.eligible[row]] = choice.probabilities
        own = float(probabilities[row, logged.chosen[row]])
        row_weights[row] = step
        if rejects and own > 0.0:
            bisect.insort(ratios, propensity / own)
        if learns and (not rejects or marks[row] * propensity <= step * own):
            steps += 1
            known = policy.learn(known, _experience(logged, row, situation, choice, policy.name))
            if rejects:
                step = min(1.0, ratios[int(quantile * (len(ratios) - 1))])
    return Passage(
        probabilities=probabilities,
        row_weights=row_weights,
        steps=steps if learns else len(logged),
        learns=learns,
        state=known,
    )


def _judged(
    name: str,
    logged: LoggedDecisions,
    target: Matrix,
    *,
    predicted: Matrix,
    row_weights: Column | None,
    steps: int,
    settings: Mapping[str, Any],
) -> WhatIf:
    evidence = Evidence(
        target=target,
        probabilities=logged.probabilities,
        chosen=logged.chosen,
        outcome=logged.reward,
        predicted=predicted,
        row_weights=row_weights,
    )
    return WhatIf(
        name=name,
        method_to_estimate={method: estimate(evidence, method, **settings) for method in _METHODS},
        steps=steps,
        probabilities=target,
    )


def _predicted(logged: LoggedDecisions, seed: int) -> Matrix:
    return cross_fitted(
        logged.chosen,
        logged.reward,
        arms=len(logged.arms),
        features=logged.features,
        seed=seed,
    )


def _together(found: Sequence[WhatIf]) -> WhatIf:
    """One of several passages: their means, and an interval for all that differs."""
    return replace(
        found[0],
        method_to_estimate={
            method: _mean_of([each.method_to_estimate[method] for each in found])
            for method in _METHODS
        },
        steps=round(fmean(each.steps for each in found)),
        probabilities=np.mean([each.probabilities for each in found], axis=0),
    )


def _mean_of(estimates: Sequence[Estimate]) -> Estimate:
    value = fmean(each.value for each in estimates)
    apart = fmean((each.value - value) ** 2 for each in estimates) * (
        len(estimates) / (len(estimates) - 1)
    )
    spread = math.sqrt(fmean(each.standard_error**2 for each in estimates) + apart)
    widest = max(estimates, key=lambda each: each.high - each.low)
    reach = spread * (widest.high - widest.low) / max(2.0 * widest.standard_error, 1e-12)
    return replace(
        estimates[0],
        value=value,
        low=value - reach,
        high=value + reach,
        standard_error=spread,
        ess=fmean(each.ess for each in estimates),
        clip_rate=fmean(each.clip_rate for each in estimates),
        unsupported=fmean(each.unsupported for each in estimates),
        warnings=tuple(dict.fromkeys(words for each in estimates for words in each.warnings)),
    )


def _situation(logged: LoggedDecisions, row: int) -> Situation:
    able = logged.eligible[row]
    return Situation(
        arms=tuple(arm for arm, there in zip(logged.arms, able, strict=True) if there),
        request=Request(text="", id=str(row)),
        features=logged.features[row].astype(np.float32),
    )


def _experience(
    logged: LoggedDecisions, row: int, situation: Situation, choice: Choice, policy: str
) -> Experience:
    arm = logged.arms[logged.chosen[row]]
    cost_usd = float(logged.cost_usd[row])
    decision = Decision(
        id=situation.request.id,
        time_s=float(logged.time_s[row]),
        arm=arm,
        propensity=choice.probabilities[situation.arms.index(arm)],
        arms=situation.arms,
        probabilities=choice.probabilities,
        values=choice.values,
        policy=policy,
        features=situation.features,
    )
    return Experience(
        decision=decision,
        arm=arm,
        reward=float(logged.reward[row]),
        score=float(logged.score[row]),
        cost_usd=None if np.isnan(cost_usd) else cost_usd,
        latency_s=float(logged.latency_s[row]),
    )
