"""Randomness for one decision, seeded by the router's seed and the decision's number.

A generator that several threads draw from makes runs impossible to repeat. So each decision has its
own, and since most policies draw a single number, that number is hashed out of the seed in about a
microsecond; a numpy `Generator` is built only for a policy that asks for one.
"""

import os
from hashlib import blake2b

import numpy as np

__all__ = ["Rng", "fresh_seed"]

_TWO_TO_53 = float(1 << 53)


def fresh_seed() -> int:
    """A seed from the operating system, for routers that were given none."""
    return int.from_bytes(os.urandom(8), "big") >> 1


class Rng:
    """Draws of one decision. Equal ``seed`` and ``number`` give equal draws, on any machine."""

    __slots__ = ("_drawn", "_generator", "number", "seed")

    def __init__(self, *, seed: int, number: int) -> None:
        self.seed = seed
        self.number = number
        self._drawn = 0
        self._generator: np.random.Generator | None = None

    def uniform(self) -> float:
        """The next number in [0, 1)."""
        words = b"%d|%d|%d" % (self.seed, self.number, self._drawn)
        self._drawn += 1
        return (int.from_bytes(blake2b(words, digest_size=8).digest(), "big") >> 11) / _TWO_TO_53

    def index(self, probabilities: tuple[float, ...]) -> int:
        """Draw an index with these probabilities; one with probability 0 is never drawn."""
        mark = self.uniform() * sum(probabilities)
        total = 0.0
        last = 0
        for index, probability in enumerate(probabilities):
            if probability <= 0.0:
                continue
            last = index
            total += probability
            if mark < total:
                break
        return last

    @property
    def generator(self) -> "np.random.Generator":  # named in quotes: numpy imports it when named
        """A numpy generator, for policies that draw vectors."""
        if self._generator is None:
            self._generator = np.random.default_rng([self.seed, self.number])
        return self._generator
