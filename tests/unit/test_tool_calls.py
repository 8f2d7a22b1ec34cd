"""What a model wrote, taken apart into text and tool calls."""

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm.tool_calls import Answer, BadToolCall, ToolCall, read, sure_text

ADD = ToolCall(name="add", arguments={"a": 1, "b": [2.5, None, {"c": "}"}]})
CALL = '{"name": "add", "arguments": {"a": 1, "b": [2.5, null, {"c": "}"}]}}'


def as_json(call: ToolCall, key: str) -> str:
    """A call as an object."""
    return json.dumps({"name": call.name, key: call.arguments})


def in_hermes(calls: Sequence[ToolCall]) -> str:
    """As Qwen and Hermes write calls."""
    return "\n".join(f"<tool_call>\n{as_json(call, 'arguments')}\n</tool_call>" for call in calls)


def in_mistral(calls: Sequence[ToolCall]) -> str:
    """As Mistral wrote them at first."""
    return f"[TOOL_CALLS] [{', '.join(as_json(call, 'arguments') for call in calls)}]"


def in_new_mistral(calls: Sequence[ToolCall]) -> str:
    """As it writes them now."""
    return "".join(f"[TOOL_CALLS]{call.name}[ARGS]{json.dumps(call.arguments)}" for call in calls)


def in_llama(calls: Sequence[ToolCall]) -> str:
    """As Llama 3.1 writes them."""
    return "<|python_tag|>" + "; ".join(as_json(call, "parameters") for call in calls)


def in_bare_json(calls: Sequence[ToolCall]) -> str:
    """As Llama 3.2 writes them."""
    return "\n".join(as_json(call, "parameters") for call in calls)


WRITERS = [in_hermes, in_mistral, in_new_mistral, in_llama, in_bare_json]
TAGGED = WRITERS[:-1]
Writer = Callable[[Sequence[ToolCall]], str]

NAMES = st.text("abcxyz_-09", min_size=1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        ["</tool_call>", "<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", '{"', "};"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(
    st.builds(
        lambda name, arguments: ToolCall(name=name, arguments=arguments),
        NAMES,
        st.dictionaries(st.text(), VALUES, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("write", WRITERS)
@given(calls=CALLS)
def test_what_is_written_is_read(write: Writer, calls: list[ToolCall]) -> None:
    """Calls come back from every format as they went in, whatever stands in their arguments."""
    assert Answer(text="", calls=tuple(calls)) == read(write(calls), [calls[0].name])


@pytest.mark.parametrize("write", TAGGED)
@given(
    text=st.text("ab <[|{\n", max_size=12).filter(lambda text: not text.lstrip().startswith("{")),
    calls=CALLS,
)
def test_a_stream_shows_no_more_than_the_text(
    write: Writer, text: str, calls: list[ToolCall]
) -> None:
    """However far an answer has come, what is sure of it begins the text that is read at last."""
    source = text + write(calls)

    whole = read(source, [])

    assert text.rstrip() == whole.text
    shown = [sure_text(source[:end]) for end in range(len(source) + 1)]
    assert [] == [part for part in shown if not whole.text.startswith(part)]


@given(st.text('ab <[|{"name:}\n'))
def test_an_answer_without_calls_is_text(source: str) -> None:
    """It is left as it is, and shown from its beginning on."""
    assert Answer(text=source) == read(source, ["add"])
    assert source.startswith(sure_text(source))


def test_text_is_shown_as_it_comes() -> None:
    """What can be no call is not held back."""
    assert "One, two" == sure_text("One, two")
    assert "One [" == sure_text("One [ <tool")


@pytest.mark.parametrize(
    "source",
    ["A person: {}", '{"name": "Bob", "age": 3}', '{"age": 3}', '["add"]', "<tool>", "[ARGS]{}"],
)
def test_json_that_names_no_tool_is_an_answer(source: str) -> None:
    """A user may have asked for it."""
    assert Answer(text=source) == read(source, ["add"])


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        (f"Well.\n<tool_call>{CALL}", Answer(text="Well.", calls=(ADD,))),
        (f"<tool_call>{CALL}</tool_call> Done.", Answer(text=" Done.", calls=(ADD,))),
        (f"{CALL} Done.", Answer(text="Done.", calls=(ADD,))),
        (
            '<tool_call>{"name": "now"}</tool_call>',
            Answer(text="", calls=(ToolCall(name="now", arguments={}),)),
        ),
        (
            '{"type": "function", "name": "add", "arguments": "{\\"a\\": 1}"}',
            Answer(text="", calls=(ToolCall(name="add", arguments={"a": 1}),)),
        ),
        (
            '[TOOL_CALLS]add[CALL_ID]x1[ARGS]{"a": 1}',
            Answer(text="", calls=(ToolCall(name="add", arguments={"a": 1}),)),
        ),
    ],
)
def test_formats_are_read_as_models_write_them(source: str, answer: Answer) -> None:
    """A last tag may be missing, text may stand around, arguments may be none or JSON in JSON."""
    assert answer == read(source, ["add"])


@pytest.mark.parametrize(
    ("source", "bad", "error"),
    [
        ("<tool_call>{oops}</tool_call>", "{oops}", "Expecting property name"),
        ('<tool_call>{"name": "add", "argum', '{"name": "add", "argum', "Unterminated"),
        ("<tool_call>[1]</tool_call>", "[1]", "no object with a name"),
        ('<tool_call>{"a": 1}</tool_call>', '{"a": 1}', "no object with a name"),
        (
            '<tool_call>{"name": "add", "arguments": 3}</tool_call>',
            '{"name": "add", "arguments": 3}',
            "arguments of add are no object",
        ),
        ('{"name": "add", "parameters": "{"}', '{"name": "add", "parameters": "{"}', "Expecting"),
        ('{"name": "add", "parameters": {"a', '{"name": "add", "parameters": {"a', "Unterminated"),
        ('<|python_tag|>brave.call(query="x")', 'brave.call(query="x")', "it is no JSON"),
        ('[TOOL_CALLS] [{"name"', '[{"name"', "Expecting"),
        ("[TOOL_CALLS] 3", "3", "it is no list"),
        ('[TOOL_CALLS]add[ARGS]{"a"', 'add[ARGS]{"a"', "Expecting"),
    ],
)
def test_what_is_no_call_after_all_is_kept(source: str, bad: str, error: str) -> None:
    """Its source and what is wrong with it are told; it is not taken for text."""
    answer = read(source, ["add"])

    assert ("", ()) == (answer.text, answer.calls)
    (found,) = answer.bad_calls
    assert bad == found.source
    assert error in found.error


def test_one_bad_call_leaves_the_others() -> None:
    """What could be read of the answer is."""
    answer = read(f"<tool_call>{CALL}</tool_call><tool_call>{{</tool_call>{in_hermes([ADD])}", [])

    assert (ADD, ADD) == answer.calls
    assert ["{"] == [bad.source for bad in answer.bad_calls]
    assert isinstance(answer.bad_calls[0], BadToolCall)
