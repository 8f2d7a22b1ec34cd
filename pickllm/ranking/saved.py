"""A router on disk: what a ranker has learnt, what makes its vectors, and where the threshold is.

folder/
  router.json   embedder, strong and weak arm, threshold
  ranker/       what `save_fitted` wrote, or a fine-tuned model

router = load_router("folder")
RoutedChatModel(models=…, policy=router.routellm())           # or ranked(router.ranker, …)
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pickllm.embedding import Embedder, HashingEmbedder, OnnxEmbedder, SentenceEmbedder
from pickllm.errors import ConfigError, StateConflict
from pickllm.ranking.battle_sums import Cells, ExactPart
from pickllm.ranking.boosting import FittedBoosting, Forest
from pickllm.ranking.causal import CausalClassifier
from pickllm.ranking.classifier import Classifier
from pickllm.ranking.contract import FittedRanker, Prompts, embedded_prompts
from pickllm.ranking.exported import OnnxClassifier
from pickllm.ranking.factorisation import FittedFactorisation
from pickllm.ranking.multipole import MultipolePart
from pickllm.ranking.projection import Projection
from pickllm.ranking.regression import FittedNeighbours, FittedRidge
from pickllm.ranking.routing import routellm
from pickllm.ranking.similarity import FittedSimilarity
from pickllm.ranking.stack import FittedStack
from pickllm.ranking.state import load_fitted, save_fitted
from pickllm.ranking.threshold import WinRateThreshold
from pickllm.ranking.words import FittedWords

__all__ = ["RouterCard", "SavedRouter", "embedder_of", "load_router", "save_router", "write_card"]

_FORMAT = 1
_CARD, _RANKER = "router.json", "ranker"
_CLASSES = (
    *(FittedSimilarity, FittedFactorisation, FittedNeighbours, FittedRidge),
    *(FittedWords, FittedBoosting, FittedStack),
)
_PARTS = (Cells, ExactPart, MultipolePart, Projection, Forest)
_MODELS = {"classifier": Classifier, "causal": CausalClassifier, "onnx": OnnxClassifier}


@dataclass(frozen=True, kw_only=True, slots=True)
class RouterCard:
    """What stands in ``router.json``."""

    ranker: str
    """Name and settings, for people."""
    embedder: str = "none"
    """See `embedder_of`."""
    model: str = ""
    """"classifier", "causal" or "onnx" where the ranker is a fine-tuned model."""
    strong: str | None = None
    weak: str | None = None
    threshold: float | None = None
    """A win rate; None until it is calibrated."""

    def __post_init__(self) -> None:
        if not isinstance(self.embedder, str):
            raise ConfigError("embedder is a word or a folder")
        if not isinstance(self.threshold, float | int | None):
            raise ConfigError("threshold is a number, or None")


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedRouter:
    """A router as it was loaded."""

    card: RouterCard
    ranker: FittedRanker
    embedder: Embedder | None

    def prompts(self, texts: tuple[str, ...]) -> Prompts:
        """Prompts as the ranker reads them."""
        return embedded_prompts(texts, self.embedder if self.ranker.dim else None)

    def routellm(self, *, threshold: float | None = None, epsilon: float = 0.0) -> WinRateThreshold:
        """The policy by its pair and threshold.

        Raises:
            ConfigError: It has no pair, or was not calibrated and no threshold is given.
        """
        at = self.card.threshold if threshold is None else threshold
        if self.card.strong is None or self.card.weak is None or at is None:
            raise ConfigError("calibrate the router of a pair first, or give a threshold")
        return routellm(
            self.ranker,
            strong=self.card.strong,
            weak=self.card.weak,
            threshold=at,
            embedder=self.embedder,
            epsilon=epsilon,
        )


def embedder_of(spec: str) -> Embedder | None:
    """What a word or a path stands for: "none", "hashing", an exported encoder, or a model.

    >>> embedder_of("hashing").dim
    512
    """
    if spec in ("none", "hashing"):
        return HashingEmbedder() if spec == "hashing" else None
    if (Path(spec) / "encoder.json").is_file():
        return OnnxEmbedder(spec)
    return SentenceEmbedder(spec)


def save_router(folder: str | Path, card: RouterCard, ranker: FittedRanker) -> Path:
    """Write both to a folder that is not there yet; a fine-tuned model lies there already.

    Raises:
        ConfigError: There is a router already.
    """
    place = Path(folder)
    if not card.model:
        save_fitted(place / _RANKER, ranker)
    write_card(place, card)
    return place


def write_card(folder: str | Path, card: RouterCard) -> None:
    """Write ``router.json`` whole, over the one that is there."""
    place = Path(folder) / _CARD
    unfinished = place.with_suffix(".unfinished")
    text = json.dumps({"pickllm_router": _FORMAT, **asdict(card)}, allow_nan=False, indent=1)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(place)


def load_router(folder: str | Path, *, check: bool = True) -> SavedRouter:
    """Read a router; large arrays stay on disk, models are loaded when first asked.

    Args:
        folder: What `save_router` wrote.
        check: Whether to compare the arrays with their digests.

    Raises:
        StateConflict: There is none, it is damaged, or it is of another version.
    """
    place = Path(folder)
    try:
        fields = json.loads((place / _CARD).read_text(encoding="utf-8"))
        if fields.pop("pickllm_router") != _FORMAT:
            raise StateConflict(f"{place} is a router of another version; fit it anew")
        card = RouterCard(**fields)
        made = _MODELS[card.model] if card.model else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateConflict(f"{place} holds no router: {type(error).__name__}") from error
    ranker: FittedRanker = (
        made(place / _RANKER)
        if made
        else load_fitted(place / _RANKER, *_CLASSES, parts=_PARTS, check=check)  # type: ignore[assignment]  # one of the classes
    )
    return SavedRouter(card=card, ranker=ranker, embedder=embedder_of(card.embedder))
