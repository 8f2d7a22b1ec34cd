"""Any embedding of a prompt as its features: of length one, the newest ones remembered."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from pickllm.errors import ConfigError
from pickllm.lock import Lock
from pickllm.numeric import checked_vector
from pickllm.types import Vector

__all__ = ["EmbeddedFeatures"]


@dataclass(kw_only=True, slots=True)
class EmbeddedFeatures:
    """Features from a function that embeds a text.

    Remembered by a hash of the prompt, never by the prompt; what is no vector, not at all.
    """

    embed: Callable[[str], Sequence[float]]
    remembered: int = 1024
    """How many vectors are kept; 0 for none."""
    _digest_to_vector: OrderedDict[bytes, Vector] = field(
        default_factory=OrderedDict, init=False, repr=False
    )
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    _dim: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.remembered < 0:
            raise ConfigError(
                f"remembered is {self.remembered}; it must be the number of vectors to keep, or 0"
            )

    @property
    def dim(self) -> int:
        """Length of the vectors; asked of the embedding once."""
        if not self._dim:
            self._dim = len(self.embed("dimension"))
        return self._dim

    def features(self, text: str) -> Vector:
        """The prompt's embedding, ``[dim]``, scaled to length one."""
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        with self._lock:
            if digest in self._digest_to_vector:
                self._digest_to_vector.move_to_end(digest)
                return self._digest_to_vector[digest]
        vector = _unit(checked_vector(self.embed(text), dim=self._dim or None))
        with self._lock:
            self._digest_to_vector[digest] = vector
            while len(self._digest_to_vector) > self.remembered:
                self._digest_to_vector.popitem(last=False)
        return vector

    def __deepcopy__(self, memo: object) -> "EmbeddedFeatures":
        """Itself: a copy of a router does not copy the weights of an embedding."""
        return self


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0.0 else vector
