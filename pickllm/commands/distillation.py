"""From traffic that was kept to a small model of one's own.

pickllm export sqlite:///kept.db --arm large --min-score 0.8 --out pairs
pickllm distill pairs --base my-small-llama --out student
pickllm forget sqlite:///kept.db --tenant acme
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from pickllm.commands.showing import show
from pickllm.commands.tables import read_prompts
from pickllm.distillation import (
    ExportSettings,
    Selection,
    Training,
    distil,
    export_pairs,
    judgements_of,
)
from pickllm.distillation.training import OnStep, Progress
from pickllm.embedding import Embedder
from pickllm.errors import ConfigError
from pickllm.ranking.saved import embedder_of
from pickllm.stores import store_to_read
from pickllm.transcripts import Transcripts, redact_pii

__all__ = ["distill", "export", "forget"]

_FOR_EVER_S = 1e12


def export(  # noqa: PLR0917  # each is an option of the command
    transcripts: Annotated[
        str,
        typer.Argument(
            metavar="TRANSCRIPTS", help="The store they are kept in, such as sqlite:///kept.db."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the pairs go.")] = Path(
        "pickllm-pairs"
    ),
    arm: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM", help="Whose answers; more than once. By default all."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, metavar="S", help="Least score; unjudged answers are out then."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose scores count, their mean; by default all."),
    ] = None,
    judged: Annotated[
        str,
        typer.Option(
            metavar="LOG", help="What else was said of the answers: a router's store, or a log."
        ),
    ] = "",
    tenant: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Whose requests; more than once, and they are mixed."),
    ] = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Mix the requests of all tenants.")
    ] = False,
    since: Annotated[
        str, typer.Option(metavar="DATE", help="The earliest, such as 2025-01-31.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="DATE", help="The first that is too late.")] = "",
    near: Annotated[
        float,
        typer.Option(
            min=0.01, max=1.0, metavar="COS", help="Cosine of prompts that are nearly the same."
        ),
    ] = 0.95,
    per_cluster: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pairs of each cluster of such prompts.")
    ] = 1,
    held_out: Annotated[
        float,
        typer.Option(min=0.0, max=0.99, metavar="SHARE", help="Share of the clusters held out."),
    ] = 0.1,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="PROMPTS", help="An evaluation to come: what is nearly in it is left out."
        ),
    ] = None,
    redact: Annotated[
        bool, typer.Option(help="Take out addresses, numbers and keys that have a shape.")
    ] = True,
    embedder: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="What makes vectors of prompts: hashing, or a folder or name as for fit.",
        ),
    ] = "hashing",
    bare: Annotated[
        bool, typer.Option("--bare", help="Lines with the messages, and nothing beside.")
    ] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Parquet files, too.")] = False,
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Of the stores: which part of them.")
    ] = "default",
) -> None:
    """Make training pairs of what was kept: clean, told apart, and split.

    The folder gets train.jsonl and held_out.jsonl, chats as trainers read them.
    An export that was killed goes on where it was.
    """
    console = Console()
    kept = _kept(transcripts, namespace)
    _check_names(kept, arm or (), tenant or ())
    settings = ExportSettings(
        selection=Selection(
            arms=arm or (),
            min_score=min_score,
            sources=source or (),
            tenants=tenant or (),
            all_tenants=all_tenants,
            since_s=_seconds(since),
            until_s=_seconds(until),
        ),
        near=near,
        per_cluster=per_cluster,
        held_out=held_out,
        redact=redact_pii if redact else None,
        bare=bare,
        parquet=parquet,
    )
    done = export_pairs(
        kept,
        out,
        settings=settings,
        judgements=judgements_of(judged, namespace=namespace) if judged else None,
        against=read_prompts(against) if against else (),
        embedder=_embedder(embedder),
    )
    show(console, ("", "pairs"), done.rows())
    for words in done.warnings():
        console.print(f"Beware: {words}.", markup=False, highlight=False, soft_wrap=True)
    console.print(f"The pairs are in {out}", markup=False, highlight=False, soft_wrap=True)


def distill(  # noqa: PLR0917  # each is an option of the command
    pairs: Annotated[
        Path,
        typer.Argument(metavar="PAIRS", help="The folder of an export, or a file of pairs."),
    ],
    base: Annotated[
        str,
        typer.Option(metavar="MODEL", help="What is fine-tuned: a folder, or a name on the hub."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the student goes; not there yet.")
    ] = Path("pickllm-student"),
    held_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What is held out, where PAIRS is one file."),
    ] = None,
    adapter_rank: Annotated[
        int | None,
        typer.Option(min=1, metavar="R", help="Train adapters of this rank, not all weights."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="At most.")] = 3,
    patience: Annotated[
        int, typer.Option(min=1, metavar="N", help="Epochs without a gain that end it.")
    ] = 1,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Pairs for each step.")] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="RATE", help="By default 2e-5, and with adapters 2e-4."),
    ] = None,
    most_tokens: Annotated[
        int, typer.Option(min=8, metavar="N", help="Longer pairs are left out.")
    ] = 2048,
    asked: Annotated[
        int, typer.Option(min=1, metavar="N", help="Held-out prompts to be answered, at most.")
    ] = 200,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Such as cuda; by default a GPU if there is one.")
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="ARM", help="What the new arm is to be called.")
    ] = "distilled",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Makes it repeatable.")] = 0,
) -> None:
    """Teach a small model what a large one answered, and show what came of it.

    Needs the extra "distill". Killed, and begun again, it goes on from where it was.
    """
    console = Console()
    usual = 2e-5 if adapter_rank is None else 2e-4
    training = Training(
        epochs=epochs,
        patience=patience,
        batch=batch,
        learning_rate=usual if learning_rate is None else learning_rate,
        adapter_rank=adapter_rank,
        most_tokens=most_tokens,
        seed=seed,
    )
    with _bar(console) as on_step:
        done = distil(
            pairs,
            base,
            out,
            held_out=held_out,
            training=training,
            asked=asked,
            device=device or None,
            on_step=on_step,
        )
    console.print(f"{done.pairs} pairs learnt, {done.after.pairs} held out.", highlight=False)
    if done.too_long:
        console.print(f"Left out as too long: {done.too_long}.", highlight=False)
    head = ("held out", "loss", "same answer", "words in common")
    show(console, head, [done.before.row("before"), done.after.row("after")])
    if not done.helped:
        console.print(
            "Beware: no epoch brought it nearer to its teacher, so it is what it was. Take more "
            "pairs, another learning rate, or a larger base.",
            highlight=False,
            soft_wrap=True,
        )
    console.print("\nTo let it earn its requests, beside a price that is yours to say:\n")
    console.print(done.registration(name), markup=False, highlight=False, soft_wrap=True)


def forget(
    transcripts: Annotated[
        str,
        typer.Argument(
            metavar="TRANSCRIPTS", help="The store they are kept in, such as sqlite:///kept.db."
        ),
    ],
    tenant: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Whose are deleted; more than once.")
    ] = None,
    decision: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Which are deleted; more than once.")
    ] = None,
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Of the store: which part of it.")
    ] = "default",
) -> None:
    """Delete prompts and answers that were kept, by tenant or one by one.

    Exports and students that were made of them are yours to delete.
    """
    if not (tenant or decision):
        raise typer.BadParameter("say whose or which: --tenant or --decision")
    kept = _kept(transcripts, namespace)
    count = sum(kept.forget_tenant(name) for name in tenant or ())
    count += sum(kept.forget(one) for one in decision or ())
    Console().print(f"{count} deleted", highlight=False)


def _kept(address: str, namespace: str) -> Transcripts:
    return Transcripts(store_to_read(address), namespace=namespace, keep_s=_FOR_EVER_S)


def _check_names(kept: Transcripts, arms: Collection[str], tenants: Collection[str]) -> None:
    """A name that stands beside no transcript is a slip of the pen."""
    if not (arms or tenants):
        return
    known = {(each.arm, each.tenant) for each in kept.read()}
    lacking = sorted(set(arms) - {arm for arm, _ in known})
    if lacking:
        raise ConfigError(f"no answer that is kept is of {', '.join(lacking)}: check --arm")
    lacking = sorted(set(tenants) - {tenant for _, tenant in known})
    if lacking:
        raise ConfigError(f"nothing that is kept is of {', '.join(lacking)}: check --tenant")


def _seconds(date: str) -> float | None:
    """Seconds since the epoch at the beginning of a day, or at a time of it, in UTC."""
    if not date:
        return None
    try:
        given = datetime.fromisoformat(date)
    except ValueError as error:
        raise typer.BadParameter(f"{date!r} is no date such as 2025-01-31") from error
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()


def _embedder(which: str) -> Embedder:
    found = embedder_of(which)
    if found is None:
        raise ConfigError("prompts are told apart by their vectors: give an embedder")
    return found


@contextmanager
def _bar(console: Console) -> Iterator[OnStep]:
    """Shows how far it is, where there is a terminal."""
    columns = (TextColumn("teaching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("teaching", total=None)

        def on_step(progress: Progress) -> None:
            bars.update(task, completed=progress.step, total=progress.steps)

        yield on_step
