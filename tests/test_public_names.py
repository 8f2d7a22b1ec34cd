"""Public names are lists: complete, in order, and documented."""

import ast
import importlib
from pathlib import Path

import pytest

import pickllm
from pickllm import errors

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for package in ("pickllm", "langchain_pickllm", "llamaindex_pickllm")
    for path in (ROOT / package).rglob("*.py")
)
PACKAGES = [path for path in FILES if path.name == "__init__.py"]
MODULES = [path for path in FILES if path.name != "__init__.py"]
INTERNAL_ERRORS = {"Interrupted"}  # never reaches a caller


def by_path(path: Path) -> str:
    """A readable name for a case."""
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    """The file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def listed(path: Path) -> list[str]:
    """The file's ``__all__``, as written; empty where there is none."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def defined(path: Path) -> dict[str, str | None]:
    """Public classes, functions and values of a file, each with its documentation."""
    found: dict[str, str | None] = {}
    body = tree(path).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = ast.get_docstring(node)
        elif isinstance(node, ast.AnnAssign) or (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            text = following.value if isinstance(following, ast.Expr) else None
            told = isinstance(text, ast.Constant) and isinstance(text.value, str)
            found[ast.unparse(target)] = "told" if told else None
    return {name: told for name, told in found.items() if not name.startswith("_")}


def imported_from_inside(path: Path) -> set[str]:
    """Names that a package takes from its own modules."""
    package = ".".join(path.parent.relative_to(ROOT).parts)
    body = tree(path).body
    seen = [node for top in body if isinstance(top, ast.If) for node in top.body]
    return {
        alias.asname or alias.name
        for node in (*body, *seen)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.")
        for alias in node.names
        if alias.name != "lazily"
    }


def told_lazily(path: Path) -> dict[str, str]:
    """Names that a package imports when asked for them, and their modules; empty for most."""
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    maps = [call.args[1] for call in calls if ast.unparse(call.func) == "lazily"]
    package = ".".join(path.parent.relative_to(ROOT).parts)
    return {
        name: f"{package}.{module}"
        for each in maps
        for module, names in ast.literal_eval(each).items()
        for name in names.split()
    }


def rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest; each by the alphabet."""
    if name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("path", PACKAGES, ids=by_path)
def test_package_lists_what_it_takes_from_its_modules(path: Path) -> None:
    """What a package imports from its own modules is public, and what is public is there."""
    names = set(listed(path))
    assert set() == imported_from_inside(path) - names
    module = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
    assert set() == {name for name in names if not hasattr(module, name)}


LAZY = [path for path in PACKAGES if told_lazily(path)]


@pytest.mark.parametrize("path", LAZY, ids=by_path)
def test_lazy_package_says_where_its_names_stand(path: Path) -> None:
    """What type checkers see is what is imported; no module may take a name's place."""
    seen = {
        alias.name: node.module
        for top in tree(path).body
        if isinstance(top, ast.If)
        for node in top.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == told_lazily(path)
    assert [] == [name for name in seen if (path.parent / f"{name}.py").exists()]


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_module_lists_what_it_defines(path: Path) -> None:
    """A module lists its own public classes and functions, and nothing that it imported."""
    names, own = set(listed(path)), defined(path)
    kinds = {
        node.name
        for node in tree(path).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not any(".command(" in ast.unparse(each) for each in node.decorator_list)
    }
    assert set() == kinds - names
    assert set() == names - set(own)


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_lists_are_in_order(path: Path) -> None:
    """Constants, classes, functions, each sorted, and each once."""
    names = listed(path)
    assert sorted(set(names), key=rank) == names


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_public_names_are_documented(path: Path) -> None:
    """Each public class, function, alias and table says what it is for."""
    own = defined(path)
    assert [] == [name for name in listed(path) if name in own and not own[name]]
    assert ast.get_docstring(tree(path)), "and so does the file itself"


def test_every_error_can_be_imported_from_the_top() -> None:
    """Whoever catches an error of ours finds it in `pickllm`."""
    assert set(errors.__all__) - INTERNAL_ERRORS <= set(pickllm.__all__)


def test_every_error_has_one_root() -> None:
    """``except PickLLMError`` catches them all."""
    for name in set(errors.__all__) - INTERNAL_ERRORS:
        assert issubclass(getattr(errors, name), errors.PickLLMError)
    assert not issubclass(errors.Interrupted, Exception)
