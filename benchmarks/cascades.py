"""What cascades are worth on recorded answers of real models, beside what is simpler.

    python benchmarks/cascades.py DATA [--tables mmlu_pro,zeroeval,…] [--seeds 20]

DATA holds ``outcomes/NAME.parquet`` (columns query_id, group_id, prompt, ``MODEL|score``,
``MODEL|cost_usd``) and ``outcomes/NAME.responses.parquet`` (query_id, model, response). Costs are
tokens times list prices, as the tables have them. Needs pandas, pyarrow and pickllm[ranking].

Each seed shares the prompts out anew, groups whole: 40 % fit the scorer and choose the arms, 20 %
tune, 20 % confirm, and 20 % test, which nothing has seen and all figures are of. "Beside the best"
is quality less that of the arm that was best alone on the tuning rows; its interval is the mean
over seeds of the ends of paired bootstraps over the test rows. The scorer runs on the caller's
machine and costs no call; ``--scorer-usd`` charges each score.

FrugalGPT's search is written anew from its paper and the description of its code: every order of
exactly as many arms, a grid over the shares that pass on, which must not fall from stage to stage,
the last answer shown in any case, thresholds taken on the rows that it is tuned on. Its budget is
what the confirmed cascade costs. The scorer is the same for all, so what differs is the search.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pandas as pd

from pickllm.arrays import Floats, Integers
from pickllm.cascading.fitted import AnswerTable, pairwise_agreement, worth_asking
from pickllm.cascading.predictive import PredictiveCascade
from pickllm.cascading.quality_model import QualityModel, fit_quality_model
from pickllm.cascading.scored import Plan, Played, ScoredTable
from pickllm.cascading.selection import CascadeSelection, Confirmed, Recorded, parts_of
from pickllm.cascading.sweep import cheapest_reaching, frontier
from pickllm.commands.cascade import baselines
from pickllm.evaluation.intervals import apgr_interval
from pickllm.evaluation.metrics import apgr, routing_curve
from pickllm.features import default_features
from pickllm.scoring.fitting import AnswerRows, AnswerScoring, GradedAnswers, logits_of

POOLS = {
    "mmlu_pro": (
        *("Phi-3-mini-4k-instruct", "Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"),
        *("gemini-1.5-flash-002", "gemini-1.5-pro-002", "gpt-4o-2024-05-13"),
    ),
    "zeroeval": (
        *("Meta-Llama-3.1-8B-Instruct", "gpt-4o-mini-2024-07-18", "gemini-1.5-flash"),
        *("Llama-3.1-405B-Inst@sambanova", "gpt-4o-2024-08-06", "claude-3-5-sonnet-20241022"),
    ),
    "routellm_gsm8k": ("Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"),
    "arena_bench_v1": (),
}
SHARES = (0.4, 0.2, 0.2, 0.2)
GRID = 40


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A table with its words hashed and its answers compared, once for all seeds."""

    table: AnswerTable
    rows: AnswerRows
    """``[rows * arms]``, arm after arm."""
    features: Floats
    agreement: Floats

    def scored(self, arms: Sequence[str], fit: Integers, seed: int, usd: float) -> ScoredTable:
        """Scores of all rows by a scorer fitted on some."""
        table, count = self.table, len(self.table.prompts)
        columns = [table.arms.index(arm) for arm in arms]
        places = np.concatenate([np.flatnonzero(fit) + count * column for column in columns])
        learnt = np.flatnonzero(fit).tolist()
        graded = GradedAnswers(
            prompts=tuple(table.prompts[row] for row in learnt) * len(columns),
            answers=("",) * len(places),
            arms=tuple(np.repeat(arms, len(learnt)).tolist()),
            labels=np.concatenate([table.quality[fit, column] for column in columns]),
        )
        scorer = AnswerScoring(seed=seed).fit_rows(self.rows.take(places), graded)
        scores = np.zeros((count, len(columns)))
        for at, (arm, column) in enumerate(zip(arms, columns, strict=True)):
            mine = self.rows.take(np.arange(count) + count * column)
            weights = scorer.arm_to_weights.get(arm, scorer.weights)
            logits = logits_of(weights, mine, np.array([arm] * count))
            scores[:, at] = [scorer.platt(arm)(logit) for logit in logits]
        return ScoredTable(
            arms=tuple(arms),
            score=scores,
            quality=table.quality[:, columns],
            cost_usd=table.cost_usd[:, columns],
            scorer_usd=usd,
            group=table.group,
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", default=",".join(POOLS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epsilon", type=float, default=0.01)
    parser.add_argument("--scorer-usd", type=float, default=0.0)
    given = parser.parse_args()
    for name in given.tables.split(","):
        answers = read(given.data / "outcomes", name)
        table = answers.table
        print(f"\n{name}: {len(table.prompts)} prompts, {len(table.arms)} models", flush=True)
        if len(table.arms) == 2:
            gap_recovered(answers, given.seeds)
        compare(answers, given)


def read(folder: Path, name: str) -> Answers:
    """A table of the rows in which no pool's answer, score or cost is missing."""
    outcomes = pd.read_parquet(folder / f"{name}.parquet")
    said = pd.read_parquet(folder / f"{name}.responses.parquet")
    texts = said.pivot_table(index="query_id", columns="model", values="response", aggfunc="first")
    texts = texts.reindex(outcomes["query_id"])
    arms = tuple(
        arm
        for arm in POOLS[name] or tuple(texts.columns)
        if arm in texts and f"{arm}|cost_usd" in outcomes
    )
    numbers = [
        outcomes[[f"{arm}|{what}" for arm in arms]].to_numpy(float)
        for what in ("score", "cost_usd")
    ]
    there = (
        np.isfinite(numbers[0] + numbers[1]).all(axis=1)
        & texts[list(arms)].notna().all(axis=1).to_numpy()
    )
    prompts = tuple(outcomes["prompt"][there])
    answers = texts[list(arms)].to_numpy()[there]
    featurizer = default_features()
    flat = [text for column in answers.T for text in column]
    return Answers(
        table=AnswerTable(
            arms=arms,
            prompts=prompts,
            answers=tuple(map(tuple, answers.tolist())),
            quality=numbers[0][there],
            cost_usd=numbers[1][there],
            group=outcomes["group_id"].astype("category").cat.codes.to_numpy()[there],
        ),
        rows=AnswerRows.of(prompts * len(arms), flat, bits=AnswerScoring().bits),
        features=np.array([featurizer.features(prompt) for prompt in prompts]),
        agreement=pairwise_agreement(answers.tolist()),
    )


def gap_recovered(answers: Answers, seeds: int) -> None:
    """APGR of asking the weak model and escalating the answers that score low."""
    table = answers.table
    weak, strong = np.argsort(table.quality.mean(axis=0)).tolist()
    low, high = table.quality[:, weak], table.quality[:, strong]
    count = len(low)
    rows = answers.rows.take(np.arange(count) + count * weak)
    for what, labels in (("right", low), ("gain", (1.0 + low - high) / 2.0)):
        graded = GradedAnswers(
            prompts=table.prompts,
            answers=("",) * count,
            arms=(table.arms[weak],) * count,
            labels=labels,
        )
        each = [AnswerScoring(seed=seed).held_out_logits(rows, graded) for seed in range(seeds)]
        found = [apgr(routing_curve(-logits, low, high)) for logits in each]
        interval = apgr_interval(-each[0], low, high, rng=np.random.default_rng(0))
        print(
            f"APGR, five folds, label {what}: {np.mean(found):.3f} over seeds "
            f"({min(found):.3f} to {max(found):.3f}); of the first seed "
            f"[{interval.low:.3f}, {interval.high:.3f}]"
        )


def compare(answers: Answers, given: argparse.Namespace) -> None:
    """All ways, over all seeds."""
    name_to_rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for seed in range(given.seeds):
        for name, row in tried(answers, seed, given):
            name_to_rows[name].append(row)
    head = (
        "beside the best",
        "95 % interval",
        "worst seed",
        "cost share",
        "to",
        "quality",
        "seeds",
    )
    print(f"{'':34}" + "".join(f"{word:>18}" for word in head))
    for name, rows in name_to_rows.items():
        found = np.array(rows)
        difference, low, high, share, quality = found.mean(axis=0)
        cells = (
            f"{difference:+.4f}",
            f"[{low:+.4f}, {high:+.4f}]",
            f"{found[:, 0].min():+.4f}",
            f"{share:.3f}",
            f"{found[:, 3].max():.3f}",
            f"{quality:.4f}",
            f"{len(rows)}",
        )
        print(f"{name[:33]:34}" + "".join(f"{cell:>18}" for cell in cells))


def tried(
    answers: Answers, seed: int, given: argparse.Namespace
) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Every way on one split: difference, its interval, share of the best single cost, quality."""
    table = answers.table
    count = len(table.prompts)
    fit, tune, confirm, test = parts_of(count, SHARES, seed=seed, group=table.group)
    arms = worth_asking(table.take(fit), 4)
    columns = [table.arms.index(arm) for arm in arms]
    began_s = time.perf_counter()
    scored = answers.scored(arms, fit, seed, given.scorer_usd)
    whole = Recorded(
        table=scored,
        features=answers.features,
        agreement=answers.agreement[:, columns][:, :, columns],
    )
    tuned, confirming, tested = whole.take(tune), whole.take(confirm), whole.take(test)
    single = tuned.table.single(tuned.table.best_single)
    alone = tested.table.played(single)
    selection = CascadeSelection(epsilon=given.epsilon)
    chosen = selection.select(tuned.table, confirming.table, seed=seed)
    model = fit_quality_model(tuned.table, tuned.features, agreement=tuned.agreement)
    predictive = selection.select_predictive(
        PredictiveCascade(model=model, scorer=lambda *_: 1.0, usd_per_quality=1.0),  # type: ignore[arg-type]  # a function becomes a scorer
        tuned,
        confirming,
        seed=seed,
    )
    parity = cheapest_reaching(frontier(tuned.table), quality=single.quality)
    shown = played_by(chosen, tested)
    cost = float(tuned.table.played(plan_of(chosen, single)).cost_usd.mean())
    ways = {
        "the best single": alone,
        "thresholds, confirmed": shown,
        "predictive, confirmed": played_by(predictive, tested),
        "thresholds, not confirmed": tested.table.played(parity),
        "FrugalGPT's search, same budget": last_shown(tested.table, frugal(tuned.table, cost)),
        "routing alone, same budget": routed(model, tuned, tested, cost),
    }
    for name, played in ways.items():
        yield name, measured(played, alone, seed)
    for each in baselines(
        tested.table, epsilon=given.epsilon, mean_usd=float(shown.cost_usd.mean())
    )[len(arms) :]:
        difference = each.quality - alone.quality.mean()
        share = each.cost_usd / alone.cost_usd.mean()
        name = each.name.split(":")[0]
        yield name, (difference, np.nan, np.nan, share, each.quality)
    if not seed:
        print(f"arms {', '.join(arms)}; one seed takes {time.perf_counter() - began_s:.1f} s")


def plan_of(found: Confirmed, single: Plan) -> Plan:
    """The plan that was taken."""
    return found.choice if isinstance(found.choice, Plan) else single


def played_by(found: Confirmed, tested: Recorded) -> Played:
    """What was taken, on the test rows."""
    if isinstance(found.choice, Plan):
        return tested.table.played(found.choice)
    return tested.played(found.choice)


def measured(played: Played, alone: Played, seed: int) -> tuple[float, ...]:
    """Difference with a paired bootstrap interval, share of the cost, and quality."""
    difference = played.quality - alone.quality
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(difference), (400, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), (0.025, 0.975))
    return (
        float(difference.mean()),
        float(low),
        float(high),
        float(played.cost_usd.mean() / alone.cost_usd.mean()),
        float(played.quality.mean()),
    )


def frugal(table: ScoredTable, budget: float) -> Plan:
    """The published search: see the head of this file."""
    best = replace(table.single(int(table.cost_usd.mean(axis=0).argmin())), quality=-1.0)
    length = min(3, len(table.arms))
    for order in permutations(table.arms, length):
        columns = table.columns(order)
        if table.cost_usd[:, columns[0]].mean() > budget:
            continue
        for shares in product(np.linspace(0.0, 1.0, GRID + 2)[1:-1], repeat=length - 1):
            if list(shares) != sorted(shares):
                continue
            plan = Plan(order=order, thresholds=passed_on(table.score[:, columns], shares))
            played = last_shown(table, plan)
            quality, cost = float(played.quality.mean()), float(played.cost_usd.mean())
            if cost <= budget and quality > best.quality:
                best = replace(plan, quality=quality, cost_usd=cost)
    return best


def passed_on(scores: Floats, shares: Sequence[float]) -> tuple[float, ...]:
    """Thresholds that pass on these shares of what reaches each stage."""
    there = np.ones(len(scores), dtype=bool)
    thresholds = []
    for stage, share in enumerate(shares):
        cut = float(np.quantile(scores[there, stage], share)) if there.any() else 0.0
        thresholds.append(cut)
        there &= scores[:, stage] < cut
    return tuple(thresholds)


def last_shown(table: ScoredTable, plan: Plan) -> Played:
    """A cascade that shows the last answer bought, as published."""
    columns = table.columns(plan.order)
    passes = np.ones((len(table), len(columns)), dtype=bool)
    passes[:, :-1] = table.score[:, columns[:-1]] >= np.array(plan.thresholds)
    stage = passes.argmax(axis=1)
    rows = np.arange(len(table))
    paid = np.cumsum(table.cost_usd[:, columns] + table.scorer_usd, axis=1)
    shown = np.array(columns)[stage]
    return Played(
        shown=shown,
        asked=stage + 1,
        quality=table.quality[rows, shown],
        cost_usd=paid[rows, stage],
    )


def routed(model: QualityModel, tuned: Recorded, tested: Recorded, budget: float) -> Played:
    """One arm for each prompt, by a ridge on its features: the best that keeps the budget."""
    best: tuple[float, float] = (-1.0, 0.0)
    for worth in np.geomspace(1e-4, 1e3, 120):
        played = one_each(model, tuned, float(worth))
        if played.cost_usd.mean() <= budget:
            best = max(best, (float(played.quality.mean()), float(worth)))
    return one_each(model, tested, best[1])


def one_each(model: QualityModel, recorded: Recorded, worth: float) -> Played:
    """The arm whose expected quality less its expected cost is highest."""
    table = recorded.table
    prior = model.prior(recorded.features)
    arms = len(table.arms)
    costs = np.array([model.mean_cost_usd[arm] for arm in table.arms])
    expected = np.maximum(prior[:, 2 * arms : 3 * arms], 0.1) * costs
    chosen = (worth * prior[:, :arms] - expected).argmax(axis=1)
    rows = np.arange(len(table))
    return Played(
        shown=chosen,
        asked=np.ones(len(table), dtype=int),
        quality=table.quality[rows, chosen],
        cost_usd=table.cost_usd[rows, chosen],
    )


if __name__ == "__main__":
    main()
