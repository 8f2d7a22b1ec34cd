"""Cascade routing: what it expects, what it buys, what it shows."""

from dataclasses import replace

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.cascading import PredictiveCascade, QualityModel, ScoredTable, fit_quality_model
from pickllm.features import HashedText
from pickllm.rng import Rng
from pickllm.testing import situation
from pickllm.types import Draft
from tests.cascading.worlds import ALIKE, draft, world

RNG = Rng(seed=1, number=1)
FEATURIZER = HashedText(dim=4)


def model_of(table: ScoredTable, *, agreement: bool = False) -> QualityModel:
    """A model that sees nothing of prompts."""
    alike = (table.quality[:, :, None] == table.quality[:, None, :]).astype(float)
    return fit_quality_model(
        table, np.zeros((len(table), 4)), agreement=alike if agreement else None
    )


def cascade(table: ScoredTable, worth: float, **settings: object) -> PredictiveCascade:
    """A cascade that pays so much for an answer that is right."""
    given: dict[str, object] = {
        "model": model_of(table),
        "scorer": ALIKE,
        "usd_per_quality": worth,
        "featurizer": FEATURIZER,
        **settings,
    }
    return PredictiveCascade(**given)  # type: ignore[arg-type]  # settings of several types


def test_a_good_score_raises_what_is_expected_of_every_arm() -> None:
    """An easy prompt is easy for the others, too, and the arm that scored knows most."""
    model = model_of(world(1, rows=3_000, noise=0.1))
    prior = model.prior(np.zeros((1, 4)))
    seen = [model.places.score(0)]
    good, poor = (model.given(prior, seen, np.array([[score]]))[0] for score in (0.9, 0.1))
    assert (good[:3] > prior[0, :3]).all()
    assert (poor[:3] < prior[0, :3]).all()
    assert good[0] - poor[0] > good[2] - poor[2]


def test_agreement_raises_both() -> None:
    """Two arms that say the same are more often right."""
    model = model_of(world(2, rows=3_000), agreement=True)
    prior = model.prior(np.zeros((1, 4)))
    seen = [model.places.agreement(0, 1)]
    same, other = (model.given(prior, seen, np.array([[alike]]))[0] for alike in (1.0, 0.0))
    assert (same[:2] > other[:2]).all()


def test_what_is_seen_leaves_no_more_doubt() -> None:
    """Variances fall, and nothing is left of what was seen itself."""
    model = model_of(world(3, rows=2_000))
    left = model.left([model.places.score(0)])
    assert (np.diag(left) <= np.diag(model.covariance) + 1e-6).all()
    assert left[model.places.score(0), model.places.score(0)] == pytest.approx(0.0, abs=1e-6)


def test_pays_more_for_quality_that_is_worth_more() -> None:
    """Cost and quality rise with what a right answer is worth."""
    table = world(4, rows=2_000, noise=0.15)
    none = np.zeros((2_000, 4))
    played = [cascade(table, worth).played(table, none) for worth in (1e-4, 0.3, 100.0)]
    costs = [each.cost_usd.mean() for each in played]
    quality = [each.quality.mean() for each in played]
    assert costs == sorted(costs)
    assert quality == sorted(quality)
    assert {1} == {*played[0].asked.tolist()}


def test_beats_every_single_arm_of_its_cost() -> None:
    """Where scores tell something, the same money buys more."""
    table = world(5, rows=3_000, noise=0.1)
    found = cascade(table, 0.4).played(table, np.zeros((3_000, 4)))
    hull = np.interp(found.cost_usd.mean(), table.cost_usd.mean(axis=0), table.quality.mean(axis=0))
    assert found.quality.mean() > hull + 0.02


def test_moves_are_those_that_were_played() -> None:
    """Asked row by row it does what it did on the table, agreement included."""
    table = world(6, rows=25, noise=0.2)
    texts = np.where(table.quality > 0.5, "The answer is 7.", "The answer is 8.")
    alike = (texts[:, :, None] == texts[:, None, :]).astype(float)
    deciding = cascade(table, 0.2, model=model_of(table, agreement=True))
    features = np.tile(FEATURIZER.features("2 + 2 ="), (25, 1))
    played = deciding.played(table, features, agreement=alike)
    asked = situation(*table.arms, text="2 + 2 =")
    for row in range(25):
        drafts: list[Draft] = []
        while (move := deciding.move(asked, drafts, RNG)).ask is not None:
            arm = table.arms.index(move.ask)
            score, cost = float(table.score[row, arm]), float(table.cost_usd[row, arm])
            bought = draft(move.ask, score, text=str(texts[row, arm]))
            drafts.append(replace(bought, cost_usd=cost))
        assert move.show is not None
        assert drafts[move.show].arm == table.arms[played.shown[row]]
        assert len(drafts) == played.asked[row]


def test_only_eligible_arms_are_asked() -> None:
    """Arms that may not be asked, or that it does not know, are left alone."""
    deciding = cascade(world(7), 100.0)
    assert deciding.move(situation("medium"), (), RNG).ask == "medium"
    assert deciding.move(situation("other"), (), RNG).ask is None
    assert deciding.move(situation("other", "large"), (draft("other", 0.1),), RNG).show == 0


def test_beginning_that_is_past_is_not_shown() -> None:
    """A partial draft can be shown while it is the newest, however good it was."""
    deciding = cascade(world(8), 1e-4)
    bought = (draft("small", 1.0, partial=True), draft("medium", 0.0))
    assert deciding.move(situation("small", "medium", "large"), bought, RNG).show == 1


def test_abstains_where_nothing_good_is_expected() -> None:
    """Below the bound neither an arm is asked nor a draft shown."""
    deciding = cascade(world(9, noise=0.1), 1e-4, abstain_below=0.9)
    move = deciding.move(situation("small", "medium", "large"), (draft("small", 0.0),), RNG)
    assert (None, None) == (move.ask, move.show)


@pytest.mark.parametrize(
    "bad",
    [
        {"usd_per_quality": 0.0},
        {"ahead": 0},
        {"hold_back_chars": 0},
        {"featurizer": HashedText(dim=5)},
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused(bad: dict[str, object]) -> None:
    """What is wrong is said when the cascade is made."""
    with pytest.raises(ConfigError):
        cascade(world(10), 1.0, **bad)
