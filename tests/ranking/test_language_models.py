"""Fine-tuned classifiers: a small BERT and a small Llama, trained here for real."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.data import PreferenceTable
from pickllm.errors import StateConflict
from pickllm.ranking.causal import CausalClassifier, CausalSettings
from pickllm.ranking.classifier import Classifier, ClassifierSettings
from pickllm.ranking.contract import Prompts, prompts_of
from pickllm.ranking.exported import OnnxClassifier, export_classifier
from pickllm.ranking.fine_tuning import Training, pair_battles
from pickllm.ranking.selection import pair_apgr
from pickllm.ranking.tokens import head_and_tail
from tests.ranking.battles import made_battles
from tests.ranking.tiny_bert import make_tiny_bert
from tests.tiny import tiny_folder

pytest.importorskip("transformers", reason="language models are fine-tuned here")
pytestmark = pytest.mark.xdist_group("language models")

STRONG, WEAK = "arm 01", "arm 00"
KINDS = ("sum these numbers : 3 + 4", "write a poem about the sea")


def sums_and_poems(battles: int = 160, seed: int = 0) -> tuple[PreferenceTable, Prompts]:
    """The strong arm wins on sums and ties on poems, nearly always."""
    rng = np.random.default_rng(seed)
    table, _ = made_battles(battles, arms=2, seed=seed)
    kind = rng.integers(2, size=battles)
    strong = np.where(kind == 0, 1.0, 0.5)
    strong[rng.random(battles) < 0.1] = 0.0
    won = np.where(table.first == 1, strong, 1.0 - strong)
    digits = rng.integers(10, size=(battles, 2))
    texts = tuple(
        f"{KINDS[of]} {one} {other}" for of, (one, other) in zip(kind, digits, strict=True)
    )
    known = replace(table, prompts=texts, won=won)
    return known, prompts_of(known)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> ClassifierSettings:
    """Settings, with a BERT to start from."""
    folder = tmp_path_factory.mktemp("classifier")
    return ClassifierSettings(
        base=str(make_tiny_bert(folder / "bert")),
        strong=STRONG,
        weak=WEAK,
        folder=str(folder / "fitted"),
        training=Training(epochs=4, learning_rate=2e-3, tokens=32, held_out=0.2),
    )


@pytest.fixture(scope="module")
def fitted(classifier: ClassifierSettings) -> Classifier:
    """It is trained once."""
    return classifier.fit(*sums_and_poems())


def test_a_classifier_learns_who_wins_where(fitted: Classifier) -> None:
    """On prompts that it has not seen, and as it was kept on disk."""
    table, prompts = sums_and_poems(100, seed=5)
    strengths = Classifier(fitted.folder).strengths(prompts)

    assert (WEAK, STRONG) == (fitted.arms[1], fitted.arms[0])
    assert 0.65 < pair_apgr(strengths[:, ::-1], table, strong=STRONG, weak=WEAK)
    assert 0.6 < max(fitted.manifest.held_out_apgr)
    assert strengths.tolist() == fitted.strengths(prompts).tolist()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_damaged_model_says_so(file: str, fitted: Classifier, tmp_path: Path) -> None:
    """When it is first asked, with its folder's name."""
    folder = Path(shutil.copytree(fitted.folder, tmp_path / "copy"))
    (folder / file).write_bytes(b"\xff\x00 of another file")

    with pytest.raises(ConfigError, match=f"cannot load '{folder}'"):
        Classifier(folder).strengths(Prompts(texts=("a sum",), vectors=np.zeros((1, 0))))


def test_chances_add_up_and_know_no_company(fitted: Classifier) -> None:
    """Three for each prompt; padding beside longer ones changes nothing."""
    _, prompts = sums_and_poems(40, seed=5)
    longer = Prompts(texts=(*prompts.texts, "the sea " * 30), vectors=np.zeros((41, 0)))
    chances = fitted.chances(longer)

    assert np.ones(41) == pytest.approx(chances.sum(axis=1))
    assert chances[:40] == pytest.approx(fitted.chances(prompts), abs=1e-5)


def test_the_published_score_takes_a_tie_for_a_loss(fitted: Classifier) -> None:
    """The strong arm's strength is then its chance to win alone."""
    _, prompts = sums_and_poems(10, seed=5)
    published = Classifier(fitted.folder)
    published.manifest = replace(published.manifest, published_score=True)

    assert fitted.chances(prompts)[:, 0].tolist() == published.strengths(prompts)[:, 0].tolist()


def test_a_folder_is_not_written_over(classifier: ClassifierSettings, fitted: Classifier) -> None:
    """Nor is one read that holds something else."""
    with pytest.raises(ConfigError, match="there already"):
        classifier.fit(*sums_and_poems(20))
    with pytest.raises(StateConflict, match="no fine-tuned classifier"):
        Classifier(classifier.base)
    with pytest.raises(StateConflict, match="no fine-tuned causal"):
        CausalClassifier(fitted.folder)


@pytest.fixture(scope="module")
def exported(fitted: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for serving, in whole numbers and as it is."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="exports and runs classifiers")
    folder = tmp_path_factory.mktemp("exported")
    export_classifier(fitted, folder / "plain", int8=False)
    export_classifier(fitted, folder / "int8")
    return folder


@pytest.mark.parametrize(("kind", "off_by"), [("plain", 1e-4), ("int8", 0.1)])
def test_an_exported_classifier_says_the_same(
    kind: str, off_by: float, fitted: Classifier, exported: Path
) -> None:
    """To a hair in the numbers that it has, nearly in whole ones; long prompts and none as well."""
    _, prompts = sums_and_poems(40, seed=5)
    odd = Prompts(texts=(*prompts.texts, "the sea " * 90, "", "\ud83d"), vectors=np.zeros((43, 0)))
    served = OnnxClassifier(exported / kind)

    assert fitted.arms == served.arms
    assert served.chances(odd) == pytest.approx(fitted.chances(odd), abs=off_by)
    assert served.strengths(odd) == pytest.approx(fitted.strengths(odd), abs=off_by)
    assert (0, 2) == served.strengths(prompts.take(np.zeros(0, dtype=int))).shape


def test_an_exported_classifier_is_no_other_folder(fitted: Classifier, exported: Path) -> None:
    """Nor is it written over, and it remembers how it did."""
    assert fitted.manifest.held_out_apgr == OnnxClassifier(exported / "int8").manifest.held_out_apgr
    with pytest.raises(StateConflict, match="but a classifier"):
        OnnxClassifier(fitted.folder)
    with pytest.raises(ConfigError, match="there already"):
        export_classifier(fitted, exported / "int8")


def test_training_in_sixteen_bits_learns_as_well(
    classifier: ClassifierSettings, tmp_path: Path
) -> None:
    """And leaves weights of 32."""
    settings = replace(
        classifier,
        folder=str(tmp_path / "fitted"),
        training=replace(classifier.training, bfloat16=True),
    )
    found = settings.fit(*sums_and_poems())

    assert 0.6 < max(found.manifest.held_out_apgr)


# peft asks transformers for a name that is on its way out
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("adapter_rank", [None, 4])
def test_a_causal_model_learns_the_score_token(
    adapter_rank: int | None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A small Llama, with the same template for fit and prediction."""
    if adapter_rank is not None:
        pytest.importorskip("peft", reason="trains adapters")
    settings = CausalSettings(
        adapter_rank=adapter_rank,
        base=str(tiny_folder(tmp_path_factory)),
        strong=STRONG,
        weak=WEAK,
        folder=str(tmp_path / "fitted"),
        training=Training(epochs=3, batch=8, learning_rate=3e-3, tokens=160, held_out=0.2),
    )
    settings.fit(*sums_and_poems(96))
    fitted = CausalClassifier(tmp_path / "fitted")
    table, prompts = sums_and_poems(60, seed=5)
    chances = fitted.chances(prompts)

    assert (60, 5) == chances.shape
    assert np.ones(60) == pytest.approx(chances.sum(axis=1))
    assert 0.65 < pair_apgr(fitted.strengths(prompts)[:, ::-1], table, strong=STRONG, weak=WEAK)
    assert chances[:1] == pytest.approx(fitted.chances(prompts.take(np.array([0]))), abs=1e-4)


def test_prompts_are_held_out_whole() -> None:
    """A prompt that is judged by is in no battle that is trained on."""
    table, _ = made_battles(200, arms=2, prompts=40)
    battles = pair_battles(table, strong=STRONG, weak=WEAK, training=Training(held_out=0.25))
    held, used = (set(battles.prompt[mask].tolist()) for mask in (battles.held, ~battles.held))

    assert set() == held & used
    assert 9 <= len(held) <= 10
    with pytest.raises(ConfigError, match="too few"):
        pair_battles(table.take(np.array([0])), strong=STRONG, weak=WEAK, training=Training())


def test_the_middle_goes_first() -> None:
    """Whatever the length and the limit."""
    assert [1, 2, 8, 9, 10] == head_and_tail(range(1, 11), 5)
    assert [1, 2] == head_and_tail([1, 2], 5)


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"tokens": 2}, {"held_out": 1.0}])
def test_training_is_checked(settings: dict[str, float]) -> None:
    """When its settings are made."""
    with pytest.raises(ConfigError):
        Training(**settings)  # type: ignore[arg-type]  # wrong values are the point
