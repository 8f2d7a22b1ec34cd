"""Tables in a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["show"]


def show(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; all columns but the first are set right."""
    table = Table(box=None, pad_edge=False)
    for index, words in enumerate(head):
        table.add_column(escape(words), justify="right" if index else "left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
