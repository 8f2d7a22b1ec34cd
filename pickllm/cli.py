"""The command line: ``pickllm demo``, and what later commands join."""

import sys
from pathlib import Path
from typing import Annotated

from pickllm.errors import MissingExtra, PickLLMError
from pickllm.policies import POLICIES

try:
    import typer
    from rich.console import Console
except ImportError:
    sys.exit(str(MissingExtra("the command line", extra="cli")))

from pickllm.types import Weights

__all__ = ["app", "main"]

app = typer.Typer(
    help="Choose, for every prompt, which model of a pool answers it, and learn from it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback with local variables would show keys
)
"""The commands."""


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


def main() -> None:
    """Run the command line; errors of ours end it with their message, not with a traceback."""
    try:
        app()
    except PickLLMError as error:
        sys.exit(f"pickllm: {error}")


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
