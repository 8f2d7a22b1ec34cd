"""Prompts of graded difficulty whose answers a line of code can check.

| family   | an easy prompt               | answer | difficulty 1, 2, 3              |
|----------|------------------------------|--------|---------------------------------|
| add      | Add: 34+5                    | 39     | digits: 2 and 1, 2 and 2, 3 and 3 |
| subtract | Subtract: 34-5               | 29     | the same                        |
| sort     | Sort the letters: dba        | abd    | letters or digits: 3, 5, 7      |
| reverse  | Spell backwards: cat         | tac    | letters: 3, 5, 7                |
| who      | Ann beat Bob. Who won?       | Ann    | "beat", "lost to", both and a third |

A prompt belongs to one split for ever: its SHA-256 says which. So what a model was trained on and
what it is asked later cannot overlap, whatever the seeds.
"""

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from string import ascii_lowercase, digits
from typing import Literal, TypeAlias

__all__ = [
    "DIFFICULTIES",
    "FAMILIES",
    "INSTRUCTION",
    "PHRASES",
    "Maker",
    "Split",
    "Task",
    "grade",
    "make_tasks",
    "split_of",
]

Split: TypeAlias = Literal["train", "held_out"]
"""`train` for what a model learns from, `held_out` for what it is asked afterwards."""

DIFFICULTIES: Sequence[int] = (1, 2, 3)
"""From the easiest to the hardest."""
INSTRUCTION = "Reply with the answer only: no other words and no full stop."
"""A system message for chat models at large. The demo's own models know it without being told."""

_NAMES = ("Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Ida", "Joe", "Kim", "Leo", "Mia")

PHRASES: Sequence[str] = (
    *("Add: ", "Subtract: ", "Sort the letters: ", "Sort the digits: ", "Spell backwards: "),
    *(" beat ", " lost to ", ". ", "Who won", "Who lost"),
    *("Who was first", "Who was second", "Who was third"),
    *_NAMES,
)
"""The wording of the prompts, for tokenizers that spend one token on each phrase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One prompt and the answer it should get; `difficulty` runs from 1, the easiest, to 3."""

    prompt: str
    answer: str
    family: str
    difficulty: int


Maker: TypeAlias = Callable[[int, random.Random], tuple[str, str]]
"""From a difficulty and a source of randomness to a prompt and its answer."""


_OPERANDS = {
    1: (range(10, 100), range(10)),
    2: (range(10, 100), range(10, 100)),
    3: (range(100, 1000), range(100, 1000)),
}
"""What the two numbers of a sum are drawn from, at each difficulty."""


def _add(difficulty: int, rng: random.Random) -> tuple[str, str]:
    left, right = (rng.choice(operand) for operand in _OPERANDS[difficulty])
    return f"Add: {left}+{right}", str(left + right)


def _subtract(difficulty: int, rng: random.Random) -> tuple[str, str]:
    low, high = sorted(rng.choice(operand) for operand in _OPERANDS[difficulty])
    return f"Subtract: {high}-{low}", str(high - low)


def _sort(difficulty: int, rng: random.Random) -> tuple[str, str]:
    kind, alphabet = rng.choice((("letters", ascii_lowercase), ("digits", digits)))
    symbols = rng.sample(alphabet, 2 * difficulty + 1)
    return f"Sort the {kind}: {''.join(symbols)}", "".join(sorted(symbols))


def _reverse(difficulty: int, rng: random.Random) -> tuple[str, str]:
    word = "".join(rng.choices(ascii_lowercase, k=2 * difficulty + 1))
    return f"Spell backwards: {word}", word[::-1]


def _who(difficulty: int, rng: random.Random) -> tuple[str, str]:
    ranking = rng.sample(_NAMES, 3 if difficulty == 3 else 2)
    passive = {1: 0.0, 2: 1.0, 3: 0.5}[difficulty]
    sentences = [
        f"{worse} lost to {better}." if rng.random() < passive else f"{better} beat {worse}."
        for better, worse in pairwise(ranking)
    ]
    place = rng.randrange(len(ranking))
    questions = ("was first", "was second", "was third") if difficulty == 3 else ("won", "lost")
    return f"{' '.join(sentences)} Who {questions[place]}?", ranking[place]


FAMILIES: Mapping[str, Maker] = {
    "add": _add,
    "subtract": _subtract,
    "sort": _sort,
    "reverse": _reverse,
    "who": _who,
}
"""Every family by name: a new one is a function above and a line here."""


def split_of(prompt: str) -> Split:
    """Say which split a prompt belongs to: one prompt in five is held out.

    >>> split_of("Add: 3+4"), split_of("Add: 4+3")
    ('train', 'train')
    """
    return "held_out" if hashlib.sha256(prompt.encode()).digest()[0] % 5 == 0 else "train"


def make_tasks(
    count: int,
    seed: int,
    *,
    split: Split = "held_out",
    families: Sequence[str] = tuple(FAMILIES),
    difficulties: Sequence[int] = DIFFICULTIES,
) -> list[Task]:
    """Make `count` tasks in random order, every family and difficulty as often as every other.

    The easiest prompts are few (a thousand sums, 264 questions), so prompts may come again.

    >>> [task.prompt for task in make_tasks(2, 0, families=["add"])]
    ['Add: 11+0', 'Add: 89+45']
    """
    rng = random.Random(f"{split} {seed}")  # noqa: S311  # tasks, no secrets
    kinds = cycle((family, difficulty) for difficulty in difficulties for family in families)
    tasks = [_task(*kind, split, rng) for kind, _ in zip(kinds, range(count), strict=False)]
    rng.shuffle(tasks)
    return tasks


def _task(family: str, difficulty: int, split: Split, rng: random.Random) -> Task:
    while True:
        prompt, answer = FAMILIES[family](difficulty, rng)
        if split_of(prompt) == split:
            return Task(prompt=prompt, answer=answer, family=family, difficulty=difficulty)


def grade(task: Task, reply: str) -> float:
    r"""Score a reply: 1.0 if it is the answer, white space around it aside, else 0.0.

    >>> grade(Task(prompt="Add: 3+4", answer="7", family="add", difficulty=1), " 7\n")
    1.0
    """
    return float(reply.strip() == task.answer)
