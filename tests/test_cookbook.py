"""The notebooks run, hold what they show, and change to other models in one cell.

On a fresh machine the first of them trains the demo's models and keeps them. They stay in one
worker, so that no two train at once.
"""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient

from pickllm.demo.tasks import make_tasks

COOKBOOK = Path(__file__).parent.parent / "cookbook"
CHAIN = COOKBOOK / "01_your_first_routed_chain.ipynb"
PAPER = COOKBOOK / "02_the_pickllm_paper_reproduced.ipynb"
RAG = COOKBOOK / "03_a_rag_chain_swapped_in_two_lines.ipynb"
THUMB = COOKBOOK / "05_a_thumb_that_comes_a_day_later.ipynb"
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))

NAMES = [path.name for path in NOTEBOOKS]
PATH_OF_A_MACHINE = re.compile(r"(?<![\w.])/(work|root|home|tmp|Users|private|var)/|[A-Z]:\\\\")
TIMEOUT_S = 900
"""For one cell: training takes minutes where other tests have the processor too."""

OWN_MODELS = """
from langchain_core.language_models import FakeListChatModel
from langchain_pickllm.pool_file import PoolFile

pool = PoolFile(
    models={name: FakeListChatModel(responses=["39", "Bob"]) for name in ("mine", "yours")},
    arms={},
)
"""

Notebook = Any
"""An `nbformat.NotebookNode`."""


def read(path: Path) -> Notebook:
    """A notebook, checked against the format."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # typed in part
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: Notebook) -> list[Notebook]:
    """Its code, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def change(notebook: Notebook, marker: str, source: str) -> None:
    """Put another source in place of the one cell that holds ``marker``."""
    (cell,) = [cell for cell in code_cells(notebook) if marker in cell.source]
    cell.source = source


def run(notebook: Notebook, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Execute in ``folder``, by a kernel of this very interpreter; an error in a cell is raised."""
    write_kernel_spec(folder / "kernels" / "python3")
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=TIMEOUT_S,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return notebook


def texts(notebook: Notebook) -> str:
    """All that its outputs say, pictures aside."""
    shown = [
        {kind: value for kind, value in output.get("data", output).items() if "image" not in kind}
        for cell in code_cells(notebook)
        for output in cell.outputs
    ]
    return json.dumps(shown, ensure_ascii=False)


def test_there_are_notebooks() -> None:
    """Those that the tests below name, at least."""
    assert {CHAIN, PAPER, RAG, THUMB} <= set(NOTEBOOKS)


@pytest.mark.xdist_group("demo-models")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom in a fresh kernel, on the demo's models, without an error."""
    notebook = run(read(path), tmp_path, monkeypatch)

    assert [] == [
        output.ename
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    ]


@pytest.mark.xdist_group("demo-models")
def test_your_own_models_take_one_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first notebook runs on any pool, though nothing is known of its prices."""
    notebook = read(CHAIN)
    change(notebook, "demo_pool(", OWN_MODELS)

    said = texts(run(notebook, tmp_path, monkeypatch))

    assert "always yours" in said
    assert "unknown" in said
    assert "always large" not in said


@pytest.mark.parametrize("path", [RAG, THUMB], ids=lambda path: path.name)
def test_your_own_models_take_one_cell_elsewhere(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for others, on models that are mostly wrong and whose prices nobody knows."""
    notebook = read(path)
    change(notebook, "ensure_model(", OWN_MODELS)

    said = texts(run(notebook, tmp_path, monkeypatch))

    assert {RAG: "always yours", THUMB: "the same state: True"}[path] in said
    assert "always large" not in said


@pytest.mark.xdist_group("demo-models")
def test_hc3_takes_one_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second notebook reads HC3 from the user's copy; here a file of its shape."""
    lines = [
        {
            "question": task.prompt,
            "human_answers": [task.answer],
            "chatgpt_answers": [],
            "source": source,
        }
        for source in ("open_qa", "medicine")
        for task in make_tasks(40, 0, families=["add" if source == "open_qa" else "sort"])
    ]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    notebook = read(PAPER)
    (settings,) = [cell for cell in code_cells(notebook) if "HC3 = None" in cell.source]
    source = settings.source.replace("HC3 = None", 'HC3 = "all.jsonl"')
    source = re.sub(
        r"^QUESTIONS, SESSIONS = .*$", "QUESTIONS, SESSIONS = 60, 4", source, flags=re.MULTILINE
    )
    settings.source = source

    said = texts(run(notebook, tmp_path, monkeypatch))

    assert "| medicine | open_qa | all |" in said
    assert " of 4 |" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_short(path: Path) -> None:
    """Under fifteen cells, prose among them."""
    assert len(read(path).cells) < 15


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_the_outputs_are_kept(path: Path) -> None:
    """Each cell was run, once and in order, without an error; there is a table to look at."""
    cells = code_cells(read(path))
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}

    assert list(range(1, len(cells) + 1)) == [cell.execution_count for cell in cells]
    assert "error" not in {output.output_type for cell in cells for output in cell.outputs}
    assert "text/markdown" in kinds
    assert "image/png" in kinds or path not in (CHAIN, PAPER)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_the_outputs_say_nothing_of_the_machine(path: Path) -> None:
    """No path of the one that ran it, and no warning of its packages."""
    notebook = read(path)
    sources = "\n".join(cell.source for cell in notebook.cells)

    assert None is PATH_OF_A_MACHINE.search(texts(notebook))
    assert None is PATH_OF_A_MACHINE.search(sources)
    assert "stderr" not in {
        output.get("name") for cell in code_cells(notebook) for output in cell.outputs
    }


def test_the_list_of_notebooks_has_one_line_for_each() -> None:
    """In the order of their names."""
    listed = re.findall(
        r"^- \[(.+\.ipynb)\]\(\1\): \S.*$",
        (COOKBOOK / "README.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )

    assert NAMES == listed
