"""Figures and pages: that they are written, whole, and safe to open."""

import re
from pathlib import Path

import numpy as np

from pickllm import LearningAutomaton
from pickllm.evaluation import replay
from pickllm.evaluation.page import Page, markdown_table, summary_rows
from pickllm.evaluation.plots import (
    convergence_figure,
    probabilities_figure,
    session_figure,
    weights_figure,
)
from pickllm.evaluation.table import Summary
from tests.evaluation.test_replay import make_table

PNG = b"\x89PNG\r\n\x1a\n"
ROW = Summary(name="router", accuracy=0.75, cost_usd=0.0123, latency_s=0.25)


def test_every_figure_is_a_png(tmp_path: Path) -> None:
    """The figures of the paper can be drawn from a replayed session."""
    session = replay(LearningAutomaton(), make_table(60))
    session_figure(
        tmp_path / "made" / "session.png",
        arms=session.arms,
        probabilities=session.probabilities,
        rewards=session.rewards,
        name_to_costs_usd={"router": session.costs_usd},
    )
    convergence_figure(tmp_path / "rates.png", {0.05: [session, session]})
    convergence_figure(tmp_path / "policies.png", {"automaton": [session, session]})
    probabilities_figure(tmp_path / "one.png", {0.05: [session, session]})
    probabilities_figure(tmp_path / "two.png", {"automaton": [session], "again": [session]})
    weights_figure(tmp_path / "weights.png", {"quality alone": ROW})

    names = ("made/session", "rates", "policies", "one", "two", "weights")
    for name in (f"{name}.png" for name in names):
        assert (tmp_path / name).read_bytes().startswith(PNG)


def test_a_page_holds_all_that_it_shows(tmp_path: Path) -> None:
    """Nothing is fetched when the page is opened: the picture is inside."""
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)
    page = Page(title="A session").heading("Rows").table(("", "right"), [["router", "75 %"]])
    page.picture(picture, "a picture").listing("as\nis").text("words").write(tmp_path / "page.html")

    html = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert re.findall(r'src="([^"]{0,22})', html) == ["data:image/png;base64,"]
    assert not re.search(r"https?://", html)


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    """An arm may be called anything, and stays text on the page."""
    evil = "<script>alert(1)</script>"
    page = Page(title=evil).heading(evil).table((evil,), [[evil]]).listing(evil).text(evil)
    page.write(tmp_path / "page.html")

    assert "<script" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_unknown_cost_is_said_to_be_unknown() -> None:
    """NaN is no figure to show."""
    unknown = Summary(name="always api", accuracy=1.0, cost_usd=np.nan, latency_s=0.1)

    assert [["always api", "100.0%", "unknown", "100.0 ms"]] == summary_rows([unknown])


def test_a_markdown_table_keeps_its_columns() -> None:
    """A bar or a line break in a name stays inside its cell."""
    table = markdown_table(("", "right"), [["a|b\nc", "75 %"]])

    assert "|  | right |\n|:--|--:|\n| a\\|b c | 75 % |" == table
