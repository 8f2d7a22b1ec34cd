"""Several featurizers, one after another in one vector.

>>> from pickllm.features.hashed import HashedText
>>> from pickllm.features.surface import Surface
>>> Combined(parts=(HashedText(dim=32), Surface())).dim
49
"""

from dataclasses import dataclass

import numpy as np

from pickllm.errors import ConfigError
from pickllm.protocols import Featurizer
from pickllm.types import Vector

__all__ = ["Combined", "featurizer_name"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Combined:
    """The features of all ``parts``, at least one, in their order."""

    parts: tuple[Featurizer, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("there is nothing to combine: give at least one featurizer")

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


def featurizer_name(featurizer: Featurizer) -> str:
    """What a featurizer calls itself, or else its type and dimension."""
    return str(getattr(featurizer, "name", f"{type(featurizer).__name__}(dim={featurizer.dim})"))
