"""When an answer to a near question will do: learnt from verified pairs, to a stated bound.

A pair is a question, a near one that was answered before, their similarity s, and whether the old
answer was right for the new question: seen when a model answers all the same, or from feedback.
Pairs are counted by kind of nearness and by band of similarity. A band is proven when its share of
wrong answers lies below ``most_wrong`` with confidence ``1 - risk``. What is more alike is right at
least as often, so bands above a proven one are open, too, unless their own pairs rule it out.

The bound holds at every moment, so that looking after each pair costs nothing. With a
mixture by Beta(a, b) the ratio

    M_n = B(a + wrong, b + right) / B(a, b)  /  ( p^wrong (1 - p)^right )

is a martingale if p is the true share, so it reaches 1 / risk with probability at most ``risk``
(Ville 1939, Robbins 1970); then p is ruled out. With a = 1 and b = 1 / most_wrong, few wrong
ones are proven soonest; with a = b = 1 many wrong ones are.

Counts are pooled over all entries, so a new one needs no pairs of its own; a partition whose own
pairs rule out that so few are wrong is closed for itself. Sums add up: workers learn as one.

The idea of a learnt threshold with an error bound is vCache's (Schroeder et al., arXiv 2502.03771),
which fits a sigmoid for each entry and asks six times before any reuse. Pooled counts are used here
in its place, and need no shape for the curve.

>>> acceptance = Acceptance(most_wrong=0.05, risk=0.05)
>>> state = Verified()
>>> for _ in range(100):
...     state = state.with_pair("added", 0.96, right=True)
>>> [acceptance.opens(state, "added", similarity) for similarity in (0.99, 0.96, 0.94)]
[True, True, False]
>>> [rules_out(0.05, wrong=0, right=n, prior=20.0, risk=0.05) for n in (91, 92)]
[False, True]
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pickllm.errors import ConfigError

__all__ = ["BANDS", "Acceptance", "Verified", "band_of", "pair_name", "rules_out"]

BANDS: tuple[float, ...] = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7)
"""Lower ends of the bands of similarity, from the highest; below the last nothing is near."""


def band_of(similarity: float) -> float | None:
    """The lower end of the band that it lies in, or None where it is not near."""
    return next((band for band in BANDS if similarity >= band), None)


def pair_name(kind: str, band: float, *, right: bool) -> str:
    """What a sum of pairs is called in a store."""
    return f"{kind}/{band}/{'right' if right else 'wrong'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """How many pairs were right, and wrong: name to sum, as `pair_name` makes the names."""

    sums: Mapping[str, float] = field(default_factory=dict)

    def with_pair(self, kind: str, similarity: float, *, right: bool) -> "Verified":
        """With one more pair; one that is not near changes nothing."""
        band = band_of(similarity)
        if band is None:
            return self
        name = pair_name(kind, band, right=right)
        return Verified(sums={**self.sums, name: self.sums.get(name, 0.0) + 1.0})

    def counted(self, kind: str, band: float) -> tuple[float, float]:
        """Wrong and right ones of a band."""
        wrong, right = (
            self.sums.get(pair_name(kind, band, right=each), 0.0) for each in (False, True)
        )
        return wrong, right


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """How sure one wants to be."""

    most_wrong: float = 0.02
    """The share of wrong answers that is put up with among those to near questions, in (0, 1)."""
    risk: float = 0.05
    """Probability with which a band may be open though more of it is wrong, in (0, 1)."""
    kinds: tuple[str, ...] = ("added",)
    """What can be learnt to be near enough: questions with words added, and, once you name it,
    "replaced": other words in their place, among which are opposites that no table knows."""

    def __post_init__(self) -> None:
        if not (0.0 < self.most_wrong < 1.0 and 0.0 < self.risk < 1.0):
            raise ConfigError(
                f"most_wrong and risk lie between 0 and 1; they are {self.most_wrong} and "
                f"{self.risk}"
            )

    def opens(
        self, pooled: Verified, kind: str, similarity: float, *, own: Verified | None = None
    ) -> bool:
        """Whether an answer to a question of this nearness may serve.

        ``pooled`` are the pairs of all partitions, ``own`` those of this one.
        """
        wanted = band_of(similarity)
        if wanted is None or kind not in self.kinds or (own is not None and self.closes(own, kind)):
            return False
        for band in BANDS[BANDS.index(wanted) :]:
            counted = pooled.counted(kind, band)
            if self._too_many(*counted):
                return False
            if self._few(*counted):
                return True
        return False

    def closes(self, own: Verified, kind: str) -> bool:
        """Whether too many are wrong beyond doubt, all bands together."""
        counts = [own.counted(kind, band) for band in BANDS]
        wrong, right = (sum(each) for each in zip(*counts, strict=True))
        return self._too_many(wrong, right)

    def _few(self, wrong: float, right: float) -> bool:
        """Whether it is proven that no more than ``most_wrong`` are wrong."""
        seen = wrong / max(wrong + right, 1.0)
        return seen < self.most_wrong and rules_out(
            self.most_wrong, wrong=wrong, right=right, prior=1.0 / self.most_wrong, risk=self.risk
        )

    def _too_many(self, wrong: float, right: float) -> bool:
        """Whether it is proven that more are."""
        seen = wrong / max(wrong + right, 1.0)
        return seen > self.most_wrong and rules_out(
            self.most_wrong, wrong=wrong, right=right, prior=1.0, risk=self.risk
        )


def rules_out(share: float, *, wrong: float, right: float, prior: float, risk: float) -> bool:
    """Whether these pairs, counted until any moment, rule out that ``share`` of all are wrong.

    ``share`` and ``risk`` lie in (0, 1); ``prior`` is the mixture's b, above 0.
    """
    mixture = _log_beta(1.0 + wrong, prior + right) - _log_beta(1.0, prior)
    likelihood = wrong * math.log(share) + right * math.log1p(-share)
    return mixture - likelihood >= -math.log(risk)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
