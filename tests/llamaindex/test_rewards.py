"""What queries, chats and agents earn, whichever way they end."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.response.schema import Response
from llama_index.core.evaluation import (
    CorrectnessEvaluator,
    EvaluationResult,
    FaithfulnessEvaluator,
)
from llama_index.core.llms import ChatMessage
from llama_index.core.query_engine import SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import instrument_tags
from pydantic import BaseModel
from workflows.errors import WorkflowCancelledByUser

from llamaindex_pickllm import EvaluatorScore, FinishedUnit, RewardTracker, RoutedLLM, score_of
from pickllm import ConfigError
from tests.llamaindex.scripted import ScriptedLLM, ScriptedTextLLM
from tests.llamaindex.ways import until

IMPLICIT = "Thought: I can answer without using any more tools.\nAnswer: "
CHATS = ("simple", "context", "condense_question", "condense_plus_context")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Watched:
    """A routed LLM under a tracker that scores by its arms' names."""

    def __init__(self, score: Any = None) -> None:
        self.llm = RoutedLLM(
            llms={
                name: ScriptedLLM(says=name, model=name, arguments={"a": 2, "b": 3})
                for name in ("good", "bad")
            },
            weights={"quality": 1.0},
            seed=1,
        )
        self.units: list[FinishedUnit] = []
        self.score = score or (lambda unit: float("good" in unit.answer))
        self.tracker = RewardTracker(self.llm, score=self._scored)

    def _scored(self, unit: FinishedUnit) -> Any:
        self.units.append(unit)
        return self.score(unit)

    @property
    def index(self) -> VectorStoreIndex:
        """One document."""
        documents = [Document(text="The sky is blue.")]
        return VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=3))

    def engine(self, **settings: Any) -> Any:
        """A query engine."""
        return self.index.as_query_engine(llm=self.llm, **settings)

    def chats(self, mode: Any) -> Any:
        """A chat engine."""
        return self.index.as_chat_engine(llm=self.llm, chat_mode=mode)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Watched while a test runs."""
    made = Watched()
    with made.tracker:
        yield made


async def _drained(awaited: Any) -> str:
    response = await awaited
    stream = response.async_response_gen
    return "".join([token async for token in stream()])


QUERIES: dict[str, Callable[[Watched], str]] = {
    "plain": lambda w: str(w.engine().query("Blue?")),
    "async": lambda w: str(asyncio.run(w.engine().aquery("Blue?"))),
    "streaming": lambda w: "".join(w.engine(streaming=True).query("Blue?").response_gen),
    "async streaming": lambda w: asyncio.run(_drained(w.engine(streaming=True).aquery("Blue?"))),
    "streaming, refined": lambda w: "".join(
        w.engine(streaming=True, response_mode="refine").query("Blue?").response_gen
    ),
    "streaming, summed up": lambda w: "".join(
        w.engine(streaming=True, response_mode="tree_summarize").query("Blue?").response_gen
    ),
    "get_response": lambda w: str(w.engine(streaming=True).query("Blue?").get_response()),
}


@pytest.mark.parametrize("way", QUERIES)
def test_a_query_is_a_unit(way: str, watched: Watched) -> None:
    """Its score reaches the decision inside, streaming or not."""
    text = QUERIES[way](watched)
    (unit,) = watched.units

    assert ("query", "Blue?", text) == (unit.kind, unit.question, unit.answer)
    assert ["The sky is blue."] == unit.contexts
    assert {"counted": 1} == watched.tracker.counts
    assert {"unit": float(text == "good")} == watched.llm.explain(
        unit.decision_ids[0]
    ).source_to_score


@pytest.mark.parametrize("mode", CHATS)
def test_a_chat_turn_is_a_unit(mode: str, watched: Watched) -> None:
    """Whole or streamed, sync or async, with all that it asked."""

    async def both() -> None:
        engine = watched.chats(mode)
        await engine.achat("Blue?")
        response = await engine.astream_chat("Really?")
        _ = [token async for token in response.async_response_gen()]

    engine = watched.chats(mode)
    engine.chat("Blue?")
    list(engine.stream_chat("Really?").response_gen)
    asyncio.run(both())
    kinds = [(unit.kind, unit.question) for unit in watched.units]

    assert [("chat", "Blue?"), ("chat", "Really?")] * 2 == kinds
    assert watched.llm.stats()["decisions"] == watched.tracker.counts["counted"]
    assert all(unit.answer in ("good", "bad") for unit in watched.units)


AGENTS: dict[str, Callable[[RoutedLLM], Any]] = {
    "function": lambda llm: FunctionAgent(tools=[FunctionTool.from_defaults(add)], llm=llm),
    "workflow": lambda llm: AgentWorkflow.from_tools_or_functions([add], llm=llm),
}


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_agents_run_is_a_unit(agent: str, watched: Watched) -> None:
    """One reward for the arm that began the tool loop, and held on to it."""
    output = await AGENTS[agent](watched.llm).run("2 + 3?")
    (unit,) = watched.units

    assert ("agent", "2 + 3?", str(output)) == (unit.kind, unit.question, unit.answer)
    assert 1 == len(unit.decision_ids)
    assert 2 == watched.llm.stats()["decisions"]
    assert {"counted": 1} == watched.tracker.counts
    assert [0, 2] == sorted(arm.calls for arm in watched.llm.llms.values())


async def test_a_react_agents_run_is_a_unit(watched: Watched) -> None:
    """Though it asks for tools in words."""
    for name, arm in watched.llm.llms.items():
        arm.says = IMPLICIT + name
    output = await ReActAgent(tools=[add], llm=watched.llm).run("Blue?")

    assert [str(output)] == [unit.answer for unit in watched.units]


def test_units_inside_units_are_counted_once(watched: Watched) -> None:
    """The outermost one is scored, with the decisions of all."""
    tool = QueryEngineTool.from_defaults(watched.engine(), name="sky", description="The sky")
    for arm in watched.llm.llms.values():
        arm.says = '```json\n{"items": [{"sub_question": "Blue?", "tool_name": "sky"}]}\n```'
    engine = SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=watched.llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=watched.llm),
        response_synthesizer=get_response_synthesizer(llm=watched.llm),
        use_async=False,
        verbose=False,
    )
    engine.query("What of the sky?")
    (unit,) = watched.units

    assert "What of the sky?" == unit.question
    assert watched.llm.stats()["decisions"] == len(unit.decision_ids) >= 2


def test_it_learns_who_is_better(watched: Watched) -> None:
    """From units alone."""
    engine = watched.engine()
    texts = [str(engine.query("Blue?")) for _ in range(40)]

    assert texts[-20:].count("good") >= 17


def test_a_stream_that_is_left_is_not_scored(watched: Watched) -> None:
    """Nor one that is never read."""
    response = watched.engine(streaming=True).query("Blue?")
    next(response.response_gen)
    response.response_gen.close()
    watched.engine(streaming=True).query("Blue?")

    assert {"interrupted": 2} == watched.tracker.counts
    assert [] == watched.units


@pytest.mark.parametrize("words", [0, 1])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_stream_that_nobody_holds_is_closed(words: int, tracked: bool) -> None:
    """Under a tracker as without: the arm's stream ends, and the decision is told so."""
    watched = Watched()
    with watched.tracker if tracked else contextlib.nullcontext():
        response = watched.engine(streaming=True, response_mode="tree_summarize").query("Blue?")
        for _ in range(words):
            next(response.response_gen)
        del response
        gc.collect()
    counts: Counter[str] = Counter()
    for arm in watched.llm.llms.values():
        counts += arm.counts

    assert counts["opened"] == counts["closed"] == 1
    assert 1 == watched.llm.stats()["outcome_abandoned"]
    assert ({"interrupted": 1} if tracked else {}) == watched.tracker.counts
    assert not watched.tracker._open


@pytest.mark.parametrize("words", [0, 1])
async def test_an_async_stream_that_nobody_holds_is_closed(words: int, watched: Watched) -> None:
    """By the loop, a little later."""
    response = await watched.engine(streaming=True).aquery("Blue?")
    tokens = response.async_response_gen()
    for _ in range(words):
        await anext(tokens)
    del response, tokens
    gc.collect()
    await until(lambda: bool(watched.tracker.counts["interrupted"]))

    assert {"interrupted": 1} == watched.tracker.counts
    assert [] == watched.units


def test_a_stream_that_was_read_is_judged_as_a_whole_response(watched: Watched) -> None:
    """Though its reader may have dropped what the engine returned."""
    text = "".join(watched.engine(streaming=True).query("Blue?").response_gen)

    assert (Response, text) == (type(watched.units[0].output), str(watched.units[0].output))


async def test_what_began_under_a_tracker_is_scored_when_it_ends() -> None:
    """A chat whose stream is read after the block; what begins there is not."""
    watched = Watched()
    with watched.tracker:
        chat = await watched.chats("simple").astream_chat("Blue?")
    assert [] == watched.units
    _ = [token async for token in chat.async_response_gen()]
    watched.engine().query("Blue?")

    assert ["chat"] == [unit.kind for unit in watched.units]
    assert not any(
        getattr(each, "_tracker", None) is watched.tracker
        for each in (*get_dispatcher().span_handlers, *get_dispatcher().event_handlers)
    )


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_tag_reaches_a_stream_that_is_read_after_its_block(mode: str, tracked: bool) -> None:
    """LLMs that are asked only then are part of what was asked below the tag."""
    watched = Watched()
    with watched.tracker if tracked else contextlib.nullcontext():
        with instrument_tags({"request_id": "r-18"}):
            response = watched.engine(streaming=True, response_mode=mode).query("Blue?")
        list(response.response_gen)

    assert "counted" == watched.llm.feedback("r-18", 1.0)
    assert [{"request_id": "r-18"}] * tracked == [unit.tags for unit in watched.units]


def test_an_error_is_for_the_scorer_to_judge() -> None:
    """The unit says which; its decisions are found all the same."""
    watched = Watched(score=lambda _: 0.0)
    for arm in watched.llm.llms.values():
        arm.error = OSError("gone")
    with watched.tracker, pytest.raises(OSError, match="gone"):
        watched.engine().query("Blue?")
    (unit,) = watched.units

    assert (OSError, "", None) == (type(unit.error), unit.answer, unit.output)


@pytest.mark.parametrize("streaming", [False, True])
def test_feedback_by_a_tag_reaches_what_was_asked_below_it(streaming: bool) -> None:
    """The thumb that comes later, by an id of the application's own."""
    watched = Watched()
    with instrument_tags({"request_id": "r-17", "tenant": "acme"}):
        response = watched.engine(streaming=streaming).query("Blue?")
        if streaming:
            list(response.response_gen)

    assert "counted" == watched.llm.feedback("r-17", 1.0)
    with pytest.raises(LookupError):
        watched.llm.feedback("acme", 1.0)


def test_feedback_by_the_units_id(watched: Watched) -> None:
    """Another source, after the unit's own score."""
    watched.engine().query("Blue?")

    assert "counted" == watched.llm.feedback(watched.units[0].id, 1.0)


def test_the_judge_is_never_rewarded() -> None:
    """What a score function asks belongs to no unit, be it a query of its own."""
    watched = Watched()
    watched.score = lambda _: float(bool(str(watched.engine().query("A judge's question"))))
    with watched.tracker:
        watched.engine().query("Blue?")

    assert ["Blue?"] == [unit.question for unit in watched.units]
    assert (2, 1) == (watched.llm.stats()["decisions"], watched.llm.stats()["feedback_counted"])


def test_nothing_a_score_does_takes_an_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and logged without the question."""

    def score(unit: FinishedUnit) -> float:
        raise RuntimeError(unit.question)

    watched = Watched(score=score)
    with watched.tracker:
        text = str(watched.engine().query("secret?"))

    assert text in ("good", "bad")
    assert {"scorer_failures": 1} == watched.tracker.counts
    assert "secret" not in caplog.text


async def test_an_async_score_runs_beside_what_comes_next() -> None:
    """On the loop."""

    async def score(_: FinishedUnit) -> float:
        await asyncio.sleep(0)
        return 1.0

    watched = Watched(score=score)
    with watched.tracker:
        await watched.engine().aquery("Blue?")
        await until(lambda: bool(watched.tracker.counts))

    assert {"counted": 1} == watched.tracker.counts


async def _slowly(_: FinishedUnit) -> float:
    for _turn in range(20):
        await asyncio.sleep(0)
    return 1.0


@pytest.mark.parametrize("way", ["async with", "drained"])
def test_scores_under_way_are_waited_for(way: str) -> None:
    """Before ``asyncio.run`` closes the loop that they run on."""
    watched = Watched(score=_slowly)

    async def block() -> None:
        async with watched.tracker:
            await watched.engine().aquery("Blue?")

    async def drained() -> None:
        with watched.tracker:
            await watched.engine().aquery("Blue?")
        await watched.tracker.drained()

    asyncio.run(block() if way == "async with" else drained())

    assert {"counted": 1} == watched.tracker.counts


def test_a_score_whose_loop_is_closed_is_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    """And the log says what to wait for."""
    watched = Watched(score=_slowly)

    async def hasty() -> None:
        with watched.tracker:
            await watched.engine().aquery("Blue?")

    asyncio.run(hasty())

    assert {"lost": 1} == watched.tracker.counts
    assert "await drained()" in caplog.text


def test_the_end_of_a_block_waits_for_scores_in_threads() -> None:
    """Where no loop runs that would have to stop."""
    watched = Watched(score=_slowly)
    with watched.tracker:
        watched.engine().query("Blue?")

    assert {"counted": 1} == watched.tracker.counts


def test_a_tracker_sees_nothing_once_it_is_detached(watched: Watched) -> None:
    """And units of other LLMs never."""
    RewardTracker(watched.llm).attach().detach()
    other = RewardTracker(RoutedLLM(llms={"x": ScriptedLLM()}), score=lambda _: 1.0)
    with other:
        watched.engine().query("Blue?")

    assert {"no_decision": 1} == other.counts
    assert 1 == len(watched.units)


# Structures, workflows of one's own, cancelled runs


class Song(BaseModel):
    """What is asked for."""

    title: str


class Singer(ScriptedTextLLM):
    """A text model that answers with a song."""

    says: str = '{"title": "Blue"}'


STRUCTURED: dict[str, Callable[[Watched], Any]] = {
    "output_cls": lambda w: w.engine(output_cls=Song),
    "summed up": lambda w: w.engine(output_cls=Song, response_mode="tree_summarize"),
    "structured llm": lambda w: w.index.as_query_engine(llm=w.llm.as_structured_llm(Song)),
}


@pytest.mark.parametrize("way", STRUCTURED)
def test_a_structured_answer_is_scored_as_json(way: str) -> None:
    """With the response of the engine, and the texts that it was made from."""
    watched = Watched(score=lambda unit: float("Blue" in unit.answer))
    watched.llm = RoutedLLM(llms={"only": Singer()})
    with RewardTracker(watched.llm, score=watched._scored) as tracker:
        STRUCTURED[way](watched).query("A song?")
    (unit,) = watched.units

    assert ('{"title":"Blue"}', ["The sky is blue."]) == (unit.answer, unit.contexts)
    assert Song(title="Blue") == unit.output.response
    assert tracker.counts["counted"] >= 1


class Ending(StopEvent):
    """How a workflow of one's own may end."""

    told: str


class Telling(Workflow):
    """Asks the LLM what its start event holds, and ends in its own way."""

    llm: Any = None
    ends: Callable[[str], StopEvent] = StopEvent

    @step
    async def tell(self, event: StartEvent) -> StopEvent:
        """Ask."""
        return type(self).ends((await type(self).llm.acomplete(str(event.items()))).text)


@pytest.mark.parametrize(
    ("ends", "answer"),
    [
        (lambda text: Ending(told=text), "good"),
        (lambda text: StopEvent(result=text), "good"),
        (lambda text: StopEvent(result=Song(title=text)), '{"title":"good"}'),
        (lambda _: StopEvent(), ""),
    ],
)
async def test_a_workflows_own_ending_is_its_answer(
    ends: Callable[[str], StopEvent], answer: str, watched: Watched
) -> None:
    """In whatever event it comes."""
    watched.llm.llms["bad"].says = "good"
    kind = type("OfThisTest", (Telling,), {"llm": watched.llm, "ends": staticmethod(ends)})
    returned = await kind().run(query="Blue?")
    (unit,) = watched.units

    assert answer == unit.answer
    assert returned == unit.output


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ({"query": "Blue?", "style": "short"}, "Blue?"),
        ({"start_event": StartEvent(question="Blue?")}, "Blue?"),
        ({"topic": "Blue?", "limit": 3}, "Blue?"),
        ({"topic": "Blue?", "style": "short"}, ""),
        ({"chat_history": [ChatMessage("Blue?")]}, "Blue?"),
    ],
)
async def test_a_workflows_question_is_what_it_was_started_with(
    given: dict[str, Any], question: str, watched: Watched
) -> None:
    """By its usual names, or the only text."""
    kind = type("OfThisTest", (Telling,), {"llm": watched.llm})
    await kind().run(**given)

    assert [question] == [unit.question for unit in watched.units]


async def test_a_run_that_is_cancelled_is_not_scored(watched: Watched) -> None:
    """Though LlamaIndex ends its span as if all were well."""
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        """Wait."""
        asked.set()
        await goes_on.wait()
        return "done"

    for arm in watched.llm.llms.values():
        arm.arguments = {}
    handler = FunctionAgent(tools=[slow], llm=watched.llm).run("Blue?")
    await asked.wait()
    await handler.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await handler

    assert {"interrupted": 1} == watched.tracker.counts
    assert [] == watched.units


# Evaluators


def judge(verdict: str) -> ScriptedLLM:
    """A judge who always says the same."""
    return ScriptedLLM(says=verdict, model="judge")


@pytest.mark.parametrize(
    ("evaluator", "score"),
    [
        (lambda: FaithfulnessEvaluator(llm=judge("YES")), 1.0),
        (lambda: FaithfulnessEvaluator(llm=judge("NO")), 0.0),
        (lambda: CorrectnessEvaluator(llm=judge("4.0\nVery good.")), 0.75),
        (lambda: CorrectnessEvaluator(llm=judge("1\nWrong.")), 0.0),
    ],
)
def test_an_evaluators_verdict_is_fed_back_on_its_scale(
    evaluator: Callable[[], Any], score: float
) -> None:
    """Faithfulness says 0 to 1, correctness 1 to 5."""
    watched = Watched(score=EvaluatorScore(evaluator=evaluator()))
    with watched.tracker:
        watched.engine().query("Blue?")

    explained = watched.llm.explain(watched.units[0].decision_ids[0])
    assert {"unit": score} == explained.source_to_score
    assert 1 == watched.llm.stats()["decisions"]


async def test_an_evaluator_judges_async_engines() -> None:
    """Beside what comes next."""
    score = EvaluatorScore(evaluator=FaithfulnessEvaluator(llm=judge("YES")))
    watched = Watched(score=score)
    with watched.tracker:
        await watched.engine().aquery("Blue?")
        await until(lambda: bool(watched.tracker.counts))

    assert {"counted": 1} == watched.tracker.counts


def test_a_share_of_the_units_is_judged() -> None:
    """None of them, at a share of nothing."""
    score = EvaluatorScore(evaluator=FaithfulnessEvaluator(llm=judge("YES")), share=0.0)
    watched = Watched(score=score)
    with watched.tracker:
        watched.engine().query("Blue?")

    assert {"unscored": 1} == watched.tracker.counts


def test_what_a_judge_could_not_say_is_no_verdict() -> None:
    """Nor is a verdict beyond its scale more than the best."""
    assert None is score_of(EvaluationResult(invalid_result=True, score=1.0))
    assert None is score_of(EvaluationResult())
    assert 1.0 == score_of(EvaluationResult(score=7.0), scale=(1.0, 5.0))


def test_a_judge_that_is_routed_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Evaluators take ``Settings.llm`` by default, which is the router."""
    EvaluatorScore(evaluator=FaithfulnessEvaluator(llm=Watched().llm))

    assert "the judge of FaithfulnessEvaluator is a routed LLM" in caplog.text
    with pytest.raises(ConfigError, match="share is 2"):
        EvaluatorScore(evaluator=FaithfulnessEvaluator(llm=judge("YES")), share=2)
    with pytest.raises(ConfigError, match="must be an evaluator"):
        EvaluatorScore(evaluator=3)  # type: ignore[arg-type]  # on purpose


async def test_a_run_that_fails_is_for_the_scorer_to_judge() -> None:
    """The error of an agent whose arms have all failed."""
    watched = Watched(score=lambda _: None)
    for arm in watched.llm.llms.values():
        arm.error = OSError("gone")
    with watched.tracker, pytest.raises(OSError, match="gone"):
        await FunctionAgent(tools=[add], llm=watched.llm).run("2 + 3?")

    assert [OSError] == [type(unit.error) for unit in watched.units]
    assert {"unscored": 1} == watched.tracker.counts


def test_a_tracker_without_a_score_tells_which_decisions_belong_together() -> None:
    """For feedback by the id of a unit."""
    watched = Watched()
    with RewardTracker(watched.llm) as tracker:
        watched.engine().query("Blue?")

    assert {"unscored": 1} == tracker.counts
    with pytest.raises(ConfigError, match="score must be a function"):
        RewardTracker(watched.llm, score=3)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigError, match="must be the routed model"):
        RewardTracker(3)
