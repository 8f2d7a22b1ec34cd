"""Routers that predict: fit them on preferences, see what they are worth, set their threshold.

pickllm fit auto table.csv --out router       held-out folds say which ranker is best
pickllm evaluate test.csv --ranker router     on prompts that it has not seen
pickllm calibrate router prompts.txt --share 0.3
pickllm onnx router --out served              a fine-tuned classifier, without torch and in 8 bits
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape

from pickllm.cascading.fitted import CascadeFitting
from pickllm.cascading.selection import CascadeSelection
from pickllm.commands.cascade import fit_cascade, refit_cascade
from pickllm.commands.showing import show
from pickllm.commands.tables import graded, read_preferences, read_prompts
from pickllm.data.duplicates import leaked
from pickllm.data.preferences import PreferenceTable
from pickllm.embedding import Embedder, HashingEmbedder
from pickllm.errors import ConfigError
from pickllm.evaluation.table import OutcomeTable
from pickllm.places import new_place
from pickllm.ranking.calibration import threshold_for_gain, threshold_for_share
from pickllm.ranking.candidates import KINDS, Tried, by_clusters, candidates, try_all
from pickllm.ranking.causal import CausalSettings
from pickllm.ranking.classifier import Classifier, ClassifierSettings
from pickllm.ranking.comparison import compare_routers, write_comparison
from pickllm.ranking.contract import Prompts, embedded_prompts
from pickllm.ranking.exported import export_classifier
from pickllm.ranking.fine_tuning import Training
from pickllm.ranking.saved import (
    RouterCard,
    embedder_of,
    load_router,
    save_router,
    write_card,
)
from pickllm.ranking.threshold import win_rates

__all__ = ["calibrate", "evaluate", "fit", "onnx"]

_FINE_TUNED = {"classifier": ClassifierSettings, "causal": CausalSettings}
_CASCADE = "cascade"
_KINDS = (*KINDS, *_FINE_TUNED, _CASCADE)
_HEAD = ("held out", "APGR", "squared error")
_Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Makes folds and draws repeatable.")]
_Embedder = Annotated[
    str,
    typer.Option(
        metavar="WHICH",
        help="What makes vectors of prompts: hashing, none, the folder of an exported encoder, or "
        "the name or folder of a sentence transformer.",
    ),
]


def fit(  # noqa: PLR0917  # each is an option of the command
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help=f"One of {', '.join(_KINDS)}."),
    ],
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="Graded answers, arena votes, or a judge's verdicts; of a cascade also the "
            "address of a store.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the router goes; not there yet.")
    ] = Path("pickllm-router"),
    embedder: _Embedder = "hashing",
    strong: Annotated[
        str | None, typer.Option(metavar="ARM", help="The better of two; by default told by wins.")
    ] = None,
    weak: Annotated[str | None, typer.Option(metavar="ARM", help="The other.")] = None,
    folds: Annotated[int, typer.Option(min=2, metavar="N", help="Parts held out in turn.")] = 5,
    clusters: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Of similarity: sum far battles by so many clusters; 0 looks at each. By default "
            "clusters from 20,000 prompts on.",
        ),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="What a classifier or a causal model is tuned from; or the folder of the cascade "
            "that asked what a store holds.",
        ),
    ] = "",
    epochs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of the fine-tuning, at most.")
    ] = 3,
    epsilon: Annotated[
        float,
        typer.Option(
            metavar="E", help="How much worse than the best model a cascade may be, in (0, 1)."
        ),
    ] = 0.01,
    delta: Annotated[
        float, typer.Option(metavar="D", help="Probability that a cascade is worse still.")
    ] = 0.1,
    max_usd: Annotated[
        float, typer.Option(metavar="USD", help="What a prompt may cost a cascade in the mean.")
    ] = float("inf"),
    predictive: Annotated[
        bool,
        typer.Option(
            "--predictive", help="A cascade that weighs at each step what another answer adds."
        ),
    ] = False,
    strongest: Annotated[
        str | None,
        typer.Option(
            metavar="ARM", help="Whose answers a cascade takes for right, where nobody graded."
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Which part of the store.")
    ] = "default",
    seed: _Seed = 0,
) -> None:
    """Fit routers on preferences, show what each does held out, the best first, keep it.

    With two arms (or --strong and --weak) APGR decides, else the squared error.
    KIND cascade fits a cascade on recorded answers (columns prompt, NAME|answer,
    NAME|cost_usd, NAME|score), and confirms it on prompts held out; with a store,
    it sets the thresholds of --base anew, by what its traffic has shown.
    """
    if kind not in _KINDS:
        raise ConfigError(f"there is no kind {kind!r}; there are {', '.join(_KINDS)}")
    new_place(out)
    console = Console()
    if kind == _CASCADE and "://" in table:
        refit_cascade(console, table, base, out, namespace=namespace, max_usd=max_usd)
        return
    if kind == _CASCADE:
        selection = CascadeSelection(epsilon=epsilon, delta=delta, max_usd=max_usd)
        fitting = CascadeFitting(selection=selection, predictive=predictive, seed=seed)
        fit_cascade(console, Path(table), out, fitting=fitting, strongest=strongest)
        return
    said = _said_pair(strong, weak)
    battles = read_preferences(Path(table), between=said)
    pair = _pair(battles, said)
    if kind in _FINE_TUNED:
        training = Training(epochs=epochs, seed=seed)
        _fine_tune(console, kind, battles, pair, base=base, out=out, training=training)
        return
    prompts = embedded_prompts(battles.prompts, embedder_of(embedder))
    rankers = candidates(kind, prompts)
    if clusters is not None:
        rankers = by_clusters(rankers, clusters or None)
    tried = []
    for each in try_all(rankers, battles, prompts, pair=pair, folds=folds, seed=seed):
        tried.append(each)
        console.print(f"tried {escape(each.name)}", highlight=False)
    tried.sort(key=partial(_worth, has_pair=pair is not None), reverse=True)
    show(console, _HEAD, [_row(each) for each in tried])
    best = tried[0]
    if best.contender is None:
        raise ConfigError(f"nothing could be fitted: {best.why}")
    fitted = best.contender.ranker.fit(battles, prompts)
    card = RouterCard(
        ranker=best.name,
        embedder=embedder if fitted.dim else "none",
        strong=pair[0] if pair else None,
        weak=pair[1] if pair else None,
    )
    save_router(out, card, fitted)
    console.print(f"Kept {escape(best.name)} in {escape(str(out))}", highlight=False)


def evaluate(  # noqa: PLR0917  # each is an option of the command
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="Graded answers that no router was fitted on.")
    ],
    ranker: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="A router that fit wrote; more than once."),
    ] = None,
    fitted_on: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="TABLE",
            help="What a router was fitted on; more than once. Prompts that are in it, or near to "
            "one that is, are left out.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the page and the figure go.")
    ] = Path("pickllm-routers"),
    embedder: _Embedder = "hashing",
    seed: _Seed = 0,
) -> None:
    """Set routers beside random, hindsight, each model alone, and neighbours.

    Two models: APGR and CPT. More: AIQ, beside what mixtures of single models
    give. All with 95 % intervals; the curves as PNG, and one HTML page.
    """
    console = Console()
    routers = {folder.name: load_router(folder) for folder in ranker or []}
    outcomes = graded(table)
    shared = tuple(
        arm for arm in outcomes.arms if all(arm in each.ranker.arms for each in routers.values())
    )
    if 1 < len(shared) < len(outcomes.arms):
        console.print(f"Of {escape(', '.join(shared))}: no other arm is known to all routers.")
        outcomes = graded(table, arms=shared)
    vectors_by = embedder_of(embedder)
    if fitted_on:
        outcomes = _unseen(console, outcomes, fitted_on, vectors_by or HashingEmbedder())
    compared = compare_routers(outcomes, routers, embedder=vectors_by, seed=seed)
    show(console, compared.head, compared.rows)
    page = write_comparison(compared, out, table=f"{table.name}, {len(outcomes)} prompts")
    console.print(f"The page is in {page}", markup=False, highlight=False, soft_wrap=True)


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A router that fit wrote.")],
    prompts: Annotated[
        Path,
        typer.Argument(
            metavar="PROMPTS", help="Prompts like those to come: .txt, .jsonl, .csv or .parquet."
        ),
    ],
    share: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, metavar="S", help="Wanted share of strong calls."),
    ] = None,
    gain: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="G",
            help="Wanted part of the gap between the two models; needs graded answers.",
        ),
    ] = None,
) -> None:
    """Set a router's threshold by your own prompts, and write it beside the router."""
    if (share is None) == (gain is None):
        raise typer.BadParameter("give either --share or --gain")
    router = load_router(folder)
    strong, weak = router.card.strong, router.card.weak
    if strong is None or weak is None:
        raise ConfigError(f"{folder} has no strong and weak arm: fit it with --strong and --weak")
    outcomes = graded(prompts, arms=(weak, strong)) if gain is not None else None
    texts = outcomes.prompts if outcomes else read_prompts(prompts)
    rates = win_rates(router.ranker, router.prompts(texts), strong=strong, weak=weak)
    if outcomes is None:
        threshold = threshold_for_share(rates, share or 0.0)
    else:
        low, high = outcomes.score.T
        threshold = threshold_for_gain(rates, low, high, recovered=gain or 0.0)
    write_card(folder, replace(router.card, threshold=threshold))
    Console().print(
        f"threshold {threshold:.6g}: {float(np.mean(rates >= threshold)):.1%} of {len(texts)} "
        f"prompts go to {strong}, the others to {weak}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def onnx(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A classifier that fit wrote.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where it goes; not there yet.")
    ] = Path("pickllm-served"),
    int8: Annotated[bool, typer.Option(help="Weights in 8 bits: smaller and faster.")] = True,
) -> None:
    """Write a fine-tuned classifier for serving without torch, by onnxruntime.

    Its scores are near to the classifier's, not the same: calibrate it anew.
    """
    router = load_router(folder)
    if not isinstance(router.ranker, Classifier):
        raise ConfigError(f"{folder} holds {router.card.ranker}; only classifiers are exported")
    new_place(out)
    served = export_classifier(router.ranker, out / "ranker", int8=int8)
    save_router(out, replace(router.card, model="onnx", threshold=None), served)
    Console().print(
        f"{escape(router.card.ranker)} is in {escape(str(out))}", highlight=False, soft_wrap=True
    )


def _unseen(
    console: Console, outcomes: OutcomeTable, fitted_on: Sequence[Path], embedder: Embedder
) -> OutcomeTable:
    """Without what a router has seen, which would flatter it."""
    training = [prompt for file in fitted_on for prompt in read_preferences(file).prompts]
    seen = leaked(embedder.embed(outcomes.prompts), training=embedder.embed(training))
    if seen.all():
        raise ConfigError(
            "all prompts are among those of --fitted-on, or near to one: evaluate on others"
        )
    console.print(f"{seen.sum()} of {len(seen)} prompts are left out: a router was fitted on them.")
    return outcomes.take(~seen)


def _said_pair(strong: str | None, weak: str | None) -> tuple[str, str] | None:
    if strong is None and weak is None:
        return None
    if strong is None or weak is None or strong == weak:
        raise typer.BadParameter("give two arms as --strong and --weak, or neither")
    return strong, weak


def _pair(table: PreferenceTable, said: tuple[str, str] | None) -> tuple[str, str] | None:
    """The strong arm and the weak one, as said or as told by their battles; None for a pool."""
    if np.all(table.won == 0.5):
        raise ConfigError("all battles are ties: nothing says who answers what better")
    if said is not None:
        if not len(table.between(*said)):
            raise ConfigError(f"there is no battle of {said[0]} with {said[1]} to learn from")
        return said
    if len(table.arms) != 2:
        return None
    ahead = table.wins()[0, 1] >= table.wins()[1, 0]
    return (table.arms[0], table.arms[1]) if ahead else (table.arms[1], table.arms[0])


def _worth(each: Tried, *, has_pair: bool) -> float:
    if each.contender is None:
        return -np.inf
    return each.contender.apgr if has_pair else -each.contender.squared_error


def _row(each: Tried) -> tuple[str, str, str]:
    found = each.contender
    if found is None:
        return each.name, "", each.why
    apgr = "" if np.isnan(found.apgr) else f"{found.apgr:.3f}"
    return each.name, apgr, f"{found.squared_error:.4f}"


def _fine_tune(
    console: Console,
    kind: str,
    table: PreferenceTable,
    pair: tuple[str, str] | None,
    *,
    base: str,
    out: Path,
    training: Training,
) -> None:
    if not base or pair is None:
        raise ConfigError(f"a {kind} model needs --base, and two arms: --strong and --weak")
    strong, weak = pair
    settings = _FINE_TUNED[kind](
        base=base, strong=strong, weak=weak, folder=str(out / "ranker"), training=training
    )
    none = np.zeros((len(table.prompts), 0), dtype=np.float32)
    fitted = settings.fit(table, Prompts(texts=table.prompts, vectors=none))
    card = RouterCard(ranker=settings.name, model=kind, strong=strong, weak=weak)
    save_router(out, card, fitted)
    epochs = fitted.manifest.held_out_apgr
    show(
        console,
        ("epoch", "held-out APGR"),
        [(str(number), f"{apgr:.3f}") for number, apgr in enumerate(epochs, start=1)],
    )
    console.print(f"Kept {escape(settings.name)} in {escape(str(out))}", highlight=False)
