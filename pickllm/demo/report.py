"""Says everything twice: to the terminal now, and on the HTML page for later."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pickllm.demo.interrupts import noted_interrupts
from pickllm.demo.session import OnTask
from pickllm.evaluation import Summary
from pickllm.evaluation.page import Page, summary_rows
from pickllm.router import Router

__all__ = ["Report"]

_HEAD = ("", "right", "cost of the session", "mean latency")


@dataclass(slots=True)
class Report:
    """A terminal and a page."""

    console: Console
    page: Page = field(default_factory=lambda: Page(title="PickLLM: a session, and what it saved"))

    def line(self, words: str) -> None:
        """A sentence."""
        self.console.print(words, highlight=False, markup=False, soft_wrap=True)
        self.page.text(words)

    def summaries(self, title: str, summaries: Sequence[Summary]) -> None:
        """A table of ways to choose."""
        rows = summary_rows(summaries)
        shown = Table(title=title, title_justify="left")
        for column, words in enumerate(_HEAD):
            shown.add_column(words, justify="right" if column else "left")
        for row in rows:
            shown.add_row(*row, style="bold" if row[0] == "router" else None)
        self.console.print()
        self.console.print(shown)
        self.page.heading(title)
        self.page.table(_HEAD, rows)

    def listing(self, title: str, words: str) -> None:
        """Text as it stands."""
        self.console.print(f"\n[bold]{title}[/bold]")
        self.console.print(words, highlight=False, markup=False, soft_wrap=True)
        self.page.heading(title)
        self.page.listing(words)

    def figure(self, title: str, path: Path) -> None:
        """A PNG: on the page as a picture, in the terminal as its path."""
        self.console.print(f"{title}: {path}", highlight=False, markup=False, soft_wrap=True)
        self.page.heading(title)
        self.page.picture(path, title)

    @contextmanager
    def progress(self, what: str, total: int, *, live: bool) -> Iterator[OnTask]:
        """A progress bar; ``live`` shows beside it how likely each arm was at the last decision."""
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[arms]}"),
        ]
        with noted_interrupts() as interrupted, Progress(*columns, console=self.console) as bar:
            task = bar.add_task(what, total=total, arms="")

            def on_task(router: Router) -> None:
                bar.update(task, advance=1, arms=_arms_line(router) if live else "")
                if interrupted():
                    raise KeyboardInterrupt

            yield on_task


def _arms_line(router: Router) -> str:
    decision = router.last_decision
    if decision is None:
        return ""
    chances = zip(decision.arms, decision.probabilities, strict=True)
    return "  ".join(f"{arm} {chance:.2f}" for arm, chance in chances)
