"""How much of the gap between two models routers recover, on recorded outcomes of real models.

    python benchmarks/ranking_quality.py DATA --encoder MODEL [--cache FOLDER] [--frontier]
    python benchmarks/ranking_quality.py DATA --encoder MODEL --classifier FOLDER

DATA holds ``outcomes/routellm_{mmlu,gsm8k,mtbench}.parquet`` with columns prompt, split and
``MODEL|score``, ``routellm_gsm8k.responses.parquet`` with the answers, and ``mmlu_pro.parquet`` for
the frontier. MODEL is a folder or name of a sentence transformer. With ``--classifier`` only that
is fine-tuned, on both train splits, kept in FOLDER, and measured as it is and in 8 bits, with its
time for one prompt. Needs pandas and pickllm[ranking,local,sentences,export].

All is fitted on the train split; gamma, dimensions and the stack's weights come from its folds. The
rest is fixed below, but not blind: the penalty on words and the range of gammas were set after one
look at dev, so dev flatters a little the rows that use them (the stack, of other members too, had
0.707 before and 0.714 after).

Beside every router stand chance, the hindsight of an oracle, the nearest neighbours, and the
published mathematics on the same vectors. The last column is the paired difference to the published
similarity-weighted ranking. A table of labels ends with how good the two models are by themselves.
"""

import argparse
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from pickllm.arrays import Floats
from pickllm.data import PreferenceTable, from_grades, from_outcomes
from pickllm.embedding import SentenceEmbedder
from pickllm.evaluation import OutcomeTable
from pickllm.evaluation.frontier import above, aiq, upper_hull
from pickllm.evaluation.intervals import apgr_difference, apgr_interval
from pickllm.evaluation.metrics import cpt, routing_curve
from pickllm.ranking.boosting import Boosting
from pickllm.ranking.classifier import Classifier, ClassifierSettings
from pickllm.ranking.contract import FittedRanker, Prompts, Ranker, pair_scores, prompts_of
from pickllm.ranking.exported import OnnxClassifier, export_classifier
from pickllm.ranking.factorisation import Factorisation, published_factorisation
from pickllm.ranking.fine_tuning import Training
from pickllm.ranking.regression import Neighbours, Ridge
from pickllm.ranking.selection import best_of, grid
from pickllm.ranking.similarity import SimilarityBradleyTerry, routellm_similarity
from pickllm.ranking.stack import Stack
from pickllm.ranking.words import WordRidge

WEAK, STRONG = "Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
BASELINE = "RouteLLM similarity"
POOL = (
    *("Phi-3-mini-4k-instruct", "Mistral-7B-Instruct-v0.2", "c4ai-command-r-v01"),
    *("Mixtral-8x7B-Instruct-v0.1", "mathstral-7B", "Meta-Llama-3_1-8B-Instruct"),
    *("jamba-1.5-large", "DeepSeek-V2-Chat", "Meta-Llama-3_1-70B-Instruct"),
    *("gemini-1.5-flash-002", "gemini-1.5-pro-002", "gpt-4o-2024-05-13"),
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Graded:
    """Prompts with both models' scores."""

    prompts: Prompts
    weak: Floats
    strong: Floats

    def and_(self, other: "Graded") -> "Graded":
        """Both sets."""
        return Graded(
            prompts=Prompts(
                texts=self.prompts.texts + other.prompts.texts,
                vectors=np.concatenate((self.prompts.vectors, other.prompts.vectors)),
            ),
            weak=np.concatenate((self.weak, other.weak)),
            strong=np.concatenate((self.strong, other.strong)),
        )

    def battles(self) -> tuple[PreferenceTable, Prompts]:
        """As a table to fit on; prompts that stand there twice become one."""
        score = np.stack((self.weak, self.strong), axis=1)
        blank = np.zeros_like(score)
        outcomes = OutcomeTable(arms=(WEAK, STRONG), score=score, cost_usd=blank, latency_s=blank)
        table = from_outcomes(outcomes, self.prompts.texts)
        place = dict(zip(self.prompts.texts, self.prompts.vectors, strict=True))
        return table, prompts_of(table, np.array([place[text] for text in table.prompts]))


def embedded(name: str, texts: Sequence[str], encoder: str, cache: Path) -> Floats:
    """Vectors of prompts, kept in a file."""
    file = cache / f"{name}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, SentenceEmbedder(encoder).embed(list(texts)))
    vectors = np.load(file)
    assert len(vectors) == len(texts), f"{file} is of other data; remove it"
    return np.asarray(vectors)


def graded_again(folder: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """GSM8K with the last number of each answer read with its decimals: "$18.00" is 18."""
    answers = pd.read_parquet(folder / "routellm_gsm8k.responses.parquet")
    gold = frame.set_index("query_id").reference
    answers = answers[answers.query_id.isin(gold.index)]
    right = [float(same_number(row.response, gold[row.query_id])) for row in answers.itertuples()]
    wide = answers.assign(right=right).pivot_table(
        index="query_id", columns="model", values="right"
    )
    found = frame.copy()
    for model in (WEAK, STRONG):
        found[f"{model}|score"] = wide.loc[frame.query_id, model].to_numpy()
    return found


def same_number(answer: str, gold: str) -> bool:
    """Whether the last number of an answer is the right one."""
    numbers = NUMBER.findall(answer or "")
    return bool(numbers) and float(numbers[-1].replace(",", "")) == float(gold.replace(",", ""))


def read(folder: Path, name: str, encoder: str, cache: Path) -> dict[str, Graded]:
    """Splits of a benchmark, without the prompts that RouteLLM found in its training data."""
    frame = pd.read_parquet(folder / f"routellm_{name.removesuffix(' again')}.parquet")
    vectors = embedded(name.removesuffix(" again"), frame.prompt, encoder, cache)
    if name.endswith(" again"):
        frame = graded_again(folder, frame)
    clean = ~frame.routellm_contaminated.fillna(value=False).to_numpy(dtype=bool)
    masks = {each: clean & (frame.split == each).to_numpy() for each in ("train", "dev")}
    return {
        split: Graded(
            prompts=Prompts(texts=tuple(frame.prompt[mask]), vectors=vectors[mask]),
            weak=frame[f"{WEAK}|score"].to_numpy(dtype=float)[mask],
            strong=frame[f"{STRONG}|score"].to_numpy(dtype=float)[mask],
        )
        for split, mask in {**masks, "all": clean}.items()
    }


def rankers(table: PreferenceTable, prompts: Prompts) -> Mapping[str, Ranker[Any]]:
    """All that is measured; settings are fixed beforehand or chosen on folds of this table."""
    settings = grid(
        SimilarityBradleyTerry(), gamma=[3.0, 10.0, 30.0, 100.0, 300.0], dimensions=[32, 64, 128]
    )
    found = best_of(
        settings, table, prompts, pair=(STRONG, WEAK), folds=4, rng=np.random.default_rng(0)
    )[0]
    words, looks = WordRidge(penalty=10.0), Boosting()
    members: dict[str, Ranker[Any]] = {
        "words": words,
        "looks": looks,
        "looks and vector": Boosting(read_vectors=True),
        "ridge": Ridge(),
        "neighbours": Neighbours(),
        "similarity": found.ranker,
        "factorisation": Factorisation(),
    }
    return {
        BASELINE: routellm_similarity(),
        "RouteLLM factorisation": published_factorisation(),
        "100 neighbours": Neighbours(),
        f"similarity, {found.name}": found.ranker,
        "factorisation with ties": Factorisation(),
        "ridge": Ridge(),
        "words": words,
        "looks": looks,
        "looks and vector": members["looks and vector"],
        "words + looks": Stack(members={"words": words, "looks": looks}),
        "stack of seven": Stack(members=members),
    }


def told(name: str, scores: Floats, baseline: Floats, of: Graded, seconds: float) -> str:
    """A line of the table."""
    rng = np.random.default_rng(0)
    curve = routing_curve(scores, of.weak, of.strong)
    alone = apgr_interval(scores, of.weak, of.strong, rng=rng)
    pair = apgr_difference(scores, baseline, of.weak, of.strong, rng=rng)
    return (
        f"| {name} | {alone.mean:.3f} [{alone.low:.3f}, {alone.high:.3f}] | {cpt(curve, 0.5):.1%} "
        f"| {cpt(curve, 0.8):.1%} | {pair.mean:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}] "
        f"| {seconds:.1f} |"
    )


def compare(train: Graded, tests: Mapping[str, Graded]) -> None:
    """Fit on one set; a table for each test set."""
    table, prompts = train.battles()
    fitted, seconds = {}, {}
    for name, ranker in rankers(table, prompts).items():
        start = time.perf_counter()
        fitted[name] = ranker.fit(table, prompts)
        seconds[name] = time.perf_counter() - start
    for title, of in tests.items():
        found = {
            name: pair_scores(each, of.prompts, strong=STRONG, weak=WEAK)
            for name, each in fitted.items()
        }
        chance = np.random.default_rng(1).random(len(of.prompts))
        print(f"\n### {title}: {len(prompts)} prompts to learn from, {len(of.prompts)} to test\n")
        print("| router | APGR [95 %] | CPT 50 % | CPT 80 % | APGR less baseline | fit, s |")
        print("|---|---|---|---|---|---|")
        for name, scores in {"random": chance, **found, "oracle": of.strong - of.weak}.items():
            print(told(name, scores, found[BASELINE], of, seconds.get(name, 0.0)), flush=True)
        print(f"\nAlways weak {of.weak.mean():.1%}, always strong {of.strong.mean():.1%}.")
        if hasattr(fitted["stack of seven"], "names"):
            stack = fitted["stack of seven"]
            weights = zip(stack.names, stack.weights, strict=True)
            print("Stack: " + ", ".join(f"{name} {weight:.2f}" for name, weight in weights))


def classifier(train: Graded, dev: Graded, encoder: str, folder: Path) -> None:
    """The encoder itself, fine-tuned; settings are those of the first run, and no others were run.

    It is fine-tuned once: what stands in the folder is measured again.
    """
    table, prompts = train.battles()
    tuned, start = folder / "tuned", time.perf_counter()
    if not tuned.exists():
        training = Training(epochs=2, batch=32, tokens=128, bfloat16=True, held_out=0.05)
        ClassifierSettings(
            base=encoder, strong=STRONG, weak=WEAK, folder=str(tuned), training=training
        ).fit(table, prompts)
    seconds = time.perf_counter() - start
    rows: dict[str, FittedRanker] = {"classifier": Classifier(tuned)}
    for name, int8 in (("onnx", False), ("onnx in 8 bits", True)):
        place = folder / name.replace(" ", "-")
        if not place.exists():
            export_classifier(Classifier(tuned), place, int8=int8)
        rows[name] = OnnxClassifier(place)
    found = {
        name: pair_scores(each, dev.prompts, strong=STRONG, weak=WEAK)
        for name, each in rows.items()
    }
    published = routellm_similarity().fit(table, prompts)
    baseline = pair_scores(published, dev.prompts, strong=STRONG, weak=WEAK)
    print("| router | APGR [95 %] | CPT 50 % | CPT 80 % | APGR less baseline | fit, s |")
    print("|---|---|---|---|---|---|")
    for name, scores in found.items():
        print(told(name, scores, baseline, dev, seconds))
    print("\n| | one prompt, median ms | scores off by, mean | at most | rank correlation |")
    print("|---|---|---|---|---|")
    for name, each in rows.items():
        apart = np.abs(found[name] - found["classifier"])
        rank = spearmanr(found[name], found["classifier"])[0]
        told_ms = one_by_one(each, dev.prompts)
        print(f"| {name} | {told_ms:.1f} | {apart.mean():.1e} | {apart.max():.1e} | {rank:.4f} |")


def one_by_one(fitted: FittedRanker, prompts: Prompts, count: int = 100) -> float:
    """Milliseconds for a prompt that comes alone."""
    fitted.strengths(prompts.take(np.array([0])))
    took = []
    for place in range(count):
        alone = prompts.take(np.array([place * (len(prompts) // count)]))
        start = time.perf_counter()
        fitted.strengths(alone)
        took.append(time.perf_counter() - start)
    return float(np.median(took)) * 1e3


def frontier(folder: Path) -> None:
    """Twelve models: quality over cost as the price of a dollar falls, against all mixtures."""
    frame = pd.read_parquet(folder / "mmlu_pro.parquet")
    score = frame[[f"{arm}|score" for arm in POOL]].to_numpy(dtype=float)
    cost = frame[[f"{arm}|cost_usd" for arm in POOL]].to_numpy(dtype=float)
    whole = ~(np.isnan(score).any(axis=1) | np.isnan(cost).any(axis=1))
    train, dev = (whole & (frame.split == split).to_numpy() for split in ("train", "dev"))
    blank = np.zeros_like(score[train])
    outcomes = OutcomeTable(arms=POOL, score=score[train], cost_usd=cost[train], latency_s=blank)
    table = from_grades(outcomes, frame.prompt[train])
    fitted = Stack(members={"words": WordRidge(penalty=10.0), "looks": Boosting()}, folds=3).fit(
        table, prompts_of(table)
    )
    texts = tuple(frame.prompt[dev])
    unseen = Prompts(texts=texts, vectors=np.zeros((len(texts), 0), dtype=np.float32))
    order = [fitted.arms.index(arm) for arm in POOL]
    strengths = fitted.strengths(unseen)[:, order]
    price = cost[train].mean(axis=0)
    points = []
    for weight in [0.0, *np.geomspace(1e-1, 1e4, 60)]:
        chosen = (strengths - weight * price).argmax(axis=1)
        rows = np.arange(len(chosen))
        points.append((cost[dev][rows, chosen].mean(), score[dev][rows, chosen].mean()))
    costs, qualities = np.array(sorted(set(points))).T
    static = upper_hull(cost[dev].mean(axis=0), score[dev].mean(axis=0))
    routed = upper_hull(costs, qualities)
    low, high = float(static.cost[0]), float(static.cost[-1])
    print(
        f"\n### 12 models on MMLU-Pro: {train.sum()} prompts to learn from, {dev.sum()} to test\n"
    )
    print("Costs are tokens times list price of about end of 2024.\n")
    print("| | AIQ over the static hull's costs |\n|---|---|")
    print(f"| mixtures of single models | {aiq(static, low=low, high=high):.4f} |")
    print(f"| words + looks | {aiq(routed, low=low, high=high):.4f} |")
    gain = above(static, costs, qualities)
    inside = (costs >= low) & (costs <= high)
    print(
        f"\nPoints of the router above the static hull: {(gain[inside] > 0).sum()} of "
        f"{inside.sum()}; gain from {gain[inside].min():+.3f} to {gain[inside].max():+.3f}."
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--cache", type=Path, default=Path(".ranking-cache"))
    parser.add_argument("--frontier", action="store_true", help="only the pool of twelve models")
    parser.add_argument("--classifier", type=Path, help="only the fine-tuned encoder, kept here")
    options = parser.parse_args()
    folder = options.data / "outcomes"
    if options.frontier:
        return frontier(folder)
    names = ("mmlu", "gsm8k", "gsm8k again", "mtbench")
    mmlu, gsm8k, again, mtbench = (
        read(folder, name, options.encoder, options.cache) for name in names
    )
    both_train, both_dev = (mmlu[split].and_(gsm8k[split]) for split in ("train", "dev"))
    if options.classifier:
        return classifier(both_train, both_dev, options.encoder, options.classifier)
    compare(
        both_train,
        {
            "MMLU and GSM8K": both_dev,
            "MMLU and GSM8K, GSM8K's part": gsm8k["dev"],
            "MMLU and GSM8K to MT-Bench": mtbench["all"],
        },
    )
    compare(mmlu["train"], {"MMLU": mmlu["dev"], "MMLU to GSM8K": gsm8k["dev"]})
    compare(gsm8k["train"], {"GSM8K": gsm8k["dev"]})
    compare(again["train"], {"GSM8K, graded again": again["dev"]})
    return None


if __name__ == "__main__":
    main()
