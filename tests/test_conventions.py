"""What we agreed on and no linter checks."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pickllm.data.judging import AnswerPair
from pickllm.prompting.examples import Example
from pickllm.steps import Call, Recite, Release, Withdraw
from pickllm.testing import decision
from pickllm.types import Kept, Piece, Reply, Request, Said, Situation

ROOT = Path(__file__).parent.parent
LIBRARY = sorted(
    path
    for package in ("pickllm", "langchain_pickllm", "llamaindex_pickllm")
    for path in (ROOT / package).rglob("*.py")
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

NO_PLAIN_VALUES = {
    "pickllm/question.py:Question": "gathers what comes of a call",
    "pickllm/booking/ledger.py:Record": "gains an outcome and feedback while it is held",
    "pickllm/evaluation/page.py:Page": "is put together from top to bottom",
    "pickllm/demo/report.py:Report": "writes as the session goes",
    "pickllm/embedded.py:EmbeddedFeatures": "remembers the newest vectors",
    "langchain_pickllm/port.py:ChatPort": "keeps a streamed answer for the run that it is part of",
}
"""Public dataclasses that are no frozen values with slots, and why."""
WORDS = re.compile(
    r"_?(text|prompt|question|answer|message|turn|payload|argument|input|output)s?"
    r"|original|(human|chatgpt)_answers"
)
"""Names of fields that hold what people or models said."""
SAID = re.compile(r"\b(str|Said|Any|BaseMessage|ChatMessage)\b")
"""Types that can hold it; a count or a place in a list holds nothing."""
SHOWN = {
    "pickllm/demo/tasks.py:Task": "made up",
    "pickllm/demo/session.py:EveryAnswer": "made up",
    "pickllm/distillation/gathered.py:Row": "a digest",
}
"""Dataclasses whose representation may show such fields, and why."""
PRINTS = ("pickllm/cli.py", "pickllm/demo/")
"""Programs: printing is what they are for."""
FORBIDDEN_IMPORTS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
SKIPS = re.compile(r"\b(skip|skipif|importorskip|xfail)$")
UNDONE = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
IGNORE = re.compile(r"#\s*(type: ignore|noqa)(?P<rest>.*)")
CODE = re.compile(r"\[[\w, -]+\]|: [A-Z]+\d+")
REASON = re.compile(r"  # \S")


def by_path(path: Path) -> str:
    """A readable name for a case."""
    return path.relative_to(ROOT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    """Everything in a file."""
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the name that is called."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def dataclass_settings(node: ast.ClassDef) -> dict[str, bool] | None:
    """The settings of a class's dataclass decorator, or None where it has none."""
    for decorator in node.decorator_list:
        name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name in ("dataclass", "dataclasses.dataclass"):
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            return {str(word.arg): ast.literal_eval(word.value) for word in keywords}
    return None


@pytest.mark.parametrize("path", LIBRARY, ids=by_path)
def test_dataclasses_are_frozen_keyword_only_and_slotted(path: Path) -> None:
    """Public dataclasses are values: they do not change, and their fields are named."""
    for node in nodes(path):
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        settings = dataclass_settings(node)
        if settings is not None and f"{by_path(path)}:{node.name}" not in NO_PLAIN_VALUES:
            assert {"frozen": True, "kw_only": True, "slots": True} == settings, node.name


def test_exceptions_are_still_needed() -> None:
    """A class that is let off stands where the list says."""
    for place in NO_PLAIN_VALUES | SHOWN:
        path, name = place.split(":")
        assert any(isinstance(n, ast.ClassDef) and n.name == name for n in nodes(ROOT / path))


@pytest.mark.parametrize("path", LIBRARY, ids=by_path)
def test_representations_show_no_words(path: Path) -> None:
    """What was said comes into no log, error or traceback by the representation of a value."""
    shown = [
        f"{node.name}.{ast.unparse(line.target)}"
        for node in nodes(path)
        if isinstance(node, ast.ClassDef) and dataclass_settings(node) is not None
        if f"{by_path(path)}:{node.name}" not in SHOWN
        for line in node.body
        if isinstance(line, ast.AnnAssign) and WORDS.fullmatch(ast.unparse(line.target))
        if SAID.search(ast.unparse(line.annotation))
        if "repr=False" not in ast.unparse(line.value or line.target)
    ]
    assert [] == shown


def test_a_conversation_does_not_show_in_what_holds_it() -> None:
    """However deep the words lie: in requests, replies, steps of a flow, examples, pairs."""
    said = Said(role="user", text="secret")
    request = Request(text="secret", turns=(said,))
    reply = Reply(text="secret", message="secret")
    kept = Kept(text="secret", arm="large", decision_id="d1")
    holders = (
        *(
            said,
            request,
            reply,
            kept,
            Release(decision=decision(), reply=reply),
            Withdraw(reply=reply),
        ),
        *(Situation(arms=("large",), request=request), Piece(payload="secret", visible=True)),
        *(Call(decision=decision(), arm="large", turns=(said,)),),
        *(Recite(decision=decision(), kept=kept), Example(question="secret", answer="secret")),
        *(AnswerPair(prompt="secret", first="a", second="b", answers=("secret", "secret")),),
    )
    assert [] == [holder for holder in holders if "secret" in repr(holder)]
    assert request.id in repr(request)


@pytest.mark.parametrize("path", LIBRARY, ids=by_path)
def test_library_does_not_print(path: Path) -> None:
    """What the library has to say it logs, raises or returns."""
    if by_path(path).startswith(PRINTS):
        return
    assert [] == [node.lineno for name, node in calls(path) if name == "print"]


@pytest.mark.parametrize("path", LIBRARY, ids=by_path)
def test_library_runs_no_bytes(path: Path) -> None:
    """Nothing that was read is run: no pickle, no eval."""
    imported = {
        name.split(".")[0]
        for node in nodes(path)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    assert set() == imported & FORBIDDEN_IMPORTS
    assert [] == [node.lineno for name, node in calls(path) if name in FORBIDDEN_CALLS]


def test_extras_that_errors_name_can_be_installed() -> None:
    """What `MissingExtra` tells users to install is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        ast.literal_eval(word.value)
        for path in LIBRARY
        for name, node in calls(path)
        if name == "MissingExtra"
        for word in node.keywords
        if word.arg == "extra"
    }
    assert set() < named <= set(project["optional-dependencies"])


@pytest.mark.parametrize("path", TESTS, ids=by_path)
def test_skips_have_a_reason(path: Path) -> None:
    """A test that is skipped, or is known to fail, says why."""
    for name, node in calls(path):
        if name.startswith("pytest.") and SKIPS.search(name):
            told = {word.arg for word in node.keywords} & {"reason", "exc_type"}
            assert told or (name == "pytest.skip" and node.args), f"{name} in line {node.lineno}"
    bare = [
        ast.unparse(decorator)
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for decorator in node.decorator_list
        if not isinstance(decorator, ast.Call) and SKIPS.search(ast.unparse(decorator))
    ]
    assert [] == bare


@pytest.mark.parametrize("path", [*LIBRARY, *TESTS, ROOT / "README.md"], ids=by_path)
def test_nothing_is_left_undone(path: Path) -> None:
    """What is to be done stands in the tracker, not in the code."""
    assert [] == UNDONE.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*LIBRARY, *TESTS], ids=by_path)
def test_ignores_name_their_code_and_reason(path: Path) -> None:
    """A check that is switched off says which one, and why: behind it, or just above."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        ignore = IGNORE.search(line)
        if ignore and not line.startswith("IGNORE"):
            above = any(
                each.lstrip().startswith("# ") for each in lines[max(number - 2, 0) : number]
            )
            assert CODE.match(ignore["rest"]), line.strip()
            assert above or REASON.search(ignore["rest"]), line.strip()
