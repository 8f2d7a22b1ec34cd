"""The same by FAISS: an inverted file, whose lists are the clusters that k-means finds.

On disk it is a folder with FAISS's own file, which is mapped into memory rather than read, and its
settings with a digest: what is damaged or half written is told apart when it is loaded.

>>> clusters = faiss_clusters(np.repeat(np.eye(2, dtype=np.float32), 50, axis=0), clusters=2)
>>> sorted(set(clusters.member_of[:50])) != sorted(set(clusters.member_of[50:]))
True
"""

import json
import tempfile
from dataclasses import dataclass
from hashlib import file_digest
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.errors import ConfigError, MissingExtra, StateConflict
from pickllm.index.exact import Clusters, check_clusters
from pickllm.places import new_place

__all__ = ["FaissIndex", "faiss_clusters"]

_FORMAT = 1
_VECTORS, _SETTINGS = "vectors.faiss", "index.json"
_VECTORS_PER_CLUSTER = 64
"""K-means sees no more of them than this: centres hardly move for more."""


def faiss_clusters(vectors: Floats, *, clusters: int, seed: int = 0, rounds: int = 10) -> Clusters:
    """Clusters of vectors ``[vectors, dim]``.

    Raises:
        ConfigError: There are fewer vectors than clusters.
        MissingExtra: FAISS is not installed.
    """
    check_clusters(vectors, clusters)
    faiss = _faiss()
    known = np.ascontiguousarray(vectors, dtype=np.float32)
    means = faiss.Kmeans(
        known.shape[1],
        clusters,
        niter=rounds,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_VECTORS_PER_CLUSTER,
    )
    means.train(known)
    _, found = means.index.search(known, 1)
    return Clusters(centres=np.array(means.centroids), member_of=found[:, 0])


@dataclass(frozen=True, kw_only=True, slots=True)
class FaissIndex:
    """An inverted file: a search looks into the lists nearest to it."""

    lists: int | None = None
    """How many clusters; None takes four times the root of the number of vectors."""
    looked_into: int = 16
    """How many lists a search reads: more find more, and take longer."""
    _index: Any = None
    _file: Path | None = None
    """Where it is mapped from."""

    def __post_init__(self) -> None:
        if self.looked_into < 1 or (self.lists is not None and self.lists < 1):
            raise ConfigError("an inverted file needs at least one list, and a search one to read")

    def add(self, vectors: Floats) -> "FaissIndex":
        """An index with these vectors too, ``[more, dim]``; the first ones shape the lists.

        Raises:
            MissingExtra: FAISS is not installed.
        """
        faiss = _faiss()
        known = np.ascontiguousarray(vectors, dtype=np.float32)
        if self._index is None:
            lists = min(self.lists or 4 * isqrt(len(known)), len(known))
            quantizer = faiss.IndexFlatIP(known.shape[1])
            index = faiss.IndexIVFFlat(quantizer, known.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
            index.cp.min_points_per_centroid = 1
            index.train(known)
        elif self._file is not None:  # what is mapped can not grow
            index = faiss.read_index(str(self._file / _VECTORS))
        else:
            index = faiss.clone_index(self._index)
        index.add(known)
        index.nprobe = self.looked_into
        return FaissIndex(lists=self.lists, looked_into=self.looked_into, _index=index)

    def save(self, folder: str | Path) -> Path:
        """Write it to a folder that is not there yet, whole or not at all.

        Raises:
            ConfigError: The folder is there or can not be written, or nothing was added yet.
        """
        place = new_place(folder)
        if self._index is None:
            raise ConfigError(f"there are no vectors to write to {place}: add some first")
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unfinished-") as temporary:
            unfinished = Path(temporary) / "index"
            unfinished.mkdir()
            _faiss().write_index(self._index, str(unfinished / _VECTORS))
            settings = {
                "pickllm_index": _FORMAT,
                "lists": self.lists,
                "looked_into": self.looked_into,
                "digest": _digest(unfinished / _VECTORS),
            }
            (unfinished / _SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
            unfinished.rename(place)
        return place

    @staticmethod
    def load(folder: str | Path, *, check: bool = True) -> "FaissIndex":
        """Read what `save` wrote; the vectors stay on disk until they are looked at.

        To `add` to it reads them all into memory.

        Args:
            folder: Where it is.
            check: Whether to read the file once and compare its digest.

        Raises:
            StateConflict: There is none, it is damaged, or it is of another version.
            MissingExtra: FAISS is not installed.
        """
        place, faiss = Path(folder), _faiss()
        try:
            settings = json.loads((place / _SETTINGS).read_text(encoding="utf-8"))
            known = settings["pickllm_index"] == _FORMAT
            if not known or (check and settings["digest"] != _digest(place / _VECTORS)):
                raise StateConflict(f"{place} is not what was saved. Copy it again, or build anew")
            index = faiss.read_index(str(place / _VECTORS), faiss.IO_FLAG_MMAP)
            lists, looked_into = settings["lists"], int(settings["looked_into"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise StateConflict(f"{place} holds no index: {type(error).__name__}") from error
        index.nprobe = looked_into
        return FaissIndex(lists=lists, looked_into=looked_into, _index=index, _file=place)

    def search(self, vectors: Floats, count: int) -> tuple[Integers, Floats]:
        """The nearest, but for those in lists that were not read."""
        if self._index is None:
            empty = np.zeros((len(vectors), 0), dtype=np.float32)
            return empty.astype(np.intp), empty
        kept = min(count, self._index.ntotal)
        known = np.ascontiguousarray(vectors, dtype=np.float32)
        similarities, places = self._index.search(known, kept)
        return places, np.where(places < 0, -np.inf, similarities)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "blake2b").hexdigest()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra("an inverted file", extra="ranking") from error
    return faiss
