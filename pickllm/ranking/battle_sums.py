"""Battles as cells: all that a weighted Bradley-Terry fit must know of them.

    battle ──► players i < j and what i won of it (1, ½, 0) ──► one of 3·K·K cells
    weights of all battles ──► their sum in each cell ──► wins [K, K] ──► ratings

Within a cell all battles say the same, so of a million weights a few hundred sums are left. This
file has the cells and the exact sums; `multipole.py` has sums that look at few of the battles.

A fit may hold several parts, each with battles of its own: what is added later becomes a part
beside those that are there. A part is asked twice, for the sharpness of the weights depends on the
highest similarity in all parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pickllm.arrays import Floats, Integers

__all__ = ["Cells", "Entries", "ExactPart", "Part", "exact_part"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """Battles, coded: the prompt, the cell, and how much they weigh."""

    players: int
    prompt: Integers
    """Row of the prompt's vector, ``[entries]``."""
    cell: Integers
    """``3 * (players * i + j) + 2 * won``, with i < j, ``[entries]``."""
    mass: Floats
    """``[entries]``."""

    @staticmethod
    def of(
        *,
        players: int,
        prompt: Integers,
        first: Integers,
        second: Integers,
        won: Floats,
        mass: Floats,
    ) -> "Entries":
        """Code battles of players; what is neither won, lost nor tied becomes part of both."""
        low, high = np.minimum(first, second), np.maximum(first, second)
        share = np.where(first <= second, won, 1.0 - won)
        mixed = ~np.isin(share, (0.0, 0.5, 1.0))
        pair = 3 * (players * low + high)
        outcome = np.where(mixed, 2, np.rint(2.0 * share)).astype(np.intp)
        return Entries(
            players=players,
            prompt=np.concatenate((prompt, prompt[mixed])),
            cell=np.concatenate((pair + outcome, pair[mixed])),
            mass=np.concatenate(
                (np.where(mixed, mass * share, mass), (mass * (1.0 - share))[mixed])
            ),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """The cells that occur among some battles, taken apart."""

    players: int
    there: Integers
    """Where a win of the first player stands in ``[players, players]`` laid flat, ``[cells]``."""
    back: Integers
    """Where a win of the second player stands, ``[cells]``."""
    won: Floats
    """What the first player won, ``[cells]``."""

    @staticmethod
    def of(codes: Integers, players: int) -> "Cells":
        """Take codes as `Entries` has them apart."""
        pair, outcome = np.divmod(codes, 3)
        low, high = np.divmod(pair, players)
        there, back = low * players + high, high * players + low
        return Cells(players=players, there=there, back=back, won=outcome * 0.5)

    def wins(self, sums: Floats) -> Floats:
        """Weight of the wins of one player over another, from sums ``[cells]``."""
        won = sums * self.won
        flat = np.bincount(self.there, won, self.players**2)
        flat += np.bincount(self.back, sums - won, self.players**2)
        return flat.reshape(self.players, self.players)


class Part(Protocol):
    """Some of the battles, and how to sum their weights cell by cell."""

    @property
    def rows(self) -> Floats:
        """Vectors of the prompts, ``[prompts, dim]``."""

    @property
    def cells(self) -> Cells:
        """The cells that occur."""

    @property
    def totals(self) -> Floats:
        """Sums where every battle weighs the same, ``[cells]``."""

    def look(self, vectors: Floats) -> Sequence[tuple[float, Any]]:
        """For each vector ``[vectors, dim]`` the highest similarity, and what `sums` wants."""

    def sums(self, seen: Any, vector: Floats, sharpness: float, shift: float) -> Floats:
        """Sum of ``exp(sharpness * similarity - shift)`` in each cell, ``[cells]``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactPart:
    """All battles are looked at: one matrix-vector product, bounded by the memory's bandwidth."""

    rows: Floats
    """Vectors of the prompts, in the order of their first cell, ``[prompts, dim]`` float32."""
    place: Integers
    """Row of each entry, entries sorted by cell, ``[entries]``; empty where it counts up by one."""
    mass: Floats
    """``[entries]`` float32; empty where all are 1."""
    starts: Integers
    """First entry of each cell, ``[cells]``."""
    cells: Cells
    totals: Floats

    def look(self, vectors: Floats) -> Sequence[tuple[float, Floats]]:
        """Similarities to all prompts."""
        if len(vectors) == 1:
            similarity = self.rows.dot(vectors[0])
            return [(float(similarity.max()), similarity)]
        similarities = vectors @ self.rows.T
        return list(zip(similarities.max(axis=1).tolist(), similarities, strict=True))

    def sums(self, seen: Floats, vector: Floats, sharpness: float, shift: float) -> Floats:
        """The definition."""
        weight = np.exp(np.float32(sharpness) * seen - np.float32(shift))
        if len(self.place):
            weight = weight[self.place]
        if len(self.mass):
            weight = weight * self.mass
        return np.add.reduceat(weight, self.starts, dtype=np.float64)

    def joined(self, other: "ExactPart") -> "ExactPart":
        """The battles of both in one part."""
        mine, theirs = self._entries(), other._entries()  # noqa: SLF001  # of the same kind
        entries = Entries(
            players=mine.players,
            prompt=np.concatenate((mine.prompt, theirs.prompt + len(self.rows))),
            cell=np.concatenate((mine.cell, theirs.cell)),
            mass=np.concatenate((mine.mass, theirs.mass)),
        )
        return exact_part(np.concatenate((self.rows, other.rows)), entries)

    def _entries(self) -> Entries:
        codes = 3 * self.cells.there + np.rint(2.0 * self.cells.won).astype(np.intp)
        count = len(self.place) or len(self.rows)
        sizes = np.diff(np.append(self.starts, count))
        return Entries(
            players=self.cells.players,
            prompt=self.place if len(self.place) else np.arange(count),
            cell=np.repeat(codes, sizes),
            mass=self.mass if len(self.mass) else np.ones(count, dtype=np.float32),
        )


def exact_part(rows: Floats, entries: Entries) -> ExactPart:
    """Put battles in order for `ExactPart`; rows ``[prompts, dim]`` that none has are left out."""
    order = np.argsort(entries.cell, kind="stable")
    prompts, first = np.unique(entries.prompt[order], return_index=True)
    prompts = prompts[np.argsort(first)]
    row_of = np.zeros(len(rows), dtype=np.int32)
    row_of[prompts] = np.arange(len(prompts), dtype=np.int32)
    place = row_of[entries.prompt[order]]
    mass = entries.mass[order].astype(np.float32)
    codes, starts = np.unique(entries.cell[order], return_index=True)
    counts_up = len(place) == len(prompts)
    return ExactPart(
        rows=np.ascontiguousarray(rows[prompts], dtype=np.float32),
        place=place[:0] if counts_up else place,
        mass=mass[:0] if np.all(mass == 1.0) else mass,
        starts=starts,
        cells=Cells.of(codes, entries.players),
        totals=np.add.reduceat(mass, starts, dtype=np.float64),
    )
