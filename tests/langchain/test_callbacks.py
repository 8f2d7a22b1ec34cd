"""RewardCallbackHandler: one score for a chain run, for each decision in it, come what may."""

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_core.utils.uuid import uuid7

from langchain_pickllm import FinishedRun, RewardCallbackHandler, RoutedChatModel
from tests.langchain.recording import MODEL_WAYS, WAYS, until
from tests.langchain.scripted import ScriptedChatModel

every_way = pytest.mark.parametrize("way", WAYS)

QUESTION = {"question": "2 + 2?"}
PROMPT = ChatPromptTemplate.from_template("{question}")


def model_of(**settings: Any) -> RoutedChatModel:
    """One arm, which says 4 if it is not told otherwise."""
    return RoutedChatModel(models={"only": ScriptedChatModel(**{"says": "4", **settings})})


def chain_of(model: RoutedChatModel) -> Runnable[Any, str]:
    """A chain as users write it."""
    return PROMPT | model | StrOutputParser()


class Watching:
    """A handler, and the runs that its scorer got."""

    def __init__(
        self, model: RoutedChatModel, score: Callable[[FinishedRun], Any] | None = None
    ) -> None:
        self.model = model
        self.runs: list[FinishedRun] = []
        self._score = score or (lambda _: 1.0)
        self.handler = RewardCallbackHandler(model, score=self._keep)

    def _keep(self, run: FinishedRun) -> Any:
        self.runs.append(run)
        return self._score(run)

    @property
    def scores(self) -> list[dict[str, float]]:
        """What each decision got, in the order of decisions."""
        return [
            {source: feedback.value for source, feedback in record.source_to_feedback.items()}
            for record in self.model.router.ledger
        ]

    @property
    def held(self) -> int:
        """How much it remembers of runs that may have ended."""
        return len(self.handler._open) + len(self.handler._root_of)


# One score for a chain run


@every_way
def test_a_chain_run_is_scored_once(way: str) -> None:
    """The scorer gets the whole chain's inputs and output, and its score reaches the decision."""
    watching = Watching(model_of(), lambda run: 1.0 if run.output == "4" else 0.0)

    WAYS[way](chain_of(watching.model), QUESTION, {"callbacks": [watching.handler]})

    (run,) = watching.runs
    assert ("4", None) == (run.output, run.error)
    assert [{"chain": 1.0}] == watching.scores
    assert {"counted": 1} == watching.handler.counts


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch"])
def test_the_scorer_gets_inputs_metadata_and_decisions(way: str) -> None:
    """All that is needed to look up the right answer."""
    watching = Watching(model_of())
    config: Any = {"callbacks": [watching.handler], "metadata": {"answer": "4"}}

    WAYS[way](chain_of(watching.model), QUESTION, config)

    (run,) = watching.runs
    (record,) = watching.model.router.ledger
    assert (QUESTION, "4") == (run.inputs, run.metadata["answer"])
    assert (record.decision.id,) == run.decision_ids


@pytest.mark.parametrize("way", MODEL_WAYS)
def test_a_model_without_a_chain_is_scored_too(way: str) -> None:
    """The outermost run may be the routed model's own."""
    watching = Watching(model_of())

    MODEL_WAYS[way](watching.model, "2 + 2?", {"callbacks": [watching.handler]})

    (run,) = watching.runs
    assert "4" == run.output.text
    assert [{"chain": 1.0}] == watching.scores


@every_way
def test_every_decision_of_a_chain_run_gets_its_score(way: str) -> None:
    """Two routed calls in one chain, one after the other: both earn what the chain earned."""
    model = model_of()
    watching = Watching(model, lambda _: 0.5)
    chain: Runnable[Any, str] = (
        PROMPT | model | RunnableLambda(lambda m: [("human", m.text)]) | model | StrOutputParser()
    )

    WAYS[way](chain, QUESTION, {"callbacks": [watching.handler]})

    (run,) = watching.runs
    assert (2, 2) == (len(run.decision_ids), len(set(run.decision_ids)))
    assert [{"chain": 0.5}, {"chain": 0.5}] == watching.scores


@every_way
def test_decisions_in_parallel_branches_are_all_settled(way: str) -> None:
    """The same for calls side by side."""
    model = model_of()
    watching = Watching(model)
    branches: Runnable[Any, Any] = RunnableParallel(
        one=chain_of(model), two=chain_of(model), three=chain_of(model)
    )

    WAYS[way](branches, QUESTION, {"callbacks": [watching.handler]})

    assert [3] == [len(run.decision_ids) for run in watching.runs]
    assert [{"chain": 1.0}] * 3 == watching.scores


@every_way
def test_each_call_is_a_run_of_its_own(way: str) -> None:
    """Runs under one config do not share a score."""
    watching = Watching(model_of())

    for _ in range(3):
        WAYS[way](chain_of(watching.model), QUESTION, {"callbacks": [watching.handler]})

    assert [1, 1, 1] == [len(run.decision_ids) for run in watching.runs]
    assert [{"chain": 1.0}] * 3 == watching.scores


@every_way
def test_bound_to_a_part_it_scores_the_part(way: str) -> None:
    """``part.with_config(callbacks=[handler])``: the part is the outermost run it sees."""
    model = model_of()
    watching = Watching(model, lambda run: float(run.output == "4"))
    part = chain_of(model).with_config(callbacks=[watching.handler])
    whole: Runnable[Any, str] = part | RunnableLambda(lambda text: text + "!")

    assert "4!" == WAYS[way](whole, QUESTION, {})

    assert ["4"] == [run.output for run in watching.runs]
    assert [{"chain": 1.0}] == watching.scores


@every_way
def test_two_handlers_with_two_sources_are_both_heard(way: str) -> None:
    """A part and the whole may each have their say."""
    model = model_of()
    part = RewardCallbackHandler(model, score=lambda _: 0.0, source="part")
    whole = RewardCallbackHandler(model, score=lambda _: 1.0, source="whole")
    inner = chain_of(model).with_config(callbacks=[part])
    chain: Runnable[Any, str] = inner | RunnableLambda(lambda text: text + "!")

    WAYS[way](chain, QUESTION, {"callbacks": [whole]})

    (record,) = model.router.ledger
    given = {source: feedback.value for source, feedback in record.source_to_feedback.items()}
    assert {"part": 0.0, "whole": 1.0} == given


@every_way
def test_a_routed_model_inside_a_tool_belongs_to_the_run_around_it(way: str) -> None:
    """An agent whose tool asks a model of its own."""
    model = model_of()
    watching = Watching(model)

    @tool
    def ask(question: str) -> str:
        """Ask the model."""
        return model.invoke(question).text

    chain: Runnable[Any, str] = RunnableLambda(lambda given: given["question"]) | ask

    WAYS[way](chain, QUESTION, {"callbacks": [watching.handler]})

    (run,) = watching.runs
    assert ("4", 1) == (run.output, len(run.decision_ids))
    assert ([{"chain": 1.0}], 0) == (watching.scores, watching.held)


@every_way
def test_a_routed_model_inside_a_retriever_belongs_to_the_run_around_it(way: str) -> None:
    """A retriever that has its question rewritten first."""
    model = model_of()
    watching = Watching(model)

    class Rewriting(BaseRetriever):
        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            asked = model.invoke(query, {"callbacks": run_manager.get_child()})
            return [Document(asked.text)]

    chain: Runnable[Any, str] = (
        RunnableLambda(lambda given: given["question"])
        | Rewriting()
        | RunnableLambda(lambda found: found[0].page_content)
    )

    WAYS[way](chain, QUESTION, {"callbacks": [watching.handler]})

    (run,) = watching.runs
    assert ("4", 1) == (run.output, len(run.decision_ids))
    assert ([{"chain": 1.0}], 0) == (watching.scores, watching.held)


@every_way
def test_nested_chains_are_one_run(way: str) -> None:
    """A chain in a chain is part of the outer one, however deep."""
    model = model_of()
    watching = Watching(model)
    inner = chain_of(model)
    middle: Runnable[Any, Any] = inner | RunnableLambda(lambda text: {"question": text})
    outer: Runnable[Any, str] = middle | inner

    WAYS[way](outer, QUESTION, {"callbacks": [watching.handler]})

    assert [2] == [len(run.decision_ids) for run in watching.runs]


def test_one_handler_may_watch_two_chains() -> None:
    """Bound to both, it scores each by itself."""
    model = model_of()
    watching = Watching(model)
    one, other = (chain_of(model).with_config(callbacks=[watching.handler]) for _ in range(2))

    one.invoke(QUESTION)
    other.invoke(QUESTION)

    assert [{"chain": 1.0}] * 2 == watching.scores
    assert 2 == len(watching.runs)


@every_way
def test_an_arm_with_runs_inside_is_one_decision(way: str) -> None:
    """Runs below the router carry its metadata; they are no further decisions."""
    within = ScriptedChatModel(says="4")
    arm = RunnableLambda(lambda messages: messages) | within.with_retry()
    model = RoutedChatModel(models={"chain": arm})
    watching = Watching(model)

    WAYS[way](chain_of(model), QUESTION, {"callbacks": [watching.handler]})

    assert [1] == [len(run.decision_ids) for run in watching.runs]
    assert {"counted": 1} == watching.handler.counts


@every_way
def test_of_nested_routers_each_hears_of_its_own_decisions(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler for either sees the other's decisions pass, and says nothing of them."""
    inner = model_of()
    outer = RoutedChatModel(models={"inner": inner})
    both = [Watching(outer), Watching(inner)]
    caplog.clear()

    WAYS[way](chain_of(outer), QUESTION, {"callbacks": [each.handler for each in both]})

    assert [[{"chain": 1.0}]] * 2 == [each.scores for each in both]
    assert [[r.decision.id for r in each.model.router.ledger] for each in both] == [
        list(each.runs[0].decision_ids) for each in both
    ]
    assert [1, 1] == [each.handler.counts.total() for each in both]
    assert [] == caplog.messages
    assert "unknown_decisions" not in {**outer.stats(), **inner.stats()}


@every_way
def test_of_two_routers_in_a_chain_each_hears_of_its_own_decision(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One writes, the other one goes on with what was written."""
    both = [Watching(model_of()), Watching(model_of())]
    first, second = (chain_of(each.model) for each in both)
    caplog.clear()

    chain = first | (lambda said: {"question": said}) | second
    WAYS[way](chain, QUESTION, {"callbacks": [each.handler for each in both]})

    assert [{"counted": 1}] * 2 == [each.handler.counts for each in both]
    assert [] == caplog.messages


@every_way
def test_a_fallback_earns_the_score_for_the_arm_that_answered(way: str) -> None:
    """The chain's score is about the answer, not about who was asked first."""
    models = {
        "broken": ScriptedChatModel(error=ConnectionError("no route")),
        "able": ScriptedChatModel(says="4"),
    }
    model = RoutedChatModel(models=models, policy=lambda _: {"broken": 1.0})
    watching = Watching(model)

    WAYS[way](chain_of(model), QUESTION, {"callbacks": [watching.handler]})

    (record,) = model.router.ledger
    assert record.answer is not None
    assert ("able", [{"chain": 1.0}]) == (record.answer.arm, watching.scores)


def test_the_reward_is_booked_before_the_chain_returns() -> None:
    """Whoever looks right after the call sees what was learnt."""
    model = model_of()
    watching = Watching(model)

    chain_of(model).invoke(QUESTION, {"callbacks": [watching.handler]})
    asyncio.run(chain_of(model).ainvoke(QUESTION, {"callbacks": [watching.handler]}))

    assert 2 == model.stats()["feedback_counted"]


def test_a_router_will_do_in_the_model_s_place() -> None:
    """The handler needs the router alone."""
    model = model_of()
    handler = RewardCallbackHandler(model.router, score=lambda _: 1.0)

    chain_of(model).invoke(QUESTION, {"callbacks": [handler]})

    assert {"counted": 1} == handler.counts


# Errors, silence, and scorers that fail


@every_way
def test_a_parser_s_complaint_is_the_scorer_s_to_judge(way: str) -> None:
    """A model that gives no JSON where JSON is due has answered badly."""
    model = model_of(says="this is no JSON {")
    watching = Watching(model, lambda run: 0.0 if run.error else 1.0)
    chain: Runnable[Any, Any] = PROMPT | model | StrOutputParser() | RunnableLambda(_parsed)

    with pytest.raises(ValueError, match="no JSON"):
        WAYS[way](chain, QUESTION, {"callbacks": [watching.handler]})

    (run,) = watching.runs
    assert (None, "ValueError") == (run.output, type(run.error).__name__)
    assert [{"chain": 0.0}] == watching.scores


def _parsed(text: str) -> dict[str, Any]:
    if not text.endswith("}"):
        raise ValueError("that is no JSON")
    parsed: dict[str, Any] = JsonOutputParser().parse(text)
    return parsed


@every_way
def test_a_chain_whose_arms_all_failed_has_no_answer_to_score(way: str) -> None:
    """The scorer may say what it likes: no arm gave an answer, and none is blamed twice."""
    model = model_of(error=ConnectionError("no route"))
    watching = Watching(model, lambda _: 0.0)

    with pytest.raises(ConnectionError):
        WAYS[way](chain_of(model), QUESTION, {"callbacks": [watching.handler]})

    assert ["ConnectionError"] == [type(run.error).__name__ for run in watching.runs]
    assert {"no_answer": 1} == watching.handler.counts


@every_way
def test_a_failing_scorer_takes_nothing_away(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """The answer comes, the failure is counted and logged without a word of the prompt."""
    watching = Watching(model_of(), _fail)

    answer = WAYS[way](
        chain_of(watching.model), {"question": "secret"}, {"callbacks": [watching.handler]}
    )

    assert "4" == answer
    assert ({"scorer_failures": 1}, [{}]) == (watching.handler.counts, watching.scores)
    assert "the scorer of a chain failed (RuntimeError)" in caplog.text
    assert "secret" not in caplog.text


def test_where_a_scorer_failed_is_told_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """To who asks for it by the logger's level, for an error may quote the prompt."""
    caplog.set_level("DEBUG", logger="pickllm")
    watching = Watching(model_of(), _fail)

    chain_of(watching.model).invoke(QUESTION, {"callbacks": [watching.handler]})

    (told,) = [record for record in caplog.records if record.exc_info]
    assert ("DEBUG", RuntimeError) == (told.levelname, told.exc_info and told.exc_info[0])
    assert "traceback is logged at DEBUG" in caplog.text


def _fail(run: FinishedRun) -> float:
    raise RuntimeError(run.inputs)


@every_way
def test_silence_is_not_zero(way: str) -> None:
    """A scorer that returns None leaves the decision unjudged."""
    watching = Watching(model_of(), lambda _: None)

    WAYS[way](chain_of(watching.model), QUESTION, {"callbacks": [watching.handler]})

    assert ({"unscored": 1}, [{}]) == (watching.handler.counts, watching.scores)


@pytest.mark.parametrize("score", [float("nan"), 1.5, -0.1, float("inf"), "good", AIMessage("")])
@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_a_score_that_is_no_number_from_0_to_1_is_refused_and_counted(way: str, score: Any) -> None:
    """What is no number in [0, 1] is not booked, and the chain does not notice."""
    watching = Watching(model_of(), lambda _: score)

    assert "4" == WAYS[way](chain_of(watching.model), QUESTION, {"callbacks": [watching.handler]})
    assert ({"refused": 1}, [{}]) == (watching.handler.counts, watching.scores)


async def test_an_async_scorer_is_scheduled_on_the_loop() -> None:
    """The chain does not wait for it; the reward is booked once it has an opinion."""
    model, asked = model_of(), asyncio.Event()

    async def score(_: FinishedRun) -> float:
        await asked.wait()
        return 1.0

    handler = RewardCallbackHandler(model, score=score)
    await chain_of(model).ainvoke(QUESTION, {"callbacks": [handler]})
    assert {} == handler.counts

    asked.set()
    (settling,) = asyncio.all_tasks() - {asyncio.current_task()}
    await settling
    assert {"counted": 1} == handler.counts


def test_an_async_scorer_without_a_loop_has_one_of_its_own() -> None:
    """In a thread that the interpreter waits for before it exits."""
    model = model_of()

    async def score(_: FinishedRun) -> float:
        await asyncio.sleep(0)
        return 1.0

    handler = RewardCallbackHandler(model, score=score)
    chain_of(model).invoke(QUESTION, {"callbacks": [handler]})
    for thread in threading.enumerate():
        if thread.name == "pickllm-score":
            thread.join(10)

    assert {"counted": 1} == handler.counts


def test_feedback_finds_its_decisions_by_the_outermost_run() -> None:
    """A handler without a score only notes which decisions belong to which run."""
    model, run_id = model_of(), uuid7()
    handler = RewardCallbackHandler(model)
    whole: Runnable[Any, str] = RunnableLambda(lambda asked: chain_of(model).invoke(asked))
    whole.invoke(QUESTION, {"callbacks": [handler], "run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)
    assert "repeated" == model.feedback(str(run_id), 0.0)


def test_a_run_without_a_routed_model_is_not_scored() -> None:
    """Where nothing was decided there is nothing to judge."""
    watching = Watching(model_of())
    chain: Runnable[str, str] = RunnableLambda(lambda text: text)

    chain.invoke("Hello", {"callbacks": [watching.handler]})

    assert ({"no_decision": 1}, []) == (watching.handler.counts, watching.runs)


def test_a_handler_given_to_the_wrong_chain_says_that_nothing_was_decided() -> None:
    """Nothing by its router; it harms nobody, and is counted."""
    watching = Watching(model_of())

    chain_of(model_of()).invoke(QUESTION, {"callbacks": [watching.handler]})

    assert ({"no_decision": 1}, []) == (watching.handler.counts, watching.runs)


# Cancelled and left


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_a_cancelled_run_is_not_scored(way: str) -> None:
    """Who changed their mind has not judged the answer."""
    model = model_of(waits_for=threading.Event())
    watching = Watching(model)

    call = asyncio.create_task(_read(chain_of(model), way, watching.handler))
    await until(lambda: model.models["only"].calls == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert ([], [{}], {"interrupted": 1}) == (
        watching.runs,
        watching.scores,
        watching.handler.counts,
    )
    assert 0 == watching.held


async def _read(chain: Runnable[Any, str], way: str, handler: RewardCallbackHandler) -> None:
    if way == "ainvoke":
        await chain.ainvoke(QUESTION, {"callbacks": [handler]})
    else:
        async for _ in chain.astream(QUESTION, {"callbacks": [handler]}):
            pass


@pytest.mark.parametrize("chained", [True, False])
def test_a_stream_that_is_left_is_not_scored(chained: bool) -> None:
    """LangChain ends the run of a chain that is left as if all were well; it is no result."""
    model = model_of(says="one two three")
    watching = Watching(model)
    chain: Runnable[Any, Any] = chain_of(model) if chained else model
    given: Any = QUESTION if chained else "Count"

    for chunk in chain.stream(given, {"callbacks": [watching.handler]}):
        if chunk if chained else chunk.text:
            break

    assert ([], [{}], {"interrupted": 1}) == (
        watching.runs,
        watching.scores,
        watching.handler.counts,
    )
    assert 0 == watching.held


@pytest.mark.parametrize("chained", [True, False])
async def test_an_async_stream_that_is_left_is_not_scored(chained: bool) -> None:
    """The same for ``aclose``."""
    model = model_of(says="one two three")
    watching = Watching(model)
    chain: Runnable[Any, Any] = chain_of(model) if chained else model
    given: Any = QUESTION if chained else "Count"

    chunks = chain.astream(given, {"callbacks": [watching.handler]})
    async with contextlib.aclosing(cast("AsyncGenerator[Any, None]", chunks)) as left:
        async for chunk in left:
            if chunk if chained else chunk.text:
                break
    (record,) = model.router.ledger
    await until(lambda: record.status != "open")

    assert ([], [{}], {"interrupted": 1}) == (
        watching.runs,
        watching.scores,
        watching.handler.counts,
    )
    assert 0 == watching.held


def test_a_chain_that_reads_a_part_of_a_stream_and_goes_on_is_scored() -> None:
    """A chain may be content with the first words: what it makes of them is its result."""
    model = model_of(says="one two three")
    watching = Watching(model)

    def first_word(question: str) -> str:
        return next(chunk.text for chunk in model.stream(question) if chunk.text)

    RunnableLambda(first_word).invoke("Count", {"callbacks": [watching.handler]})

    assert ["one "] == [run.output for run in watching.runs]
    assert [{"chain": 1.0}] == watching.scores


# Many at once, and for long


@every_way
def test_nothing_is_kept_of_runs_that_have_ended(way: str) -> None:
    """The handler may live as long as the process."""
    model = model_of()
    watching = Watching(model)

    for _ in range(5):
        WAYS[way](chain_of(model), QUESTION, {"callbacks": [watching.handler]})

    assert 0 == watching.held


def test_concurrent_threads_do_not_mix() -> None:
    """Each run's score is about its own decision."""
    model = RoutedChatModel(models={"only": ScriptedChatModel()})
    watching = Watching(model, lambda run: float(run.inputs["question"]))
    chain = chain_of(model)

    def work(number: int) -> None:
        chain.invoke({"question": str(number % 2)}, {"callbacks": [watching.handler]})

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(200)))

    _assert_each_got_its_own(watching, 200)


def test_concurrent_tasks_do_not_mix() -> None:
    """The same on one loop."""
    model = RoutedChatModel(models={"only": ScriptedChatModel()})
    watching = Watching(model, lambda run: float(run.inputs["question"]))
    chain = chain_of(model)

    async def all_of_them() -> None:
        config: Any = {"callbacks": [watching.handler]}
        await asyncio.gather(
            *(chain.ainvoke({"question": str(number % 2)}, config) for number in range(200))
        )

    asyncio.run(all_of_them())

    _assert_each_got_its_own(watching, 200)


def _assert_each_got_its_own(watching: Watching, count: int) -> None:
    ledger = watching.model.router.ledger
    given = {record.decision.id: record.source_to_feedback["chain"].value for record in ledger}
    asked = {run.decision_ids[0]: float(run.inputs["question"]) for run in watching.runs}
    assert count == len(asked)
    assert asked == given
    assert 0 == watching.held


def test_a_batch_s_runs_do_not_mix() -> None:
    """Runs that a batch has under way at the same time are told apart."""
    model = RoutedChatModel(models={"only": ScriptedChatModel()})
    watching = Watching(model, lambda run: float(run.inputs["question"]))

    chain_of(model).batch(
        [{"question": str(number % 2)} for number in range(50)], {"callbacks": [watching.handler]}
    )

    _assert_each_got_its_own(watching, 50)


def test_the_messages_that_went_through_are_not_kept() -> None:
    """A finished run is handed to the scorer, and to nobody else."""
    model = model_of()
    seen: list[weakref.ref[BaseMessage]] = []

    def score(run: FinishedRun) -> float:
        seen.append(weakref.ref(run.output))
        return 1.0

    handler = RewardCallbackHandler(model, score=score)
    model.invoke("2 + 2?", {"callbacks": [handler]})
    gc.collect()

    assert [None] == [reference() for reference in seen]


@pytest.mark.parametrize("way", WAYS)
def test_a_score_sees_the_inputs_of_the_chain_however_it_is_run(way: str) -> None:
    """A streamed chain tells its inputs at its end, and a placeholder at its start."""
    model = model_of()
    handler = RewardCallbackHandler(model, score=lambda run: run.inputs == QUESTION)

    WAYS[way](chain_of(model), QUESTION, {"callbacks": [handler]})

    assert {"counted": 1} == handler.counts
    (record,) = model.router.ledger
    assert [1.0] == [feedback.value for feedback in record.source_to_feedback.values()]
