"""Each arm alone on each task: the table that everything else is measured on."""

import numpy as np

from langchain_pickllm.pool_file import PoolFile
from pickllm import Arm
from pickllm.demo.session import ask_every_arm
from pickllm.demo.tasks import Task, make_tasks
from tests.langchain.scripted import ScriptedChatModel

FREE = Arm(usd_per_hour=0.0)


def pool_of(**models: ScriptedChatModel) -> PoolFile:
    """Models that cost nothing."""
    return PoolFile(models=models, arms=dict.fromkeys(models, FREE))


def test_every_arm_is_asked_every_task_and_graded() -> None:
    """The score of row and column is the grade of that arm's reply to that task."""
    tasks = make_tasks(4, 0)
    right = ScriptedChatModel(says=tasks[2].answer)

    table = ask_every_arm(pool_of(wrong=ScriptedChatModel(says="?"), right=right), tasks)

    assert ("wrong", "right") == table.arms
    np.testing.assert_array_equal(
        [[0.0, float(task.answer == tasks[2].answer)] for task in tasks], table.score
    )


def test_a_judge_may_grade_and_the_instruction_is_its_user_s() -> None:
    """Answers in prose are no matter of exact match, nor of few words."""
    model = ScriptedChatModel(says="Because it is so.")
    asked: list[str] = []

    def judge(task: Task, reply: str) -> float:
        asked.append(f"{task.prompt} {reply}")
        return 0.25

    task = Task(prompt="Why?", answer="For a reason.", family="reddit_eli5", difficulty=1)
    table = ask_every_arm(pool_of(it=model), [task], grade=judge, instruction="Explain {it}.")

    assert ["Why? Because it is so."] == asked
    assert 0.25 == table.score[0, 0]
    assert ["Explain {it}.", "Why?"] == [message.text for message in model.seen[0].messages]


def test_an_arm_that_fails_scores_zero_and_the_others_are_measured() -> None:
    """One broken model does not cost the rows of the rest."""
    tasks = make_tasks(1, 0)
    broken = ScriptedChatModel(error=ValueError("out of order"))

    table = ask_every_arm(
        pool_of(broken=broken, right=ScriptedChatModel(says=tasks[0].answer)), tasks
    )

    np.testing.assert_array_equal([[0.0, 1.0]], table.score)
