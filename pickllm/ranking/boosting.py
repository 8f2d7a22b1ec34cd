"""Gradient boosting on what a prompt looks like: small trees, each mending what is left over.

    strength(x) = baseline + sum over trees t of value of the leaf of t that x falls into

scikit-learn grows the trees; they are kept as plain arrays and walked in numpy, all trees at once,
which for one prompt is many times faster than its own `predict`. Features are those of
`surface.py`, and the vector as well with ``read_vectors``.

Source: Friedman, Greedy Function Approximation: A Gradient Boosting Machine (2001).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError, MissingExtra
from pickllm.ranking.contract import Prompts
from pickllm.ranking.regression import mean_points
from pickllm.ranking.surface import SURFACE_FEATURES, surface_features

__all__ = ["Boosting", "FittedBoosting", "Forest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Forest:
    """The trees of one arm, their nodes laid out one tree behind the other."""

    roots: Integers
    """First node of each tree, ``[trees]``."""
    feature: Integers
    """Which feature a node looks at, ``[nodes]``."""
    threshold: Floats
    """What is no greater goes left, ``[nodes]``; a leaf has infinity."""
    left: Integers
    """Next node, ``[nodes]``; a leaf names itself."""
    right: Integers
    """Next node, ``[nodes]``."""
    value: Floats
    """What a leaf adds, ``[nodes]``."""
    depth: int
    baseline: float

    def predict(self, rows: Floats) -> Floats:
        """Sums over all trees, ``[rows]``, from features ``[rows, features]``."""
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            found = np.take_along_axis(rows, self.feature[node], axis=1)
            node = np.where(found <= self.threshold[node], self.left[node], self.right[node])
        return np.asarray(self.baseline + self.value[node].sum(axis=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedBoosting:
    """Trees for each arm."""

    arms: tuple[str, ...]
    forests: tuple[Forest, ...]
    """One for each arm."""
    dim: int
    """Length of the vectors that it reads; 0 for none."""

    @property
    def instant(self) -> bool:
        """It walks its trees all at once."""
        return True

    def strengths(self, prompts: Prompts) -> Floats:
        """What the trees say, ``[prompts, arms]``, kept in [0, 1]."""
        rows = _rows(prompts, dim=self.dim)
        found = [forest.predict(rows) for forest in self.forests]
        return np.asarray(np.clip(np.stack(found, axis=1), 0.0, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Boosting:
    """Settings of the trees; the defaults suit some thousands of noisy battles."""

    trees: int = 200
    learning_rate: float = 0.05
    leaves: int = 8
    """At most so many in a tree, at least 2."""
    least_prompts: int = 40
    """In a leaf."""
    penalty: float = 10.0
    """On the leaves' values, at least 0."""
    read_vectors: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trees < 1 or self.leaves < 2 or not self.learning_rate > 0.0:
            raise ConfigError("boosting needs a tree, two leaves, and a learning rate above 0")

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"boosting(trees={self.trees}, read_vectors={self.read_vectors})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> FittedBoosting:
        """Grow the trees of each arm.

        Raises:
            MissingExtra: scikit-learn, which grows them, is not installed.
        """
        used = np.unique(table.prompt)
        rows = _rows(prompts.take(used), dim=prompts.vectors.shape[1] if self.read_vectors else 0)
        points = table.points()[used]
        means = mean_points(points)
        forests = [
            self._grow(rows, column, float(mean))
            for column, mean in zip(points.T, means, strict=True)
        ]
        return FittedBoosting(
            arms=table.arms,
            forests=tuple(forests),
            dim=prompts.vectors.shape[1] if self.read_vectors else 0,
        )

    def _grow(self, rows: Floats, targets: Floats, mean: float) -> Forest:
        try:
            from sklearn.ensemble import HistGradientBoostingRegressor
        except ImportError as error:
            raise MissingExtra("to grow trees", extra="ranking") from error
        known = ~np.isnan(targets)
        if known.sum() < 2:
            return _forest([], mean)
        model = HistGradientBoostingRegressor(
            max_iter=self.trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.least_prompts,
            l2_regularization=self.penalty,
            early_stopping=False,
            random_state=self.seed,
        )
        model.fit(rows[known], targets[known])
        # scikit-learn shows its trees nowhere else; a test compares what is made of them
        trees = [stage[0].nodes for stage in model._predictors]  # noqa: SLF001  # see above
        return _forest(trees, float(np.ravel(model._baseline_prediction)[0]))  # noqa: SLF001  # same


def _forest(trees: list[Any], baseline: float) -> Forest:
    sizes = [len(nodes) for nodes in trees]
    roots = np.cumsum([0, *sizes], dtype=np.int32)[:-1]
    if not trees:
        none = np.zeros(0, dtype=np.int32)
        empty = np.zeros(0)
        return Forest(
            roots=none,
            feature=none,
            threshold=empty,
            left=none,
            right=none,
            value=empty,
            depth=0,
            baseline=baseline,
        )
    nodes = np.concatenate(trees)
    own = np.arange(len(nodes), dtype=np.int32)
    root = np.repeat(roots, sizes)
    leaf = nodes["is_leaf"].astype(bool)
    return Forest(
        roots=roots,
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
        threshold=np.where(leaf, np.inf, nodes["num_threshold"]),
        left=np.where(leaf, own, root + nodes["left"]).astype(np.int32),
        right=np.where(leaf, own, root + nodes["right"]).astype(np.int32),
        value=nodes["value"].astype(np.float64),
        depth=int(nodes["depth"].max()),
        baseline=baseline,
    )


def _rows(prompts: Prompts, *, dim: int) -> Floats:
    found = [surface_features(text) for text in prompts.texts]
    surface = np.array(found, dtype=np.float32).reshape(-1, len(SURFACE_FEATURES))
    return np.hstack([surface, prompts.vectors_of(dim)]) if dim else surface
