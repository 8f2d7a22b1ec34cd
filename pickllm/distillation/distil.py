"""Fine-tunes a small model on a large one's answers, and says what came of it.

    pairs ──► lessons ──► measured ──► trained, resumably ──► measured again ──► folder
                                                                                 ├ the model
                                                                                 └ distilled.json

The folder holds a model of `transformers` as any other, adapters merged in, and is put in its place
when it is whole. What it comes to is written down beside it: the base, digests of the data, the
settings, and what the model was worth before and after on the pairs held out.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pickllm.distillation.exported import HELD_OUT, TRAIN, file_digest, read_export
from pickllm.distillation.lessons import Lesson, lessons_of
from pickllm.distillation.measuring import Measured, measured
from pickllm.distillation.pairs import Pair, read_pairs
from pickllm.distillation.student import Student, load_student, save_student
from pickllm.distillation.training import OnStep, Training, train
from pickllm.errors import ConfigError, StateConflict
from pickllm.places import new_place

__all__ = ["Distilled", "distil", "read_distilled"]

_CARD = "distilled.json"
_IDENTITY = "training.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Distilled:
    """A student, and what it came from."""

    folder: str
    """Of the model, for `ChatLocal.load` and `LocalLLM.load`."""
    base: str
    """Name or folder of what was fine-tuned."""
    teachers: Mapping[str, int]
    """Arm to answers of it that were learnt."""
    pairs: int
    """How many were learnt."""
    too_long: int
    """How many were left out, for they do not fit into the window."""
    losses: tuple[float, ...]
    """Held out, before the first epoch and after each."""
    before: Measured
    after: Measured
    digests: Mapping[str, str]
    """SHA-256 of the base, of the pairs, and of the files of the model."""
    training: Training
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version."""

    @property
    def helped(self) -> bool:
        """Whether it is nearer to its teacher than it was, on what was held out."""
        return self.after.loss < self.before.loss

    def registration(self, name: str = "distilled") -> str:
        """The lines of code that make it an arm; the price is for its user to say."""
        return (
            "from langchain_pickllm import ChatLocal  # LlamaIndex: llamaindex_pickllm.LocalLLM\n"
            "from pickllm import Arm\n"
            f"model.add_arm({name!r}, ChatLocal.load({self.folder!r}), Arm(usd_per_hour=0.10))"
        )


def distil(
    pairs: Path | str,
    base: Path | str,
    out: Path | str,
    *,
    held_out: Path | str | None = None,
    training: Training | None = None,
    asked: int = 200,
    device: str | None = None,
    on_step: OnStep | None = None,
) -> Distilled:
    """Fine-tune ``base`` on pairs, and write the student into a folder.

    Killed, and begun again with the same arguments, it goes on from its last checkpoint.

    Args:
        pairs: The folder of an export; or a file of pairs, .jsonl or .parquet.
        base: Name on the hub or folder of a causal language model with a chat template.
        out: Where the student goes; it must not be there yet.
        held_out: The file of what is held out; for a folder it is known.
        training: How it is trained.
        asked: How many held-out prompts the model is asked, before and after, at least 1.
        device: Such as "cuda"; by default the GPU if there is one.
        on_step: Told after each step.

    Raises:
        ConfigError: There is nothing to learn or nothing held out, the folder is there, the base is
            no chat model, or it was begun with other arguments.
        MissingExtra: torch, transformers, or peft for adapters, is not installed.
    """
    settings = training or Training()
    learnt, judged = _files(Path(pairs), None if held_out is None else Path(held_out))
    place = new_place(out)
    _read_through(learnt, judged)
    digests = {"train": file_digest(learnt), "held_out": file_digest(judged), "base": _digest(base)}
    student = load_student(base, settings, device=device)
    school = _school(student, learnt, judged, settings)
    workshop = _workshop(place, {"base": str(base), **digests, "training": asdict(settings)})
    before = school.measured(student, asked, settings)
    losses = train(
        student.model,
        school.lessons,
        school.held_out,
        settings=settings,
        folder=workshop / "checkpoints",
        on_step=on_step,
    )
    after = school.measured(student, asked, settings)
    written = workshop / "model"
    save_student(student, written)
    done = Distilled(
        folder=str(place),
        base=str(base),
        teachers=school.teachers,
        pairs=len(school.lessons),
        too_long=school.too_long,
        losses=tuple(losses),
        before=before,
        after=after,
        digests={**digests, **{each.name: file_digest(each) for each in sorted(written.iterdir())}},
        training=settings,
        versions={name: version(name) for name in ("torch", "transformers")},
    )
    text = json.dumps({"pickllm_distilled": _FORMAT, **asdict(done)}, ensure_ascii=False, indent=1)
    (written / _CARD).write_text(text, encoding="utf-8")
    written.rename(place)
    shutil.rmtree(workshop)
    return done


def read_distilled(folder: Path | str) -> Distilled:
    """What stands beside a student.

    Raises:
        StateConflict: The folder holds none.
    """
    place = Path(folder)
    try:
        fields = json.loads((place / _CARD).read_text(encoding="utf-8"))
        if fields.pop("pickllm_distilled") != _FORMAT:
            raise StateConflict(f"{place} is a student of another version")
        for name in ("before", "after"):
            found = fields[name]
            intervals = {key: tuple(found[key]) for key in ("exact", "words")}
            fields[name] = Measured(**{**found, **intervals})
        fields["training"] = Training(**fields["training"])
        fields["losses"] = tuple(fields["losses"])
        return replace(Distilled(**fields), folder=str(place))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateConflict(f"{place} holds no student") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _School:
    """What is learnt, and what shows how well."""

    lessons: Sequence[Lesson]
    held_out: Sequence[Lesson]
    answers: Sequence[str] = field(repr=False)
    """The teacher's, of what is held out."""
    teachers: Mapping[str, int]
    too_long: int

    def measured(self, student: Student, asked: int, settings: Training) -> Measured:
        return measured(
            student.model,
            student.tokenizer,
            self.held_out,
            self.answers,
            asked=max(asked, 1),
            tokens_at_once=settings.tokens_at_once,
            seed=settings.seed,
        )


def _school(student: Student, learnt: Path, judged: Path, settings: Training) -> _School:
    limit = min(settings.most_tokens, student.window)

    def lessons(file: Path) -> Iterator[tuple[Pair, Lesson | None]]:
        pairs = read_pairs(file)
        return lessons_of(pairs, student.tokenizer, ends=student.ends, most_tokens=limit)

    teachers: Counter[str] = Counter()
    train_on: list[Lesson] = []
    too_long = 0
    for pair, lesson in lessons(learnt):
        if lesson is None:
            too_long += 1
        else:
            train_on.append(lesson)
            teachers[pair.arm] += 1
    held_out = [(pair.answer, lesson) for pair, lesson in lessons(judged) if lesson is not None]
    for kept, file in ((train_on, learnt), (held_out, judged)):
        if not kept:
            raise ConfigError(
                f"{file} holds no pair of at most {limit} tokens, and some are needed"
            )
    return _School(
        lessons=train_on,
        held_out=[lesson for _, lesson in held_out],
        answers=[answer for answer, _ in held_out],
        teachers=dict(sorted(teachers.items())),
        too_long=too_long,
    )


def _files(pairs: Path, held_out: Path | None) -> tuple[Path, Path]:
    """What is learnt, and what is held out."""
    if pairs.is_dir():
        read_export(pairs)  # says so where it is none, or not finished
        return pairs / TRAIN, held_out or pairs / HELD_OUT
    for file in (pairs, held_out or pairs):
        if not file.is_file():
            raise ConfigError(f"there is no file {file}")
    if held_out is None or held_out.samefile(pairs):
        raise ConfigError(f"{pairs} is one file: give another one with what is held out")
    return pairs, held_out


def _read_through(*files: Path) -> None:
    """A row that is no pair is told before a large model is loaded."""
    for file in files:
        if not sum(1 for _ in read_pairs(file)):
            raise ConfigError(f"{file} holds no pair, and some are needed")


def _digest(base: Path | str) -> str:
    """Of a folder the digest of its files; of a name the name."""
    place = Path(base)
    if not place.is_dir():
        return str(base)
    files = sorted(file for file in place.iterdir() if file.is_file())
    return sha256(
        "".join(f"{file.name} {file_digest(file)}\n" for file in files).encode()
    ).hexdigest()


def _workshop(place: Path, identity: Mapping[str, Any]) -> Path:
    """Where it is worked on: beside its place, and only ever on one and the same student."""
    folder = place.with_name(f"{place.name}.unfinished")
    card = folder / _IDENTITY
    if card.is_file():
        if json.loads(card.read_text(encoding="utf-8")) != identity:
            raise ConfigError(
                f"{folder} is an unfinished student of another base, data or training: finish that "
                "one, remove the folder, or name another"
            )
    else:
        folder.mkdir(parents=True, exist_ok=True)
        card.write_text(json.dumps(identity, indent=1), encoding="utf-8")
    return folder
