"""Sums over a million battles that look at a few hundred: far clusters as one body each.

Vectors are put into clusters; those near to the prompt are summed exactly. A far cluster l with
centre C_l has battles e_i = C_l + d_i, and to first order in d

    exp(b q.e_i)  =  exp(b q.C_l) * (1 + b q.d_i + …)

so in cell c it adds ``exp(b q.C_l) * n_lc`` from the counts ``n_lc``, and what is left is gathered
over all clusters in one vector for each cell, ``R_c = sum of d_i``, weighted by the mean far weight
w: ``b * w * q.R_c``. The second order is known on average: ``exp(b^2 v_l / 2)`` with v_l the mean
square of d in a direction. Near clusters are then put right: their part of both terms is taken off
and what their battles really weigh is added.

The highest similarity, which sets how sharp weights are, is that of the near clusters; missing the
true nearest prompt is the largest error, so look into several.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.index import Clusters
from pickllm.ranking.battle_sums import Cells, Entries

__all__ = ["MultipolePart", "multipole_part"]

_FEW = 8

Seen: TypeAlias = tuple[Floats, Floats, Integers, list[slice]]
"""Similarity of the centres and of the rows of near clusters; which clusters those are, and where
their rows stand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MultipolePart:
    """Battles by cluster, with what is known of each cluster and of each cell."""

    near: int
    """How many clusters are summed exactly."""
    centres: Floats
    """``[clusters, dim]`` float32."""
    spread: Floats
    """Mean square distance from the centre in a direction, ``[clusters]`` float32."""
    counts: Floats
    """Mass of each cell in each cluster, ``[clusters, cells]`` float32."""
    left_over: Floats
    """R_c, ``[cells, dim]`` float32."""
    rows: Floats
    """Vectors of the prompts, sorted by cluster, ``[prompts, dim]`` float32."""
    row_starts: Integers
    """First row of each cluster, and the end, ``[clusters + 1]``."""
    entry_starts: Integers
    """First entry of each cluster, and the end, ``[clusters + 1]``."""
    entry_row: Integers
    """Row of each entry, ``[entries]`` int32; empty where each prompt has one battle."""
    entry_cell: Integers
    """Place of each entry's cell in ``cells``, ``[entries]``."""
    entry_mass: Floats
    """``[entries]`` float32; empty where all are 1."""
    cells: Cells
    totals: Floats

    def look(self, vectors: Floats) -> list[tuple[float, Seen]]:
        """Similarity of all centres, and of the rows of the nearest clusters."""
        return [self._look(vector) for vector in vectors]

    def _look(self, vector: Floats) -> tuple[float, Seen]:
        far = self.centres.dot(vector)  # `@` may warn of what its kernels read beyond the end
        clusters = _highest(far, self.near)
        slices = _slices(self.row_starts, clusters)
        similarity = np.concatenate([self.rows[piece] for piece in slices]).dot(vector)
        return float(similarity.max()), (far, similarity, clusters, slices)

    def sums(self, seen: Seen, vector: Floats, sharpness: float, shift: float) -> Floats:
        """Far clusters by their counts, near ones battle by battle."""
        far, similarity, clusters, slices = seen
        weight = np.exp(sharpness * far - shift + (0.5 * sharpness**2) * self.spread)
        slope = sharpness * float(np.add.reduce(weight)) / len(weight)
        sums = weight.dot(self.counts) + slope * self.left_over.dot(vector)
        sizes = [piece.stop - piece.start for piece in slices]
        known = np.repeat(weight[clusters] - slope * far[clusters], sizes)
        missed = np.exp(sharpness * similarity - shift) - (known + slope * similarity)
        if len(self.entry_row):
            missed = missed[self._places(clusters, slices)]
            slices = _slices(self.entry_starts, clusters)
        if len(self.entry_mass):
            missed *= np.concatenate([self.entry_mass[piece] for piece in slices])
        cells = np.concatenate([self.entry_cell[piece] for piece in slices])
        return np.asarray(np.maximum(sums + np.bincount(cells, missed, len(sums)), 0.0))

    def _places(self, clusters: Integers, slices: list[slice]) -> Integers:
        """Where the rows of near entries stand among the near rows."""
        entries = self.entry_starts[clusters + 1] - self.entry_starts[clusters]
        rows = np.array([piece.stop - piece.start for piece in slices])
        moved = np.cumsum(rows) - rows - self.row_starts[clusters]
        near = np.concatenate(
            [self.entry_row[piece] for piece in _slices(self.entry_starts, clusters)]
        )
        return np.asarray(near + np.repeat(moved, entries))


def multipole_part(
    rows: Floats, entries: Entries, clusters: Clusters, *, near: int
) -> MultipolePart:
    """Put battles in order for `MultipolePart`.

    Args:
        rows: Vectors of the prompts, ``[prompts, dim]``.
        entries: Battles; every prompt has at least one.
        clusters: Of the rows.
        near: How many clusters are to be summed exactly.
    """
    codes, cell = np.unique(entries.cell, return_inverse=True)
    by_cluster = np.argsort(clusters.member_of, kind="stable")
    row_of = np.empty(len(rows), dtype=np.int32)
    row_of[by_cluster] = np.arange(len(rows), dtype=np.int32)
    order = np.argsort(row_of[entries.prompt], kind="stable")
    entry_row, entry_cell = row_of[entries.prompt][order], cell[order].astype(np.int32)
    mass = entries.mass[order]
    sorted_rows = np.ascontiguousarray(rows[by_cluster], dtype=np.float32)
    member_of = clusters.member_of[by_cluster]
    count, size = len(clusters.centres), len(codes)
    counts = np.bincount(member_of[entry_row] * size + entry_cell, mass, count * size)
    apart = sorted_rows - clusters.centres[member_of]
    sizes = np.bincount(member_of, minlength=count)
    square = np.bincount(member_of, np.einsum("ij,ij->i", apart, apart), count)
    return MultipolePart(
        near=min(near, count),
        centres=np.ascontiguousarray(clusters.centres, dtype=np.float32),
        spread=(square / np.maximum(sizes, 1) / rows.shape[1]).astype(np.float32),
        counts=counts.reshape(count, size).astype(np.float32),
        left_over=_sums_of_rows(apart[entry_row] * mass[:, None], entry_cell, size),
        rows=sorted_rows,
        row_starts=_starts(sizes),
        entry_starts=_starts(np.bincount(member_of[entry_row], minlength=count)),
        entry_row=entry_row if len(entry_row) > len(rows) else entry_row[:0],
        entry_cell=entry_cell,
        entry_mass=mass[:0] if np.all(mass == 1.0) else mass.astype(np.float32),
        cells=Cells.of(codes, entries.players),
        totals=np.bincount(entry_cell, mass, size),
    )


def _highest(values: Floats, count: int) -> Integers:
    """Places of the highest; a few are found faster one by one."""
    if count >= len(values):
        return np.arange(len(values))
    if count > _FEW:
        return np.argpartition(values, len(values) - count)[len(values) - count :]
    left = values.copy()
    places = np.empty(count, dtype=np.intp)
    for at in range(count):
        places[at] = left.argmax()
        left[places[at]] = -np.inf
    return places


def _slices(starts: Integers, clusters: Integers) -> list[slice]:
    """The pieces of an array that belong to some clusters."""
    ends = starts[clusters + 1].tolist()
    return [slice(b, e) for b, e in zip(starts[clusters].tolist(), ends, strict=True)]


def _starts(sizes: Integers) -> Integers:
    return np.concatenate(([0], np.cumsum(sizes)))


def _sums_of_rows(rows: Floats, group: Integers, groups: int) -> Floats:
    """Sum of the rows of each group, ``[groups, dim]`` float32."""
    columns = [np.bincount(group, column, groups) for column in rows.T]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32)
