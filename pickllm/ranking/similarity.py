"""Similarity-weighted Bradley-Terry: ratings fitted for each prompt anew, near battles first.

    w_i = gamma^(s_i / max_j s_j)          s_i the cosine of the prompt and that of battle i
    x   = argmax  sum of  w_i * log P(what came of battle i | x)
    P(strong wins) = sigma(x_strong - x_weak)

No training: to fit is to put battles in order. With two models this is kernel regression, with
more it borrows from every battle of either. The published form has gamma 10 and ten tiers of models
instead of models (`routellm_similarity`); with gamma 10 the weights are nearly flat, and quality
is best where gamma and the dimension are chosen by cross-validation (`pickllm.ranking.selection`).

Three ways to the same sums, see `battle_sums.py` and `multipole.py`:

    exact        every battle is looked at                       20,000 battles and fewer
    reduced      the same in a few dimensions (``dimensions``)   100,000
    multipole    far battles as clusters (``clusters``)          a million

With ``prior_battles`` ratings are drawn to the global ones, without which sharp weights leave a
model with few battles no finite rating.

Source: Ong et al., RouteLLM (arXiv 2406.18665), section 4.2.

>>> from pickllm.data import Battle, preference_table
>>> table = preference_table([
...     Battle(prompt="sum", first="large", second="small", winner="first"),
...     Battle(prompt="poem", first="large", second="small", winner="tie"),
... ])
>>> prompts = Prompts(texts=table.prompts, vectors= np.eye(2, dtype=np.float32))
>>> fitted = SimilarityBradleyTerry(gamma=9.0).fit(table, prompts)
>>> round(fitted.win_rate(prompts.vectors[0], "large", "small"), 6)  # (9 + 1/2) / (9 + 1)
0.95
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import tanh
from pathlib import Path
from typing import Literal

import numpy as np

from pickllm.arrays import Floats, Integers, unit_rows
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError
from pickllm.index import Clusters, faiss_clusters, numpy_clusters
from pickllm.ranking.battle_sums import Cells, Entries, ExactPart, Part, exact_part
from pickllm.ranking.bradley_terry import expected_wins, fit_ratings, newton_ratings, win_rate
from pickllm.ranking.contract import Prompts
from pickllm.ranking.multipole import MultipolePart, multipole_part
from pickllm.ranking.projection import Projection, fit_projection
from pickllm.ranking.state import load_fitted
from pickllm.ranking.tiers import tiers_of

__all__ = [
    "FittedSimilarity",
    "SimilarityBradleyTerry",
    "load_similarity",
    "routellm_similarity",
]

_LEAST_SIMILARITY = 1e-6
"""Where nothing is more similar than this, all battles weigh the same."""
_PROMPTS_AT_ONCE = 64
_EXACTLY, _NEARLY = 1e-3, 1e-2
"""Newton's last step. On 100,000 battles these leave errors of 1e-9 and 6e-7 in win rates; sums by
clusters are off by 2e-4 themselves."""
_RATIO = 8
"""A part that is no larger than so many times the next one is joined with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedSimilarity:
    """Battles in order, and the ratings that hold over all of them."""

    arms: tuple[str, ...]
    player_of: Integers
    """Tier of each arm, or the arm itself, ``[arms]``."""
    ratings: Floats
    """Global ratings, ``[players]``."""
    gamma: float
    prior_battles: float
    same_tier_anchor: bool
    projection: Projection | None
    parts: tuple[Part, ...]

    @property
    def players(self) -> int:
        """How many have a rating: arms or tiers, and the anchor where there is one."""
        return len(self.ratings)

    @property
    def dim(self) -> int:
        """Length of the vectors that it reads."""
        read = self.parts[0].rows.T if self.projection is None else self.projection.axes
        return len(read)

    def ratings_for(self, vectors: Floats) -> Floats:
        """Ratings for each prompt ``[prompts, dim]``, up to a constant, ``[prompts, players]``."""
        return np.array(list(self._ratings_for(np.atleast_2d(vectors)))).reshape(-1, self.players)

    def strengths(self, prompts: Prompts) -> Floats:
        """Chance of each arm to win against another drawn at random, ``[prompts, arms]``."""
        return expected_wins(self.ratings_for(prompts.vectors_of(self.dim))[:, self.player_of])

    def win_rate(self, vector: Floats, first: str, second: str) -> float:
        """Chance that the first arm's answer to a prompt ``[dim]`` is the better one."""
        one, other = self._players_of(first, second)
        (ratings,) = self._ratings_for(vector[None, :])
        return 0.5 + 0.5 * tanh(0.5 * float(ratings[one] - ratings[other]))

    def win_rates(self, vectors: Floats, first: str, second: str) -> Floats:
        """The same for many prompts ``[prompts, dim]``."""
        one, other = self._players_of(first, second)
        ratings = self.ratings_for(vectors)
        return win_rate(ratings[:, one] - ratings[:, other])

    def add(self, table: PreferenceTable, prompts: Prompts) -> "FittedSimilarity":
        """The same with more battles, of arms that it knows; they are looked at exactly.

        Small additions are put together, so that any number of them makes few parts. Tiers,
        clusters and the projection stay as they are: fit anew when the data has doubled.

        Raises:
            ConfigError: A battle has an arm that is not known here.
        """
        entries = self._entries(table)
        vectors = self._reduced(prompts.vectors)
        part = exact_part(vectors, entries)
        parts = (*self.parts, part)
        wins = sum((each.cells.wins(each.totals) for each in parts), np.zeros((self.players,) * 2))
        return replace(self, parts=_compacted(parts), ratings=fit_ratings(np.asarray(wins)))

    def _players_of(self, *arms: str) -> list[int]:
        if missing := [arm for arm in arms if arm not in self.arms]:
            raise ConfigError(f"this ranker knows {', '.join(self.arms)}; not {min(missing)}")
        return [int(self.player_of[self.arms.index(arm)]) for arm in arms]

    def _ratings_for(self, vectors: Floats) -> Iterator[Floats]:
        for start in range(0, len(vectors), _PROMPTS_AT_ONCE):
            block = self._reduced(vectors[start : start + _PROMPTS_AT_ONCE])
            seen = [part.look(block) for part in self.parts]
            for row, vector in enumerate(block):
                yield self._solve([each[row] for each in seen], vector)

    def _solve(self, seen: list[tuple[float, object]], vector: Floats) -> Floats:
        highest = max(each[0] for each in seen)
        log_gamma = float(np.log(self.gamma)) if highest > _LEAST_SIMILARITY else 0.0
        sharpness = log_gamma / max(highest, _LEAST_SIMILARITY)
        wins = self.parts[0].cells.wins(
            self.parts[0].sums(seen[0][1], vector, sharpness, log_gamma)
        )
        for part, (_, known) in zip(self.parts[1:], seen[1:], strict=True):
            wins += part.cells.wins(part.sums(known, vector, sharpness, log_gamma))
        exact = all(isinstance(part, ExactPart) for part in self.parts)
        return newton_ratings(
            wins,
            self.ratings,
            prior_battles=self.prior_battles,
            tolerance=_EXACTLY if exact else _NEARLY,
        )

    def _reduced(self, vectors: Floats) -> Floats:
        known = np.asarray(vectors, dtype=np.float32)
        return unit_rows(known) if self.projection is None else self.projection(known)

    def _entries(self, table: PreferenceTable) -> Entries:
        if missing := set(table.arms).difference(self.arms):
            raise ConfigError(f"{min(missing)} is not among the arms that this was fitted on")
        here = np.array([self.arms.index(arm) for arm in table.arms], dtype=np.intp)
        return _entries(table, self.player_of[here], self.players, self.same_tier_anchor)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimilarityBradleyTerry:
    """Settings of the fit. The defaults suit any number of arms; see the file for the speeds."""

    gamma: float = 2.0
    """The nearest battle weighs so much more than one at a right angle; at least 1."""
    dimensions: int | None = None
    """Vectors are centred and cut to so many dimensions; None leaves them."""
    tiers: int | None = None
    """Arms are put into so many tiers; None rates each by itself."""
    prior_battles: float = 0.0
    """How strongly ratings are drawn to the global ones, in battles like the nearest."""
    clusters: int | None = None
    """Far battles are summed by so many clusters; None looks at every battle."""
    near: int = 4
    """How many clusters are summed battle by battle, at least 1."""
    clustering: Literal["faiss", "numpy"] = "faiss"
    same_tier_anchor: bool = False
    """As in RouteLLM's code, where a battle within a tier counts as one of that tier against a
    player of rating 0, rather than for nothing."""
    seed: int = 0
    """Of the clusters."""

    def __post_init__(self) -> None:
        if not self.gamma >= 1.0:
            raise ConfigError(f"gamma must be at least 1; it is {self.gamma}")
        if not self.prior_battles >= 0.0 or self.near < 1:
            raise ConfigError("prior_battles must be at least 0, and near at least 1")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        form = "exact" if self.clusters is None else f"multipole {self.clusters}"
        return f"similarity(gamma={self.gamma}, dimensions={self.dimensions}, {form})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedSimilarity:
        """Put battles in order; ``prompts`` are those of the table.

        Raises:
            ConfigError: Prompts have no vectors, or are not those of the table.
        """
        if len(prompts) != len(table.prompts) or not prompts.vectors.shape[1]:
            raise ConfigError("similarities need a vector for each prompt of the table")
        player_of, players = self._players(table)
        if self.same_tier_anchor:
            players += 1
        vectors = np.asarray(prompts.vectors, dtype=np.float32)
        used = np.unique(table.prompt)
        projection = self.dimensions and fit_projection(vectors[used], dimensions=self.dimensions)
        entries = _entries(table, player_of, players, self.same_tier_anchor)
        rows = projection(vectors) if projection else unit_rows(vectors)
        part = self._part(rows, entries)
        return FittedSimilarity(
            arms=table.arms,
            player_of=player_of,
            ratings=fit_ratings(part.cells.wins(part.totals)),
            gamma=self.gamma,
            prior_battles=self.prior_battles,
            same_tier_anchor=self.same_tier_anchor,
            projection=projection or None,
            parts=(part,),
        )

    def _players(self, table: PreferenceTable) -> tuple[Integers, int]:
        if self.tiers is None or self.tiers >= len(table.arms):
            return np.arange(len(table.arms)), len(table.arms)
        return tiers_of(fit_ratings(table.wins()), tiers=self.tiers), self.tiers

    def _part(self, rows: Floats, entries: Entries) -> Part:
        if self.clusters is None:
            return exact_part(rows, entries)
        used, prompt = np.unique(entries.prompt, return_inverse=True)
        kept = rows[used]
        clusters = self._clusters(kept)
        return multipole_part(kept, replace(entries, prompt=prompt), clusters, near=self.near)

    def _clusters(self, rows: Floats) -> Clusters:
        cluster = faiss_clusters if self.clustering == "faiss" else numpy_clusters
        return cluster(rows, clusters=min(self.clusters or 1, len(rows)), seed=self.seed)


def routellm_similarity(*, same_tier_anchor: bool = True) -> SimilarityBradleyTerry:
    """RouteLLM's similarity-weighted ranking as its code has it: gamma 10, ten tiers, no prior."""
    return SimilarityBradleyTerry(gamma=10.0, tiers=10, same_tier_anchor=same_tier_anchor)


def load_similarity(folder: str | Path, *, check: bool = True) -> FittedSimilarity:
    """A fit that `save_fitted` wrote; see `pickllm.ranking.state.load_fitted`."""
    parts = (Cells, ExactPart, MultipolePart, Projection)
    return load_fitted(folder, FittedSimilarity, parts=parts, check=check)


def _entries(
    table: PreferenceTable, player_of: Integers, players: int, same_tier_anchor: bool
) -> Entries:
    first, second = player_of[table.first], player_of[table.second]
    same = first == second
    if same_tier_anchor:
        first = np.where(same, players - 1, first)
        kept = np.ones(len(table), dtype=bool)
    else:
        kept = ~same
    if not kept.any():
        raise ConfigError("no battle is between arms of different tiers; take more tiers")
    columns = {
        "prompt": table.prompt,
        "first": first,
        "second": second,
        "won": table.won,
        "mass": table.weight,
    }
    return Entries.of(players=players, **{name: column[kept] for name, column in columns.items()})


def _compacted(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Join exact parts at the end until each is far larger than the one behind it."""
    *before, last = parts
    while before and isinstance(last, ExactPart):
        previous = before[-1]
        if not isinstance(previous, ExactPart) or len(previous.rows) > _RATIO * len(last.rows):
            break
        last = previous.joined(last)
        before.pop()
    return (*before, last)
