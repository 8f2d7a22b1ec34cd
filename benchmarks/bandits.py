"""Policies over recorded answers of real models, beside rivals, single arms and hindsight.

    python benchmarks/bandits.py DATA --part quality --table mmlu_pro --seeds 10
    python benchmarks/bandits.py DATA --part budgets --table mmlu_pro --seeds 10
    python benchmarks/bandits.py DATA --part drift --seeds 20
    python benchmarks/bandits.py --part speed

DATA (or ``PICKLLM_DATA``) holds ``outcomes/NAME.parquet``: a row for each prompt, and
``MODEL|score``, ``MODEL|cost_usd``, ``MODEL|completion_tokens`` … for each model. Each session
learns from some prompts of the train split, answers one after another and only of the arms that it
asked, goes on in the dev split, and is measured there. Needs an environment of its own:
``pip install pandas pyarrow pytest paretobandit==0.1.1 mabwiser==2.7.4 river==0.26.1
litellm==1.106.2``.
"""

import argparse
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pickllm import (
    Arm,
    Request,
    Router,
    WeightedReward,
    Weights,
    contextual,
    epsilon_greedy,
    lin_ucb,
    ucb1,
)
from pickllm.evaluation import OutcomeTable, mean_interval
from pickllm.evaluation.replay import replay
from pickllm.features import default_features
from pickllm.rng import Rng
from pickllm.testing import experience, situation

MMLU_PRO = [
    "Phi-3-mini-4k-instruct",
    "Mistral-7B-Instruct-v0.2",
    "c4ai-command-r-v01",
    "Mixtral-8x7B-Instruct-v0.1",
    "mathstral-7B",
    "Meta-Llama-3_1-8B-Instruct",
    "jamba-1.5-large",
    "DeepSeek-V2-Chat",
    "Meta-Llama-3_1-70B-Instruct",
    "gemini-1.5-flash-002",
    "gemini-1.5-pro-002",
    "gpt-4o-2024-05-13",
]
ZEROEVAL = [
    "Meta-Llama-3.1-8B-Instruct",
    "gemma-2-9b-it",
    "gpt-4o-mini-2024-07-18",
    "gemini-1.5-flash",
    "claude-3-haiku-20240307",
    "Meta-Llama-3.1-70B-Instruct",
    "deepseek-v2.5-0908",
    "gemini-1.5-pro",
    "gpt-4o-2024-08-06",
    "claude-3-5-sonnet-20240620",
]
POOLS = {"mmlu_pro": MMLU_PRO, "zeroeval": ZEROEVAL}
LEARN, MEASURE = 1_500, 1_000
WEIGHTS = {
    "quality alone": Weights(quality=1.0, cost=0.0, latency=0.0),
    "quality .8, cost .2": Weights(quality=0.8, cost=0.2, latency=0.0),
    "quality .5, cost .5": Weights(quality=0.5, cost=0.5, latency=0.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What a way of choosing did in the measured part of a session."""

    score: float
    cost_usd: float
    reward: float


# Tables


def load(data: Path, name: str, split: str) -> OutcomeTable:
    """The rows of a split on which every model of the pool was run, with features."""
    frame, pool = pd.read_parquet(data / "outcomes" / f"{name}.parquet"), POOLS[name]
    frame = frame[frame.split == split]
    needed = [f"{model}|{what}" for model in pool for what in ("score", "cost_usd")]
    frame = frame[frame[needed].notna().all(axis=1)]
    features = default_features()
    return OutcomeTable(
        arms=tuple(pool),
        score=column(frame, pool, "score"),
        cost_usd=column(frame, pool, "cost_usd"),
        latency_s=np.ones((len(frame), len(pool))),  # not recorded: no weight is given to it
        features=np.stack([features.features(text) for text in frame.prompt]).astype(float),
        prompts=tuple(frame.prompt),
    )


def column(frame: pd.DataFrame, pool: Sequence[str], what: str) -> Any:
    """One kind of column of all models, ``[prompts, arms]``."""
    return np.stack([frame[f"{model}|{what}"].to_numpy(float) for model in pool], axis=1)


def session(train: OutcomeTable, dev: OutcomeTable, seed: int) -> OutcomeTable:
    """Prompts of one session: first those to learn from, then those that are measured."""
    rng = np.random.default_rng(seed)
    first = train.take(rng.permutation(len(train))[:LEARN])
    then = dev.take(rng.permutation(len(dev))[:MEASURE])
    assert first.features is not None
    assert then.features is not None
    return OutcomeTable(
        arms=first.arms,
        score=np.concatenate([first.score, then.score]),
        cost_usd=np.concatenate([first.cost_usd, then.cost_usd]),
        latency_s=np.concatenate([first.latency_s, then.latency_s]),
        features=np.concatenate([first.features, then.features]),
        prompts=first.prompts + then.prompts,
    )


def measured(table: OutcomeTable, chosen: Any, reward: WeightedReward) -> Run:
    """What came of the choices, after the first ``LEARN``."""
    rows = np.arange(LEARN, len(table))
    picked = table.take(rows)
    arms, own = np.asarray(chosen)[rows], np.arange(len(rows))
    return Run(
        score=float(picked.score[own, arms].mean()),
        cost_usd=float(picked.cost_usd[own, arms].mean()),
        reward=float(picked.rewards(reward)[own, arms].mean()),
    )


# Ways of choosing: table, reward and seed in, an arm for each prompt out


def ours(make: Callable[[], Any]) -> Callable[[OutcomeTable, WeightedReward, int], Any]:
    """A policy of ours, through the router."""

    def choose(table: OutcomeTable, reward: WeightedReward, seed: int) -> Any:
        return replay(make(), table, reward=reward, seed=seed, shuffle=False).chosen

    return choose


def pareto_bandit(**settings: float) -> Callable[[OutcomeTable, WeightedReward, int], Any]:
    """ParetoBandit's policy with our features; it is told each arm's mean cost beforehand."""
    from pareto_bandit.policy import DisjointLinUCBPolicy

    def choose(table: OutcomeTable, reward: WeightedReward, seed: int) -> Any:
        assert table.features is not None
        arms, weights = list(table.arms), reward.weights
        x = np.c_[np.ones(len(table)), table.features]
        policy = DisjointLinUCBPolicy(arms, dim=x.shape[1], seed=seed, **settings)
        usual = np.exp(np.log(np.maximum(table.cost_usd, 1e-9)).mean(axis=0))
        penalty = weights.cost / max(weights.quality, 1e-9)
        penalties = {
            arm: penalty * reward.cost_share(float(cost))
            for arm, cost in zip(arms, usual, strict=True)
        }
        chosen = np.empty(len(table), dtype=int)
        for row in range(len(table)):
            arm, _ = policy.select_arm(x[row], cost_penalties=penalties)
            policy.mark_selected(arm)
            chosen[row] = arms.index(arm)
            policy.update(arm, x[row], float(table.score[row, chosen[row]]), advance_time=False)
        return chosen

    return choose


def litellm_adaptive(table: OutcomeTable, _: WeightedReward, seed: int) -> Any:
    """LiteLLM's adaptive router: its classifier of prompts, cells, cap and weights.

    Its tiers, which users declare, are thirds of the pool by price; its rewards, which it reads off
    the next turn, are the grades that all others get here.
    """
    from litellm.router_strategy.adaptive_router.bandit import apply_delta, initial_cell, pick_best
    from litellm.router_strategy.adaptive_router.classifier import classify_prompt
    from litellm.types.router import AdaptiveRouterPreferences

    rng = random.Random(seed)  # a simulation
    usual = np.nanmean(table.cost_usd, axis=0)
    tiers = 1 + 3 * usual.argsort().argsort() // len(usual)
    known = {
        arm: AdaptiveRouterPreferences(quality_tier=int(tier), strengths=[])
        for arm, tier in zip(table.arms, tiers, strict=True)
    }
    costs = dict(zip(table.arms, usual.tolist(), strict=True))
    cells: dict[Any, dict[str, Any]] = {}
    chosen = np.empty(len(table), dtype=int)
    for row, prompt in enumerate(table.prompts):
        kind = classify_prompt(prompt)
        cell = cells.setdefault(kind, {arm: initial_cell(known[arm], kind) for arm in table.arms})
        arm = pick_best(cell, costs, rng=rng)
        chosen[row] = table.arms.index(arm)
        score = float(table.score[row, chosen[row]])
        cell[arm] = apply_delta(cell[arm], score, 1.0 - score)
    return chosen


def always_random(table: OutcomeTable, _: WeightedReward, seed: int) -> Any:
    """Any arm."""
    return np.random.default_rng(seed).integers(len(table.arms), size=len(table))


def best_arm(table: OutcomeTable, reward: WeightedReward, _: int) -> Any:
    """In hindsight, on the very prompts that are measured."""
    means = table.take(np.arange(LEARN, len(table))).rewards(reward).mean(axis=0)
    return np.full(len(table), int(means.argmax()))


def oracle(table: OutcomeTable, reward: WeightedReward, _: int) -> Any:
    """The best answer to each prompt."""
    return table.rewards(reward).argmax(axis=1)


def hull(table: OutcomeTable, cost_usd: float) -> float:
    """Best mean score of a fixed mixture of arms that spends no more, on the measured prompts."""
    part = table.take(np.arange(LEARN, len(table)))
    costs, scores = part.cost_usd.mean(axis=0), part.score.mean(axis=0)
    cheapest = float(scores[costs.argmin()])  # for who spends less than that by luck
    best = max((s for c, s in zip(costs, scores, strict=True) if c <= cost_usd), default=cheapest)
    for i, low in enumerate(costs):
        for j, high in enumerate(costs):
            if low <= cost_usd < high:
                share = (cost_usd - low) / (high - low)
                best = max(best, (1.0 - share) * scores[i] + share * scores[j])
    return float(best)


# Parts


def quality(data: Path, name: str, seeds: int) -> None:
    """Mean reward, and how far from the best arm in hindsight, for three weights."""
    train, dev = load(data, name, "train"), load(data, name, "dev")
    ways: dict[str, Any] = {
        "contextual (default)": ours(contextual),
        "lin_ucb": ours(lin_ucb),
        "ucb1, width .4": ours(lambda: ucb1(width=0.4)),
        "epsilon_greedy": ours(epsilon_greedy),
        "ParetoBandit, alpha .01": pareto_bandit(alpha=0.01, forgetting_factor=0.997),
        "ParetoBandit, alpha .1, gamma 1": pareto_bandit(alpha=0.1, forgetting_factor=1.0),
        "ParetoBandit, our penalty": pareto_bandit(
            alpha=0.2, forgetting_factor=1.0, init_lambda=20.0
        ),
        "LiteLLM adaptive": litellm_adaptive,
        "random": always_random,
        "oracle": oracle,
    }
    for label, weights in WEIGHTS.items():
        reward = WeightedReward(weights=weights)
        tables = [session(train, dev, seed) for seed in range(seeds)]
        bests = [measured(table, best_arm(table, reward, 0), reward) for table in tables]
        level = np.mean([best.reward for best in bests])
        print(f"\n{name}, {label}: {seeds} sessions, best arm {level:.4f}")
        for way, choose in ways.items():
            runs = [
                measured(table, choose(table, reward, seed), reward)
                for seed, table in enumerate(tables)
            ]
            gap = mean_interval([r.reward - b.reward for r, b in zip(runs, bests, strict=True)])
            above = mean_interval(
                [r.score - hull(t, r.cost_usd) for r, t in zip(runs, tables, strict=True)]
            )
            score, cost = np.mean([r.score for r in runs]), np.mean([r.cost_usd for r in runs])
            print(
                f"  {way:32} against best arm {gap:+.4f}   score {score:.3f}  ${cost:.2e}"
                f"   against mixture at equal spend {above:+.4f}",
                flush=True,
            )


def budgets(data: Path, name: str, seeds: int) -> None:
    """The default policy at seven budgets, against the best fixed mixture at equal spend."""
    train, dev = load(data, name, "train"), load(data, name, "dev")
    costs = dev.cost_usd.mean(axis=0)
    reward = WeightedReward(weights=WEIGHTS["quality alone"])
    for budget in np.geomspace(costs.min() * 1.2, costs.max(), 7):
        spent, above = [], []
        for seed in range(seeds):
            table = session(train, dev, seed)
            policy = contextual(budget_usd=float(budget))
            run = measured(table, ours(lambda p=policy: p)(table, reward, seed), reward)
            spent.append(run.cost_usd / budget)
            above.append(run.score - hull(table, run.cost_usd))
        print(
            f"{name}: budget ${budget:.2e}, spent of it {mean_interval(spent):.3f}, "
            f"against mixture {mean_interval(above):+.4f}",
            flush=True,
        )


def drift(data: Path, seeds: int) -> None:
    """Two models of March become the models of June: scores after 300 requests of June."""
    frame = pd.read_parquet(data / "outcomes" / "llmdrift_latency.parquet")
    march = column(frame, ("gpt-3.5-turbo-0301", "gpt-4-0314"), "score")
    june = column(frame, ("gpt-3.5-turbo-0613", "gpt-4-0613"), "score")
    known = ~(np.isnan(march).any(axis=1) | np.isnan(june).any(axis=1))
    march, june = march[known], june[known]
    print(f"means: March {march.mean(axis=0).round(3)}, June {june.mean(axis=0).round(3)}")
    ways: dict[str, Any] = {
        "contextual (default), blind": contextual,
        "contextual without drift test, blind": lambda: contextual(drift=None),
        "epsilon_greedy": epsilon_greedy,
        "ucb1, width .4": lambda: ucb1(width=0.4),
    }
    reward = WeightedReward(weights=WEIGHTS["quality alone"])
    half = len(march)
    for way, make in ways.items():
        share, first = [], []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            score = np.concatenate([rng.permutation(march), rng.permutation(june)])
            table = OutcomeTable(
                arms=("gpt-3.5-turbo", "gpt-4"),
                score=score,
                cost_usd=np.full(score.shape, 0.001),
                latency_s=np.ones(score.shape),
                features=np.zeros((len(score), 1)),
            )
            chosen = replay(make(), table, reward=reward, seed=seed, shuffle=False).chosen
            got = score[np.arange(len(score)), chosen]
            best = june.mean(axis=0).max()
            first.append(got[half : half + 300].mean() / best)
            share.append(got[half + 300 :].mean() / best)
        print(
            f"  {way:38} first 300: {mean_interval(first):.3f}   after: {mean_interval(share):.3f}",
            flush=True,
        )


def speed() -> None:
    """Microseconds of the processor for a decision and a reward, 4 arms, 32 features, at best."""
    from mabwiser.mab import MAB, LearningPolicy
    from pareto_bandit.policy import DisjointLinUCBPolicy
    from river.bandit import LinUCBDisjoint

    arms, rng = tuple("abcd"), np.random.default_rng(0)
    xs = rng.normal(size=(64, 32)).astype(np.float32)
    rival = DisjointLinUCBPolicy(list(arms), dim=33, alpha=0.3, seed=0)
    wide = np.c_[np.ones(64), xs].astype(float)
    other = MAB(list(arms), LearningPolicy.LinUCB(alpha=0.3))
    other.fit([arms[i % 4] for i in range(64)], rng.random(64), xs)
    third = LinUCBDisjoint(alpha=0.3, seed=0)
    contexts = [{str(place): float(value) for place, value in enumerate(x)} for x in xs]
    for i in range(64):
        third.update(arms[i % 4], contexts[i], 0.5)
    cases: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
        "ParetoBandit's policy": (
            lambda i: (arm := rival.select_arm(wide[i])[0], rival.mark_selected(arm)),
            lambda i: rival.update(arms[i % 4], wide[i], 0.5, advance_time=False),
        ),
        "MABWiser LinUCB": (
            lambda i: other.predict([xs[i]]),
            lambda i: other.partial_fit([arms[i % 4]], [0.5], [xs[i]]),
        ),
        "river LinUCBDisjoint": (
            lambda i: third.pull(arms, contexts[i]),
            lambda i: third.update(arms[i % 4], contexts[i], 0.5),
        ),
    }
    cards = tuple(Arm(name=arm, usd_per_mtok_in=1.0, usd_per_mtok_out=2.0) for arm in arms)
    seen = [replace(situation(*arms, features=x), cards=cards) for x in xs]
    lessons = [experience(arms[i % 4], reward=0.5, features=xs[i], arms=arms) for i in range(64)]
    for name, policy in (("lin_ucb", lin_ucb()), ("contextual (default)", contextual())):
        cases[name] = our_case(policy, arms, seen, lessons)
    best: dict[str, list[float]] = {name: [1e9, 1e9] for name in cases}
    for _ in range(40):  # in turns: what slows the machine slows them all
        for name, functions in cases.items():
            for which, function in enumerate(functions):
                rounds = 8 if name.startswith(("MAB", "river")) else 64
                start = time.process_time()
                for i in range(rounds):
                    function(i)
                spent = (time.process_time() - start) / rounds * 1e6
                best[name][which] = min(best[name][which], spent)
    for name, (decide, learn) in best.items():
        print(
            f"{name:24} decide {decide:6.1f}   learn {learn:6.1f}   both {decide + learn:6.1f} us"
        )
    features, text = default_features(), "How many primes are there below 30, and why? " * 6
    router = Router(arms=cards)
    for name, function in (
        ("features of 270 characters", lambda: features.features(text)),
        ("Router.decide, whole", lambda: router.decide(Request(text=text))),
    ):
        print(f"{name:28} {least(function):6.1f} us")


def our_case(policy: Any, arms: tuple[str, ...], seen: Any, lessons: Any) -> Any:
    """Decide and learn on one state that goes on."""
    box = [policy.init(arms, 32)]
    rng = Rng(seed=1, number=1)
    for lesson, each in zip(lessons, seen, strict=True):
        box[0] = policy.learn(box[0], lesson)
        policy.decide(box[0], each, rng)

    def learn(i: int) -> None:
        box[0] = policy.learn(box[0], lessons[i])

    return (lambda i: policy.decide(box[0], seen[i], rng)), learn


def least(function: Callable[[], Any]) -> float:
    """Microseconds of the quickest of many rounds."""
    best = 1e9
    for _ in range(60):
        start = time.process_time()
        for _ in range(30):
            function()
        best = min(best, (time.process_time() - start) / 30 * 1e6)
    return best


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?", default=os.environ.get("PICKLLM_DATA", "."))
    parser.add_argument("--part", choices=("quality", "budgets", "drift", "speed"), required=True)
    parser.add_argument("--table", choices=tuple(POOLS), default="mmlu_pro")
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    data = Path(given.data)
    if given.part == "quality":
        quality(data, given.table, given.seeds)
    elif given.part == "budgets":
        budgets(data, given.table, given.seeds)
    elif given.part == "drift":
        drift(data, given.seeds)
    else:
        speed()


if __name__ == "__main__":
    main()
