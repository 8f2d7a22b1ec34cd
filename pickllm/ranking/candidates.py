"""Rankers by name, each with settings worth trying; which is best is for held-out battles to say.

    auto     one of each kind below, and the stack of those that are quick to fit
    others   one kind, over a small grid of its settings

What needs a package that is not there is passed over in ``auto``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError, MissingExtra
from pickllm.ranking.boosting import Boosting
from pickllm.ranking.contract import Prompts, Ranker
from pickllm.ranking.factorisation import Factorisation, published_factorisation
from pickllm.ranking.regression import Neighbours, Ridge
from pickllm.ranking.selection import Contender, contender, grid, prompt_folds
from pickllm.ranking.similarity import SimilarityBradleyTerry, routellm_similarity
from pickllm.ranking.stack import Stack
from pickllm.ranking.words import WordRidge

__all__ = ["KINDS", "Tried", "by_clusters", "candidates", "try_all", "usual_clusters"]

_LEAST_LEAF = 5
_MOST_LOOKED_AT = 20_000
"""Prompts beyond this number are put into clusters."""
_MOST_NUMBERS = 400
"""In vectors that trees look at: hashed words are longer, tell trees little, and take minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A candidate, and what came of it."""

    name: str
    contender: Contender | None
    """None where it could not be fitted."""
    why: str = ""
    """Why not."""


def _words(prompts: Prompts) -> dict[str, Ranker[Any]]:
    del prompts
    return _named("words", grid(WordRidge(), penalty=[1.0, 4.0, 16.0]))


def _boosting(prompts: Prompts) -> dict[str, Ranker[Any]]:
    looks = Boosting(least_prompts=max(_LEAST_LEAF, min(40, len(prompts) // 20)))
    found: dict[str, Ranker[Any]] = {"looks": looks}
    if 0 < prompts.vectors.shape[1] <= _MOST_NUMBERS:
        found["looks and vector"] = replace(looks, read_vectors=True)
    return found


def _ridge(prompts: Prompts) -> dict[str, Ranker[Any]]:
    del prompts
    return _named("ridge", grid(Ridge(), penalty=[3.0, 30.0, 300.0]))


def _neighbours(prompts: Prompts) -> dict[str, Ranker[Any]]:
    counts = [count for count in (10, 30, 100, 300) if count <= max(10, len(prompts) // 4)]
    return _named("neighbours", grid(Neighbours(), count=counts))


def _similarity(prompts: Prompts) -> dict[str, Ranker[Any]]:
    dim = prompts.vectors.shape[1]
    cut: list[int | None] = [size for size in (32, 128) if size < dim]
    sharp = SimilarityBradleyTerry(prior_battles=1.0)
    found: dict[str, Ranker[Any]] = {
        **_named("similarity", grid(sharp, gamma=[10.0, 100.0], dimensions=cut or [None])),
        "similarity as RouteLLM": routellm_similarity(),
    }
    return by_clusters(found, usual_clusters(len(prompts)))


def _factorisation(prompts: Prompts) -> dict[str, Ranker[Any]]:
    del prompts
    return {
        "factorisation": Factorisation(),
        "factorisation as RouteLLM": published_factorisation(),
    }


def _stack(prompts: Prompts) -> dict[str, Ranker[Any]]:
    members: dict[str, Ranker[Any]] = {"words": WordRidge(), **_boosting(prompts)}
    if prompts.vectors.shape[1]:
        members |= {"ridge": Ridge(), "neighbours": Neighbours()}
    return {"stack": Stack(members=members, folds=4)}


def _auto(prompts: Prompts) -> dict[str, Ranker[Any]]:
    found: dict[str, Ranker[Any]] = {"words": WordRidge(), **_boosting(prompts)}
    if prompts.vectors.shape[1]:
        found |= {"ridge": Ridge(), "neighbours": Neighbours()}
        found |= _similarity(prompts)
        found |= {"factorisation": Factorisation()}
    return found | _stack(prompts)


KINDS: Mapping[str, Callable[[Prompts], dict[str, Ranker[Any]]]] = MappingProxyType(
    {
        "auto": _auto,
        "boosting": _boosting,
        "factorisation": _factorisation,
        "neighbours": _neighbours,
        "ridge": _ridge,
        "similarity": _similarity,
        "stack": _stack,
        "words": _words,
    }
)
"""Name to candidates, made for some prompts."""


def candidates(kind: str, prompts: Prompts) -> dict[str, Ranker[Any]]:
    """Rankers of a kind that suit these prompts, by a name that tells their settings.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no ranker {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind](prompts)


def usual_clusters(prompts: int) -> int | None:
    """How many clusters so many prompts are put into; None where each is looked at."""
    return None if prompts <= _MOST_LOOKED_AT else min(1024, 4 * isqrt(prompts))


def by_clusters(rankers: Mapping[str, Ranker[Any]], clusters: int | None) -> dict[str, Ranker[Any]]:
    """The same rankers, those by similarity in so many clusters; None looks at each battle."""
    return {
        name: replace(ranker, clusters=clusters)
        if isinstance(ranker, SimilarityBradleyTerry)
        else ranker
        for name, ranker in rankers.items()
    }


def try_all(
    rankers: Mapping[str, Ranker[Any]],
    table: PreferenceTable,
    prompts: Prompts,
    *,
    pair: tuple[str, str] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Iterator[Tried]:
    """Each candidate on the same held-out folds, as it is done.

    Args:
        rankers: By name.
        table: Battles to fit on and to judge by.
        prompts: Those of the table.
        pair: The strong arm and the weak one, where there are such.
        folds: How many parts are held out in turn.
        seed: Deals the prompts into folds.
    """
    dealt = prompt_folds(prompts, folds=folds, rng=np.random.default_rng(seed))
    for name, ranker in rankers.items():
        try:
            found = contender(name, ranker, table, prompts, dealt, pair=pair)
        except MissingExtra as error:
            yield Tried(name=name, contender=None, why=str(error))
        else:
            yield Tried(name=name, contender=found)


def _named(kind: str, settings: Mapping[str, Ranker[Any]]) -> dict[str, Ranker[Any]]:
    return {f"{kind}, {name}": ranker for name, ranker in settings.items()}
