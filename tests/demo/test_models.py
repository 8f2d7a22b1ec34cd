"""The demo's models: what they read, how they learn, and where they are kept."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from pickllm.demo.models import (
    SMALL,
    Progress,
    Recipe,
    accuracy,
    answers,
    default_folder,
    ensure_model,
    fingerprint,
    is_sound,
    make_tokenizer,
    progress_bar,
    train,
)
from pickllm.demo.tasks import Task, make_tasks

_RECIPE = Recipe(name="test", layers=1, width=16, heads=4, steps=6, batch_size=8, warmup_steps=2)
_TOKENIZER = make_tokenizer()
_ASKING: Mapping[str, Any] = {"add_generation_prompt": True, "tokenize": False}


class _Killed(Exception):
    pass


@given(text=st.text())
def test_text_survives_its_tokens(text: str) -> None:
    """Any text, of any script, comes back from its tokens as it was."""
    words = text.replace("<", "(")  # the names of special tokens are no text

    assert words == _TOKENIZER.decode(_TOKENIZER(words)["input_ids"])


def test_wording_costs_few_tokens() -> None:
    """A phrase of the tasks is one token, and letters remain letters."""
    tokens = _TOKENIZER.tokenize("Spell backwards: who")

    assert ["Spell backwards: ", "w", "h", "o"] == tokens


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "Add: 34+5"}],
        [{"role": "user", "content": [{"type": "text", "text": "Add: 34+5"}]}],
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "Add: 34+5"},
        ],
    ],
)
def test_the_model_sees_the_last_question(messages: Sequence[Mapping[str, Any]]) -> None:
    """System messages, earlier turns and content blocks come down to the question asked."""
    shown = _TOKENIZER.apply_chat_template(messages, **_ASKING)

    assert "<s>Add: 34+5<|answer|>" == shown


def test_the_template_writes_whole_conversations_too() -> None:
    """A conversation that ends in an answer is written as the model learnt it."""
    chat = [{"role": "user", "content": "Add: 34+5"}, {"role": "assistant", "content": "39"}]

    assert "<s>Add: 34+5<|answer|>39</s>" == _TOKENIZER.apply_chat_template(chat, tokenize=False)


def test_loss_falls() -> None:
    """Some steps of training are enough to see that the model learns."""
    losses: list[float] = []

    train(replace(_RECIPE, steps=60, batch_size=32), lambda progress: losses.append(progress.loss))

    assert 60 == len(losses)
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_a_recipe_settles_the_model() -> None:
    """The same recipe trains the same weights, and another seed others."""
    (first, _), (again, _), (other, _) = (
        train(recipe) for recipe in (_RECIPE, _RECIPE, replace(_RECIPE, seed=1))
    )

    weights = [model.lm_head.weight.detach().flatten() for model in (first, again, other)]
    assert weights[0].tolist() == weights[1].tolist()
    assert weights[0].tolist() != weights[2].tolist()


def test_a_saved_model_answers_through_a_pipeline(tiny_llama: Path) -> None:
    """A plain text-generation pipeline on the folder answers, and stops, without more settings."""
    tasks = make_tasks(30, 0, families=["sort"], difficulties=[1])
    pipeline: Any = transformers.pipeline("text-generation", model=str(tiny_llama))

    replies = [
        pipeline([{"role": "user", "content": task.prompt}], return_full_text=False)[0]
        for task in tasks
    ]

    texts = [reply["generated_text"] for reply in replies]
    assert answers(tiny_llama, [task.prompt for task in tasks], batch_size=7) == texts
    assert accuracy(tasks, texts)["sort", 1] > 0.5


def test_accuracy_tells_families_and_difficulties_apart() -> None:
    """Grades are averaged for each family and difficulty alone."""
    tasks = [
        Task(prompt="", answer="1", family=family, difficulty=difficulty)
        for family, difficulty in [("add", 1), ("add", 1), ("add", 2), ("sort", 1)]
    ]

    assert {("add", 1): 0.5, ("add", 2): 1.0, ("sort", 1): 0.0} == accuracy(
        tasks, ["1", "0", "1", "0"]
    )


def test_a_finished_model_is_used_again(tmp_path: Path) -> None:
    """A second run trains nothing, and finds the folder by the recipe's name."""
    steps: list[Progress] = []
    first = ensure_model(_RECIPE, folder=tmp_path, on_progress=steps.append)

    second = ensure_model(_RECIPE, folder=tmp_path, on_progress=steps.append)

    assert first == second
    assert "test" == second.name
    assert [1, 2, 3, 4, 5, 6] == [progress.step for progress in steps]
    assert {6} == {progress.steps for progress in steps}


def test_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    """A run that ends half-way leaves no model, and the next run makes one."""

    def kill(progress: Progress) -> None:
        if progress.step == 3:
            raise _Killed

    with pytest.raises(_Killed):
        ensure_model(_RECIPE, folder=tmp_path, on_progress=kill)

    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]
    assert is_sound(ensure_model(_RECIPE, folder=tmp_path))


def test_what_a_killed_run_has_left_is_cleared(tmp_path: Path) -> None:
    """Once nobody can be writing it any more; what may be at work is left alone."""
    kept = ensure_model(_RECIPE, folder=tmp_path)
    old, fresh = (kept.parent / f".unfinished-{name}" / "model" for name in ("old", "fresh"))
    for folder in (old, fresh):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"half")
    os.utime(old.parent, (0, 0))

    again = ensure_model(_RECIPE, folder=tmp_path)

    assert kept == again
    assert [".unfinished-fresh", "test"] == sorted(path.name for path in kept.parent.iterdir())


@pytest.mark.parametrize("damage", ["cut short", "file missing", "no manifest", "odd manifest"])
def test_a_damaged_model_is_made_anew(tmp_path: Path, damage: str) -> None:
    """A folder with any file changed or missing is not used: it is replaced."""
    folder = ensure_model(_RECIPE, folder=tmp_path)
    weights, manifest = folder / "model.safetensors", folder / "recipe.json"
    if damage == "cut short":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "file missing":
        weights.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text("[]")
    assert not is_sound(folder)

    assert is_sound(ensure_model(_RECIPE, folder=tmp_path))
    assert ["test"] == [path.name for path in folder.parent.iterdir()]


def test_another_recipe_is_another_folder() -> None:
    """Whatever changes in a recipe, its model does not take the place of the former."""
    recipes = [_RECIPE, replace(_RECIPE, seed=1), replace(_RECIPE, adam_rate=0.1), SMALL]

    assert 4 == len({fingerprint(recipe) for recipe in recipes})


def test_the_manifest_holds_the_recipe(tiny_llama: Path) -> None:
    """A folder tells how its model was made."""
    manifest = json.loads((tiny_llama / "recipe.json").read_text())

    assert "tiny" == manifest["recipe"]["name"]
    assert "model.safetensors" in manifest["files"]


def test_caches_are_where_the_user_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`XDG_CACHE_HOME` is respected, and the home folder is the default."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path / "pickllm" / "demo-v1" == default_folder()

    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Path.home() / ".cache" / "pickllm" / "demo-v1" == default_folder()


def test_progress_is_shown_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar names the model, and standard output stays free for results."""
    with progress_bar() as show:
        show(Progress(name="small", step=1, steps=2, loss=1.0))
        show(Progress(name="small", step=2, steps=2, loss=0.5))

    shown = capsys.readouterr()
    assert "" == shown.out
    assert "Training the small Llama" in shown.err
