"""What holds for every ranker, and what each one is for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.arrays import Floats
from pickllm.data import MARK, PreferenceTable, from_grades
from pickllm.evaluation import OutcomeTable
from pickllm.evaluation.metrics import apgr, routing_curve
from pickllm.ranking import boosting, factorisation, regression, stack, words
from pickllm.ranking.boosting import Boosting
from pickllm.ranking.contract import Prompts, Ranker, pair_scores, prompts_of
from pickllm.ranking.factorisation import Factorisation, published_factorisation
from pickllm.ranking.projection import Projection
from pickllm.ranking.regression import Neighbours, Ridge, linear_fit
from pickllm.ranking.selection import best_of, grid, out_of_fold, pair_apgr, prompt_folds
from pickllm.ranking.similarity import SimilarityBradleyTerry
from pickllm.ranking.stack import Stack
from pickllm.ranking.state import load_fitted, save_fitted
from pickllm.ranking.surface import SURFACE_FEATURES, surface_features
from pickllm.ranking.words import WordRidge
from tests.ranking.battles import made_battles

pytest.importorskip("sklearn", reason="two of the rankers are fitted by scikit-learn")
pytest.importorskip("torch", reason="one of the rankers is trained by torch")

RANKERS: dict[str, Ranker[Any]] = {
    "similarity": SimilarityBradleyTerry(gamma=10.0),
    "neighbours": Neighbours(count=20),
    "neighbours, reduced": Neighbours(count=20, dimensions=4, power=1.0),
    "ridge": Ridge(penalty=1.0),
    "words": WordRidge(bits=10),
    "boosting": Boosting(trees=20, least_prompts=5),
    "boosting on vectors": Boosting(trees=20, least_prompts=5, read_vectors=True),
    "factorisation": Factorisation(size=8, epochs=20, learning_rate=0.01),
    "published factorisation": replace(published_factorisation(), epochs=20, learning_rate=0.01),
    "stack": Stack(members={"ridge": Ridge(penalty=1.0), "words": WordRidge(bits=10)}, folds=3),
}
FITTED = (
    *(regression.FittedNeighbours, regression.FittedRidge, words.FittedWords),
    *(boosting.FittedBoosting, factorisation.FittedFactorisation, stack.FittedStack),
)
TOPICS = ("sum these numbers: 3 + 4 = ?", "write a poem about the sea", "translate this to French")


def worded(battles: int = 400, *, arms: int = 3, seed: int = 0) -> tuple[PreferenceTable, Prompts]:
    """Battles on prompts whose words, looks and vectors all tell who wins: the last arm on sums."""
    table, prompts = made_battles(battles, arms=arms, seed=seed)
    rng = np.random.default_rng(seed + 1)
    topic = rng.integers(len(TOPICS), size=len(prompts))
    texts = tuple(f"{TOPICS[of]} ({number})" for number, of in enumerate(topic))
    vectors = np.eye(3, 8)[topic] + rng.normal(scale=0.2, size=(len(prompts), 8))
    lead = np.where(topic[table.prompt] == 0, 1.5, 0.0) * (table.first - table.second)
    won = (rng.random(battles) < 1.0 / (1.0 + np.exp(-lead))).astype(float)
    won[rng.random(battles) < 0.2] = 0.5
    known = replace(table, prompts=texts, won=won)
    return known, prompts_of(known, vectors.astype(np.float32))


@pytest.mark.parametrize("name", RANKERS)
def test_strengths_are_qualities(name: str) -> None:
    """One for each prompt and arm, in [0, 1]; for no prompts there are none."""
    table, prompts = worded(arms=4)
    fitted = RANKERS[name].fit(table, prompts)
    strengths = fitted.strengths(prompts)

    assert table.arms == fitted.arms
    assert (len(prompts), 4) == strengths.shape
    assert (strengths >= 0.0).all()
    assert (strengths <= 1.0).all()
    assert (0, 4) == fitted.strengths(prompts.take(np.arange(0))).shape


@pytest.mark.parametrize("name", RANKERS)
def test_one_prompt_is_ranked_as_among_others(name: str) -> None:
    """What stands beside a prompt changes nothing for it."""
    table, prompts = worded()
    fitted = RANKERS[name].fit(table, prompts)
    alone = np.concatenate([fitted.strengths(prompts.take(np.array([at]))) for at in range(10)])

    assert fitted.strengths(prompts)[:10] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("name", RANKERS)
def test_what_is_learnt_holds_for_new_prompts(name: str) -> None:
    """The strong arm's lead is ranked far better than by chance."""
    table, prompts = worded(1_200)
    new, unseen = worded(600, seed=5)
    fitted = RANKERS[name].fit(table, prompts)

    assert 0.62 < pair_apgr(fitted.strengths(unseen), new, strong="arm 02", weak="arm 00")


@pytest.mark.parametrize("name", RANKERS)
def test_a_fit_is_repeated_exactly(name: str) -> None:
    """The same settings and battles give the same strengths."""
    table, prompts = worded()
    one, other = (RANKERS[name].fit(table, prompts).strengths(prompts) for _ in range(2))

    assert one.tolist() == other.tolist()


@pytest.mark.parametrize("name", sorted(set(RANKERS) - {"similarity"}))
def test_a_fit_survives_the_disk(name: str, tmp_path: Path) -> None:
    """What is loaded gives the same strengths."""
    table, prompts = worded()
    fitted = RANKERS[name].fit(table, prompts)
    folder = save_fitted(tmp_path / "fitted", fitted)
    loaded: Any = load_fitted(folder, *FITTED, parts=(Projection, boosting.Forest))

    assert fitted.strengths(prompts).tolist() == loaded.strengths(prompts).tolist()


@pytest.mark.parametrize("name", RANKERS)
def test_an_arm_that_never_fought_is_an_arm_all_the_same(name: str) -> None:
    """It has finite strengths, though nothing is known of it."""
    table, prompts = worded()
    wider = replace(table, arms=(*table.arms, "arm 99"))

    assert np.isfinite(RANKERS[name].fit(wider, prompts).strengths(prompts)).all()


@pytest.mark.parametrize("name", ["neighbours", "ridge", "factorisation", "similarity"])
def test_rankers_of_vectors_say_that_they_need_them(name: str) -> None:
    """Prompts without any are refused."""
    table, _ = worded()
    with pytest.raises(ConfigError, match="vector"):
        RANKERS[name].fit(table, prompts_of(table))


def test_ties_teach() -> None:
    """Mostly ties with a rare win of the strong arm are no reason to ask it; without ties they are.

    Kind 0: it wins 1 in 10, never loses. Kind 1: it wins 7 in 10, loses 3.
    """
    rng = np.random.default_rng(0)
    kind, chance = rng.integers(2, size=2_000), rng.random(2_000)
    table, _ = made_battles(2_000, arms=2)
    strong = np.where(kind == 0, np.where(chance < 0.1, 1.0, 0.5), (chance < 0.7).astype(float))
    known = replace(table, won=np.where(table.first == 1, strong, 1.0 - strong))
    prompts = prompts_of(known, np.eye(2, dtype=np.float32)[kind])

    def found(ranker: Factorisation) -> float:
        scores = pair_scores(ranker.fit(known, prompts), prompts, strong="arm 01", weak="arm 00")
        return apgr(routing_curve(scores, 1.0 - strong, strong))

    ranker = Factorisation(size=8, epochs=10, learning_rate=0.01)
    assert 0.6 < found(ranker)
    assert found(replace(ranker, keep_ties=False)) < 0.5


def test_a_factorisation_tells_win_rates() -> None:
    """The chances of both add up to one, and an unknown arm is named."""
    table, prompts = worded()
    fitted = Factorisation(size=4, epochs=2).fit(table, prompts)
    rates = [
        fitted.win_rate(prompts.vectors[0], *pair)
        for pair in (("arm 00", "arm 01"), ("arm 01", "arm 00"))
    ]
    assert 1.0 == pytest.approx(sum(rates))
    with pytest.raises(ConfigError, match="not x"):
        fitted.win_rate(prompts.vectors[0], "arm 00", "x")


def test_trees_are_walked_as_they_were_grown() -> None:
    """The numpy walk gives what scikit-learn's own prediction gives."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    table, prompts = worded()
    fitted = Boosting(trees=30, least_prompts=5).fit(table, prompts)
    rows = np.array([surface_features(text) for text in prompts.texts])
    points = table.points()[:, 0]
    known = ~np.isnan(points)
    theirs = HistGradientBoostingRegressor(
        max_iter=30,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=5,
        l2_regularization=10.0,
        early_stopping=False,
        random_state=0,
    ).fit(rows[known], points[known])

    assert theirs.predict(rows) == pytest.approx(fitted.forests[0].predict(rows))


def test_a_ridge_is_the_normal_equations() -> None:
    """With targets left out where there are none, arm by arm."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    targets = rows @ rng.normal(size=(3, 2)) + 0.7
    targets[::3, 1] = np.nan
    weights, offset = linear_fit(rows, targets, penalty=1e-9)

    assert targets[1] == pytest.approx(rows[1] @ weights + offset)


@pytest.mark.parametrize("text", ["", " ", "\n\n", "9" * 400, "\ud83d", "漢字 ﷽", "A. x\nB. y"])
def test_any_text_has_features(text: str) -> None:
    """Empty, endless and broken prompts too."""
    features = surface_features(text)

    assert (len(SURFACE_FEATURES),) == features.shape
    assert np.isfinite(features).all()
    table, prompts = worded(60)
    odd = Prompts(texts=(text,), vectors=np.zeros((1, 8), dtype=np.float32))
    assert np.isfinite(WordRidge(bits=8).fit(table, prompts).strengths(odd)).all()


@dataclass(frozen=True, kw_only=True, slots=True)
class Oracle:
    """A ranker of prompts "hardness number": it knows the first, and makes noise by the second."""

    noise: float

    def fit(self, table: PreferenceTable, prompts: Prompts) -> "Oracle":
        """Nothing to learn."""
        return self

    arms: tuple[str, ...] = ("a", "b", MARK)
    dim: int = 0

    def strengths(self, prompts: Prompts) -> Floats:
        """Right about the level, and wrong by chance about who is better."""
        found = []
        for text in prompts.texts:
            hardness, number = map(float, text.split())
            apart = self.noise * np.random.default_rng(int(number)).normal()
            found.append([0.9 - hardness + apart, 0.9 - hardness - apart, hardness])
        return np.asarray(np.clip(np.array(found), 0.0, 1.0))


def test_a_stack_weighs_the_level_apart_from_the_differences() -> None:
    """A member that knows how hard prompts are, and not who is good at them, is believed so far."""
    rng = np.random.default_rng(0)
    hardness = rng.random(300).round(3)
    score = (rng.random((300, 2)) < 0.9 - 0.8 * hardness[:, None]).astype(float)
    blank = np.zeros_like(score)
    outcomes = OutcomeTable(arms=("a", "b"), score=score, cost_usd=blank, latency_s=blank)
    table = from_grades(outcomes, [f"{each} {at}" for at, each in enumerate(hardness)])

    fitted = Stack(members={"oracle": Oracle(noise=0.2)}).fit(table, prompts_of(table))

    assert 0.5 < fitted.level_weights[0]
    assert 0.2 > fitted.weights[0]


def test_a_stack_leaves_out_what_does_not_help() -> None:
    """A member that knows nothing gets no weight, and is not kept."""
    table, prompts = worded(1_200)
    blind = SimilarityBradleyTerry(gamma=1.0)
    fitted = Stack(members={"blind": blind, "ridge": Ridge(penalty=1.0)}).fit(table, prompts)

    assert "ridge" in fitted.names
    assert 0.5 < fitted.weights[fitted.names.index("ridge")] < 1.5


def test_folds_are_not_seen() -> None:
    """A ranker that only remembers does no better than chance out of fold."""
    rng = np.random.default_rng(0)
    table, prompts = made_battles(600, arms=2)
    noise = replace(table, won=rng.integers(2, size=600).astype(float))
    folds = prompt_folds(prompts, folds=5, rng=rng)
    memory = Neighbours(count=1, prior_prompts=0.0)
    strengths = out_of_fold(memory, noise, prompts, folds)
    seen = memory.fit(noise, prompts).strengths(prompts)

    assert 0.9 < np.corrcoef(seen[:, 0], noise.points()[:, 0])[0, 1]
    assert 0.15 > abs(np.corrcoef(strengths[:, 0], noise.points()[:, 0])[0, 1])


@pytest.mark.parametrize("pair", [None, ("arm 02", "arm 00")])
def test_the_best_of_many_is_found(pair: tuple[str, str] | None) -> None:
    """On held-out battles: by APGR for a pair, by the error without one."""
    table, prompts = worded(800)
    rankers = {
        **grid(SimilarityBradleyTerry(), gamma=[1.0, 20.0]),
        "ridge": Ridge(penalty=1e6),
    }
    contenders = best_of(rankers, table, prompts, pair=pair, folds=3, rng=np.random.default_rng(0))

    assert "gamma=20.0" == contenders[0].name
    assert 3 == len(contenders)
    assert (pair is None) == bool(np.isnan(contenders[0].apgr))
    with pytest.raises(ConfigError, match="no rankers"):
        best_of({}, table, prompts, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("ranker", "settings"),
    [
        (Neighbours, {"count": 0}),
        (Ridge, {"penalty": 0.0}),
        (WordRidge, {"bits": 30}),
        (Boosting, {"leaves": 1}),
        (Factorisation, {"epochs": 0}),
        (Stack, {"members": {}}),
    ],
)
def test_settings_are_checked(ranker: type[Any], settings: dict[str, Any]) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        ranker(**settings)


@pytest.mark.parametrize(
    "name", [name for name in RANKERS if name not in {"words", "boosting", "stack"}]
)
def test_vectors_of_another_embedder_are_refused(name: str) -> None:
    """Rather than a product of what does not fit; and vectors that are no numbers, at once."""
    table, prompts = worded(60)
    fitted = RANKERS[name].fit(table, prompts)

    with pytest.raises(ConfigError, match="reads vectors of 8 numbers, and these have 5"):
        fitted.strengths(replace(prompts, vectors=prompts.vectors[:, :5]))
    with pytest.raises(ConfigError, match="must be finite"):
        replace(prompts, vectors=np.full_like(prompts.vectors, np.nan))


def test_near_duplicates_share_a_fold_without_vectors_too() -> None:
    """Told by their words."""
    texts = tuple(
        f"{topic} and tell me why it is so, please{end}"
        for topic in ("explain the tides", "prove that two is even", "sing of winter", "add up 3")
        for end in ("", "!", ".", " ?")
    )
    folds = prompt_folds(
        Prompts(texts=texts, vectors=np.zeros((16, 0))), folds=4, rng=np.random.default_rng(0)
    )

    assert [1] * 4 == [len(set(folds[start : start + 4].tolist())) for start in range(0, 16, 4)]
