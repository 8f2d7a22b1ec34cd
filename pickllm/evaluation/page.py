"""Tables and pictures on one HTML page that needs nothing beside itself; tables in Markdown."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import isnan
from pathlib import Path

from numpy import format_float_positional

from pickllm.evaluation.table import Summary

__all__ = ["Page", "markdown_table", "summary_rows"]

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .3rem .9rem; border-bottom: 1px solid #ccc }
td:not(:first-child), th:not(:first-child) { text-align: right }
img { max-width: 100% } pre { background: #f4f4f4; padding: 1rem; overflow-x: auto }
@media (prefers-color-scheme: dark) {
  body { background: #16181c; color: #e6e6e6 } pre { background: #24272d }
  img { background: white } td, th { border-color: #444 }
}
"""


@dataclass(slots=True)
class Page:
    """An HTML page, put together from top to bottom."""

    title: str
    parts: list[str] = field(default_factory=list)

    def text(self, words: str) -> "Page":
        """A paragraph."""
        self.parts.append(f"<p>{escape(words)}</p>")
        return self

    def heading(self, words: str) -> "Page":
        """A heading."""
        self.parts.append(f"<h2>{escape(words)}</h2>")
        return self

    def listing(self, words: str) -> "Page":
        """Text as it stands, in a fixed width."""
        self.parts.append(f"<pre>{escape(words)}</pre>")
        return self

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> "Page":
        """A table; all columns but the first are set right."""
        lines = [_row("th", head), *(_row("td", row) for row in rows)]
        self.parts.append(f"<table>{''.join(lines)}</table>")
        return self

    def picture(self, path: Path, words: str) -> "Page":
        """A PNG, taken into the page."""
        data = base64.b64encode(path.read_bytes()).decode()
        self.parts.append(f'<img alt="{escape(words)}" src="data:image/png;base64,{data}">')
        return self

    def write(self, path: Path) -> None:
        """Write the page."""
        body = f"<h1>{escape(self.title)}</h1>{''.join(self.parts)}"
        path.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style><body>{body}</body></html>",
            encoding="utf-8",
        )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are set right.

    >>> print(markdown_table(("", "right"), [["router", "75 %"]]))
    |  | right |
    |:--|--:|
    | router | 75 % |
    """
    rule = "|:--" + "|--:" * (len(head) - 1) + "|"
    first, *others = (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in (head, *rows))
    return "\n".join([first, rule, *others])


def summary_rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """Name, accuracy, cost and latency of each, as words."""
    return [
        [
            summary.name,
            f"{summary.accuracy:.1%}",
            _usd(summary.cost_usd),
            f"{summary.latency_s * 1e3:.1f} ms",
        ]
        for summary in summaries
    ]


def _usd(cost_usd: float) -> str:
    """Three digits that count, and no powers of ten."""
    if isnan(cost_usd):
        return "unknown"
    return f"${format_float_positional(cost_usd, precision=3, fractional=False, trim='-')}"


def _cell(words: str) -> str:
    """Words that stay in their cell."""
    return words.replace("|", "\\|").replace("\n", " ")


def _row(cell: str, words: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(word)}</{cell}>' for word in words)}</tr>"
