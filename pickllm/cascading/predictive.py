"""Cascade routing: buy the next answer only where what it is expected to add pays for it.

    gain(S) = E[ max over S of the means that S will leave ]  -  best mean now
    worth(S) = usd_per_quality * gain(S) - cost(S beyond what is bought)

Before each purchase all sets S of up to ``ahead`` further arms are weighed. Where none is worth
more than nothing, the draft of the highest mean is shown; else the arm of the best set that is
worth most by itself is asked. So arms are skipped and reordered from prompt to prompt; a prompt
that looks hard goes to the large arm at once, and one that looks hopeless is not paid for. How the
means will move is known beforehand from `quality_model.py`: E is over Gaussians, by fixed draws.

References: Dekoninck, Baader and Vechev, A unified approach to routing and cascading for LLMs
(2024), arXiv 2410.10347, derived anew for scores, costs and agreement in one Gaussian.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.cascading.quality_model import QualityModel
from pickllm.cascading.scored import Played, ScoredTable
from pickllm.cascading.thresholds import HOLD_BACK_CHARS
from pickllm.errors import ConfigError
from pickllm.features import default_features
from pickllm.protocols import Featurizer, Scorer
from pickllm.rng import Rng
from pickllm.scoring.final_answer import same_answer
from pickllm.scoring.matching import Similarity
from pickllm.scoring.rules import scorer_of
from pickllm.types import Draft, Move, Situation

__all__ = ["PredictiveCascade"]

_DRAWS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictiveCascade:
    """Weighs at each step what further answers are expected to add against what they cost."""

    model: QualityModel = field(repr=False)
    scorer: Scorer
    """What scores each draft, as in the table that the model was fitted on."""
    usd_per_quality: float
    """What an answer that is right is worth above one that is wrong, above 0."""
    ahead: int = 2
    """How many further arms are weighed together, at least 1."""
    abstain_below: float | None = None
    """Where even the best mean is lower, no draft is shown; None always shows one."""
    featurizer: Featurizer = field(default_factory=default_features)
    similarity: Similarity = same_answer
    """How far two answers agree."""
    hold_back_chars: int = HOLD_BACK_CHARS
    """How much of a stream is read before it is scored."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scorer", scorer_of(self.scorer))  # a plain function will do
        if not 0.0 < self.usd_per_quality < np.inf:
            raise ConfigError(f"usd_per_quality must be above 0; it is {self.usd_per_quality}")
        if self.ahead < 1 or self.hold_back_chars < 1:
            raise ConfigError("ahead and hold_back_chars must be at least 1")
        if self.featurizer.dim != self.model.dim:
            raise ConfigError(
                f"the model reads {self.model.dim} features, and the featurizer makes "
                f"{self.featurizer.dim}: give the one that it was fitted with"
            )

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        arms = ", ".join(self.model.arms)
        return f"predictive_cascade(arms={arms}, usd_per_quality={self.usd_per_quality})"

    @property
    def order(self) -> tuple[str, ...]:
        """The arms that it knows, in no order."""
        return self.model.arms

    def move(self, situation: Situation, drafts: Sequence[Draft], rng: Rng) -> Move:
        """Ask the arm that pays, or show the best draft."""
        arms = self.model.arms
        bought = [arms.index(draft.arm) for draft in drafts if draft.arm in arms]
        asks = [arms.index(arm) for arm in situation.arms if arm in arms]
        asks = [arm for arm in asks if arm not in bought]
        if len(bought) < len(drafts) or not (asks or drafts):
            return Move(show=len(drafts) - 1) if drafts else Move()
        seen, values = self._seen(drafts, bought)
        prior = self.model.prior(self.featurizer.features(situation.request.text)[None, :])
        means = self.model.given(prior, seen, np.array([values]))
        ask = int(self._asked(means, bought, asks, seen)[0]) if asks else -1
        if ask >= 0:
            return Move(ask=arms[ask], reason=f"expected quality {means[0, ask]:.2f}")
        return self._shown(drafts, means[0, bought])

    def played(
        self, table: ScoredTable, features: Floats, *, agreement: Floats | None = None
    ) -> Played:
        """What it would have made of every row of a table.

        Args:
            table: Of the model's arms, in their order.
            features: Of the prompts, ``[rows, dim]``.
            agreement: How far each two answers agree, ``[rows, arms, arms]``; or None.
        """
        if table.arms != self.model.arms:
            raise ConfigError("the table has other arms than the model")
        places = self.model.places
        z = np.zeros((len(table), places.size))
        z[:, places.arms : 2 * places.arms] = table.score
        z[:, 2 * places.arms : 3 * places.arms] = table.cost_usd / self._mean_costs
        if agreement is not None:
            one, other = np.triu_indices(places.arms, 1)
            z[:, 3 * places.arms :] = agreement[:, one, other]
        play = _Play(table, self.model.prior(features), z)
        play.go(self, np.arange(len(table)), ())
        return Played(
            shown=play.shown,
            asked=play.asked,
            quality=table.quality[np.arange(len(table)), play.shown],
            cost_usd=play.cost_usd,
        )

    def seen_after(self, bought: Sequence[int]) -> list[int]:
        """What is seen of the model's variables once these arms have answered."""
        return self.model.places.bought(bought, agreements=self.model.compares)

    def next_arms(self, means: Floats, bought: Sequence[int]) -> Integers:
        """Whom to ask next for each row of means, -1 for nobody; ``[rows]``."""
        asks = [arm for arm in range(len(self.model.arms)) if arm not in bought]
        return self._asked(means, bought, asks, self.seen_after(bought))

    @property
    def _mean_costs(self) -> Floats:
        return np.array([self.model.mean_cost_usd[arm] for arm in self.model.arms])

    def _seen(
        self, drafts: Sequence[Draft], bought: Sequence[int]
    ) -> tuple[list[int], list[float]]:
        """Places and values of what the drafts show; a beginning is compared with nothing."""
        places, costs = self.model.places, self._mean_costs
        place_to_value: dict[int, float] = {}
        for arm, draft in zip(bought, drafts, strict=True):
            if draft.score is not None:
                place_to_value[places.score(arm)] = draft.score
            if draft.cost_usd is not None and not draft.partial:
                place_to_value[places.cost(arm)] = draft.cost_usd / costs[arm]
        whole = [(a, d) for a, d in zip(bought, drafts, strict=True) if not d.partial and d.text]
        for (one, first), (other, second) in combinations(whole if self.model.compares else [], 2):
            alike = self.similarity(first.text, second.text)
            place_to_value[places.agreement(one, other)] = alike
        seen = sorted(place_to_value)
        return seen, [place_to_value[place] for place in seen]

    def _asked(
        self, means: Floats, bought: Sequence[int], asks: Sequence[int], seen: Sequence[int]
    ) -> Integers:
        """The arm to ask, or -1, ``[rows]``."""
        if not asks:
            return np.full(len(means), -1)
        sets = [
            more
            for count in range(1, min(self.ahead, len(asks)) + 1)
            for more in combinations(asks, count)
        ]
        now = means[:, list(bought)].max(axis=1) if bought else np.full(len(means), -np.inf)
        worth = np.stack([self._worth(means, bought, more, seen) for more in sets], axis=1)
        alone = np.stack([worth[:, sets.index((arm,))] for arm in asks], axis=1)
        best = worth.argmax(axis=1)
        within = np.array([[arm in more for arm in asks] for more in sets])[best]
        first = np.array(asks)[np.where(within, alone, -np.inf).argmax(axis=1)]
        pays = worth[np.arange(len(means)), best] > self.usd_per_quality * now
        return np.where(pays, first, -1)

    def _worth(
        self, means: Floats, bought: Sequence[int], more: tuple[int, ...], seen: Sequence[int]
    ) -> Floats:
        """Expected best mean in USD less the costs, once ``more`` have answered too; ``[rows]``."""
        places = self.model.places
        among = (*bought, *more)
        moves = _moves(self.model, tuple(seen), tuple(bought), more)  # [draws, among]
        best = (means[:, None, among] + moves[None, :, :]).max(axis=2).mean(axis=1)
        multiples = np.maximum(means[:, [places.cost(arm) for arm in more]], 0.1)
        return np.asarray(self.usd_per_quality * best - multiples @ self._mean_costs[list(more)])

    def _shown(self, drafts: Sequence[Draft], means: Floats) -> Move:
        last = len(drafts) - 1
        there = [place for place, draft in enumerate(drafts) if place == last or not draft.partial]
        best = max(there, key=lambda place: (means[place], place))
        if self.abstain_below is not None and means[best] < self.abstain_below:
            return Move(reason=f"no answer is expected to reach {self.abstain_below}")
        return Move(show=best, reason=f"expected quality {means[best]:.2f}; no other arm pays")


class _Play:
    """A table on its way through a cascade: rows part where different arms are asked."""

    def __init__(self, table: ScoredTable, prior: Floats, z: Floats) -> None:
        self.table, self.prior, self.z = table, prior, z
        self.shown = np.zeros(len(table), dtype=np.intp)
        self.asked = np.zeros(len(table), dtype=np.intp)
        self.cost_usd = np.zeros(len(table))

    def go(self, cascade: PredictiveCascade, rows: Integers, bought: tuple[int, ...]) -> None:
        """Carry some rows on, for which these arms have answered."""
        seen = cascade.seen_after(bought)
        means = cascade.model.given(self.prior[rows], seen, self.z[rows][:, seen])
        asked = cascade.next_arms(means, bought)
        ended = asked < 0
        if bought:
            best = np.array(bought)[means[ended][:, list(bought)].argmax(axis=1)]
            self.shown[rows[ended]], self.asked[rows[ended]] = best, len(bought)
        for arm in np.unique(asked[~ended]).tolist():
            there = rows[asked == arm]
            self.cost_usd[there] += self.table.cost_usd[there, arm] + self.table.scorer_usd
            self.go(cascade, there, (*bought, arm))


def _moves(
    model: QualityModel, seen: tuple[int, ...], bought: tuple[int, ...], more: tuple[int, ...]
) -> Floats:
    """By how much answers of ``more`` may move the means of all then bought, ``[draws, among]``."""
    places = model.places
    after = places.bought((*bought, *more), agreements=model.compares)
    new = [place for place in after if place not in seen]
    left = model.left(seen)
    among = [*bought, *more]
    gain = np.linalg.solve(left[np.ix_(new, new)], left[np.ix_(new, among)])
    moved = left[np.ix_(among, new)] @ gain
    values, vectors = np.linalg.eigh((moved + moved.T) / 2.0)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(_draws(len(among)) @ root.T)


@lru_cache(maxsize=16)
def _draws(size: int) -> Floats:
    """Standard normal draws with their mirror images, ``[draws, size]``; always the same."""
    half = np.random.default_rng(0).standard_normal((_DRAWS, size))
    return np.vstack([half, -half])
