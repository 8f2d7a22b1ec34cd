"""``pickllm fit``, ``evaluate`` and ``calibrate``: preferences in, a router that serves out."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pickllm import Arm, Request, Router
from pickllm.cli import app, main
from pickllm.errors import StateConflict
from pickllm.ranking import load_router
from pickllm.ranking.candidates import usual_clusters
from pickllm.ranking.comparison import chosen_at
from pickllm.ranking.multipole import MultipolePart
from pickllm.ranking.similarity import FittedSimilarity
from tests.ranking.tiny_bert import make_tiny_bert
from tests.tiny import tiny_folder

pytest.importorskip("sklearn", reason="some of the rankers are fitted by scikit-learn")
pytest.importorskip("matplotlib", reason="the curves are drawn")

CHANCES = {
    "add": {"small": 0.2, "middle": 0.5, "large": 0.9},
    "greet": {"small": 0.9, "middle": 0.9, "large": 0.9},
}
COSTS = {"small": 0.001, "middle": 0.004, "large": 0.01}


def grades(path: Path, *, arms: tuple[str, ...], seed: int, count: int = 240) -> Path:
    """Graded answers: sums need the larger models, greetings do not."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt", *(f"{a}|{what}" for a in arms for what in ("score", "cost_usd"))])
        for number in range(count):
            topic = ("add", "greet")[int(rng.integers(2))]
            cells = [(int(rng.random() < CHANCES[topic][arm]), COSTS[arm]) for arm in arms]
            words = {"add": f"add {number} and 7", "greet": f"greet guest {number} kindly"}
            rows.writerow([words[topic], *(cell for pair in cells for cell in pair)])
    return path


def ties(path: Path) -> Path:
    """Grades of two models that are as good as each other."""
    rows = "".join(f"add {number} and 7,1,1\n" for number in range(40))
    path.write_text(f"prompt,small|score,large|score\n{rows}", encoding="utf-8")
    return path


def said(*words: str | Path) -> str:
    """What a command says, in a wide terminal."""
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert 0 == done.exit_code, done.output
    return done.output


def refused(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> str:
    """The last words of a command that cannot work."""
    monkeypatch.setattr(sys, "argv", ["pickllm", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    return str(caught.value.code)


def row_of(output: str, name: str) -> list[str]:
    """The cells of a row."""
    line = next(line for line in output.splitlines() if line.startswith(name))
    return re.split(r" {2,}", line.strip())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a router of two arms, and what it was fitted and is tested on."""
    folder = tmp_path_factory.mktemp("pair")
    grades(folder / "train.csv", arms=("small", "large"), seed=0)
    grades(folder / "test.csv", arms=("small", "large"), seed=1)
    said("fit", "words", folder / "train.csv", "--out", folder / "router")
    lines = [
        {"prompt": f"add {number}", "model_a": "a", "model_b": "b", "winner": "model_a"}
        for number in range(9)
    ]
    (folder / "wins.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    said("fit", "words", folder / "wins.jsonl", "--out", folder / "other", "--folds", "2")
    return folder


def test_fit_keeps_what_is_best_held_out(tmp_path: Path) -> None:
    """Every candidate is shown; the one with the highest APGR is kept, whole."""
    table = grades(tmp_path / "train.csv", arms=("small", "large"), seed=0, count=160)

    output = said("fit", "auto", table, "--out", tmp_path / "router", "--folds", "3")

    shown = output.split("held out", 1)[1].splitlines()[1:-1]
    apgr = {cells[0]: float(cells[1]) for cells in (re.split(r" {2,}", row) for row in shown)}
    router = load_router(tmp_path / "router")
    assert {"words", "looks", "ridge", "neighbours", "factorisation", "stack"} <= set(apgr)
    assert max(apgr.values()) == apgr[router.card.ranker]
    assert ("large", "small") == (router.card.strong, router.card.weak)
    assert f"Kept {router.card.ranker}" in output


@pytest.mark.parametrize("kind", ["boosting", "factorisation", "neighbours", "ridge", "similarity"])
def test_each_kind_is_fitted_kept_and_loaded(kind: str, tmp_path: Path) -> None:
    """And ranks the same afterwards, with the embedder that it was fitted on."""
    table = grades(tmp_path / "train.csv", arms=("small", "large"), seed=0, count=120)

    said("fit", kind, table, "--out", tmp_path / "router", "--folds", "2")

    router = load_router(tmp_path / "router")
    found = router.ranker.strengths(router.prompts(("add 1 and 7", "greet guest 3 kindly")))
    place = router.ranker.arms.index("large")
    assert found[0, place] > found[1, place]


def test_fit_reads_verdicts_and_votes(tmp_path: Path) -> None:
    """A judge's JSON lines; and what is no table is refused."""
    lines = [
        {"prompt": f"{topic} {number}", "model_a": "large", "model_b": "small", "winner": winner}
        for number in range(20)
        for topic, winner in (("add", "model_a"), ("greet", "tie"))
    ]
    verdicts = tmp_path / "verdicts.jsonl"
    verdicts.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    said("fit", "words", verdicts, "--out", tmp_path / "router", "--folds", "2")

    assert "large" == load_router(tmp_path / "router").card.strong


def test_a_classifier_is_fine_tuned_from_its_base(tmp_path: Path) -> None:
    """Kept in the same kind of folder, and loaded the same way."""
    pytest.importorskip("transformers", reason="it is a model of transformers")
    table = grades(tmp_path / "train.csv", arms=("small", "large"), seed=0, count=60)
    base = make_tiny_bert(tmp_path / "base")

    output = said("fit", "classifier", table, "--base", base, "--out", tmp_path / "router")

    router = load_router(tmp_path / "router")
    assert "held-out APGR" in output
    assert (1, 2) == router.ranker.strengths(router.prompts(("add 1 and 7",))).shape


def test_a_classifier_is_served_without_torch(tmp_path: Path) -> None:
    """In a folder like any router's; anything else is not exported."""
    for package in ("transformers", "onnx", "onnxruntime"):
        pytest.importorskip(package, reason="fine-tunes, exports and runs it")
    table = grades(tmp_path / "train.csv", arms=("small", "large"), seed=0, count=60)
    base, out = make_tiny_bert(tmp_path / "base"), tmp_path / "served"
    fit = ("fit", "classifier", table, "--base", base, "--epochs", "1")
    said(*fit, "--out", tmp_path / "router")

    said("onnx", tmp_path / "router", "--out", out)

    texts = ("add 1 and 7", "greet guest 3 kindly")
    router, served = load_router(tmp_path / "router"), load_router(out)
    assert ("onnx", "large") == (served.card.model, served.card.strong)
    assert served.ranker.strengths(served.prompts(texts)) == pytest.approx(
        router.ranker.strengths(router.prompts(texts)), abs=0.1
    )


def test_a_causal_model_is_fine_tuned_from_its_base(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A small Llama, in the same kind of folder."""
    pytest.importorskip("transformers", reason="it is a model of transformers")
    table = grades(tmp_path / "train.csv", arms=("small", "large"), seed=0, count=40)
    base = tiny_folder(tmp_path_factory)

    fit = ("fit", "causal", table, "--base", base, "--epochs", "1")
    said(*fit, "--out", tmp_path / "router")

    router = load_router(tmp_path / "router")
    assert "causal" == router.card.model
    assert (1, 2) == router.ranker.strengths(router.prompts(("add 1 and 7",))).shape


def test_similarity_is_fitted_by_clusters_where_wanted(tmp_path: Path) -> None:
    """All candidates of it; few prompts are looked at one by one otherwise, many are not."""
    pytest.importorskip("faiss", reason="clusters by FAISS")
    table = grades(tmp_path / "train.csv", arms=("small", "large"), seed=0, count=120)

    fit = ("fit", "similarity", table, "--clusters", "8", "--folds", "2")
    said(*fit, "--out", tmp_path / "router")

    fitted = load_router(tmp_path / "router").ranker
    assert isinstance(fitted, FittedSimilarity)
    assert [MultipolePart] == [type(part) for part in fitted.parts]
    assert (None, 1024) == (usual_clusters(20_000), usual_clusters(100_000))


def test_two_models_are_compared_by_apgr(pair: Path, tmp_path: Path) -> None:
    """Random is one half exactly; the router lies between it and hindsight; curves are drawn."""
    output = said("evaluate", pair / "test.csv", "--ranker", pair / "router", "--out", tmp_path)

    apgr = {
        name: float(row_of(output, name)[1].split()[0])
        for name in ("router", "random", "oracle", "neighbours, out of fold")
    }
    assert 0.5 == apgr["random"]
    assert 0.6 < apgr["router"] < apgr["oracle"]
    assert "always small" in output
    assert "always large" in output
    assert (tmp_path / "routers.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64" in (tmp_path / "routers.html").read_text(encoding="utf-8")


def test_prompts_that_a_router_was_fitted_on_are_left_out(
    pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a table shares some of them, the comparison is of the others; of none it is refused."""
    head, *rows = (pair / "test.csv").read_text(encoding="utf-8").splitlines()
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 12)) for _ in rows]
    unlike = [f"{name},{row.split(',', 1)[1]}" for name, row in zip(names, rows, strict=True)]
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("\n".join([head, *unlike, *rows[:50]]), encoding="utf-8")

    output = said("evaluate", mixed, "--fitted-on", pair / "test.csv", "--out", tmp_path / "page")
    assert "50 of 290 prompts are left out" in output
    assert "240 prompts" in (tmp_path / "page" / "routers.html").read_text(encoding="utf-8")

    told = refused(monkeypatch, "evaluate", pair / "test.csv", "--fitted-on", pair / "test.csv")
    assert "evaluate on others" in told


def test_two_of_many_are_fitted_and_compared(tmp_path: Path) -> None:
    """Grades of a third model are left out, and that is said."""
    arms = ("small", "middle", "large")
    train = grades(tmp_path / "train.csv", arms=arms, seed=0)
    fit = ("fit", "words", train, "--strong", "large", "--weak", "small", "--folds", "2")
    said(*fit, "--out", tmp_path / "router")

    test = grades(tmp_path / "test.csv", arms=arms, seed=1)
    output = said("evaluate", test, "--ranker", tmp_path / "router", "--out", tmp_path / "page")

    assert "Of small, large: no other arm is known to all routers." in output
    assert "always large" in output
    assert "middle" not in output


def test_a_pool_is_compared_with_what_mixtures_give(tmp_path: Path) -> None:
    """AIQ of a router is above the static hull's, and below that of hindsight."""
    arms = ("small", "middle", "large")
    train = grades(tmp_path / "train.csv", arms=arms, seed=0)
    test = grades(tmp_path / "test.csv", arms=arms, seed=1)
    said("fit", "words", train, "--out", tmp_path / "router", "--folds", "2")

    output = said("evaluate", test, "--ranker", tmp_path / "router", "--out", tmp_path / "page")

    names = ("router", "oracle", "mixtures of single models")
    router, oracle, mixtures = (float(row_of(output, name)[1].split()[0]) for name in names)
    assert mixtures < router < oracle
    assert "always middle" in output


def test_a_threshold_is_calibrated_and_serves(pair: Path, tmp_path: Path) -> None:
    """For a share of plain prompts; the router's own policy then sends that share."""
    texts = [f"add {number} and 7" for number in range(30)]
    texts += [f"greet guest {number} kindly" for number in range(70)]
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(texts), encoding="utf-8")

    output = said("calibrate", pair / "router", prompts, "--share", "0.3")

    saved = load_router(pair / "router")
    pool = [Arm(name="small", usd_per_hour=0.1), Arm(name="large", usd_per_hour=2.5)]
    router = Router(arms=pool, policy=saved.routellm())
    asked = [router.decide(Request(text=text)).arm for text in texts]
    assert ["large"] * 30 + ["small"] * 70 == asked
    assert "30.0% of 100 prompts go to large" in output


def test_a_threshold_for_a_gain_needs_grades(
    pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With them it takes the fewest strong calls; a list of prompts is not enough."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("add 1 and 7\n", encoding="utf-8")

    output = said("calibrate", pair / "router", pair / "test.csv", "--gain", "0.5")
    share = float(re.search(r": ([\d.]+)% of", output).group(1))  # type: ignore[union-attr]  # or it fails

    assert 0.0 < share < 50.0
    assert "pickllm: " in refused(
        monkeypatch, "calibrate", pair / "router", prompts, "--gain", "0.5"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("fit", "words", "nothing.csv", "--out", "new"), "no file nothing.csv"),
        (("fit", "magic", "TRAIN", "--out", "new"), "there is no kind 'magic'"),
        (("fit", "words", "TRAIN", "--out", "ROUTER"), "is there already"),
        (("fit", "words", "ONE", "--out", "new"), "grades of small alone"),
        (("fit", "words", "TRAIN", "--out", "new", "--folds", "999"), "take fewer folds"),
        (
            ("evaluate", "POOL", "--ranker", "OTHER"),
            r"other \(words.*the arm 'large'.*of a, b",
        ),
        (("evaluate", "TIES"), "equally good here"),
        (("fit", "words", "TIES", "--out", "new"), "all battles are ties"),
        (("fit", "classifier", "TRAIN", "--out", "new"), "needs --base"),
        (("fit", "ridge", "TRAIN", "--out", "new", "--embedder", "none"), "no vectors|none"),
        (("fit", "words", "TRAIN", "--out", "file/new"), "file/new can not be written: Not a dir"),
        (("fit", "words", "TRAIN", "--out", "new", "--embedder", "./no"), "cannot load './no'"),
        (("fit", "classifier", "TRAIN", "--out", "new", "--base", "./no"), "cannot load './no'"),
        (("fit", "causal", "TRAIN", "--out", "new", "--base", "./no"), "cannot load './no'"),
        (("evaluate", "TRAIN", "--ranker", "nowhere"), "holds no router"),
        (("evaluate", "TRAIN", "--ranker", "ROUTER", "--out", "file/new"), "file/new"),
        (("fit", "causal", "TRAIN", "--out", "new"), "a causal model needs --base"),
        (("onnx", "ROUTER", "--out", "new"), "only classifiers are exported"),
        (
            ("calibrate", "ROUTER", "ONE", "--gain", "0.5"),
            r"no column large\|score; it has .'small'",
        ),
        (("calibrate", "ROUTER", "nothing.txt", "--share", "0.5"), "cannot read nothing.txt"),
    ],
)
def test_what_cannot_work_says_why(
    words: tuple[str, ...],
    told: str,
    pair: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, no traceback, and nothing is left that would be in the way of the next try."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    places = {
        "TRAIN": pair / "train.csv",
        "ROUTER": pair / "router",
        "ONE": grades(Path("one.csv"), arms=("small",), seed=0),
        "POOL": grades(Path("pool.csv"), arms=("small", "large"), seed=0),
        "TIES": ties(Path("ties.csv")),
        "OTHER": pair / "other",
    }

    assert re.search(told, refused(monkeypatch, *(places.get(word, word) for word in words)))
    assert not Path("new").exists()


@pytest.mark.parametrize(
    "change", [{"threshold": "high"}, {"embedder": 3}, {"pickllm_router": 2}, {"more": 1}]
)
def test_a_card_of_another_kind_is_no_router(
    change: dict[str, object], pair: Path, tmp_path: Path
) -> None:
    """Told when it is loaded, not when it serves."""
    folder = Path(shutil.copytree(pair / "router", tmp_path / "copy"))
    card = json.loads((folder / "router.json").read_text(encoding="utf-8"))
    (folder / "router.json").write_text(json.dumps(card | change), encoding="utf-8")

    with pytest.raises(StateConflict, match=r"holds no router|another version"):
        load_router(folder)


def test_the_dearer_a_dollar_the_cheaper_the_arm() -> None:
    """From the strongest arm of each prompt to the cheapest of all."""
    strengths = np.array([[0.2, 0.9], [0.8, 0.9]])
    price = np.array([0.0, 1.0])

    found = [chosen_at(strengths, price, weight).tolist() for weight in (0.0, 0.3, np.inf)]

    assert [[1, 1], [1, 0], [0, 0]] == found
