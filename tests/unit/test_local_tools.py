"""A model in this process that calls tools, how its tokens are read, and how it is loaded."""

import copy
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pickllm import ConfigError
from pickllm.local import LocalModel
from pickllm.local_answers import AnswerReader
from pickllm.tool_calls import Answer, ToolCall
from tests.tiny import tiny_folder
from tests.tiny_tools import ADD, tool_folder

ASKED = [{"role": "user", "content": "1+2"}]
CALL = ToolCall(name="add", arguments={"a": 1, "b": 2})
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|answer|>",
    "fields": {
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close": "</s>", "content": "text"},
    },
}
"""In the form of `transformers`; it reads calls as the model writes them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model lies."""
    return tool_folder(tmp_path_factory)


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalModel:
    """The model, loaded once."""
    return LocalModel.load(folder)


def reader(local: LocalModel, *tags: str, template: Mapping[str, Any] | None = None) -> Any:
    """A reader of answers, for a tokenizer that knows some more special tokens."""
    tokenizer = copy.deepcopy(local.pipeline.tokenizer)
    tokenizer.add_tokens(list(tags), special_tokens=True)
    tokenizer.response_template = template
    prompt = tokenizer.encode("<s>[add]<|user|>1+2<|answer|>")
    return AnswerReader(tokenizer=tokenizer, tools=[ADD], prompt=prompt)


def test_a_model_calls_a_tool(local: LocalModel) -> None:
    """The call is no part of the text, though its tags are special tokens to the tokenizer."""
    done = local.generate(ASKED, tools=[ADD])

    assert ("", (CALL,), (), "stop") == (done.text, done.calls, done.bad_calls, done.finish_reason)
    assert local.count_tokens(ASKED, tools=[ADD]) == done.tokens_in
    assert local.count_tokens(ASKED) + 1 == done.tokens_in


def test_a_stream_shows_no_call(local: LocalModel) -> None:
    """The call comes with the whole, at the end."""
    pieces = local.stream(ASKED, tools=[ADD])

    with pytest.raises(StopIteration) as end:
        next(pieces)

    assert local.generate(ASKED, tools=[ADD]) == end.value.value


def test_text_streams_beside_tools(local: LocalModel) -> None:
    """An answer that calls none comes in pieces, tools or not."""
    function = {"name": "add", "arguments": {"a": 1, "b": 2}}
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
    result = {"role": "tool", "name": "add", "content": "3"}

    pieces = list(local.stream([*ASKED, call, result], tools=[ADD]))

    assert "The sum is 3" == "".join(pieces)
    assert 1 < len(pieces)


def test_a_call_that_is_cut_off_is_a_bad_one(local: LocalModel) -> None:
    """The limit of the answer came before its end."""
    done = local.generate(ASKED, tools=[ADD], max_new_tokens=4)

    assert ((), "length") == (done.calls, done.finish_reason)
    assert ['{"name": "add", "arguments": {"a": 1, "b":'] == [bad.source for bad in done.bad_calls]


@pytest.mark.parametrize(
    "written",
    [
        'Well. <|python_tag|>{"name": "add", "parameters": {"a": 1, "b": 2}}</s>',
        'Well. [TOOL_CALLS][{"name": "add", "arguments": {"a": 1, "b": 2}}]</s>',
        'Well. [TOOL_CALLS]add[ARGS]{"a": 1, "b": 2}</s>',
        'Well. <tool_call>{"name": "add", "arguments": {"a": 1, "b": 2}}</tool_call></s>',
    ],
)
def test_special_tokens_of_calls_are_kept(local: LocalModel, written: str) -> None:
    """Whatever the format, and those that end an answer are not."""
    reads = reader(local, "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]")
    tokens = reads.tokenizer.encode(written)

    source = reads.decode(tokens)

    assert "</s>" not in source
    assert len(tokens) < len(source)  # the tags are tokens of their own
    assert Answer(text="Well.", calls=(CALL,)) == reads.read(source)
    assert "Well." == reads.sure(source)


def test_a_response_template_is_read_by_transformers(local: LocalModel) -> None:
    """Where the tokenizer comes with one: arguments are cast as the tool's schema says."""
    reads = reader(local, template=RESPONSE_TEMPLATE)
    written = 'Well. <tool_call>{"name": "add", "arguments": {"a": "1", "b": 2}}</tool_call></s>'

    source = reads.decode(reads.tokenizer.encode(written))

    assert Answer(text="Well.", calls=(CALL,)) == reads.read(source)
    shown = [reads.sure(source[:end]) for end in range(len(source) + 1)]
    assert [] == [part for part in shown if not "Well.".startswith(part)]
    assert "Well." == shown[-1]


def test_a_response_template_may_find_a_call_malformed(local: LocalModel) -> None:
    """The text before it is kept, and what was written is told."""
    reads = reader(local, template=RESPONSE_TEMPLATE)

    answer = reads.read("Well. <tool_call>{oops}</tool_call></s>")

    assert ("Well.", ()) == (answer.text, answer.calls)
    assert ["<tool_call>{oops}</tool_call>"] == [bad.source for bad in answer.bad_calls]


def test_a_model_whose_template_knows_no_tools_is_given_none(
    tmp_path_factory: pytest.TempPathFactory, local: LocalModel
) -> None:
    """It would not see them, so it is not asked."""
    plain = LocalModel.load(tiny_folder(tmp_path_factory))

    assert [False, True] == [plain.knows_tools, local.knows_tools]
    with pytest.raises(ConfigError, match="shows no tools to the model"):
        plain.generate(ASKED, tools=[ADD])


def test_messages_that_the_template_refuses_are_told(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the template's own words."""
    refusing = "{{ raise_exception('one user at a time') }}"
    monkeypatch.setattr(local.pipeline.tokenizer, "chat_template", refusing)

    with pytest.raises(ConfigError, match="refuses these messages: one user at a time"):
        local.generate(ASKED)


# Loading


def test_options_reach_the_weights(folder: Path) -> None:
    """Their type, their place and whatever else `from_pretrained` takes."""
    halved = LocalModel.load(
        folder, dtype="bfloat16", device_map="cpu", attn_implementation="eager"
    ).pipeline.model

    assert {"torch.bfloat16"} == {str(weight.dtype) for weight in halved.parameters()}
    assert {"cpu"} == {str(weight.device) for weight in halved.parameters()}
    assert "eager" == halved.config._attn_implementation


def test_weights_are_of_the_type_they_were_saved_in(folder: Path) -> None:
    """Where nothing else is asked for."""
    assert "torch.float32" == str(LocalModel.load(folder).pipeline.model.dtype)


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="it can be had here")
def test_four_bits_need_bitsandbytes(folder: Path) -> None:
    """The error says what to install."""
    with pytest.raises(ConfigError, match="pip install -U bitsandbytes"):
        LocalModel.load(folder, load_in_4bit=True)
