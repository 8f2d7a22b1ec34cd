"""A cascade on disk: how it decides, what scores its drafts, and what was confirmed of it.

folder/
  cascade.json   the kind of cascade with its settings, versioned
  scorer.json    what the learned scorer has learnt; missing where the scorer is another

cascade = load_cascade("folder")
RoutedChatModel(models=…, cascade=cascade)
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pickllm.cascading.predictive import PredictiveCascade
from pickllm.cascading.quality_model import QualityModel
from pickllm.cascading.thresholds import ThresholdCascade
from pickllm.errors import ConfigError, PickLLMError, StateConflict
from pickllm.features import default_features
from pickllm.places import new_place
from pickllm.plain import from_plain, to_plain
from pickllm.protocols import Featurizer, Scorer
from pickllm.scoring.learned import LearnedScorer, load_scorer, save_scorer

__all__ = ["load_cascade", "save_cascade"]

_FORMAT = 1
_CASCADE, _SCORER = "cascade.json", "scorer.json"
_THRESHOLDS = (
    *("order", "thresholds", "stop_below", "abstain_below", "explore", "entry"),
    "hold_back_chars",
)
_PREDICTIVE = ("usd_per_quality", "ahead", "abstain_below", "hold_back_chars")


def save_cascade(folder: str | Path, cascade: ThresholdCascade | PredictiveCascade) -> Path:
    """Write a cascade to a folder that is not there yet, its scorer beside it if that was learnt.

    Raises:
        ConfigError: The folder is there already.
    """
    place = new_place(folder)
    place.mkdir(parents=True)
    if isinstance(cascade.scorer, LearnedScorer):
        save_scorer(place / _SCORER, cascade.scorer)
    document = {"pickllm_cascade": _FORMAT, **_plain(cascade)}
    (place / _CASCADE).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
    return place


def load_cascade(
    folder: str | Path, *, scorer: Scorer | None = None, featurizer: Featurizer | None = None
) -> ThresholdCascade | PredictiveCascade:
    """Read a cascade.

    Args:
        folder: What `save_cascade` wrote.
        scorer: The scorer, where it was not a learned one.
        featurizer: What a predictive cascade was fitted with; the default by default.

    Raises:
        StateConflict: There is none, it is damaged, or it is of another version.
        ConfigError: Its scorer was not saved with it, and none is given.
    """
    place = Path(folder)
    if not (place / _CASCADE).is_file():
        raise StateConflict(f"{place} holds no cascade: give a folder that save_cascade wrote")
    if scorer is None and not (place / _SCORER).is_file():
        raise ConfigError(f"{place} holds no scorer: give the one that the cascade was fitted with")
    known = scorer or load_scorer(place / _SCORER)
    try:
        document = json.loads((place / _CASCADE).read_text(encoding="utf-8"))
        if document["pickllm_cascade"] != _FORMAT:
            raise StateConflict(f"{place} is a cascade of another version; fit it anew")
        settings = {name: _hashable(value) for name, value in document["settings"].items()}
        if document["kind"] == "threshold":
            return ThresholdCascade(scorer=known, **settings)
        return PredictiveCascade(
            scorer=known,
            model=_model(document["model"]),
            featurizer=featurizer or default_features(),
            **settings,
        )
    except PickLLMError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateConflict(f"{place} holds no sound cascade: {type(error).__name__}") from error


def _plain(cascade: ThresholdCascade | PredictiveCascade) -> dict[str, Any]:
    if isinstance(cascade, ThresholdCascade):
        return {"kind": "threshold", "settings": _settings(cascade, _THRESHOLDS)}
    settings = _settings(cascade, _PREDICTIVE)
    return {"kind": "predictive", "settings": settings, "model": to_plain(cascade.model)}


def _settings(cascade: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(cascade, name) for name in names}


def _model(plain: Mapping[str, Any]) -> QualityModel:
    """The model; its matrices are kept as rows one behind the other."""
    flat = from_plain(QualityModel, plain)
    size = flat.places.size
    return replace(
        flat,
        weights=flat.weights.reshape(-1, size),
        covariance=flat.covariance.reshape(size, size),
    )


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
