"""The whole demo: over a pool of tiny models, and once as it is."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pickllm.cli import app
from pickllm.demo.models import SMALL, default_folder, fingerprint, is_sound
from pickllm.demo.run import DemoSettings, run_demo
from pickllm.demo.session import LiveSession, SessionFailed, ask_every_arm, run_session
from pickllm.evaluation import OutcomeTable
from tests.tiny import soon

PNG = b"\x89PNG\r\n\x1a\n"
PICKLLM = Path(sys.executable).with_name("pickllm")
PATIENCE_S = 400.0
"""For what ends by itself, on however busy a machine: torch alone takes seconds to be let go of."""
ROW = re.compile(r"<tr><td>([^<]+)</td><td>([^<]+)</td><td>([^<]+)</td><td>([^<]+)</td></tr>")


@pytest.fixture(scope="session")
def pool(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool file of one tiny model twice: as it is, and cut after its first letter."""
    path = tmp_path_factory.mktemp("pool") / "tiny.toml"
    path.write_text(
        f"""
        [arms.whole]
        kind = "local"
        model = '{tiny_llama}'
        usd_per_hour = 2.0

        [arms."<cut> & short"]
        kind = "local"
        model = '{tiny_llama}'
        chat = {{ max_tokens = 1 }}
        usd_per_mtok_in = 1.0
        usd_per_mtok_out = 2.0
        """
    )
    return path


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """One run of the command, and what it came to inside."""

    out: Path
    shown: str
    session: LiveSession
    table: OutcomeTable | None

    @property
    def page(self) -> str:
        return (self.out / "report.html").read_text(encoding="utf-8")

    def row(self, name: str, *, table: int = 0) -> list[str]:
        """The cells of a row on the page, in the first or the second table."""
        head = self.page.split("<table>")[1 + table]
        (cells,) = [cells for cells in ROW.findall(head) if unescape(cells[0]) == name]
        return list(cells[1:])


def run(out: Path, *words: str) -> Demo:
    """Run the command, and look over its shoulder."""
    sessions: list[LiveSession] = []
    tables: list[OutcomeTable] = []

    def kept(whole: list[Any], function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            whole.append(function(*args, **kwargs))
            return whole[-1]

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.setattr("pickllm.demo.run.run_session", kept(sessions, run_session))
        patch.setattr("pickllm.demo.run.ask_every_arm", kept(tables, ask_every_arm))
        done = CliRunner().invoke(app, ["demo", "--out", str(out), *words])
    assert 0 == done.exit_code, done.output
    (session,) = sessions
    return Demo(out=out, shown=done.output, session=session, table=tables[0] if tables else None)


@pytest.fixture(scope="module")
def demo(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Twenty prompts over the tiny pool."""
    out = tmp_path_factory.mktemp("demo") / "made" / "out"
    return run(out, "--pool", str(pool), "--prompts", "20")


def test_it_writes_figures_and_a_page(demo: Demo) -> None:
    """Three pictures and the page that holds them; the folder is made."""
    names = ["learning_rates.png", "report.html", "session.png", "weights.png"]

    assert names == sorted(path.name for path in demo.out.iterdir())
    for name in names:
        assert (demo.out / name).read_bytes().startswith(PNG) != name.endswith("html")
        assert str(demo.out / name) in demo.shown
    assert 3 == demo.page.count('src="data:image/png;base64,')


def test_the_router_s_figures_are_those_of_its_ledger(demo: Demo) -> None:
    """Accuracy, cost and latency on the page come from the decisions themselves."""
    records = list(demo.session.model.router.ledger)
    outcomes = [record.outcome for record in records if record.outcome]
    costs = [outcome.cost_usd for outcome in outcomes if outcome.cost_usd is not None]
    scores = [record.source_to_feedback["chain"].value for record in records]

    assert 20 == len(costs) == len(scores)
    right, cost, latency = demo.row("router")
    assert f"{sum(scores) / 20:.1%}" == right
    assert sum(costs) == pytest.approx(float(cost.removeprefix("$")), rel=1e-2)
    mean_ms = 50.0 * sum(outcome.latency_s for outcome in outcomes)
    assert f"{mean_ms:.1f} ms" == latency
    assert sum(costs) == pytest.approx(demo.session.costs_usd.sum())


def test_an_arm_alone_has_its_own_figures(demo: Demo) -> None:
    """So has an arm whose name is full of signs, and the terminal shows the same."""
    assert demo.table is not None
    for column, arm in enumerate(("whole", "<cut> & short")):
        right, cost, latency = demo.row(f"always {arm}")

        assert f"{demo.table.score[:, column].mean():.1%}" == right
        total = demo.table.cost_usd[:, column].sum()
        assert total == pytest.approx(float(cost.removeprefix("$")), rel=1e-2)
        assert re.search(
            rf"always {re.escape(arm)} +│ +{right} │ +\{cost} │ +{latency}", demo.shown
        )


def test_what_is_shown_fits_a_terminal(demo: Demo) -> None:
    """Tables and bars keep to 80 columns; sentences are left to the terminal."""
    framed = [line for line in demo.shown.splitlines() if line[:1] in "┏┃┡│└" or "━━" in line]

    assert 20 < len(framed)
    assert [] == [line for line in framed if len(line) > 80]


def test_the_session_is_told_as_it_was(demo: Demo) -> None:
    """Settings, the last decision and what was saved are on the terminal and on the page."""
    last = demo.session.model.router.last_decision
    assert last is not None

    words_of_page = re.sub(r"base64,[^\"]*", "", unescape(demo.page))  # pictures may spell anything
    for shown in (demo.shown, words_of_page):
        assert "Policy epsilon_greedy, seed 0; weights: quality 0.8, cost 0.15, latency" in shown
        assert f"decision {last.id}: {last.arm}" in shown
        assert re.search(r"Beside always .*: \d+% (less|more) cost, [+-]\d+\.\d points", shown)
        assert "b = 0.05: mean reward" in shown
        assert "nan" not in shown


def test_the_same_seed_asks_the_same(demo: Demo, pool: Path, tmp_path: Path) -> None:
    """Prompts are those of the seed, whatever else is chosen; without baselines no arm is paid."""
    again = run(tmp_path, "--pool", str(pool), "--prompts", "20", "--no-baselines")

    assert again.table is None
    assert ["report.html", "session.png"] == sorted(path.name for path in tmp_path.iterdir())
    assert "always" not in again.shown
    first, second = (
        [record.decision.propensity for record in each.session.model.router.ledger][:1]
        for each in (demo, again)
    )
    assert first == second
    assert re.search(r"router +│", again.shown)


def test_weights_are_set_side_by_side(pool: Path, tmp_path: Path) -> None:
    """The first are the session's own; figures of learning rates may be left out."""
    words = ("--weights", "1:0:0,0.2:0.8:0", "--learning-rates", "", "--policy", "q_learning")
    demo = run(tmp_path, "--pool", str(pool), "--prompts", "10", *words)

    assert "Policy q_learning, seed 0; weights: quality 1, cost 0, latency 0." in demo.shown
    assert ["1:0:0", "0.2:0.8:0"] == [
        cells[0] for cells in ROW.findall(demo.page.split("<table>")[2])
    ]
    assert not (tmp_path / "learning_rates.png").exists()
    assert set(demo.session.rewards) <= {0.0, 1.0}


def test_one_prompt_is_a_session(pool: Path, tmp_path: Path) -> None:
    """A short one, and nothing is divided by what is not there."""
    demo = run(tmp_path, "--pool", str(pool), "--prompts", "1", "--learning-rates", "0.5")

    assert (1, 2) == demo.session.probabilities.shape
    assert "No arm has been the likeliest one for long enough" in demo.shown


def test_an_arm_that_fails_is_told(tiny_llama: Path, tmp_path: Path) -> None:
    """Another takes over in the session; alone it has no answer, and its cost is not known."""
    path = tmp_path / "pool.toml"
    path.write_text(
        f"""
        [arms.alive]
        kind = "local"
        model = '{tiny_llama}'
        usd_per_hour = 2.0
        [arms.dead]
        kind = "openai"
        model = "any"
        base_url = "http://127.0.0.1:9/v1"
        chat = {{ max_retries = 0 }}
        usd_per_mtok_in = 1.0
        usd_per_mtok_out = 1.0
        """
    )

    demo = run(tmp_path / "out", "--pool", str(path), "--prompts", "12", "--policy", "random")

    assert re.search(r"In the session dead failed \d times: OpenAIConnectionError\.", demo.shown)
    assert ["0.0%", "unknown"] == demo.row("always dead")[:2]
    assert "unknown" == demo.row("router")[1]
    assert "Not every price is known, so nothing can be said of what was saved." in demo.shown
    assert demo.row("always alive")[0] == demo.row("router")[0]


def test_a_pool_that_never_answers_ends_the_session(tmp_path: Path) -> None:
    """At the first prompt, with the error in our words and no traceback."""
    path = tmp_path / "pool.toml"
    path.write_text(
        '[arms.dead]\nkind = "openai"\nmodel = "any"\nbase_url = "http://127.0.0.1:9/v1"\n'
        "chat = { max_retries = 0 }\nusd_per_hour = 1.0"
    )
    settings = DemoSettings(pool=path, out=tmp_path / "out")

    with pytest.raises(SessionFailed, match="no arm answered the first prompt: OpenAIConnection"):
        run_demo(settings, Console(quiet=True))


# ---- as a process --------------------------------------------------------------------------------


@contextmanager
def started(out: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The command in a group of processes of its own, as a terminal starts it."""
    with subprocess.Popen(
        [PICKLLM, "demo", "--out", out, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # bars move only where there is a terminal, or where it is said that there is one
        env={**os.environ, "COLUMNS": "80", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_until(
    process: "subprocess.Popen[bytes]", pattern: bytes, within_s: float = PATIENCE_S
) -> None:
    """Read what a process says until it has said this."""
    assert process.stdout is not None
    deadline_s, said = time.monotonic() + within_s, b""
    while not re.search(pattern, said):
        ready, _, _ = select.select([process.stdout], [], [], deadline_s - time.monotonic())
        more = os.read(process.stdout.fileno(), 65536) if ready else b""
        assert more, said.decode(errors="replace")
        said += more


def all_gone(process: "subprocess.Popen[bytes]") -> bool:
    """Whether no process of the group is left, the server of a model among them."""

    def gone() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    return soon(gone)


def done(words: Sequence[str | Path]) -> str:
    """What a run of the command says in a pipe; all must be well with it."""
    ended = subprocess.run(
        [PICKLLM, "demo", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert (0, "") == (ended.returncode, ended.stderr)
    return ended.stdout


def test_it_ends_cleanly_when_it_is_interrupted(pool: Path, tmp_path: Path) -> None:
    """Control-C in the middle of a session: no traceback, nothing left, and a status that says."""
    with started(tmp_path / "out", "--pool", str(pool), "--prompts", "5000") as process:
        read_until(process, rb" [1-9]\d*/5000")
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE_S)

        assert 130 == process.returncode
        assert b"Traceback" not in rest
        assert all_gone(process)
    assert [] == list((tmp_path / "out").iterdir())


def test_a_pipe_gets_plain_text(pool: Path, tmp_path: Path) -> None:
    """Without a terminal there are no colours, no moving bars, and nothing on stderr."""
    shown = done(["--pool", pool, "--prompts", "5", "--out", tmp_path, "--learning-rates", ""])

    assert "\x1b" not in shown
    assert 1 == shown.count("routing")
    assert shown.rstrip().endswith(f"All of this on one page: {tmp_path / 'report.html'}")


@pytest.mark.xdist_group("demo-models")
def test_the_demo_as_it_is_survives_being_killed(tmp_path: Path) -> None:
    """Killed in the middle of a session it leaves no server, and the next run is a whole one."""
    with started(tmp_path / "out", "--prompts", "5000") as process:
        read_until(process, rb" [1-9]\d*/5000")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert all_gone(process)

    shown = done(["--prompts", "6", "--out", tmp_path / "out", "--no-baselines"])

    assert re.search(r"router +│ +(50|66\.7|83\.3|100)\.?\d*% │ +\$0\.0\d+ │", shown)
    assert {"report.html", "session.png"} == {path.name for path in (tmp_path / "out").iterdir()}
    assert is_sound(default_folder() / fingerprint(SMALL) / "small")


@pytest.mark.xdist_group("demo-models")
def test_a_kill_while_a_model_trains_leaves_no_model(tmp_path: Path) -> None:
    """Nothing that is half-made can be taken for a model by the next run."""
    cache = tmp_path / "cache"
    for _ in range(2):  # the second run finds nothing either, and trains
        with started(tmp_path / "out", "--cache", str(cache)) as process:
            read_until(process, rb"Training the small Llama[^\n]*[1-9]\d*%")
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert all_gone(process)

        assert [] == [path for path in cache.rglob("*") if path.is_file()]
        assert not is_sound(cache / fingerprint(SMALL) / "small")


def test_rewards_of_a_session_are_those_that_were_learnt(demo: Demo) -> None:
    """The curve of the figure shows what the router has learnt from."""
    router = demo.session.model.router
    learnt = [
        router.reward(
            score=record.source_to_feedback["chain"].value,
            cost_usd=record.outcome.cost_usd,
            latency_s=record.outcome.latency_s,
        )
        for record in router.ledger
        if record.outcome
    ]

    assert np.allclose(learnt, demo.session.rewards)
