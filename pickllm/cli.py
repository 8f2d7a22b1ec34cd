"""The command line.

demo      route real prompts over two Llamas trained on the spot
replay    what other policies would have earned, on a log or on a table of outcomes
report    a log on one page
fit       routers that predict, fitted on preferences
evaluate  what such routers are worth on graded answers
calibrate the threshold of such a router
onnx      a fine-tuned one for serving without torch
battles   what to fit on, out of live traffic
judge     what to fit on, bought from a judge
export    training pairs from transcripts that were kept
distill   a small model, taught what a large one answered
forget    prompts and answers that were kept
"""

import sys
from pathlib import Path
from typing import Annotated, cast, get_args

from pickllm.errors import ConfigError, MissingExtra, PickLLMError
from pickllm.policies import POLICIES

try:
    import typer
    from rich.console import Console
except ImportError:
    sys.exit(str(MissingExtra("the command line", extra="cli")))

from pickllm.commands.distillation import distill, export, forget
from pickllm.commands.preferences import battles, judge_pairs
from pickllm.commands.ranking import calibrate, evaluate, fit, onnx
from pickllm.commands.showing import show
from pickllm.commands.tables import read_answers
from pickllm.data.judging import PairJudge, answer_pairs
from pickllm.evaluation.comparison import (
    LOG_HEAD,
    TABLE_HEAD,
    compare_on_log,
    compare_on_table,
    weights_told,
)
from pickllm.evaluation.journal import read_journal
from pickllm.evaluation.log import LogEntry, read_log
from pickllm.evaluation.log_report import write_report
from pickllm.evaluation.logged import LoggedDecisions, log_warnings
from pickllm.evaluation.table_files import is_table_file, read_table
from pickllm.evaluation.what_if import LearnsFrom
from pickllm.rewards import WeightedReward
from pickllm.scoring.asking import Expenses
from pickllm.types import Weights

__all__ = ["app", "main"]

app = typer.Typer(
    help="Choose, for every prompt, which model of a pool answers it, and learn from it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables would show keys
)
"""The commands."""


for _command in (fit, evaluate, calibrate, onnx, battles, export, distill, forget):
    app.command()(_command)


@app.callback()
def _commands() -> None:
    """Commands of PickLLM."""


@app.command()
def demo(  # noqa: PLR0917  # each is an option of the command
    pool: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Your own models, written down in TOML as the README shows."
        ),
    ] = None,
    prompts: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many prompts to route.")
    ] = 300,
    policy: Annotated[
        str, typer.Option(metavar="NAME", help=f"One of {', '.join(POLICIES)}.")
    ] = "epsilon_greedy",
    learning_rates: Annotated[
        str,
        typer.Option(
            metavar="B,B,…", help="Rates of the automaton to set side by side; '' for none."
        ),
    ] = "0.01,0.05,0.2",
    weights: Annotated[
        str,
        typer.Option(
            metavar="Q:C:L,…",
            help="Weights of quality, cost and latency to set side by side, such as "
            "1:0:0,0.6:0.4:0; the first are the session's own.",
        ),
    ] = "",
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Makes tasks and choices repeatable.")
    ] = 0,
    baselines: Annotated[
        bool, typer.Option(help="Ask each arm alone too: with paid models, it is paid for.")
    ] = True,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the page and the figures go.")
    ] = Path("pickllm-demo"),
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the demo's models are kept once trained; by default in ~/.cache/pickllm.",
        ),
    ] = None,
) -> None:
    """Route real prompts over real models, watch it learn, and see what it saved.

    Without --pool it trains two small Llamas on this machine, serves the larger
    one over HTTP as well, and needs no key, no download and no GPU.
    """
    try:
        from pickllm.demo.run import DemoSettings, run_demo
    except ImportError as error:
        raise MissingExtra("the demo", extra="demo") from error

    run_demo(
        DemoSettings(
            pool=pool,
            prompts=prompts,
            policy=policy,
            seed=seed,
            learning_rates=_numbers(learning_rates),
            label_to_weights=_sweep(weights),
            baselines=baselines,
            out=out,
            cache=cache,
        ),
        Console(),
    )


_Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", metavar="NAME", help=f"One of {', '.join(POLICIES)}; more than once."),
]
_Weights = Annotated[
    str, typer.Option(metavar="Q:C:L", help="Weights of quality, cost and latency.")
]
_Source = Annotated[
    str | None, typer.Option(metavar="NAME", help="Whose scores count; by default all's mean.")
]
_Namespace = Annotated[str, typer.Option(metavar="NAME", help="Of a store: which part of it.")]
_Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Makes draws repeatable.")]


@app.command()
def replay(  # noqa: PLR0917  # each is an option of the command
    log_or_table: Annotated[
        str,
        typer.Argument(
            metavar="LOG_OR_TABLE",
            help="A .jsonl log or a store such as sqlite:///routes.db; a .csv or .parquet table.",
        ),
    ],
    policy: _Policies = None,
    weights: _Weights = "",
    source: _Source = None,
    learns_from: Annotated[
        str,
        typer.Option(
            metavar="WHICH", help="On a log: rows it would have drawn (accepted), all, or nothing."
        ),
    ] = "accepted",
    sessions: Annotated[
        int, typer.Option(min=1, metavar="N", help="On a table: how often to replay.")
    ] = 20,
    namespace: _Namespace = "default",
    seed: _Seed = 0,
) -> None:
    """Tell what other policies would have earned, beside rows that are not kind.

    On a log these are off-policy estimates with 95 % intervals; on a table of
    outcomes, where all is known, the policies are run.
    """
    console, reward = Console(), _reward(weights)
    policies = {name: name for name in policy or ["epsilon_greedy"]}
    if is_table_file(log_or_table):
        table = read_table(log_or_table)
        rows = compare_on_table(table, policies, reward=reward, sessions=sessions, seed=seed)
        show(console, TABLE_HEAD, rows)
        console.print(weights_told(reward), markup=False, highlight=False)
        return
    if learns_from not in get_args(LearnsFrom):
        raise typer.BadParameter(f"--learns-from is one of {', '.join(get_args(LearnsFrom))}")
    logged = LoggedDecisions.of(_entries(log_or_table, namespace), reward=reward, source=source)
    compared = compare_on_log(
        logged, policies, learns_from=cast("LearnsFrom", learns_from), seed=seed
    )
    show(console, LOG_HEAD, compared.rows)
    console.print(weights_told(reward), markup=False, highlight=False)
    for words in (*log_warnings(logged), *compared.warnings):
        console.print(f"Beware: {words}.", markup=False, highlight=False)


@app.command()
def report(  # noqa: PLR0917  # each is an option of the command
    log: Annotated[
        str,
        typer.Argument(metavar="LOG", help="A .jsonl log, or a store such as sqlite:///routes.db."),
    ],
    policy: _Policies = None,
    weights: _Weights = "",
    source: _Source = None,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the page and the figures go.")
    ] = Path("pickllm-report"),
    namespace: _Namespace = "default",
    seed: _Seed = 0,
) -> None:
    """Draw a log on one page: reward, regret, probabilities, frontier, calibration.

    The page is one HTML file that needs nothing beside itself; its figures are
    written as PNG, too.
    """
    page = write_report(
        _entries(log, namespace),
        out,
        policies={name: name for name in policy or []},
        reward=_reward(weights),
        source=source,
        seed=seed,
    )
    Console().print(f"The report is in {page}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def judge(  # noqa: PLR0917  # each is an option of the command
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="ANSWERS",
            help="Answers of two models or more: prompt, model and response, as .jsonl, .csv or "
            ".parquet.",
        ),
    ],
    pool: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The judge, written down in TOML as the README shows for a pool."
        ),
    ],
    arm: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which model of the pool judges, if it has several."),
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Only these two models; by default every two."),
    ] = None,
    at_most: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="So many pairs, drawn at random.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, metavar="N", help="Questions under way at once.")
    ] = 4,
    yes: Annotated[bool, typer.Option("--yes", help="Ask without asking first.")] = False,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the battles go, as JSON lines.")
    ] = Path("battles.jsonl"),
    seed: _Seed = 0,
) -> None:
    """Let a model judge pairs of answers, in both orders, and make battles of it.

    Says first what it will cost. Verdicts are kept as they come, beside --out:
    stopped and run again, it asks only what is still open.
    """
    pairs = answer_pairs(read_answers(answers), between=between, at_most=at_most, seed=seed)
    judge_pairs(Console(), _judge_of(pool, arm), pairs, out=out, parallel=parallel, yes=yes)


def main() -> None:
    """Run the command line; errors of ours end it with their message, not with a traceback.

    So do those of files and folders that are not there, are in the way, or may not be written.
    """
    try:
        app()
    except PickLLMError as error:
        sys.exit(f"pickllm: {error}")
    except OSError as error:
        what = error.strerror or f"{type(error).__name__}: {error}"
        sys.exit(f"pickllm: {what}: {error.filename}" if error.filename else f"pickllm: {what}")


def _judge_of(pool: Path, arm: str | None) -> PairJudge:
    try:
        from langchain_pickllm.arms import arms_of
        from langchain_pickllm.asking import ask_of
        from langchain_pickllm.pool_file import load_pool
    except ImportError as error:
        raise MissingExtra("a judge out of a pool file", extra="langchain") from error
    opened = load_pool(pool)
    if (arm is None and len(opened.models) > 1) or arm not in (None, *opened.models):
        raise ConfigError(f"{pool} has {', '.join(opened.models)}: name one of them by --arm")
    name = arm or next(iter(opened.models))
    card = arms_of(opened.models, opened.arms, timeout_s=None)[name]
    return PairJudge(ask=ask_of(opened.models[name]), name=name, expenses=Expenses(card))


def _entries(log: str, namespace: str) -> list[LogEntry]:
    if is_table_file(log):
        raise ConfigError(f"{log} is a table, and this is about logs: replay reads both")
    if "://" not in log:
        return read_log(log)
    entries = read_journal(log, namespace=namespace)
    if not entries:
        raise ConfigError(f"that store holds no decision in the namespace {namespace!r}")
    return entries


def _reward(words: str) -> WeightedReward:
    sweep = _sweep(words)
    if sweep is None:
        return WeightedReward()
    if len(sweep) != 1:
        raise typer.BadParameter(f"{words!r} is more than one quality:cost:latency")
    return WeightedReward(weights=next(iter(sweep.values())))


def _numbers(words: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in words.split(",") if word.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{words!r} is no list of numbers such as 0.01,0.05") from error


def _sweep(words: str) -> dict[str, Weights] | None:
    if not words:
        return None
    sweep = {}
    for triple in words.split(","):
        try:
            quality, cost, latency = (float(part) for part in triple.split(":"))
        except ValueError as error:
            raise typer.BadParameter(
                f"{triple!r} is not quality:cost:latency, such as 0.8:0.15:0.05"
            ) from error
        sweep[triple] = Weights(quality=quality, cost=cost, latency=latency)
    return sweep
