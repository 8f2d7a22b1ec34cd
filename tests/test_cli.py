"""The command line: what it tells, and how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pickllm.cli import app, main

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal of 80 columns, in an empty folder."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


def told(*words: str) -> tuple[int, str]:
    """Exit status and output of a command that typer ends itself."""
    done = CliRunner().invoke(app, [*words])
    return done.exit_code, COLOUR.sub("", done.output)


def ended(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """The last words of a command that cannot work."""
    monkeypatch.setattr(sys, "argv", ["pickllm", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, str)  # Python says it on stderr, and exits with 1
    return caught.value.code


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_it_lists_its_commands(words: tuple[str, ...]) -> None:
    """With no word of what to do, as with --help."""
    _, output = told(*words)

    assert re.search(r"demo +Route real prompts", output)
    assert re.search(r"replay +Tell what other policies would have earned", output)
    assert re.search(r"report +Draw a log on one page", output)


def test_the_help_of_the_demo_fits_a_terminal() -> None:
    """All options are told, and no line is broken in two."""
    status, output = told("demo", "--help")

    assert 0 == status
    options = "pool prompts policy learning-rates weights seed no-baselines out cache"
    assert [] == [name for name in options.split() if f"--{name}" not in output]
    assert [] == [line for line in output.splitlines() if len(line) > 80]
    assert " ".join(output.split()).count("one over HTTP as well, and needs no key") == 1
    assert "…" not in output.replace("B,B,…", "").replace("Q:C:L,…", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--weights", "1:2"), "'1:2' is not quality:cost:latency"),
        (("--weights", "1:0:0,a:b:c"), "'a:b:c' is not quality:cost:latency"),
        (("--weights", ","), "'' is not quality:cost:latency"),
        (("--learning-rates", "0.1,fast"), "'0.1,fast' is no list of numbers"),
        (("--prompts", "0"), "--prompts"),
        (("--seed", "-1"), "--seed"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_options_that_cannot_be_read_are_told(words: tuple[str, ...], message: str) -> None:
    """By name or by what was given, with the status of a usage error."""
    status, output = told("demo", *words)

    assert 2 == status
    assert message in " ".join(output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--weights", "0:0:0"), "pickllm: all weights are zero"),
        (("--weights", "-1:1:1"), "pickllm: the weight of quality is -1.0"),
        (("--weights", "1:nan:1"), "pickllm: the weight of cost is nan"),
        (("--policy", "nope"), "pickllm: no policy is called 'nope'; there are"),
        (("--learning-rates", "0.1,5"), "pickllm: step must lie between 0 and 1"),
        (("--pool", "none.toml"), "pickllm: there is no pool file none.toml"),
        (("--pool", "."), "pickllm: cannot read the pool file"),
        (("--out", "taken"), "pickllm: cannot write to taken"),
    ],
)
def test_settings_that_cannot_be_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    """Before a model is trained, loaded or asked, and without a traceback."""
    Path("taken").touch()

    def train() -> None:
        raise AssertionError("a model is made")

    monkeypatch.setattr("pickllm.demo.run.demo_pool", train)

    assert ended(monkeypatch, "demo", *words).startswith(message)


@pytest.mark.parametrize(
    ("missing", "extra"),
    [("typer", "cli"), ("rich", "cli"), ("langchain_core", "demo"), ("matplotlib", "demo")],
)
def test_what_is_not_installed_is_named(missing: str, extra: str) -> None:
    """In one line, which says what to install."""
    code = f"import sys; sys.modules[{missing!r}] = None; from pickllm.cli import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", code, "demo"], capture_output=True, text=True, check=False
    )

    assert 1 == done.returncode
    (line,) = done.stderr.splitlines()
    assert f"pip install 'pickllm[{extra}]'" in line


def test_it_is_run_as_a_module_too() -> None:
    """Where scripts are not on the path."""
    done = subprocess.run(
        [sys.executable, "-m", "pickllm", "--help"], capture_output=True, text=True, check=True
    )
    assert "replay" in done.stdout
