"""A student is really taught: a very small Llama, in seconds."""

import ast
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_pickllm import ChatLocal
from llamaindex_pickllm import LocalLLM
from pickllm import ConfigError, MissingExtra, StateConflict
from pickllm.demo.models import is_sound, make_tokenizer
from pickllm.distillation import (
    Distilled,
    Measured,
    Pair,
    Training,
    distil,
    export_pairs,
    read_distilled,
)
from pickllm.distillation.lessons import Lesson, lessons_of
from pickllm.distillation.pairs import to_line
from pickllm.distillation.training import Progress, mean_loss, train
from pickllm.local import LocalModel
from pickllm.transcripts import Transcript
from pickllm.types import Said
from tests.tiny import tiny_folder

TAUGHT = {"Spell backwards: cat": "tac", "Who won?": "Kim", "Who lost?": "Leo", "Add: 3+4": "7"}
"""What the tiny model, which was taught to sort, cannot know."""
FAST = Training(epochs=20, patience=20, batch=4, learning_rate=1e-2)

PEFT_WARNS = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
)

CHAT_ML = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
"""As many models have it: something follows the token that ends an answer."""
THINKING = (
    "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>thought: none\n{% endif %}"
)
"""A template that asks for an answer otherwise than it shows one."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sorts three letters, more or less."""
    return tiny_folder(tmp_path_factory)


def pair(prompt: str, answer: str, **others: Any) -> Pair:
    """A pair of one turn."""
    return Pair(turns=(Said(role="user", text=prompt),), answer=answer, **others)


def written(file: Path, pairs: Sequence[Pair]) -> Path:
    """A file of pairs."""
    file.write_text("".join(f"{to_line(each)}\n" for each in pairs), encoding="utf-8")
    return file


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """What is learnt, each a few times over, and the same to see whether it was."""
    some = [pair(prompt, answer, arm="large") for prompt, answer in TAUGHT.items()]
    return (
        written(tmp_path / "train.jsonl", some * 4),
        written(tmp_path / "held_out.jsonl", some),
    )


def digests(done: Distilled) -> dict[str, str]:
    """Of the files of the model."""
    return {name: digest for name, digest in done.digests.items() if name.endswith("safetensors")}


class Killed(RuntimeError):
    """The process is gone."""


def killed_at(step: int) -> Callable[[Progress], None]:
    """Ends the training after so many steps."""

    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return on_step


# ---- what comes of it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def taught(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Distilled:
    """A student of the four answers above."""
    folder = tmp_path_factory.mktemp("taught")
    some = [pair(prompt, answer, arm="large") for prompt, answer in TAUGHT.items()]
    file, held_out = written(folder / "a.jsonl", some * 4), written(folder / "b.jsonl", some)
    return distil(file, tiny, folder / "student", held_out=held_out, training=FAST)


def test_a_student_learns_what_its_teacher_answers(taught: Distilled) -> None:
    """What it could not before it can after, and its card says so."""
    assert (0.0, 1.0) == (taught.before.exact[0], taught.after.exact[0])
    assert taught.before.loss > 1.0
    assert taught.after.loss < 0.2
    assert taught.helped
    assert min(taught.losses) == pytest.approx(taught.after.loss)
    assert taught.losses[0] == pytest.approx(taught.before.loss)
    assert ({"large": 16}, 16, 0) == (taught.teachers, taught.pairs, taught.too_long)
    assert taught == read_distilled(taught.folder)
    assert ("after", "100.0% (100.0% to 100.0%)") == taught.after.row("after")[0:3:2]


def test_a_student_is_a_model_as_any_other(taught: Distilled) -> None:
    """It serves from its folder, in LangChain and in LlamaIndex, and stops where it should."""
    chat, llm = ChatLocal.load(taught.folder), LocalLLM.load(taught.folder)
    local = LocalModel.load(taught.folder)

    for prompt, answer in TAUGHT.items():
        assert answer == chat.invoke(prompt).content
        assert answer == llm.complete(prompt).text
        made = local.generate([{"role": "user", "content": prompt}])
        assert (answer, "stop") == (made.text, made.finish_reason)


def test_the_lines_that_register_it_can_be_run(taught: Distilled) -> None:
    """They name the folder and the arm, and are Python."""
    lines = taught.registration("mine")

    compiled = ast.parse(lines)
    assert "model.add_arm('mine', ChatLocal.load(" in lines
    assert taught.folder in lines
    assert 3 == len(compiled.body)


def test_the_base_is_left_as_it_was(tiny: Path, taught: Distilled) -> None:
    """Its files, and what it answers."""
    assert is_sound(tiny)
    assert {"train", "held_out", "base", "model.safetensors", "config.json"} <= set(taught.digests)


def test_an_export_is_what_is_taught_from(tiny: Path, tmp_path: Path) -> None:
    """A folder of it is enough: what is held out is known."""
    kept = [
        Transcript(
            decision_id=f"d{number}",
            turns=(Said(role="user", text=f"Spell backwards: {word}"),),
            answer=word[::-1],
            arm="large",
            time_s=1.0,
        )
        for number, word in enumerate(map("".join, permutations("abcd")))
    ]
    exported = export_pairs(kept, tmp_path / "pairs")

    done = distil(
        tmp_path / "pairs", tiny, tmp_path / "out", training=replace(FAST, epochs=1, patience=1)
    )

    assert (exported.train, exported.held_out) == (done.pairs, done.after.pairs)
    assert exported.files["train.jsonl"] == done.digests["train"]


def test_the_same_seed_teaches_the_same(
    tiny: Path, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    """Byte for byte; another seed does not. The caller's own randomness is not touched."""
    import torch

    short = replace(FAST, epochs=2)
    torch.manual_seed(3)
    expected = torch.rand(1).item()
    torch.manual_seed(3)

    one, same, other = (
        distil(data[0], tiny, tmp_path / name, held_out=data[1], training=settings)
        for name, settings in (
            ("one", short),
            ("same", short),
            ("other", replace(short, seed=1)),
        )
    )

    assert expected == torch.rand(1).item()
    assert (True, False) == (digests(one) == digests(same), digests(one) == digests(other))
    assert one.after == same.after


@PEFT_WARNS
@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_killed_training_goes_on_to_the_same_student(
    tiny: Path, tmp_path: Path, data: tuple[Path, Path], step: int, rank: int | None
) -> None:
    """Between checkpoints, at one, and after an epoch; byte for byte what it would have been."""
    settings = replace(FAST, epochs=2, checkpoint_steps=3, adapter_rank=rank)
    whole = distil(data[0], tiny, tmp_path / "whole", held_out=data[1], training=settings)
    steps: list[int] = []

    with pytest.raises(Killed):
        distil(
            data[0],
            tiny,
            tmp_path / "out",
            held_out=data[1],
            training=settings,
            on_step=killed_at(step),
        )
    assert not (tmp_path / "out").exists()
    done = distil(
        data[0],
        tiny,
        tmp_path / "out",
        held_out=data[1],
        training=settings,
        on_step=lambda progress: steps.append(progress.step),
    )

    assert digests(whole) == digests(done)
    assert (whole.losses, whole.after) == (done.losses, done.after)
    assert [*range({1: 1, 4: 4, 6: 5}[step], 9)] == steps
    assert [] == [*tmp_path.glob("*.unfinished")]


def test_a_student_that_only_gets_worse_stays_its_base(tiny: Path, tmp_path: Path) -> None:
    """Taught nonsense, it stops in time, and what is left is what it began with."""
    rng = np.random.default_rng(0)
    letters = [[*"abcdefgh"] for _ in range(32)]
    prompts = ["Sort the letters: " + "".join(rng.permutation(each)[:3]) for each in letters]
    right = [pair(prompt, "".join(sorted(prompt[-3:]))) for prompt in prompts]
    wrong = [pair(prompt, "Kim") for prompt in prompts]
    files = written(tmp_path / "a.jsonl", wrong), written(tmp_path / "b.jsonl", right)

    done = distil(
        files[0],
        tiny,
        tmp_path / "out",
        held_out=files[1],
        training=replace(FAST, epochs=9, patience=2),
    )

    assert 3 == len(done.losses)
    assert not done.helped
    assert done.before == done.after


@PEFT_WARNS
def test_adapters_leave_a_whole_model(tiny: Path, tmp_path: Path, data: tuple[Path, Path]) -> None:
    """They are merged in: it loads without them, and is another model than the base."""
    settings = replace(FAST, adapter_rank=8, learning_rate=2e-2)

    done = distil(data[0], tiny, tmp_path / "out", held_out=data[1], training=settings)

    assert done.after.loss < 0.5 * done.before.loss
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    assert "tac" == ChatLocal.load(done.folder).invoke("Spell backwards: cat").content


# ---- lessons -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        (None, "<s>Add: 3+4<|answer|>"),
        (CHAT_ML, "<s>system\nBe short.</s>\n<s>user\nAdd: 3+4</s>\n<s>assistant\n"),
        (THINKING, "Be short.Add: 3+4<|answer|>thought: none\n"),
    ],
    ids=["own", "with a tail", "asks otherwise"],
)
def test_only_the_answer_and_its_end_are_learnt(template: str | None, shown: str) -> None:
    """The prompt is shown just as it will be when the student serves."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template or tokenizer.chat_template
    turns = (Said(role="system", text="Be short."), Said(role="user", text="Add: 3+4"))

    ((_, lesson),) = lessons_of(
        [Pair(turns=turns, answer="7")],
        tokenizer,
        ends={tokenizer.eos_token_id},
        most_tokens=200,
    )

    assert lesson is not None
    assert shown == tokenizer.decode(lesson.prompt)
    assert "7</s>" == tokenizer.decode(lesson.answer)


def test_long_pairs_are_no_lessons(tiny: Path, tmp_path: Path, data: tuple[Path, Path]) -> None:
    """They are left out and counted, whether the window or the settings bound them."""
    some = [pair(prompt, answer) for prompt, answer in TAUGHT.items()]
    file = written(tmp_path / "long.jsonl", [*some, pair("x" * 600, "y"), pair("x" * 30, "y")])

    done = distil(
        file,
        tiny,
        tmp_path / "out",
        held_out=data[1],
        training=replace(FAST, epochs=1, most_tokens=20),
    )
    wide = distil(file, tiny, tmp_path / "wide", held_out=data[1], training=replace(FAST, epochs=1))

    assert ((4, 2), (5, 1)) == ((done.pairs, done.too_long), (wide.pairs, wide.too_long))


def test_memory_bounds_change_nothing_that_is_learnt(tiny: Path, tmp_path: Path) -> None:
    """A batch is cut up as it fits; its loss is that of the whole."""
    import transformers

    rng = np.random.default_rng(0)
    lessons = [
        Lesson(prompt=rng.integers(5, 200, size), answer=rng.integers(5, 200, 3))
        for size in (4, 9, 30, 5)
    ]
    results = []
    for at_once in (8, 60, 10_000):
        model = transformers.LlamaForCausalLM.from_pretrained(tiny)
        settings = Training(epochs=1, batch=4, tokens_at_once=at_once, learning_rate=1e-3)
        losses = train(model, lessons, lessons, settings=settings, folder=tmp_path / f"{at_once}")
        results.append([*losses, mean_loss(model, lessons, tokens_at_once=at_once)])

    assert results[2] == pytest.approx(results[0], rel=1e-4)
    assert results[2] == pytest.approx(results[1], rel=1e-4)


# ---- what cannot work ----------------------------------------------------------------------------


def test_another_training_does_not_go_on_with_it(
    tiny: Path, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    """Checkpoints are of one base, one data set and one training."""
    with pytest.raises(Killed):
        distil(
            data[0], tiny, tmp_path / "out", held_out=data[1], training=FAST, on_step=killed_at(2)
        )

    with pytest.raises(ConfigError, match="unfinished student of another base, data or training"):
        distil(data[0], tiny, tmp_path / "out", held_out=data[1], training=replace(FAST, batch=2))


@dataclass(frozen=True, kw_only=True)
class Place:
    """What each of the tests below begins with."""

    base: Path
    folder: Path
    pairs: Path
    held_out: Path


@pytest.fixture
def place(tiny: Path, tmp_path: Path, data: tuple[Path, Path]) -> Place:
    """A base, pairs, and an empty folder."""
    return Place(base=tiny, folder=tmp_path, pairs=data[0], held_out=data[1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"out": "taken"}, "is there already"),
        ({"base": "nowhere"}, "cannot load 'nowhere'"),
        ({"held_out": None}, "give another one with what is held out"),
        ({"pairs": "gone.jsonl"}, "there is no file"),
        ({"held_out": "gone.jsonl"}, "there is no file"),
        ({"held_out": "train.jsonl"}, "give another one with what is held out"),
        ({"pairs": "empty.jsonl", "base": "nowhere"}, "holds no pair"),
        ({"held_out": "empty.jsonl", "base": "nowhere"}, "holds no pair"),
        ({"device": "abacus"}, "cannot bring .* to the device 'abacus'"),
    ],
)
def test_what_cannot_be_taught_is_told(
    place: Place,
    change: dict[str, str | None],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is trained."""
    monkeypatch.chdir(place.folder)
    Path("taken").mkdir()
    Path("nowhere").mkdir()
    Path("empty.jsonl").touch()
    usual = {"pairs": place.pairs, "base": place.base, "out": "out", "held_out": place.held_out}
    given: dict[str, Any] = {**usual, **change}

    with pytest.raises(ConfigError, match=told):
        distil(given.pop("pairs"), given.pop("base"), given.pop("out"), **given)
    assert not Path("out").exists()


def test_a_folder_that_is_no_export_is_told(tiny: Path, tmp_path: Path) -> None:
    """Nor is one that is not finished."""
    with pytest.raises(StateConflict, match="holds no finished export"):
        distil(tmp_path, tiny, tmp_path / "out")


def test_a_base_that_cannot_chat_is_told(
    tiny: Path, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    """Without a template nobody knows what it is to be shown."""
    mute = tmp_path / "mute"
    shutil.copytree(tiny, mute)
    (mute / "chat_template.jinja").unlink()

    with pytest.raises(ConfigError, match="has no chat template"):
        distil(data[0], mute, tmp_path / "out", held_out=data[1])


def test_a_template_that_refuses_is_told(
    tiny: Path, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    """With its own words."""
    strict = tmp_path / "strict"
    shutil.copytree(tiny, strict)
    (strict / "chat_template.jinja").write_text("{{ raise_exception('no system turn, please') }}")

    with pytest.raises(ConfigError, match=r"refuses a conversation .no system turn, please"):
        distil(data[0], strict, tmp_path / "out", held_out=data[1])


def test_a_loss_that_explodes_is_told(tiny: Path, tmp_path: Path, data: tuple[Path, Path]) -> None:
    """It would leave a model of nothing."""
    with pytest.raises(ConfigError, match="take a lower learning_rate"):
        distil(
            data[0],
            tiny,
            tmp_path / "out",
            held_out=data[1],
            training=replace(FAST, learning_rate=1e30),
        )


@pytest.mark.parametrize(("module", "rank"), [("torch", None), ("transformers", None), ("peft", 4)])
def test_what_is_not_installed_is_named(
    place: Place, module: str, rank: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtra, match=r"pickllm\[distill\]"):
        distil(
            place.pairs,
            place.base,
            place.folder / "out",
            held_out=place.held_out,
            training=Training(adapter_rank=rank),
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"most_tokens": 1},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"adapter_rank": 0},
    ],
)
def test_settings_that_cannot_be_are_told(wrong: dict[str, Any]) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        Training(**wrong)


def test_a_folder_without_a_student_is_told(tmp_path: Path) -> None:
    """Nothing there, or something else."""
    with pytest.raises(StateConflict, match="holds no student"):
        read_distilled(tmp_path)
    (tmp_path / "distilled.json").write_text(json.dumps({"pickllm_distilled": 9}))
    with pytest.raises(StateConflict, match="of another version"):
        read_distilled(tmp_path)


def test_what_was_measured_is_a_row() -> None:
    """For a table in a terminal."""
    found = Measured(loss=0.5, exact=(0.5, 0.25, 0.75), words=(1.0, 1.0, 1.0), pairs=4, asked=2)

    assert ("before", "0.500", "50.0% (25.0% to 75.0%)", "100.0% (100.0% to 100.0%)") == (
        found.row("before")
    )
