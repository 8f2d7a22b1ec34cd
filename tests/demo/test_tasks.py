"""The tasks: their splits, their answers, their grades."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pickllm.demo.tasks import DIFFICULTIES, FAMILIES, Task, grade, make_tasks, split_of


def test_splits_share_no_prompt() -> None:
    """No prompt that a model may learn from is ever held out, whatever the seeds."""
    learnt = {task.prompt for seed in range(5) for task in make_tasks(2000, seed, split="train")}
    asked = {task.prompt for seed in range(5) for task in make_tasks(2000, seed)}

    assert set() == learnt & asked
    assert {"train"} == {split_of(prompt) for prompt in learnt}
    assert {"held_out"} == {split_of(prompt) for prompt in asked}


def test_a_seed_settles_the_tasks() -> None:
    """The same seed makes the same tasks, another seed makes others."""
    assert make_tasks(50, 1) == make_tasks(50, 1)
    assert make_tasks(50, 1) != make_tasks(50, 2)


def test_kinds_come_equally_often() -> None:
    """Every family comes at every difficulty as often as every other."""
    kinds = Counter((task.family, task.difficulty) for task in make_tasks(150, 0))

    assert {(family, level): 10 for family in FAMILIES for level in DIFFICULTIES} == kinds


def test_families_and_difficulties_can_be_chosen() -> None:
    """Only what was asked for is made."""
    tasks = make_tasks(20, 0, families=["sort"], difficulties=[2])

    assert {("sort", 2)} == {(task.family, task.difficulty) for task in tasks}


def test_winners_are_right() -> None:
    """Who is named for a place is who the sentences put there."""
    for task in make_tasks(300, 0, families=["who"]):
        *facts, question = task.prompt.split(". ")
        pairs = [
            fact.split(" beat ") if " beat " in fact else fact.split(" lost to ")[::-1]
            for fact in facts
        ]
        ranking = [pairs[0][0], *(worse for _, worse in pairs)]
        places = ["won first", "second", "lost third"] if len(ranking) == 3 else ["won", "lost"]
        asked = question.removesuffix("?").split()[-1]

        assert ranking[[asked in place for place in places].index(True)] == task.answer


def test_words_are_sorted_and_turned_round() -> None:
    """Letters come back in order, or in the opposite order."""
    for task in make_tasks(100, 0, families=["sort", "reverse"]):
        word = task.prompt.split(": ")[1]

        assert ("".join(sorted(word)) if task.family == "sort" else word[::-1]) == task.answer


@given(seed=st.integers(0, 10_000))
def test_sums_are_right(seed: int) -> None:
    """The answer to a sum is the sum, and no difference is negative."""
    for task in make_tasks(6, seed, families=["add", "subtract"]):
        numbers = task.prompt.split(": ")[1]
        left, right = (int(number) for number in numbers.replace("-", "+").split("+"))

        assert str(left + right if task.family == "add" else left - right) == task.answer
        assert int(task.answer) >= 0


def test_grades() -> None:
    """The answer scores 1 with any white space around it; anything else scores 0."""
    task = Task(prompt="Add: 34+5", answer="39", family="add", difficulty=1)

    assert [1.0, 1.0, 0.0, 0.0, 0.0] == [
        grade(task, reply) for reply in ("39", " 39\n", "39.", "3 9", "")
    ]
