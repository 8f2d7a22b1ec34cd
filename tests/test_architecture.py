"""Who may import whom. A module imports from the layers below its own, never from beside or above.

The siblings that know each other are `policies`, which are made of `estimators` and `explorers`;
hence their two layers. What stands under ``TYPE_CHECKING`` is no import.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "pickllm"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("arrays", "digest", "errors", "lazy", "lock", "plain", "rng", "tool_calls"),
    ("numeric", "places"),
    ("betting", "pretrained", "types"),
    ("steps",),
    (
        "convergence",
        "health",
        "local_answers",
        "local_requests",
        "prices",
        "protocols",
        "rewards",
        "stamp",
        "time_limits",
    ),
    (
        "adapting",
        "budget",
        "embedded",
        "estimators",
        "explorers",
        "features",
        "judging",
        "local",
        "pool",
        "question",
        "scoring",
        "stores",
    ),
    ("attempts",),
    ("calling",),
    (
        "booking",
        "cascade",
        "cascading",
        "policies",
        "recalling",
        "tool_fit",
        "transcripts",
    ),
    ("settings", "spending"),
    ("drive", "explanation", "flow", "handover"),
    ("prompting",),
    ("deciding", "testing"),
    ("desk",),
    ("router",),
    ("pickllm",),
    ("construction", "embedding", "evaluation", "index", "settling"),
    ("cache", "data"),
    ("distillation", "ranking"),
    ("answer_training",),
    ("commands", "demo", "server"),
    ("cli",),
    ("__main__",),
)
"""From the ground up; "pickllm" is the package's own list of public names."""

FRAMEWORKS = ("langchain", "langgraph", "llama_index", "langchain_pickllm", "llamaindex_pickllm")
MAY_NAME_FRAMEWORKS = ("cli", "demo", "server")

LAZY = (
    *("torch", "transformers", "sentence_transformers", "onnxruntime", "faiss", "sklearn"),
    *("pandas", "pyarrow", "redis", "genai_prices", "matplotlib", "typer", "rich"),
)
"""Heavy or optional: imported where they are used, inside a function."""
ABOUT = {"cli": ("typer", "rich"), "commands": ("typer", "rich"), "demo": ("rich", "torch")}
"""Parts that are about one of these, and may import it at their top."""

UNLOADED = ("torch", "transformers", "langchain_core", "langchain", "llama_index", "genai_prices")

FILES = sorted(CORE.rglob("*.py"))


def part_of(path: Path) -> str:
    """The module or folder of the core that a file belongs to."""
    inside = path.relative_to(CORE)
    if len(inside.parts) > 1:
        return inside.parts[0]
    return "pickllm" if inside.stem == "__init__" else inside.stem


PARTS = {part_of(path) for path in FILES}


def nodes_of(path: Path, *, at_top: bool = False) -> Iterator[ast.AST]:
    """What is run of a file; with ``at_top`` only what is run when it is imported."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif not (at_top and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            waiting.extend(ast.iter_child_nodes(node))


def imports_of(path: Path, *, at_top: bool = False) -> set[str]:
    """Full names of the modules that a file imports."""
    found: set[str] = set()
    for node in nodes_of(path, at_top=at_top):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            parts = {f"pickllm.{alias.name}" for alias in node.names if alias.name in PARTS}
            found.update(parts if node.module == "pickllm" and parts else {node.module})
    return found


def parts_imported(path: Path) -> set[str]:
    """The parts of the core that a file imports."""
    ours = {name for name in imports_of(path) if name.split(".")[0] == "pickllm"}
    return {name.split(".")[1] if "." in name else "pickllm" for name in ours}


def by_path(path: Path) -> str:
    """A readable name for a case."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_imports_go_downwards(path: Path) -> None:
    """A file imports from its own folder and from the layers below, and from nowhere else."""
    height = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    own = part_of(path)
    assert own in height, f"say in LAYERS where {own!r} stands"
    upwards = {part for part in parts_imported(path) - {own} if height.get(part, 99) >= height[own]}
    assert set() == upwards


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_core_knows_no_framework(path: Path) -> None:
    """Frameworks and their adapters are named in the core's programs alone."""
    if part_of(path) in MAY_NAME_FRAMEWORKS:
        return
    assert set() == {name for name in imports_of(path) if name.startswith(FRAMEWORKS)}


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    """What is heavy or optional is imported inside functions."""
    tops = {name.split(".")[0] for name in imports_of(path, at_top=True)}
    assert set() == tops.intersection(LAZY) - set(ABOUT.get(part_of(path), ()))


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_only_the_drivers_wait(path: Path) -> None:
    """The logic yields what it wants done; ``await`` stands in drive.py, and in test doubles."""
    if part_of(path) in ("drive", "testing", *MAY_NAME_FRAMEWORKS):
        return
    waits = [n for n in nodes_of(path) if isinstance(n, ast.Await | ast.AsyncFor | ast.AsyncWith)]
    assert [] == waits


@pytest.mark.parametrize("part", sorted({part_of(path) for path in FILES} - {"pickllm"}))
def test_the_map_of_files_names_every_part(part: str) -> None:
    """Whoever reads CONTRIBUTING.md finds each module and folder of the core on its map."""
    files = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```")[1]
    name = f"{part}/" if (CORE / part).is_dir() else f"{part}.py"
    assert name in files.replace(",", " ").split()


def test_importing_the_core_loads_nothing_heavy() -> None:
    """`import pickllm` in a fresh process loads no framework, no price table and no pandas."""
    code = (
        f"import sys, pickllm; print(*set(sys.modules) & {{*{(*UNLOADED, 'pandas', 'pytest')!r}}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "" == done.stdout.strip()


def test_importing_a_router_loads_what_every_router_needs() -> None:
    """A router comes without asyncio, without databases and without what adapts prompts."""
    optional = ("asyncio", "sqlite3", "pickllm.prompting.selection", "pickllm.transcripts.keeping")
    code = f"import sys; from pickllm import Router; print(*set(sys.modules) & {{*{optional!r}}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "" == done.stdout.strip()
