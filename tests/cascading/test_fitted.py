"""From recorded answers to a cascade in a folder: fitted, kept, kept current, and by command."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pickllm import ConfigError, StateConflict
from pickllm.cascading import (
    CascadeFitting,
    CascadeSelection,
    JudgedRequest,
    PredictiveCascade,
    Recent,
    ThresholdCascade,
    agreement_with,
    judged_of,
    load_cascade,
    refitted,
    save_cascade,
)
from pickllm.cascading.fitted import worth_asking
from pickllm.cascading.scored import ScoredTable
from pickllm.cli import app
from pickllm.commands.cascade import read_answer_table
from pickllm.rng import Rng
from pickllm.scoring import LearnedScorer
from pickllm.testing import situation
from pickllm.types import Attempt, Outcome
from tests.cascading.worlds import ALIKE, answered, draft, sums

FITTING = CascadeFitting(selection=CascadeSelection(epsilon=0.05), shares=(0.4, 0.3, 0.3))
RNG = Rng(seed=1, number=1)


def test_fitted_cascade_saves_where_the_small_model_shows_its_mistakes() -> None:
    """Wrong sums are seen, so the large model is asked for them alone."""
    fitted = FITTING.fit(sums(900))
    assert isinstance(fitted.cascade, ThresholdCascade)
    assert fitted.confirmed.is_cascade
    assert fitted.confirmed.cost_share < 0.7
    assert fitted.played.quality.mean() == pytest.approx(fitted.confirmed.quality)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("quality", 10.0), "quality must lie in"),
        (("quality", np.nan), "quality must lie in"),
        (("cost_usd", -1.0), "cost_usd must be at least 0"),
        (("cost_usd", np.nan), "cost_usd must be at least 0"),
    ],
)
def test_numbers_that_are_none_are_refused(change: tuple[str, float], told: str) -> None:
    """Before anything is learnt from them."""
    name, bad = change
    numbers: Any = {name: np.full((10, 2), bad)}
    with pytest.raises(ConfigError, match=told):
        replace(sums(10), **numbers)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_handful_of_prompts_is_too_few(rows: int) -> None:
    """Each part needs its own."""
    with pytest.raises(ConfigError, match=f"{rows} prompts are too few"):
        FITTING.fit(sums(10).take(np.arange(rows)))


@pytest.mark.parametrize("predictive", [False, True])
def test_cascade_comes_back_from_its_folder(tmp_path: Path, predictive: bool) -> None:
    """What was saved decides and scores as before."""
    fitting = CascadeFitting(
        selection=CascadeSelection(epsilon=0.05), shares=(0.4, 0.3, 0.3), predictive=predictive
    )
    cascade = fitting.fit(sums(900)).cascade
    found = load_cascade(save_cascade(tmp_path / "kept", cascade))
    assert type(found) is type(cascade)
    assert isinstance(found.scorer, LearnedScorer)
    assert isinstance(cascade.scorer, LearnedScorer)
    said = (("What is 7 + 8?",) * 2, ("7 + 8 = 15", "7 + 8 = 16"), ("small", "large"))
    assert found.scorer.scores(*said).tolist() == cascade.scorer.scores(*said).tolist()
    assert found.name == cascade.name
    asked = situation("small", "large", text="What is 712 + 805?")
    for score in (0.05, 0.5, 0.95):
        bought = (draft("small", score, text="7"),)
        assert found.move(asked, bought, RNG) == cascade.move(asked, bought, RNG)
    assert isinstance(found, PredictiveCascade) == predictive


def test_scorer_that_was_not_learned_is_given_when_loading(tmp_path: Path) -> None:
    """Without one the error says what is missing; nothing is written over."""
    cascade = ThresholdCascade(order=("small", "large"), thresholds=(0.5,), scorer=ALIKE)
    folder = save_cascade(tmp_path / "kept", cascade)
    assert load_cascade(folder, scorer=ALIKE) == cascade
    with pytest.raises(ConfigError, match="no scorer"):
        load_cascade(folder)
    with pytest.raises(ConfigError, match="there already"):
        save_cascade(folder, cascade)
    with pytest.raises(StateConflict, match="holds no cascade"):
        load_cascade(tmp_path)


@pytest.mark.parametrize("damage", ["{", "[]", '{"pickllm_cascade": 9}', '{"pickllm_cascade": 1}'])
def test_damaged_cascades_are_refused(tmp_path: Path, damage: str) -> None:
    """A file that is none of ours, or of another version, is a conflict."""
    cascade = ThresholdCascade(order=("small", "large"), thresholds=(0.5,), scorer=ALIKE)
    folder = save_cascade(tmp_path / "kept", cascade)
    (folder / "cascade.json").write_text(damage, encoding="utf-8")
    with pytest.raises(StateConflict):
        load_cascade(folder, scorer=ALIKE)


def test_arms_that_others_beat_are_left_out() -> None:
    """An arm that is dearer and no better is not considered; the best two are in any case."""
    table = sums(200)
    assert worth_asking(table, 5) == ("small", "large")
    assert worth_asking(table.of(("large", "small")), 2) == ("small", "large")


def test_labels_may_be_agreement_with_the_strongest() -> None:
    """Its own answers are right by this, and the others' where they say the same."""
    said = [("It is 7.", "The answer is 7"), ("#### 8", "The answer is 9")]
    found = agreement_with(said, 1)
    assert found[:, 1].tolist() == [1.0, 1.0]
    assert found[1, 0] < 1.0


def recent(count: int, *, drift: float) -> Recent:
    """Judged requests of a small arm that is right above ``drift``."""
    rng = np.random.default_rng(0)
    found = Recent()
    for score in rng.random(count).tolist():
        found = found.plus(
            JudgedRequest(
                arm_to_score={"small": score, "large": 0.95},
                arm_to_label={"small": float(score > drift), "large": 1.0},
                arm_to_cost_usd={"small": 0.001, "large": 0.01},
            )
        )
    return found


def test_thresholds_follow_what_came_in_of_late() -> None:
    """After a drift the threshold moves to where answers are right again."""
    cascade = ThresholdCascade(
        order=("small", "large"), thresholds=(0.2,), scorer=ALIKE, explore=0.1
    )
    after = refitted(cascade, recent(500, drift=0.6), mean_usd=1.0)
    assert after.thresholds[0] == pytest.approx(0.6, abs=0.02)
    assert (cascade.thresholds, after.explore) == ((0.2,), 0.1)


def test_too_few_judged_requests_change_nothing() -> None:
    """And a cascade that explores nothing cannot be fitted anew."""
    cascade = ThresholdCascade(
        order=("small", "large"), thresholds=(0.2,), scorer=ALIKE, explore=0.1
    )
    assert refitted(cascade, recent(50, drift=0.6), mean_usd=1.0) is cascade
    unexplored = ThresholdCascade(order=("small", "large"), thresholds=(0.2,), scorer=ALIKE)
    with pytest.raises(ConfigError, match="explore"):
        refitted(unexplored, recent(500, drift=0.6), mean_usd=1.0)


def test_recent_forgets_the_oldest() -> None:
    """It holds no more than it is told to."""
    judged = JudgedRequest(arm_to_score={}, arm_to_label={}, arm_to_cost_usd={})
    found = Recent()
    for _ in range(5):
        found = found.plus(judged, most=3)
    assert len(found.judged) == 3


def test_outcomes_say_what_was_scored_and_paid() -> None:
    """Drafts that were rejected count, and failures do not."""
    outcome = Outcome(
        decision_id="1",
        attempts=(
            Attempt(arm="broken", status="error", latency_s=0.1),
            Attempt(arm="small", status="rejected", latency_s=0.1, cost_usd=0.001, score=0.3),
            Attempt(arm="large", status="ok", latency_s=0.2, cost_usd=0.01, score=0.9),
        ),
    )
    found = judged_of(outcome, {"small": 0.0, "large": 1.0})
    assert found.arm_to_score == {"small": 0.3, "large": 0.9}
    assert found.arm_to_cost_usd == {"small": 0.001, "large": 0.01}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of answers."""
    path = tmp_path_factory.mktemp("answers") / "answers.csv"
    columns = answered(sums(600))
    with path.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def said(*words: str | Path) -> str:
    """What the command says, in a wide terminal."""
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("more", [(), ("--predictive",), ("--strongest", "large")])
def test_command_fits_a_cascade_beside_what_is_simpler(
    file: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """It shows singles, the best cheap one, a mixture and hindsight, and keeps the cascade."""
    out = tmp_path / "cascade"
    told = said("fit", "cascade", file, "--out", out, "--epsilon", "0.1", *more)
    for name in ("small", "large", "best cheap", "mixture", "hindsight", "the cascade", "Kept"):
        assert name in told
    assert json.loads((out / "cascade.json").read_text(encoding="utf-8"))["pickllm_cascade"] == 1
    assert load_cascade(out).name in told.replace("\n", "")


def test_command_says_what_a_table_lacks(tmp_path: Path) -> None:
    """Columns that are missing are named."""
    bare = tmp_path / "bare.csv"
    bare.write_text("prompt,small|answer\nhow?,so\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["fit", "cascade", str(bare), "--out", str(tmp_path / "x")])
    assert isinstance(done.exception, ConfigError)
    assert "small|cost_usd" in str(done.exception)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("how?,so,1,so,2,0.5,90", r"column large\|score .* in \[0, 1\]; there is 90"),
        ("how?,so,1,so,-2,0.5,1", r"column large\|cost_usd .* in \[0, inf\]; there is -2"),
        ("how?,so,1,so,2,good,1", r"column small\|score .*: could not convert .* 'good'"),
        ("how?,so,1,so,2,,1", "no row in which nothing is missing"),
        ("", "has no rows"),
    ],
)
def test_command_says_what_is_wrong_with_a_column(tmp_path: Path, row: str, told: str) -> None:
    """By its name, and by what stands there."""
    file = tmp_path / "answers.csv"
    names = [f"{arm}|{what}" for arm in ("small", "large") for what in ("answer", "cost_usd")]
    heads = ["prompt", *names, "small|score", "large|score"]
    file.write_text("\n".join([",".join(heads), row]).strip() + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        read_answer_table(file)


def test_rows_that_lack_something_are_counted(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out, and not in silence."""
    some = tmp_path / "some.csv"
    head, first, *rows = file.read_text(encoding="utf-8").splitlines()
    some.write_text("\n".join([head, first[: first.rindex(",") + 1], *rows]), encoding="utf-8")

    table = read_answer_table(some)

    assert len(rows) == len(table.prompts)
    assert "1 of 600 rows of" in caplog.text


@pytest.mark.parametrize(
    ("name", "head", "told"),
    [
        ("answers.jsonl", "prompt", "neither .csv nor .parquet"),
        ("answers.csv", "prompt,a|answer,a|cost_usd,a|score", r"it has answers of \['a'\]"),
        ("answers.csv", "prompt", r"it has answers of \[\]"),
    ],
)
def test_what_is_no_table_of_answers_is_told(
    tmp_path: Path, name: str, head: str, told: str
) -> None:
    """Of one model no cascade is made."""
    file = tmp_path / name
    file.write_text(f"{head}\n{head}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        read_answer_table(file)


def test_of_arms_equally_good_the_cheaper_is_best() -> None:
    """However the sums are rounded: each is right on other rows."""
    right = np.array([0.1, 0.7, 0.2])
    table = ScoredTable(
        arms=("dear", "cheap"),
        score=np.full((3, 2), 0.5),
        quality=np.stack([right, right[::-1]], axis=1),
        cost_usd=np.tile([0.02, 0.01], (3, 1)),
    )

    assert 1 == table.best_single
