"""``pickllm replay`` and ``pickllm report``: a log or a table in, figures and honest rows out."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pickllm import Arm, Fixed, Outcome, Request, Router, WeightedReward, Weights, epsilon_greedy
from pickllm.cli import app, main
from pickllm.evaluation import LogEntry, LoggedDecisions, OutcomeTable, read_log, write_log
from pickllm.evaluation.comparison import compare_on_log, compare_on_table
from pickllm.evaluation.log_report import arm_reliability, write_report
from pickllm.stores import SqliteStore
from pickllm.types import Attempt

CHANCES = {"small": 0.5, "large": 0.8}
COSTS = {"small": 0.001, "large": 0.01}
QUALITY = WeightedReward(weights=Weights(quality=1.0, cost=0.0, latency=0.0))


def traffic(path: Path, *, count: int = 600, priced: bool = True) -> Path:
    """A log of an epsilon-greedy router that explores a third of the time."""
    rng = np.random.default_rng(0)
    clock: Iterator[float] = iter(np.arange(10.0**6).tolist())
    router = Router(
        arms=[Arm(name=name, usd_per_hour=0.0) for name in CHANCES],
        policy=epsilon_greedy(epsilon=0.3),
        reward=QUALITY,
        seed=1,
        clock=clock.__next__,
    )
    for number in range(count):
        decision = router.decide(Request(text="", id=str(number)))
        cost_usd = COSTS[decision.arm] if priced else None
        attempt = Attempt(arm=decision.arm, status="ok", latency_s=0.5, cost_usd=cost_usd)
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
        router.feedback(decision.id, float(rng.random() < CHANCES[decision.arm]))
    write_log(path, router.ledger)
    return path


def table_file(path: Path) -> Path:
    """Two arms on three hundred prompts."""
    rng = np.random.default_rng(1)
    lines = ["small|score,small|cost_usd,large|score,large|cost_usd"]
    for _ in range(300):
        small, large = (int(rng.random() < chance) for chance in CHANCES.values())
        lines.append(f"{small},0.001,{large},0.01")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def said(*words: str) -> str:
    """What a command says, in a wide terminal."""
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": "160"})
    assert 0 == done.exit_code, done.output
    return done.output


def row_of(output: str, name: str) -> list[str]:
    """The cells of a row."""
    (line,) = [line for line in output.splitlines() if line.startswith(name)]
    return re.split(r" {2,}", line.strip())


def test_replay_tells_of_a_log_that_says_nothing_of_prompts(tmp_path: Path) -> None:
    """A policy that looks at them is judged blindly."""
    path = str(traffic(tmp_path / "log.jsonl", count=60))
    told = "this policy looks at the prompt"
    assert told in said("replay", path, "--policy", "contextual")
    assert told not in said("replay", path, "--policy", "epsilon_greedy")


def test_replay_of_a_log_sets_policies_beside_what_needs_none(tmp_path: Path) -> None:
    """Every single arm, the best of them, random, and the policy that was live."""
    log = traffic(tmp_path / "log.jsonl")

    output = said(
        "replay", str(log), "--policy", "q_learning", "--policy", "random", "--weights=1:0:0"
    )

    assert re.search(r"SNIPS \(95 %\) +DR \(95 %\) +ESS +clipped +decisions", output)
    names = [line.split("  ")[0] for line in output.splitlines()[1:]]
    assert [
        "q_learning",
        "random",
        "always small",
        "always large (best)",
        "random",
        "as logged",
    ] == (names[:6])
    logged = LoggedDecisions.of(read_log(log), reward=QUALITY)
    live = row_of(output, "as logged")
    assert [f"{logged.reward.mean():.3f}", "600", "0.0%", "600"] == [live[1][:5], *live[3:]]


def test_replay_of_a_log_says_what_makes_it_doubtful(tmp_path: Path) -> None:
    """A log so short tells little."""
    output = said("replay", str(traffic(tmp_path / "log.jsonl", count=40)))

    assert "Beware: epsilon_greedy: the log is worth only" in output


def test_replay_and_report_tell_what_they_weigh(tmp_path: Path) -> None:
    """A log does not say what weights were live, so they are the default ones, or those given."""
    log, out = str(traffic(tmp_path / "log.jsonl", count=60)), tmp_path / "out"
    usual, own = ("Rewards weigh quality 0.8, cost 0.15", "Rewards weigh quality 1, cost 0")
    assert usual in said("replay", log)
    assert own in said("replay", str(table_file(tmp_path / "t.csv")), "--weights", "1:0:0")
    said("report", log, "--out", str(out), "--weights", "1:0:0")
    assert own in (out / "report.html").read_text(encoding="utf-8")


def test_replay_does_not_guess_what_an_arm_earns_that_was_never_asked(tmp_path: Path) -> None:
    """A prediction that no row bears out is no estimate, whatever its interval."""
    rows = [
        LogEntry(
            id=str(number), time_s=float(number), policy="fixed", arms=("large", "small"),
            probabilities=(1.0, 0.0), arm="large", answered_by="large", status="ok",
            source_to_score={"user": 0.5},
        )
        for number in range(100)
    ]  # fmt: skip
    write_log(tmp_path / "log.jsonl", rows)

    output = said("replay", str(tmp_path / "log.jsonl"))

    assert ["unknown", "unknown"] == row_of(output, "always small")[1:3]
    assert "always large (best)" in output


def test_replay_of_a_table_runs_the_policies(tmp_path: Path) -> None:
    """With every session's own order; random and oracle are no runs, but known."""
    path = table_file(tmp_path / "table.csv")

    output = said("replay", str(path), "--sessions", "5", "--weights", "1:0:0")

    assert re.search(r"reward \(95 %\) +accuracy +cost +latency", output)
    assert "always large (best)" in output
    assert "$3" == row_of(output, "always large")[3]
    assert float(row_of(output, "epsilon_greedy")[1][:5]) > float(row_of(output, "random")[1])


@pytest.mark.parametrize("priced", [True, False])
def test_a_report_is_one_page_and_its_figures(tmp_path: Path, priced: bool) -> None:
    """Nothing is fetched when it is opened; without prices there is no frontier, and it says so."""
    log = traffic(tmp_path / "log.jsonl", priced=priced)

    said("report", str(log), "--out", str(tmp_path / "out"), "--policy", "q_learning")

    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    figures = sorted(path.stem for path in (tmp_path / "out").glob("*.png"))
    frontier = ["frontier"] if priced else []
    assert ["calibration", *frontier, "odds", "reward"] == figures
    assert len(figures) == html.count("data:image/png;base64,")
    assert not re.search(r"https?://", html)
    assert ("q_learning" in html, "always large (best)" in html) == (True, True)
    assert ("The cost of some arm is unknown" in html) is not priced


def test_what_a_log_says_of_itself_is_escaped(tmp_path: Path) -> None:
    """Arms may be called anything."""
    path = traffic(tmp_path / "log.jsonl", count=60)
    evil = "<script>alert(1)</script>"
    path.write_text(path.read_text(encoding="utf-8").replace("small", evil), encoding="utf-8")

    page = write_report(read_log(path), tmp_path / "out")

    assert "<script" not in page.read_text(encoding="utf-8")


def test_an_arm_s_name_is_no_markup(tmp_path: Path) -> None:
    """A terminal shows it as it is."""
    path = traffic(tmp_path / "log.jsonl", count=60)
    path.write_text(path.read_text(encoding="utf-8").replace("small", "[red]x"), encoding="utf-8")

    assert "always [red]x" in said("replay", str(path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("replay", "none.jsonl"), "pickllm: cannot read the log none.jsonl"),
        (("replay", "none.csv"), "pickllm: cannot read the table none.csv"),
        (("report", "none.jsonl"), "pickllm: cannot read the log none.jsonl"),
        (("replay", "log.jsonl", "--policy", "nope"), "pickllm: no policy is called 'nope'"),
        (
            ("replay", "log.jsonl", "--source", "nobody"),
            "pickllm: no decision is left to learn anything from; left out: 30 not judged by",
        ),
        (("replay", "empty.jsonl"), "pickllm: there is no decision in this log"),
        (("replay", "head.csv"), "pickllm: the table head.csv has no rows"),
        (("replay", "other.csv"), "pickllm: other.csv has no column NAME|score; it has ['x']"),
        (("report", "head.csv"), "pickllm: head.csv is a table"),
        (("replay", "sqlite:///typo.db"), "pickllm: there is no file typo.db"),
        (("report", "sqlite:///typo.db"), "pickllm: there is no file typo.db"),
        (("report", "log.jsonl", "--out", "log.jsonl"), "pickllm: File exists: log.jsonl"),
        (("replay", "redis://127.0.0.1:1"), "pickllm: RedisStore cannot be read"),
        (
            ("report", "sqlite:///routes.db", "--namespace", "x"),
            "pickllm: that store holds no decision in the namespace 'x'",
        ),
    ],
)
def test_what_cannot_be_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """In one line that says what to do."""
    monkeypatch.chdir(tmp_path)
    traffic(Path("log.jsonl"), count=30)
    Path("empty.jsonl").touch()
    Path("head.csv").write_text("prompt,a|score", encoding="utf-8")
    Path("other.csv").write_text("x\n1", encoding="utf-8")
    SqliteStore("routes.db")
    monkeypatch.setattr(sys, "argv", ["pickllm", *words])

    with pytest.raises(SystemExit) as caught:
        main()

    assert str(caught.value.code).startswith(message)
    assert not Path("typo.db").exists()


@pytest.mark.parametrize("words", [("--learns-from", "some"), ("--weights", "1:0:0,0:1:0")])
def test_options_that_cannot_be_read_are_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    """With the status of a usage error."""
    log = traffic(tmp_path / "log.jsonl", count=30)

    assert 2 == CliRunner().invoke(app, ["replay", str(log), *words]).exit_code


# What it is made of


def test_the_best_arm_is_the_best_by_its_estimate(tmp_path: Path) -> None:
    """And a policy that always takes it comes to the same."""
    logged = LoggedDecisions.of(read_log(traffic(tmp_path / "log.jsonl")), reward=QUALITY)

    compared = compare_on_log(logged, {"mine": Fixed(arm="large")})

    assert "always large" == compared.best_arm.name
    assert compared.policies[0].method_to_estimate == compared.best_arm.method_to_estimate


def test_expectations_are_measured_where_there_are_enough(tmp_path: Path) -> None:
    """An arm with fewer than twenty decisions is left out."""
    logged = LoggedDecisions.of(read_log(traffic(tmp_path / "log.jsonl")), reward=QUALITY)

    measured = arm_reliability(logged)

    assert {"small", "large"} == set(measured)
    assert measured["large"].ece < 0.15
    assert {} == arm_reliability(logged.only(np.arange(15)))


def test_an_oracle_is_no_policy_and_has_no_reward() -> None:
    """Its row says what hindsight would have cost."""
    table = OutcomeTable(
        arms=("a", "b"),
        score=np.array([[1.0, 1.0], [0.0, 1.0]]),
        cost_usd=np.array([[0.1, 0.2], [0.1, 0.2]]),
        latency_s=np.zeros((2, 2)),
    )

    rows = compare_on_table(table, {}, reward=QUALITY)

    assert ["always a", "always b (best)", "random", "oracle"] == [row[0] for row in rows]
    assert ["oracle", "", "100.0%", "$0.3", "0.0 ms"] == rows[-1]
