"""Several featurizers, one after another in one vector.

>>> from pickllm.features.hashed import HashedText
>>> from pickllm.features.surface import Surface
>>> Combined(parts=(HashedText(dim=32), Surface())).dim
49
"""

from dataclasses import dataclass
from numbers import Integral
from typing import cast

import numpy as np

from pickllm.errors import ConfigError
from pickllm.protocols import Featurizer
from pickllm.types import Vector

__all__ = ["Combined", "checked_featurizer", "featurizer_name"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Combined:
    """The features of all ``parts``, at least one, in their order."""

    parts: tuple[Featurizer, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("there is nothing to combine: give at least one featurizer")
        for part in self.parts:
            checked_featurizer(part)

    @property
    def dim(self) -> int:
        """Length of the vectors: the parts' together."""
        return sum(part.dim for part in self.parts)

    @property
    def name(self) -> str:
        """The parts' names."""
        return " + ".join(featurizer_name(part) for part in self.parts)

    @property
    def instant(self) -> bool:
        """Whether all parts are."""
        return all(getattr(part, "instant", False) for part in self.parts)

    def features(self, text: str) -> Vector:
        """The prompt's features, ``[dim]`` float32."""
        return np.concatenate([part.features(text) for part in self.parts])


def checked_featurizer(given: object) -> Featurizer:
    """What is given, where it can be a featurizer; else `ConfigError`.

    How long its vectors are is asked of it here: an embedding that cannot be reached is told
    when a router is made, and not by every request.
    """
    kind = given.__name__ if isinstance(given, type) else type(given).__name__
    if isinstance(given, type) or not hasattr(given, "features"):
        raise ConfigError(
            f"{kind} is no featurizer: that has dim and features(text). Embeddings of a framework "
            "become one by EmbeddedFeatures(embed=embeddings.embed_query), of pickllm.embedded"
        )
    featurizer = cast("Featurizer", given)
    try:
        dim = featurizer.dim
    except Exception as error:
        raise ConfigError(
            f"the featurizer {kind} does not say how long its vectors are "
            f"({type(error).__name__}): see that it can be asked"
        ) from error
    if not isinstance(dim, Integral) or dim < 1:
        raise ConfigError(f"the featurizer {kind} has the dim {dim!r}; it must be at least 1")
    return featurizer


def featurizer_name(featurizer: Featurizer) -> str:
    """What a featurizer calls itself, or else its type and dimension."""
    return str(getattr(featurizer, "name", f"{type(featurizer).__name__}(dim={featurizer.dim})"))
