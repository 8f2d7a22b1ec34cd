"""A model in this process: what it answers, where it stops, and what it refuses."""

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import ConfigError, MissingExtra
from pickllm.local import Generated, LocalModel, _until_stop
from tests.tiny import ANSWER, QUESTION, before_tokens, generating, rambling, soon, tiny_folder

ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model lies."""
    return tiny_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalModel:
    """The model, loaded once."""
    return LocalModel.load(folder)


@contextmanager
def generation(local: LocalModel, **settings: Any) -> Iterator[None]:
    """The model's own generation config, changed for a while."""
    config = local.pipeline.model.generation_config
    before = {name: getattr(config, name) for name in settings}
    config.update(**settings)
    try:
        yield
    finally:
        config.update(**before)


def whole(pieces: Any) -> tuple[list[str], Generated]:
    """All the pieces of a stream, and what it returns."""
    texts = []
    while True:
        try:
            texts.append(next(pieces))
        except StopIteration as end:
            return texts, end.value


def test_it_answers_and_counts(local: LocalModel) -> None:
    """The answer is without the prompt, and its tokens are those of the tokenizer."""
    tokenizer = local.pipeline.tokenizer

    done = local.generate(ASKED)

    prompt = tokenizer(f"<s>{QUESTION}<|answer|>")["input_ids"]
    assert len(prompt) == local.count_tokens(ASKED)
    assert done == Generated(
        text=ANSWER,
        tokens_in=len(prompt),
        tokens_out=len(tokenizer(f"{ANSWER}</s>")["input_ids"]),
        finish_reason="stop",
    )


def test_an_answer_ends_at_its_limit(local: LocalModel) -> None:
    """What the limit cuts is said to be cut."""
    done = local.generate(ASKED, max_new_tokens=2)

    assert (ANSWER[:2], 2, "length") == (done.text, done.tokens_out, done.finish_reason)


def test_an_answer_of_just_its_limit_has_stopped(local: LocalModel) -> None:
    """The token that ends the answer may be the last one allowed."""
    done = local.generate(ASKED, max_new_tokens=len(ANSWER) + 1)

    assert (ANSWER, "stop") == (done.text, done.finish_reason)


def test_several_tokens_may_end_an_answer(local: LocalModel) -> None:
    """A chat model has a list of such tokens: each of them is a proper end."""
    end = local.pipeline.tokenizer.convert_tokens_to_ids("b")
    with generation(local, eos_token_id=[2, end]):
        done = local.generate(ASKED)

    assert ("ab", "stop") == (done.text, done.finish_reason)


def test_a_stream_adds_up_to_the_answer(local: LocalModel) -> None:
    """Pieces come one by one, and what the stream returns is what `generate` would have."""
    pieces, done = whole(local.stream(ASKED, **rambling(local)))

    assert local.generate(ASKED, **rambling(local)) == done
    assert done.text == "".join(pieces)
    assert 10 < len(pieces)
    assert 200 == done.tokens_out


def test_a_stop_sequence_ends_the_answer(local: LocalModel) -> None:
    """Neither the sequence nor what would follow is in the answer, as a whole or streamed."""
    text = local.generate(ASKED, **rambling(local)).text
    at = text.index(" ", 20) - 1
    stop = text[at : at + 4]  # the pieces of a stream are words, so this one spans two

    done = local.generate(ASKED, stop=["never", stop], **rambling(local))
    pieces, streamed = whole(local.stream(ASKED, stop=["never", stop], **rambling(local)))

    assert text[: text.index(stop)] == done.text
    assert "stop" == done.finish_reason
    assert done.tokens_out < 60
    assert done == streamed
    assert done.text == "".join(pieces)


def test_a_stop_sequence_given_alone_is_one(local: LocalModel) -> None:
    """A string is one sequence, not one for each of its letters."""
    assert ANSWER == local.generate(ASKED, stop="da").text


@given(words=st.lists(st.text("ab ", max_size=4), max_size=8), stop=st.text("ab ", min_size=1))
def test_pieces_end_before_a_stop_sequence(words: list[str], stop: str) -> None:
    """However a text is cut into pieces, what is shown of it ends where the sequence begins."""
    text = "".join(words)

    assert text.split(stop)[0] == "".join(_until_stop(iter(words), [stop]))


@pytest.mark.parametrize("length", [600, 512])
def test_a_prompt_that_does_not_fit_is_refused(local: LocalModel, length: int) -> None:
    """A prompt as long as the window, or longer, is told so; no noise comes of it."""
    asked = [{"role": "user", "content": "x" * (length - 2)}]
    assert length == local.count_tokens(asked)

    with pytest.raises(ConfigError, match=f"{length} tokens and the window of .* is 512"):
        local.generate(asked)
    with pytest.raises(ConfigError, match="shorten it"):
        next(local.stream(asked))


def test_an_answer_ends_with_the_window(local: LocalModel) -> None:
    """Behind the window a model writes noise, so a limit that leads there is cut."""
    asked = [{"role": "user", "content": "x" * 500}]

    done = local.generate(asked, **rambling(local, tokens=100))

    assert (512 - 502, "length") == (done.tokens_out, done.finish_reason)


@pytest.mark.parametrize(
    ("own", "tokens"), [({}, 256), ({"max_length": 50}, 44), ({"max_new_tokens": 30}, 30)]
)
def test_the_model_s_own_limit_holds_where_none_is_given(
    local: LocalModel, own: Mapping[str, int], tokens: int
) -> None:
    """Its generation config may limit the answer, or the whole, or nothing."""
    settings = {**rambling(local)}
    del settings["max_new_tokens"]

    with generation(local, **{"max_new_tokens": None, "max_length": None, **own}):
        done = local.generate(ASKED, **settings)

    assert tokens == done.tokens_out


def test_a_limit_takes_the_place_of_the_model_s_own_without_ado(
    local: LocalModel, caplog: pytest.LogCaptureFixture
) -> None:
    """A model with a limit of the whole takes one of the answer, and warns of nothing."""
    with generation(local, max_new_tokens=None, max_length=50):
        done = local.generate(ASKED, **rambling(local, tokens=9))

    assert 9 == done.tokens_out
    assert [] == caplog.messages


def test_an_empty_stop_sequence_is_refused(local: LocalModel) -> None:
    """It would stand before every answer."""
    with pytest.raises(ConfigError, match="stop sequence is empty"):
        local.generate(ASKED, stop=[""])


def test_closing_a_stream_stops_the_model(local: LocalModel) -> None:
    """A reader who leaves is noticed at the next token, and no thread stays."""
    tokens: list[None] = []
    with before_tokens(local, lambda: tokens.append(None)):
        pieces = local.stream(ASKED, **rambling(local, tokens=500))
        next(pieces)
        pieces.close()

        assert soon(lambda: not generating())
    assert len(tokens) < 400


def test_a_stream_that_is_never_read_starts_nothing(local: LocalModel) -> None:
    """The model begins when its reader does."""
    local.stream(ASKED)

    assert not generating()


def test_an_answer_may_be_called_off(local: LocalModel) -> None:
    """An event set from elsewhere stops the model at its next token."""
    left = threading.Event()
    tokens: list[None] = []

    def leave() -> None:
        tokens.append(None)
        if len(tokens) == 5:
            left.set()

    with before_tokens(local, leave):
        done = local.generate(ASKED, left=left, **rambling(local))

    assert 5 == done.tokens_out


@pytest.mark.parametrize("tokens", [1, 30])
def test_an_error_inside_the_model_surfaces_at_once(local: LocalModel, tokens: int) -> None:
    """A stream raises the very error, at the first token or in the middle, and ends."""
    countdown = iter(range(tokens - 1))

    def fail() -> None:
        if next(countdown, None) is None:
            raise MemoryError("no room")

    with before_tokens(local, fail):
        with pytest.raises(MemoryError, match="no room"):
            list(local.stream(ASKED, **rambling(local)))
        assert soon(lambda: not generating())
        with pytest.raises(MemoryError, match="no room"):
            local.generate(ASKED)


def test_eight_threads_get_the_answers_that_one_gets(local: LocalModel) -> None:
    """Threads share the model and not their answers, whole, streamed or stopped."""
    asked = [[{"role": "user", "content": f"Sort the letters: {c}ba"}] for c in "cdefghij"] * 3
    ways: list[Callable[[Any], Generated]] = [
        local.generate,
        lambda messages: whole(local.stream(messages))[1],
        lambda messages: local.generate(messages, stop=["b"]),
    ]
    jobs = [(ways[number % 3], messages) for number, messages in enumerate(asked)]

    alone = [way(messages) for way, messages in jobs]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda job: job[0](job[1]), jobs))

    assert alone == together


def test_a_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    """A base model is no chat model, and is told before its weights are read."""
    base = shutil.copytree(folder, tmp_path / "base")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    (base / "chat_template.jinja").unlink(missing_ok=True)
    (base / "model.safetensors").unlink()

    with pytest.raises(ConfigError, match="has no chat template: take a chat model"):
        LocalModel.load(base)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    """The message names what could not be loaded, and what it should be."""
    with pytest.raises(ConfigError, match=r"cannot load '.*none', which must be a model on the"):
        LocalModel.load(tmp_path / "none")


def test_the_extra_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `transformers` it is said what to install."""
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(MissingExtra, match=r"pip install 'pickllm\[local\]'"):
        LocalModel.load(folder)


def test_a_model_says_its_name_and_no_weights(local: LocalModel, folder: Path) -> None:
    """Its repr is short."""
    assert f"LocalModel(name={str(folder)!r})" == repr(local)
