"""Structured output: whether an answer parsed is booked once, and nothing else is changed."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.tool import ToolCall, tool_call
from langchain_core.runnables import Runnable, RunnableGenerator
from pydantic import BaseModel

from langchain_pickllm import RewardCallbackHandler, RoutedChatModel
from tests.langchain.recording import Recorder, until
from tests.langchain.scripted import ScriptedChatModel

GOOD = {"name": "Ada", "age": 36}
BAD = {"name": "Ada", "age": "no number"}
NO_ROUTE = ConnectionError("no route")


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


PERSON_SCHEMA = {
    "title": "person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
SCHEMAS: Mapping[str, Any] = {"pydantic": Person, "typed": PersonDict, "json": PERSON_SCHEMA}


class FillingChatModel(ScriptedChatModel):
    """Calls the first of its tools with arguments by prompt, or says something else."""

    prompt_to_args: dict[str, dict[str, Any]] = {}  # noqa: RUF012  # pydantic copies it

    def _calls_of(
        self, messages: Sequence[BaseMessage], kwargs: Mapping[str, Any]
    ) -> list[ToolCall]:
        args = self.prompt_to_args.get(messages[-1].text)
        if args is None or not kwargs.get("tools"):
            return []
        name = kwargs["tools"][0]["function"]["name"]
        return [tool_call(name=name, args=args, id=self._id_of("call", messages))]


def filling(**settings: Any) -> FillingChatModel:
    """Fills the form well, badly or not at all."""
    prompts = {"good": GOOD, "bad": BAD, **settings.pop("prompt_to_args", {})}
    return FillingChatModel(prompt_to_args=prompts, **settings)


def model_of(**settings: Any) -> RoutedChatModel:
    """One arm."""
    return RoutedChatModel(models={"only": filling(**settings)})


def booked(model: RoutedChatModel) -> list[dict[str, float]]:
    """What each decision got, in order."""
    return [
        {source: given.value for source, given in record.source_to_feedback.items()}
        for record in model.router.ledger
    ]


def _astream(chain: Runnable[Any, Any], text: str) -> list[Any]:
    async def read() -> list[Any]:
        return [piece async for piece in chain.astream(text)]

    return asyncio.run(read())


Reading = Callable[[Runnable[Any, Any], str], list[Any]]

READINGS: Mapping[str, Reading] = {
    "invoke": lambda chain, text: [chain.invoke(text)],
    "ainvoke": lambda chain, text: [asyncio.run(chain.ainvoke(text))],
    "stream": lambda chain, text: list(chain.stream(text)),
    "astream": _astream,
    "batch": lambda chain, text: chain.batch([text]),
    "abatch": lambda chain, text: asyncio.run(chain.abatch([text])),
}
every_way = pytest.mark.parametrize("way", READINGS)
every_schema = pytest.mark.parametrize("schema", SCHEMAS)


def plain(pieces: Sequence[Any]) -> list[Any]:
    """Pieces without what the router adds to messages, and with errors as texts."""
    return [_plain(piece) for piece in pieces]


def _plain(piece: Any) -> Any:
    if isinstance(piece, AIMessage):
        metadata = {k: v for k, v in piece.response_metadata.items() if k != "pickllm"}
        return piece.model_copy(update={"response_metadata": metadata})
    if isinstance(piece, dict):
        return {key: _plain(value) for key, value in piece.items()}
    return str(piece) if isinstance(piece, Exception) else piece


@every_way
@every_schema
@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("prompt", ["good", "silent"])
def test_the_result_is_that_of_the_arm_and_its_parsing_is_booked(
    way: str, schema: str, prompt: str, *, include_raw: bool
) -> None:
    """Pieces and all; one judgement for each answer, by whether there was something to parse."""
    model = model_of()
    alone = filling().with_structured_output(SCHEMAS[schema], include_raw=include_raw)
    chain = model.with_structured_output(SCHEMAS[schema], include_raw=include_raw)

    pieces = READINGS[way](chain, prompt)

    assert plain(READINGS[way](alone, prompt)) == plain(pieces)
    assert [{"parse": float(prompt == "good")}] == booked(model)


def outcome(way: str, chain: Runnable[Any, Any], prompt: str) -> Any:
    """Pieces, or the error in their place."""
    try:
        return plain(READINGS[way](chain, prompt))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@every_way
def test_an_answer_that_does_not_fit_is_booked_as_that(way: str) -> None:
    """The parser's error reaches the caller, in streams as no result at all."""
    model = model_of()
    alone = filling().with_structured_output(Person)

    told = outcome(way, model.with_structured_output(Person), "bad")

    assert outcome(way, alone, "bad") == told
    assert "age" in told or [] == told
    assert [{"parse": 0.0}] == booked(model)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_parser_that_gives_up_in_the_middle_of_a_stream_is_heard(way: str) -> None:
    """A handler scores the chain by its error; nobody left that stream."""

    def parse(chunks: Iterator[Any]) -> Iterator[str]:
        for chunk in chunks:
            if chunk.text:
                raise ValueError("not like this")
            yield "."

    async def aparse(chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
        async for chunk in chunks:
            if chunk.text:
                raise ValueError("not like this")
            yield "."

    model = model_of()
    handler = RewardCallbackHandler(model, score=lambda run: 0.0 if run.error else 1.0)
    chain = (model | RunnableGenerator(parse, aparse)).with_config(callbacks=[handler])

    with pytest.raises(ValueError, match="not like this"):
        READINGS[way](chain, "silent")

    assert [{"chain": 0.0}] == booked(model)


@every_way
def test_an_error_that_is_returned_is_booked_as_well(way: str) -> None:
    """``include_raw=True`` gives the error to the caller, who may miss it."""
    model = model_of()

    READINGS[way](model.with_structured_output(Person, include_raw=True), "bad")

    assert [{"parse": 0.0}] == booked(model)


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("schema", ["typed", "json"])
def test_partial_results_stream_as_they_grow(way: str, schema: str) -> None:
    """Judging does not hold them back."""
    pieces = READINGS[way](model_of().with_structured_output(SCHEMAS[schema]), "good")

    assert len(pieces) > 1
    assert GOOD == pieces[-1]


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("args", [{}, {"output": None, "n": 1}, {"parsing_error": "none", "n": 1}])
def test_any_object_that_parses_is_a_success(args: dict[str, Any], *, include_raw: bool) -> None:
    """An empty one, and one whose fields are called as LangChain calls its own."""
    schema = {"title": "any", "description": "Anything.", "type": "object", "properties": {}}
    model = model_of(prompt_to_args={"any": args})

    model.with_structured_output(schema, include_raw=include_raw).invoke("any")

    assert [{"parse": 1.0}] == booked(model)


@every_way
def test_a_model_that_fails_gave_nothing_to_parse(way: str) -> None:
    """Its failure is booked as that, and by the router alone."""
    model = model_of(error=NO_ROUTE)

    with pytest.raises(ConnectionError, match="no route"):
        READINGS[way](model.with_structured_output(Person), "good")

    assert [{}] == booked(model)


@every_way
def test_the_arm_that_took_over_earns_it(way: str) -> None:
    """It gave the answer."""
    models = {"first": filling(error=NO_ROUTE), "second": filling()}
    model = RoutedChatModel(models=models, policy=lambda _: {"first": 1.0})

    READINGS[way](model.with_structured_output(Person), "good")

    (record,) = model.router.ledger
    assert record.answer is not None
    assert ("second", [{"parse": 1.0}]) == (record.answer.arm, booked(model))


def test_leaving_a_stream_judges_nothing() -> None:
    """What was read so far may have been all that was wanted."""
    model = model_of()
    stream: Any = model.with_structured_output(PERSON_SCHEMA).stream("good")
    next(stream)
    stream.close()

    assert [{}] == booked(model)


async def test_cancelling_judges_nothing() -> None:
    """Nobody waited for the answer."""
    arm = filling(waits_for=threading.Event())
    model = RoutedChatModel(models={"only": arm})
    task = asyncio.create_task(model.with_structured_output(Person).ainvoke("good"))
    await until(lambda: arm.calls == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert [{}] == booked(model)


@pytest.mark.parametrize("way", ["batch", "abatch"])
def test_runs_side_by_side_do_not_mix(way: str) -> None:
    """Each decision has the judgement of its own answer."""
    model = model_of()
    chain = model.with_structured_output(Person, include_raw=True)
    prompts: list[Any] = ["good", "bad", "silent"] * 15

    if way == "batch":
        results: Any = chain.batch(prompts)
    else:
        results = asyncio.run(chain.abatch(prompts))

    parsed = {
        result["raw"].response_metadata["pickllm"]["decision_id"]: float(
            result["parsed"] is not None
        )
        for result in results
    }
    assert parsed == {
        record.decision.id: record.source_to_feedback["parse"].value
        for record in model.router.ledger
    }
    assert 15.0 == sum(parsed.values())


def test_users_judge_besides() -> None:
    """Parsing is a source of its own."""
    model = model_of()
    result: Any = model.with_structured_output(Person, include_raw=True).invoke("good")

    assert "counted" == model.feedback(result["raw"], 0.0)
    assert [{"parse": 1.0, "user": 0.0}] == booked(model)


def test_its_runs_are_those_of_the_chain() -> None:
    """No run is added to the trace."""
    ours, theirs = Recorder(), Recorder()
    model_of().with_structured_output(Person).invoke("good", {"callbacks": [ours]})
    filling().with_structured_output(Person).invoke("good", {"callbacks": [theirs]})

    names = [span.name for span in ours if span.name != "RoutedChatModel"]
    assert [span.name for span in theirs] == names


def test_a_shape_that_another_router_asks_for_is_judged_there() -> None:
    """Within a chain of two routed models each hears of its own answers."""
    first, second = model_of(), model_of()
    chain: Runnable[Any, Any] = first | (lambda _: "good") | second.with_structured_output(Person)

    chain.invoke("hello")

    assert ([{}], [{"parse": 1.0}]) == (booked(first), booked(second))
