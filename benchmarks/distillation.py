"""What teaching the demo's small model brings, beside what is not kind to it.

    python benchmarks/distillation.py [--families reverse] [--difficulties 2] [--prompts 2000]

The teacher is the demo's large Llama, the base its small one; both were trained on all kinds of
tasks. Traffic is of the kinds named. Each student sees as many pairs for as many epochs:

    the teacher's answers    what `pickllm distill` does
    right answers            labels that nobody has in practice: what the teacher's mistakes cost
    other prompts' answers   the teacher's answers, shuffled: what the format alone would bring
    a tenth of the pairs     the teacher's answers, but few

Measured is the share of right answers on prompts that no model has seen, with 95 % bootstrap
intervals, and the paired difference from the base; and on tasks of all other kinds, where a student
forgets. Every student's best epoch is chosen by held-out pairs of its own making.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pickllm.demo.models import LARGE, SMALL, answers, ensure_model, no_bars, progress_bar
from pickllm.demo.tasks import FAMILIES, Task, grade, make_tasks
from pickllm.distillation import Pair, Training, distil
from pickllm.distillation.pairs import to_line
from pickllm.evaluation.intervals import bootstrap
from pickllm.evaluation.page import markdown_table
from pickllm.types import Said

HEAD = (
    "student",
    "pairs",
    "right, 95 %",
    "gain over base, 95 %",
    "right on other kinds",
    "taught in",
)
Grades = np.ndarray


def main() -> None:
    """Teach, measure, print."""
    given = _arguments()
    kinds = {
        "families": given.families.split(","),
        "difficulties": [int(each) for each in given.difficulties.split(",")],
    }
    with no_bars(), progress_bar() as on_progress:
        base, large = (ensure_model(each, on_progress=on_progress) for each in (SMALL, LARGE))
    learnt = _distinct(make_tasks(given.prompts, given.seed, split="train", **kinds))
    asked = _distinct(make_tasks(given.asked, given.seed, **kinds))
    others = [each for each in FAMILIES if each not in kinds["families"]]
    elsewhere = make_tasks(given.asked, given.seed, families=others) if others else []
    taught = answers(large, [task.prompt for task in learnt])
    training = Training(
        epochs=given.epochs,
        patience=given.epochs,
        batch=32,
        learning_rate=given.learning_rate,
        seed=given.seed,
    )
    before, rng = _grades(base, asked), np.random.default_rng(given.seed)
    rows = [
        ["the base", "", _interval(before, rng), "", _share(base, elsewhere), ""],
        _row("the teacher", "", _grades(large, asked), before, _share(large, elsewhere), 0.0, rng),
    ]
    for name, pairs in _lessons(learnt, taught, given.seed).items():
        with TemporaryDirectory() as folder, no_bars():
            student, took_s = _student(Path(folder), pairs, base, training)
            found = _grades(student, asked)
            away = _share(student, elsewhere)
        rows.append(_row(name, f"{len(pairs)}", found, before, away, took_s, rng))
    print(f"{', '.join(kinds['families'])}, difficulty {given.difficulties}; {len(asked)} asked\n")
    print(markdown_table(HEAD, rows))


def _lessons(
    tasks: Sequence[Task], taught: Sequence[str], seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Name to prompts with the answers that are learnt."""
    prompts = [task.prompt for task in tasks]
    shuffled = list(taught)
    random.Random(seed).shuffle(shuffled)
    few = max(20, len(prompts) // 10)
    return {
        "the teacher's answers": list(zip(prompts, taught, strict=True)),
        "right answers": [(task.prompt, task.answer) for task in tasks],
        "other prompts' answers": list(zip(prompts, shuffled, strict=True)),
        "a tenth of the pairs": list(zip(prompts, taught, strict=True))[:few],
    }


def _student(
    folder: Path, pairs: Sequence[tuple[str, str]], base: Path, training: Training
) -> tuple[Path, float]:
    """A student of these pairs, a tenth of them held out, and the seconds it took."""
    lines = [
        to_line(Pair(turns=(Said(role="user", text=prompt),), answer=answer))
        for prompt, answer in pairs
    ]
    for name, some in (("train", lines[len(lines) // 10 :]), ("held", lines[: len(lines) // 10])):
        (folder / f"{name}.jsonl").write_text("\n".join(some), encoding="utf-8")
    began = time.perf_counter()
    distil(
        folder / "train.jsonl",
        base,
        folder / "student",
        held_out=folder / "held.jsonl",
        training=training,
        asked=1,
    )
    return folder / "student", time.perf_counter() - began


def _row(  # noqa: PLR0917  # cells of a table
    name: str,
    pairs: str,
    found: Grades,
    before: Grades,
    away: str,
    took_s: float,
    rng: np.random.Generator,
) -> list[str]:
    gain = bootstrap(
        lambda rows: float((found[rows] - before[rows]).mean()), prompts=len(found), rng=rng
    )
    told = f"{gain.mean:+.1%} ({gain.low:+.1%} to {gain.high:+.1%})"
    return [name, pairs, _interval(found, rng), told, away, f"{took_s:.0f} s" if took_s else ""]


def _interval(found: Grades, rng: np.random.Generator) -> str:
    told = bootstrap(lambda rows: float(found[rows].mean()), prompts=len(found), rng=rng)
    return f"{told.mean:.1%} ({told.low:.1%} to {told.high:.1%})"


def _grades(folder: Path, tasks: Sequence[Task]) -> Grades:
    """Whether each answer is right, ``[tasks]``."""
    made = answers(folder, [task.prompt for task in tasks])
    return np.array([grade(task, each) for task, each in zip(tasks, made, strict=True)])


def _share(folder: Path, tasks: Sequence[Task]) -> str:
    return f"{_grades(folder, tasks).mean():.1%}" if tasks else ""


def _distinct(tasks: Sequence[Task]) -> list[Task]:
    return [*{task.prompt: task for task in tasks}.values()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", default="reverse")
    parser.add_argument("--difficulties", default="2")
    parser.add_argument("--prompts", type=int, default=2_000)
    parser.add_argument("--asked", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
