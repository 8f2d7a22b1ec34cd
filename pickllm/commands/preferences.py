"""Battles to fit routers on: out of live traffic, or bought from a judge.

pickllm battles sqlite:///routes.db --prompts kept.jsonl --out battles.jsonl
pickllm judge answers.jsonl --pool judge.toml --out battles.jsonl
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from pickllm.commands.tables import read_prompts_by_id
from pickllm.data.arena import write_judgements
from pickllm.data.judging import (
    AnswerPair,
    PairJudge,
    bought,
    estimated_usd,
    judged_table,
    read_verdicts,
)
from pickllm.data.preferences import Winner
from pickllm.data.traffic import traffic_battles
from pickllm.errors import ConfigError
from pickllm.evaluation.journal import read_ledger

__all__ = ["battles", "judge_pairs"]

_GIVEN_UP = 8
"""Questions without one verdict, after which no other is asked."""


def battles(
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="A router's store, such as sqlite:///routes.db.")
    ],
    prompts: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="JSON lines with id and prompt; the id is that of the decision or of a run around "
            "it. A store keeps no prompts, so they come from where you keep them.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the battles go, as JSON lines.")
    ] = Path("battles.jsonl"),
    across_sessions: Annotated[
        bool,
        typer.Option(
            help="Also compare answers of different sessions: right for a source that judges all "
            "by one measure, such as a scorer; wrong for thumbs."
        ),
    ] = False,
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Which part of the store.")
    ] = "default",
) -> None:
    """Make battles of prompts that two models have answered in live traffic.

    Two scores by one source make one, and so does a prompt that was asked again
    and answered by another model.
    """
    known = read_prompts_by_id(prompts)
    ledger = read_ledger(store, namespace=namespace)
    named = [
        each for each in ledger if not known.keys().isdisjoint((each.decision.id, *each.trace_ids))
    ]
    if not named:
        raise ConfigError(
            f"{len(ledger)} decisions are kept in the namespace {namespace!r}, and {prompts} has "
            "the prompt of none of them"
        )
    found = traffic_battles(named, known, across_sessions=across_sessions)
    write_judgements(out, found.table)
    Console().print(
        f"{len(found.table)} battles on {len(found.table.prompts)} prompts are in {out}. "
        f"{len(ledger) - len(named)} of {len(ledger)} decisions have no prompt there, and "
        f"{found.alone} answers nothing to be compared with.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def judge_pairs(
    console: Console,
    judge: PairJudge,
    pairs: Sequence[AnswerPair],
    *,
    out: Path,
    parallel: int,
    yes: bool,
) -> None:
    """Estimate, ask for consent, buy the verdicts that are not there yet, and write the battles.

    Raises:
        ConfigError: Not one pair was judged; says why.
    """
    file = out.with_name(f"{out.name}.verdicts")
    said = read_verdicts(file)
    questions = {each.digest: each for each in judge.questions(pairs)}
    open_ = [each for digest, each in questions.items() if digest not in said]
    estimate = estimated_usd(open_, judge.expenses.arm)
    cost = "at a cost that is not known" if estimate is None else f"about {estimate:.2f} USD"
    console.print(
        f"{len(pairs)} pairs in both orders; {len(questions) - len(open_)} of {len(questions)} "
        f"questions are answered in {file}. To ask {len(open_)}: {cost}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if open_ and not yes:
        typer.confirm("Ask them?", abort=True)
    with closing(bought(open_, judge, file, parallel=parallel)) as verdicts:
        _buy(track(verdicts, "judging", total=len(open_), console=console))
    said = read_verdicts(file)
    try:
        table = judged_table(pairs, judge, said)
    except ConfigError as error:
        raise ConfigError(f"no pair was judged in both orders: {_causes(judge)}") from error
    write_judgements(out, table)
    told = [
        f"{len(table)} battles are in {out}, {float((table.won == 0.5).mean()):.0%} of them ties."
    ]
    told += [_spent(judge)] if open_ else []
    if left := len(questions.keys() - said.keys()):
        told += [
            f"{left} questions brought no verdict ({_causes(judge)}): run it again to ask them."
        ]
    console.print(
        " ".join(told),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _buy(verdicts: Iterable[Winner | None]) -> None:
    """Take them all; a judge that begins with nothing but failures is not asked on."""
    said = False
    for asked, winner in enumerate(verdicts, start=1):
        said = said or winner is not None
        if asked >= _GIVEN_UP and not said:
            return


def _causes(judge: PairJudge) -> str:
    """Why questions brought no verdict, with how many of each."""
    total = judge.expenses.total
    found = [f"{name} {count} times" for name, count in total.error_to_count.items()]
    if total.unreadable:
        found += [f"{total.unreadable} answers without a last line such as VERDICT: A"]
    return ", ".join(found)


def _spent(judge: PairJudge) -> str:
    total = judge.expenses.total
    if total.unpriced:
        return (
            f"{total.tokens_in} tokens were read and {total.tokens_out} written, at no known price."
        )
    return f"That cost {total.cost_usd:.4f} USD."
