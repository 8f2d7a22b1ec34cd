"""Preferences: which of two models answered a prompt better, from wherever that is known.

    Chatbot Arena exports   read_arena        people's votes, CSV or parquet
    outcome tables          from_outcomes     two graded answers are a battle
                            from_grades       or each is one with its own mark
    an LLM judge's verdicts read_judgements   JSON lines
    anything else           preference_table  an iterable of `Battle`

All become one `PreferenceTable`, in columns. A prompt and an arm stand there once, however many
battles they are in: a million battles are a few numbers each, and every prompt is embedded once.

>>> table = preference_table([
...     Battle(prompt="Why?", first="small", second="large", winner="second"),
...     Battle(prompt="Why?", first="large", second="small", winner="tie"),
... ])
>>> table.arms, table.won.tolist(), table.wins().tolist()
(('large', 'small'), [0.0, 0.5], [[0.0, 1.5], [0.5, 0.0]])
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.errors import ConfigError
from pickllm.evaluation.table import OutcomeTable

__all__ = [
    "MARK",
    "Battle",
    "PreferenceTable",
    "Winner",
    "from_grades",
    "from_outcomes",
    "join",
    "preference_table",
]

MARK = "(mark)"
"""The opponent of every arm in `from_grades`; no arm of a pool."""

Winner: TypeAlias = Literal["first", "second", "tie"]
"""Whose answer was better."""

_WINNER_TO_WON: Mapping[str, float] = {"first": 1.0, "second": 0.0, "tie": 0.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Battle:
    """Two answers to one prompt, and which was better."""

    prompt: str = field(repr=False)
    first: str
    """Name of an arm."""
    second: str
    """Name of another arm."""
    winner: Winner
    source: str = ""
    """Who says so."""
    weight: float = 1.0
    """How many votes it counts for, above 0."""

    def __post_init__(self) -> None:
        if self.winner not in _WINNER_TO_WON:
            raise ConfigError(f"the winner is first, second or tie; here it is {self.winner!r}")
        if not all(isinstance(each, str) for each in (self.prompt, self.first, self.second)):
            raise ConfigError("prompt, first and second of a battle are text")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceTable:
    """Battles in columns; names and prompts stand once, the columns hold their places."""

    prompts: tuple[str, ...] = field(repr=False)
    arms: tuple[str, ...]
    sources: tuple[str, ...]
    prompt: Integers
    """Place in ``prompts``, ``[battles]``."""
    first: Integers
    """Place in ``arms``, ``[battles]``."""
    second: Integers
    """Place in ``arms``, ``[battles]``."""
    won: Floats
    """What the first arm won: 1, 0, 0.5 for a tie, or what lies between, ``[battles]``."""
    weight: Floats
    """Above 0, ``[battles]``."""
    source: Integers
    """Place in ``sources``, ``[battles]``."""

    def __post_init__(self) -> None:
        for name, names in (("prompt", "prompts"), ("source", "sources")):
            _check_places(getattr(self, name), len(getattr(self, names)), name, len(self.won))
        _check_places(self.first, len(self.arms), "first", len(self.won))
        _check_places(self.second, len(self.arms), "second", len(self.won))
        if np.any(self.first == self.second):
            raise ConfigError("a battle is between two arms; here is one of an arm with itself")
        if not (np.all(self.won >= 0.0) and np.all(self.won <= 1.0)):
            raise ConfigError("won must be a number in [0, 1] for every battle")
        sound = (self.weight > 0.0) & np.isfinite(self.weight)
        if self.weight.shape != self.won.shape or not sound.all():
            raise ConfigError("weight must be a number above 0 for every battle")

    def __len__(self) -> int:
        """How many battles there are."""
        return len(self.won)

    def take(self, battles: Integers) -> "PreferenceTable":
        """Some battles alone: their places, or a mask ``[battles]``. Prompts and arms all stay."""
        columns = ("prompt", "first", "second", "won", "weight", "source")
        return replace(self, **{name: getattr(self, name)[battles] for name in columns})

    def of_prompts(self, mask: Integers) -> "PreferenceTable":
        """The battles on the prompts that a mask ``[prompts]`` names. Prompts and arms all stay."""
        return self.take(np.asarray(mask, dtype=bool)[self.prompt])

    def between(self, first: str, second: str) -> "PreferenceTable":
        """The battles of two arms with each other."""
        pair = {self.arm(first), self.arm(second)}
        return self.take(np.isin(self.first, [*pair]) & np.isin(self.second, [*pair]))

    def arm(self, name: str) -> int:
        """Place of an arm; `ConfigError` where no battle has it."""
        if name not in self.arms:
            raise ConfigError(f"no battle has arm {name!r}; the table has {', '.join(self.arms)}")
        return self.arms.index(name)

    def wins(self) -> Floats:
        """Weight of the wins of one arm over another, a tie half for each, ``[arms, arms]``."""
        count = len(self.arms)
        there = np.bincount(self.first * count + self.second, self.weight * self.won, count**2)
        back = np.bincount(
            self.second * count + self.first, self.weight * (1.0 - self.won), count**2
        )
        return np.asarray(there + back).reshape(count, count)

    def points(self) -> Floats:
        """What each arm won of its battles on each prompt, ``[prompts, arms]``, NaN for no battle.

        1 is an arm that beat all it met, 0.5 one that was like them.
        """
        size = len(self.prompts) * len(self.arms)
        at_first = self.prompt * len(self.arms) + self.first
        at_second = self.prompt * len(self.arms) + self.second
        won = np.bincount(at_first, self.weight * self.won, size)
        won += np.bincount(at_second, self.weight * (1.0 - self.won), size)
        met = np.bincount(at_first, self.weight, size) + np.bincount(at_second, self.weight, size)
        points = np.divide(won, met, out=np.full(size, np.nan), where=met > 0.0)
        return np.asarray(points).reshape(len(self.prompts), len(self.arms))

    def merged(self) -> "PreferenceTable":
        """Equal verdicts on the same prompt and pair, either way round, as one of their weight."""
        turned = self.first > self.second
        first = np.where(turned, self.second, self.first)
        second = np.where(turned, self.first, self.second)
        won = np.where(turned, 1.0 - self.won, self.won)
        keys = np.stack([self.prompt, first, second, won, self.source], axis=1)
        rows, place = np.unique(keys, axis=0, return_inverse=True)
        prompt, first, second, source = (rows[:, at].astype(np.intp) for at in (0, 1, 2, 4))
        return replace(
            self,
            prompt=prompt,
            first=first,
            second=second,
            won=rows[:, 3],
            weight=np.bincount(place.ravel(), self.weight, len(rows)),
            source=source,
        )


def preference_table(battles: Iterable[Battle]) -> PreferenceTable:
    """Battles as a table. Arms are sorted by name, prompts stand in order of appearance.

    Raises:
        ConfigError: There is no battle, or one is of an arm with itself or has no weight.
    """
    rows = list(battles)
    if not rows:
        raise ConfigError("there are no battles to make a table of")
    arms = sorted({name for row in rows for name in (row.first, row.second)})
    prompts = {prompt: place for place, prompt in enumerate(dict.fromkeys(r.prompt for r in rows))}
    sources = {source: place for place, source in enumerate(dict.fromkeys(r.source for r in rows))}
    arm_to_place = {arm: place for place, arm in enumerate(arms)}
    return PreferenceTable(
        prompts=tuple(prompts),
        arms=tuple(arms),
        sources=tuple(sources),
        prompt=np.array([prompts[row.prompt] for row in rows], dtype=np.intp),
        first=np.array([arm_to_place[row.first] for row in rows], dtype=np.intp),
        second=np.array([arm_to_place[row.second] for row in rows], dtype=np.intp),
        won=np.array([_WINNER_TO_WON[row.winner] for row in rows]),
        weight=np.array([row.weight for row in rows], dtype=np.float64),
        source=np.array([sources[row.source] for row in rows], dtype=np.intp),
    )


def from_outcomes(
    table: OutcomeTable,
    prompts: Iterable[str],
    *,
    margin: float = 0.0,
    source: str = "outcomes",
) -> PreferenceTable:
    """Graded answers as battles of every two arms: the higher score wins.

    This is the paper's augmentation with golden labels.

    Args:
        table: Scores of the arms' answers.
        prompts: The prompts' texts, ``[prompts]``; equal ones become one.
        margin: Scores that differ by no more than this are a tie, in [0, 1].
        source: Who says so.

    Raises:
        ConfigError: There are not as many prompts as rows, or fewer than two arms.
    """
    texts = list(prompts)
    if len(texts) != len(table) or len(table.arms) < 2:
        raise ConfigError(
            f"{len(texts)} prompts and {len(table)} rows of {len(table.arms)} arms; give one "
            "prompt for each row, and two arms or more"
        )
    order = sorted(range(len(table.arms)), key=table.arms.__getitem__)
    pairs = np.array(list(combinations(range(len(order)), 2)), dtype=np.intp)
    score = table.score[:, order]
    ahead = score[:, pairs[:, 0]] - score[:, pairs[:, 1]]
    won = np.where(np.abs(ahead) <= margin, 0.5, (ahead > 0.0).astype(np.float64))
    text_to_place = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    count = won.size
    return PreferenceTable(
        prompts=tuple(text_to_place),
        arms=tuple(table.arms[place] for place in order),
        sources=(source,),
        prompt=np.repeat(np.array([text_to_place[t] for t in texts], dtype=np.intp), len(pairs)),
        first=np.tile(pairs[:, 0], len(texts)),
        second=np.tile(pairs[:, 1], len(texts)),
        won=won.ravel(),
        weight=np.ones(count),
        source=np.zeros(count, dtype=np.intp),
    )


def from_grades(
    table: OutcomeTable, prompts: Iterable[str], *, source: str = "grades"
) -> PreferenceTable:
    """Graded answers as battles of each arm with its mark, `MARK`, of which it wins its score.

    So an arm's points are its very score, and what a ranker learns of it is a quality, not a
    comparison: what is wanted where quality is traded for cost.

    Raises:
        ConfigError: There are not as many prompts as rows.
    """
    texts = list(prompts)
    if len(texts) != len(table):
        raise ConfigError(f"{len(texts)} prompts and {len(table)} rows; give one for each")
    order = sorted(range(len(table.arms)), key=table.arms.__getitem__)
    text_to_place = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    rows, arms = len(texts), len(order)
    return PreferenceTable(
        prompts=tuple(text_to_place),
        arms=(*(table.arms[place] for place in order), MARK),
        sources=(source,),
        prompt=np.repeat(np.array([text_to_place[t] for t in texts], dtype=np.intp), arms),
        first=np.tile(np.arange(arms), rows),
        second=np.full(rows * arms, arms),
        won=table.score[:, order].ravel(),
        weight=np.ones(rows * arms),
        source=np.zeros(rows * arms, dtype=np.intp),
    )


def join(*tables: PreferenceTable) -> PreferenceTable:
    """Tables as one, with the names and prompts of all."""
    arms = tuple(sorted({arm for table in tables for arm in table.arms}))
    prompts = tuple(dict.fromkeys(prompt for table in tables for prompt in table.prompts))
    sources = tuple(dict.fromkeys(source for table in tables for source in table.sources))
    prompt_to_place = {prompt: place for place, prompt in enumerate(prompts)}

    def arm_places(table: PreferenceTable, column: Integers) -> Integers:
        return np.array([arms.index(arm) for arm in table.arms], dtype=np.intp)[column]

    return PreferenceTable(
        prompts=prompts,
        arms=arms,
        sources=sources,
        prompt=np.concatenate(
            [
                np.array([prompt_to_place[p] for p in table.prompts], dtype=np.intp)[table.prompt]
                for table in tables
            ]
        ),
        first=np.concatenate([arm_places(table, table.first) for table in tables]),
        second=np.concatenate([arm_places(table, table.second) for table in tables]),
        won=np.concatenate([table.won for table in tables]),
        weight=np.concatenate([table.weight for table in tables]),
        source=np.concatenate(
            [
                np.array([sources.index(s) for s in table.sources], dtype=np.intp)[table.source]
                for table in tables
            ]
        ),
    )


def _check_places(column: Integers, count: int, name: str, battles: int) -> None:
    if column.shape != (battles,):
        raise ConfigError(f"{name} has shape {column.shape}; the table has {battles} battles")
    if battles and not (column.min() >= 0 and column.max() < count):
        raise ConfigError(f"{name} must hold places from 0 to {count - 1}")
