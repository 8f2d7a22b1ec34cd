"""``pickllm fit cascade`` on a store: thresholds set anew by what live traffic has shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pickllm import Arm, ConfigError, Request, Router, drive
from pickllm.cascading import (
    CascadeFitting,
    CascadeSelection,
    ThresholdCascade,
    load_cascade,
    recent_of,
    save_cascade,
)
from pickllm.cli import app
from pickllm.evaluation.journal import read_ledger
from pickllm.testing import Script, ScriptedPort
from tests.cascading.worlds import sums

ARMS = (Arm(name="small", usd_per_hour=0.1), Arm(name="large", usd_per_hour=2.5))
STORE = "sqlite:///routes.db"
COMMAND = ("fit", "cascade", STORE, "--base", "kept", "--out", "newer")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ThresholdCascade:
    """A cascade in the folder ``kept`` that shows nearly all that the small model says."""
    monkeypatch.chdir(tmp_path)
    fitting = CascadeFitting(selection=CascadeSelection(epsilon=0.05), shares=(0.4, 0.3, 0.3))
    fitted = fitting.fit(sums(600)).cascade
    assert isinstance(fitted, ThresholdCascade)
    lax = replace(fitted, order=("small", "large"), thresholds=(0.05,), explore=0.5)
    save_cascade("kept", lax)
    return lax


def traffic(cascade: ThresholdCascade, *, count: int) -> None:
    """So many sums, asked through it."""
    table = sums(count, seed=1)
    router = Router(arms=ARMS, cascade=cascade, store=STORE, seed=1)
    for prompt, (small, large) in zip(table.prompts, table.answers, strict=True):
        scripts = {"small": Script(pieces=(small,)), "large": Script(pieces=(large,))}
        drive.run(router.flow(Request(text=prompt)), ScriptedPort(scripts))
    router.close()


def test_thresholds_follow_what_a_ledger_has_shown(kept: ThresholdCascade) -> None:
    """Nobody graded anything: the small model's answers are held against the large one's."""
    traffic(kept, count=600)

    done = CliRunner().invoke(app, [*COMMAND, "--max-usd", "1"], env={"COLUMNS": "200"})
    newer = load_cascade("newer")

    assert 0 == done.exit_code, done.output
    assert isinstance(newer, ThresholdCascade)
    assert newer.order == kept.order
    assert newer.thresholds[0] > 0.3
    agreed = {
        line.split("  ")[0]: float(line.split()[-2]) for line in done.output.splitlines()[1:5]
    }
    assert 1.0 == agreed["large"]
    assert agreed["small"] < agreed["as it was"] < agreed["set anew"]


def test_a_ledger_tells_how_far_drafts_agree_with_the_last_arm(kept: ThresholdCascade) -> None:
    """Of requests for which one arm was asked, nothing is known."""
    traffic(kept, count=40)

    outcomes = [record.outcome for record in read_ledger(STORE) if record.outcome is not None]
    recent = recent_of(outcomes)

    assert 40 == len(outcomes)
    assert 0 < len(recent.judged) == sum(len(each.attempts) > 1 for each in outcomes) < 40
    assert {1.0} == {each.arm_to_label["large"] for each in recent.judged}
    assert {0.0, 1.0} == {each.arm_to_label["small"] for each in recent.judged}


def test_what_cannot_be_set_anew_says_why(kept: ThresholdCascade) -> None:
    """Too little traffic, no budget, a cascade that explores nothing."""
    traffic(kept, count=30)
    for words, told in (
        (COMMAND, "--max-usd"),
        ((*COMMAND, "--max-usd", "1"), r"holds \d+ requests for which all arms .* 200 are needed"),
        ((*COMMAND, "--max-usd", "1", "--namespace", "other"), "holds 0 requests"),
    ):
        done = CliRunner().invoke(app, words)
        with pytest.raises(ConfigError, match=told):
            raise done.exception or AssertionError(done.output)
    save_cascade("still", replace(kept, explore=0.0))
    done = CliRunner().invoke(app, [*COMMAND[:4], "still", *COMMAND[5:], "--max-usd", "1"])
    assert isinstance(done.exception, ConfigError)
    assert "explore above 0" in str(done.exception)
