"""``pickllm battles`` and ``judge``: what routers are fitted on."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pickllm import Arm, Request, Router
from pickllm.cli import app, main
from pickllm.commands.tables import read_prompts, read_prompts_by_id
from pickllm.data import read_judgements
from pickllm.types import Attempt, Outcome
from tests.serving import Served, serving

SUMS = [f"add {number} and 7" for number in range(6)]


def said(*words: str | Path, status: int = 0) -> str:
    """What a command says, in a wide terminal."""
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert status == done.exit_code, done.output
    return done.output


def refused(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> str:
    """The last words of a command that cannot work."""
    monkeypatch.setattr(sys, "argv", ["pickllm", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    return str(caught.value.code)


def lines(path: Path, rows: list[dict[str, str]]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def answers_of(folder: Path) -> Path:
    """Two models on some prompts."""
    rows = [
        {"prompt": text, "model": model, "response": f"{model} says"}
        for text in SUMS
        for model in ("large", "small")
    ]
    return lines(folder / "answers.jsonl", rows)


def pool_of(folder: Path, url: str) -> Path:
    """A pool file with a judge behind HTTP."""
    pool = folder / "pool.toml"
    pool.write_text(
        f'[arms.judge]\nkind = "openai"\nmodel = "j"\nbase_url = "{url}"\napi_key_env = "J_KEY"\n'
        "usd_per_mtok_in = 1.0\nusd_per_mtok_out = 4.0\n",
        encoding="utf-8",
    )
    return pool


def test_traffic_becomes_battles_that_a_router_is_fitted_on(tmp_path: Path) -> None:
    """Prompts come from a file, by the ids of decisions; those without one are counted."""
    address = f"sqlite:///{tmp_path / 'routes.db'}"
    pool = [Arm(name=name, usd_per_hour=1.0) for name in ("large", "small")]
    router, kept = Router(arms=pool, policy="random", store=address), []
    for text in [*SUMS, "not kept"]:
        for arm, score in (("large", 0.9), ("small", 0.2)):
            decision = router.decide(Request(text=text, session=text, only=(arm,)))
            attempt = Attempt(arm=arm, status="ok", latency_s=0.1)
            router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
            router.feedback(decision.id, score)
            kept += [{"id": decision.id, "prompt": text}] if text in SUMS else []
    router.save()
    prompts, out = lines(tmp_path / "kept.jsonl", kept), tmp_path / "battles.jsonl"

    output = said("battles", address, "--prompts", prompts, "--out", out)

    assert "6 battles on 6 prompts" in output
    assert "2 of 14 decisions have no prompt there" in output
    assert [1.0] * 6 == read_judgements(out).won.tolist()
    pytest.importorskip("sklearn", reason="fits the words")
    said("fit", "words", out, "--out", tmp_path / "router", "--folds", "2")


def test_a_judge_is_asked_once_for_each_pair_and_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, with its price; run again, it has nothing left to ask."""
    pytest.importorskip("langchain_openai", reason="opens the judge")
    monkeypatch.setenv("J_KEY", "sk-test")
    answers, out = answers_of(tmp_path), tmp_path / "battles.jsonl"
    with serving() as server:
        server.models["j"] = Served(says="Well\nVERDICT: A")
        words = ("judge", answers, "--pool", pool_of(tmp_path, server.url), "--out", out)
        first = said(*words, "--yes")
        again = said(*words)

    assert "6 pairs in both orders; 0 of 12 questions are answered" in first
    assert "about 0.01 USD" in first
    assert 12 == server.asked("j")
    assert "To ask 0: about 0.00 USD" in again
    assert [0.5] * 6 == read_judgements(out).won.tolist()  # it always likes what it reads first
    assert "100% of them ties. That cost 0.0002 USD." in first


def test_a_judge_that_only_fails_is_not_asked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors' classes are said; so it is where it never comes to a verdict."""
    pytest.importorskip("langchain_openai", reason="opens the judge")
    monkeypatch.setenv("J_KEY", "sk-test")
    answers, out = answers_of(tmp_path), tmp_path / "battles.jsonl"
    with serving() as server:
        words = ("judge", answers, "--pool", pool_of(tmp_path, server.url), "--out", out, "--yes")
        server.models["j"] = Served(status=401)
        failing = refused(monkeypatch, *words, "--parallel", "1")
        asked = server.asked("j")
        server.models["j"] = Served(says="I like both")
        rambling = refused(monkeypatch, *words)

    assert "no pair was judged in both orders: " in failing
    assert re.search(r"AuthenticationError \d+ times", failing)
    assert 8 <= asked < 12
    assert re.search(r"\d+ answers without a last line such as VERDICT: A", rambling)


def test_nothing_is_spent_without_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that nobody answers is a no."""
    pytest.importorskip("langchain_openai", reason="opens the judge")
    monkeypatch.setenv("J_KEY", "sk-test")
    with serving() as server:
        pool = pool_of(tmp_path, server.url)
        words = ("judge", answers_of(tmp_path), "--pool", pool, "--out", tmp_path / "b.jsonl")
        output = said(*words, status=1)

    assert "Ask them?" in output
    assert 0 == server.asked("j")
    assert not (tmp_path / "b.jsonl").exists()


def test_a_prompt_may_hold_what_breaks_a_line_elsewhere(tmp_path: Path) -> None:
    """JSON lines end at a line feed, and at none of the other marks that part lines of text."""
    row = {"id": "1", "prompt": "one\u2028two\x85three"}
    file = tmp_path / "kept.jsonl"
    file.write_text(json.dumps(row, ensure_ascii=False) + "\n\n", encoding="utf-8")

    assert {"1": "one\u2028two\x85three"} == read_prompts_by_id(file)
    assert ("one\u2028two\x85three",) == read_prompts(file)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "?", "model": "a"}, "has no 'response'"),
        ({"prompt": "?", "model": "a", "response": "!"}, "nothing to compare"),
    ],
)
def test_what_is_no_pair_is_told(
    row: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line."""
    answers = lines(tmp_path / "answers.jsonl", [row])

    assert told in refused(monkeypatch, "judge", answers, "--pool", "pool.toml")


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("sqlite:///nowhere.db", "there is no file nowhere.db"),
        ("redis://127.0.0.1:1", r"RedisStore cannot be read \(ConnectionError\)"),
        ("memory://", "0 decisions are kept in the namespace 'default'"),
    ],
)
def test_a_store_that_says_nothing_is_told(
    store: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none is made by looking for one."""
    pytest.importorskip("redis", reason="one of the stores is a server that is not there")
    monkeypatch.chdir(tmp_path)
    prompts = lines(tmp_path / "kept.jsonl", [{"id": "a", "prompt": "b"}])

    assert re.search(told, refused(monkeypatch, "battles", store, "--prompts", prompts))
    assert not Path("nowhere.db").exists()
