"""The commands that export, distil and forget: what they do, and what they say."""

import json
from pathlib import Path

import pytest

from pickllm.distillation import read_distilled, read_export
from pickllm.stores import SqliteStore
from pickllm.transcripts import Transcript, Transcripts
from pickllm.types import Said
from tests.test_cli import ended, told
from tests.tiny import ANSWER, QUESTION, tiny_folder

KEPT = "sqlite:///kept.db"
WORDS = ("cat", "dog", "fox", "owl", "bee", "ant", "cow", "hen", "pig", "rat", "elk", "emu")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sorts three letters, more or less."""
    return tiny_folder(tmp_path_factory)


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder with a store of transcripts, and a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    kept = Transcripts(KEPT, clock=lambda: 200.0)
    for number, word in enumerate(WORDS):
        for tenant in ("a", "b"):
            kept.add(
                Transcript(
                    decision_id=f"{tenant}{number}",
                    turns=(Said(role="user", text=f"Spell backwards: {word}"),),
                    answer=word[::-1],
                    arm="large" if number else "small",
                    time_s=100.0,
                    tenant=tenant,
                    source_to_score={"user": 0.0 if number == 1 else 1.0},
                )
            )


def test_pairs_are_exported_and_counted() -> None:
    """A table says what was left out, and why; old transcripts are no reason."""
    words = ("--tenant", "a", "--arm", "large", "--min-score", "0.5", "--held-out", "0.3")
    status, output = told("export", KEPT, *words)

    assert 0 == status, output
    done = read_export("pickllm-pairs")
    assert 10 == done.train + done.held_out
    reasons = {"of another arm": 1, "of another tenant": 12, "scored too low": 1}
    assert reasons == done.left_out
    assert "left out: of another tenant" in output
    assert "The pairs are in pickllm-pairs" in output


def test_dates_and_evaluations_leave_out() -> None:
    """Days in UTC; prompts of an evaluation are known by what they nearly are."""
    Path("prompts.txt").write_text("spell backwards: CAT\n", encoding="utf-8")
    usual = ("export", KEPT, "--all-tenants")

    assert 0 == told(*usual, "--until", "1970-01-01", "--out", "early")[0]
    assert 0 == told(*usual, "--since", "1970-01-02", "--out", "late")[0]
    assert 0 == told(*usual, "--against", "prompts.txt", "--out", "against")[0]

    assert {"too late": 24} == read_export("early").left_out
    assert {"too early": 24} == read_export("late").left_out
    assert 2 == read_export("against").left_out["known from the evaluation"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", KEPT), "pickllm: these transcripts are of several tenants"),
        (("export", "nowhere"), "pickllm: no store at"),
        (("export", "sqlite:///typo.db"), "pickllm: there is no file typo.db"),
        (
            ("export", KEPT, "--all-tenants", "--judged", "sqlite:///typo.db"),
            "pickllm: there is no file",
        ),
        (
            ("export", KEPT, "--tenant", "a", "--arm", "lrage"),
            "pickllm: no answer that is kept is of lrage",
        ),
        (("export", KEPT, "--tenant", "ada"), "pickllm: nothing that is kept is of ada"),
        (("export", KEPT, "--tenant", "a", "--out", "kept.db/x"), "pickllm: Not a directory: "),
        (("export", "redis://localhost:1"), "pickllm: the store of transcripts failed (Connection"),
        (("battles", "sqlite:///typo.db", "--prompts", "ids"), "pickllm: there is no file typo.db"),
        (("replay", "sqlite:///typo.db"), "pickllm: there is no file typo.db"),
        (("report", "sqlite:///typo.db"), "pickllm: there is no file typo.db"),
        (("replay", "redis://localhost:1"), "pickllm: RedisStore cannot be read (ConnectionError)"),
        (("forget", "sqlite:///typo.db", "--tenant", "a"), "pickllm: there is no file typo.db"),
        (("export", KEPT, "--embedder", "none", "--all-tenants"), "pickllm: prompts are told"),
        (("distill", "gone", "--base", "x", "--held-out", "y"), "pickllm: there is no file gone"),
        (("distill", "gone", "--base", "x"), "pickllm: there is no file gone"),
    ],
)
def test_what_cannot_work_is_told(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    """In one line, and not by a traceback."""
    Path("ids").touch()

    assert ended(monkeypatch, *words).startswith(message)
    assert not Path("typo.db").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", KEPT, "--since", "yesterday"), "'yesterday' is no date such as 2025-01-31"),
        (("export", KEPT, "--near", "2"), "--near"),
        (("distill", "pairs"), "--base"),
        (("forget", KEPT), "say whose or which: --tenant or --decision"),
    ],
)
def test_options_that_cannot_be_read_are_told(words: tuple[str, ...], message: str) -> None:
    """With the status of a usage error."""
    status, output = told(*words)

    assert 2 == status
    assert message in " ".join(output.replace("│", " ").split())


def test_a_student_is_taught_and_its_line_of_code_shown(tiny: Path) -> None:
    """From an export to an arm, in two commands."""
    told("export", KEPT, "--tenant", "a", "--held-out", "0.3", "--out", "pairs")
    rates = ("--epochs", "3", "--learning-rate", "0.003", "--batch", "4")

    status, output = told(
        "distill", "pairs", "--base", str(tiny), "--out", "student", "--name", "mine", *rates
    )

    assert 0 == status, output
    done = read_distilled("student")
    assert f"{done.pairs} pairs learnt, {done.after.pairs} held out." in output
    assert "before" in output
    assert "words in common" in output
    assert "model.add_arm('mine', ChatLocal.load('student'), Arm(usd_per_hour=0.10))" in output
    assert (3, 0.003) == (done.training.epochs, done.training.learning_rate)


def test_a_student_that_learnt_nothing_is_told(tiny: Path) -> None:
    """It is its base, and somebody must know."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": answer},
            ]
        }
        for answer in (ANSWER, "Kim")
    ]
    for name, row in zip(("held_out", "train"), rows, strict=True):
        Path(f"{name}.jsonl").write_text(f"{json.dumps(row)}\n" * 8, encoding="utf-8")

    files = ("train.jsonl", "--held-out", "held_out.jsonl", "--base", str(tiny))
    status, output = told("distill", *files, "--learning-rate", "0.003")

    assert 0 == status, output
    assert "Beware: no epoch brought it nearer to its teacher" in " ".join(output.split())


def test_what_was_kept_is_forgotten() -> None:
    """By tenant and by decision; what is left is left."""
    status, output = told("forget", KEPT, "--tenant", "a", "--decision", "b3", "--decision", "x")

    assert (0, "13 deleted") == (status, output.strip())
    left = [each.decision_id for each in Transcripts(SqliteStore("kept.db"), keep_s=1e12).read()]
    assert {f"b{number}" for number in range(12)} - {"b3"} == set(left)


@pytest.mark.parametrize("command", ["export", "distill", "forget"])
def test_help_fits_a_terminal(command: str) -> None:
    """No line is longer than it, and none is broken off."""
    status, output = told(command, "--help")

    assert 0 == status
    assert [] == [line for line in output.splitlines() if len(line) > 80]
    assert "…" not in output
