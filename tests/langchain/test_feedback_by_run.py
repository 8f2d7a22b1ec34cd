"""Feedback that knows a run and no decision: the router's own run, one around it, LangSmith's."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel
from langchain_core.utils.uuid import uuid7
from langsmith.schemas import Feedback, FeedbackSourceBase

from langchain_pickllm import RewardCallbackHandler, RoutedChatModel
from langchain_pickllm.langsmith import book_langsmith_feedback
from pickllm import ConfigError, UnknownDecision
from tests.langchain.recording import MODEL_WAYS, WAYS
from tests.langchain.scripted import ScriptedChatModel, look_up

every_way = pytest.mark.parametrize("way", WAYS)

PROMPT = ChatPromptTemplate.from_template("{question}")
QUESTION = {"question": "2 + 2?"}
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def model_of(**settings: Any) -> RoutedChatModel:
    """Two arms, drawn at random."""
    models = {name: ScriptedChatModel(says="4", model_name=name) for name in ("small", "large")}
    return RoutedChatModel(models=models, **{"policy": "random", "seed": 1, **settings})


def booked(model: RoutedChatModel) -> list[dict[str, float]]:
    """What each decision got, in order."""
    return [
        {source: given.value for source, given in record.source_to_feedback.items()}
        for record in model.router.ledger
    ]


# By the ids of runs


@pytest.mark.parametrize("way", [way for way in MODEL_WAYS if way not in {"generate", "agenerate"}])
def test_a_run_id_of_the_caller_s_finds_the_decision(way: str) -> None:
    """``config["run_id"]``, as an id or as a string."""
    model, run_id = model_of(), uuid7()

    MODEL_WAYS[way](model, "2 + 2?", {"run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)
    assert "repeated" == model.feedback(str(run_id), 1.0)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "events_v2"])
def test_the_run_just_above_finds_the_decision(way: str) -> None:
    """A chain that holds the routed model, by the id that its caller chose."""
    model, run_id = model_of(), uuid7()
    chain: Runnable[Any, Any] = PROMPT | model | StrOutputParser()

    WAYS[way](chain, QUESTION, {"run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)
    assert [{"user": 1.0}] == booked(model)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "events_v2"])
@pytest.mark.parametrize("scored", [True, False])
def test_a_handler_lets_the_outermost_run_find_it(way: str, *, scored: bool) -> None:
    """However deep the model stands; with a score of its own, or only to note."""
    model, run_id = model_of(), uuid7()
    handler = RewardCallbackHandler(model, score=(lambda _: 0.5) if scored else None)
    inner: Runnable[Any, Any] = PROMPT | model | StrOutputParser()
    outer: Runnable[Any, Any] = RunnableLambda(lambda given: given) | RunnableParallel(answer=inner)

    WAYS[way](outer, QUESTION, {"run_id": run_id, "callbacks": [handler]})

    assert "counted" == model.feedback(run_id, 1.0)
    assert [{"chain": 0.5, "user": 1.0} if scored else {"user": 1.0}] == booked(model)


def test_every_decision_below_a_run_is_meant() -> None:
    """Two routed answers in one run."""
    model, run_id = model_of(), uuid7()
    both: Runnable[Any, Any] = RunnableParallel(one=model, two=model)

    both.invoke("2 + 2?", {"run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)
    assert [{"user": 1.0}, {"user": 1.0}] == booked(model)


def test_the_verdict_on_several_is_the_best_of_theirs() -> None:
    """One was judged before; the other was not."""
    model, run_id = model_of(), uuid7()
    both: Runnable[Any, Any] = RunnableParallel(one=model, two=model)
    answers = both.invoke("2 + 2?", {"run_id": run_id})
    model.feedback(answers["one"], 0.0)

    assert "counted" == model.feedback(run_id, 1.0)
    assert "repeated" == model.feedback(run_id, 1.0)
    assert {0.0, 1.0} == {given["user"] for given in booked(model)}


def test_a_run_id_used_twice_means_both_decisions() -> None:
    """A caller that gives each turn of a thread the thread's own id."""
    model, run_id = model_of(), uuid7()

    for _ in range(2):
        model.invoke("2 + 2?", {"run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)
    assert [{"user": 1.0}, {"user": 1.0}] == booked(model)


def test_a_retry_under_the_failed_call_s_run_id_is_judged_by_it() -> None:
    """The failed call learns nothing from it, and does not keep it from the answer."""
    arm = ScriptedChatModel(error=ConnectionError("no route"), heals_after=1)
    model, run_id = RoutedChatModel(models={"only": arm}), uuid7()
    with pytest.raises(ConnectionError):
        model.invoke("2 + 2?", {"run_id": run_id})
    model.invoke("2 + 2?", {"run_id": run_id})

    assert "counted" == model.feedback(run_id, 1.0)


def test_under_a_run_id_used_twice_a_message_still_means_its_own_decision() -> None:
    """What is said of one turn is not said of the thread."""
    model, run_id = model_of(), uuid7()
    first, second = (model.invoke("2 + 2?", {"run_id": run_id}) for _ in range(2))

    assert "counted" == model.feedback(first, 0.0)
    assert "counted" == model.feedback(second, 1.0)
    assert [{"user": 0.0}, {"user": 1.0}] == booked(model)


def test_an_agent_s_run_finds_the_loop_once() -> None:
    """By a handler that only notes; the loop's turns are one decision."""
    model, run_id = model_of(), uuid7()
    agent: Any = create_agent(model=model, tools=[look_up])
    handler = RewardCallbackHandler(model)

    agent.invoke(
        {"messages": [("human", "Please look it up")]},
        {"run_id": run_id, "callbacks": [handler]},
    )

    assert "counted" == model.feedback(run_id, 1.0)
    assert [{"user": 1.0}, {}] == booked(model)


def test_runs_of_decisions_let_go_are_forgotten_with_them() -> None:
    """Nothing grows without bound."""
    model = model_of(max_decisions=3)
    handler = RewardCallbackHandler(model)
    chain: Runnable[Any, Any] = PROMPT | model | StrOutputParser()
    ids = [uuid7() for _ in range(20)]

    for run_id in ids:
        chain.invoke(QUESTION, {"run_id": run_id, "callbacks": [handler]})

    assert [False] * 17 + [True] * 3 == [model.router.knows(str(run_id)) for run_id in ids]
    assert 3 == len(model.router.ledger._trace_to_ids)
    with pytest.raises(UnknownDecision):
        model.feedback(ids[0], 1.0)


def test_concurrent_runs_keep_their_ids_apart() -> None:
    """Each id finds the decisions of its own run."""
    model = model_of()
    handler = RewardCallbackHandler(model)
    chain: Runnable[Any, Any] = PROMPT | model | StrOutputParser()
    ids = [uuid7() for _ in range(30)]

    async def ask() -> None:
        await asyncio.gather(
            *(chain.ainvoke(QUESTION, {"run_id": i, "callbacks": [handler]}) for i in ids)
        )

    asyncio.run(ask())

    found = [model.router.decisions(str(run_id)) for run_id in ids]
    assert ([1] * 30, 30) == ([len(each) for each in found], len(set(found)))


# LangSmith's


class Given:
    """A model that has answered once in a chain, and feedback as LangSmith's client returns it."""

    def __init__(self, **settings: Any) -> None:
        self.model = model_of(**settings)
        self.trace_id, self.run_id = uuid7(), uuid7()
        self.model.invoke("2 + 2?", {"run_id": self.run_id})
        (record,) = self.model.router.ledger
        self.model.router.trace(str(self.trace_id), record.decision.id)

    def feedback(self, **settings: Any) -> Feedback:
        """A feedback on the run."""
        return Feedback(
            **{
                "id": uuid.uuid4(),
                "run_id": self.run_id,
                "trace_id": self.trace_id,
                "key": "helpful",
                "score": 1,
                "created_at": CREATED,
                "modified_at": CREATED,
                **settings,
            }
        )

    def book(self, *feedbacks: Any, **settings: Any) -> dict[str, int]:
        """Verdicts on these."""
        return dict(book_langsmith_feedback(self.model, feedbacks, **settings))


@pytest.fixture
def given() -> Given:
    """An answer that LangSmith knows of."""
    return Given()


@pytest.mark.parametrize(
    ("score", "booked_as"), [(1, 1.0), (0, 0.0), (0.25, 0.25), (True, 1.0), (False, 0.0)]
)
def test_langsmith_feedback_is_booked_under_its_key(
    given: Given, score: Any, booked_as: float
) -> None:
    """A thumb or a number."""
    assert {"counted": 1} == given.book(given.feedback(score=score))
    assert [{"langsmith:helpful": booked_as}] == booked(given.model)


def test_it_may_be_about_the_run_in_whatever_trace(given: Given) -> None:
    """The run alone says which decision is meant."""
    assert {"counted": 1} == given.book(given.feedback(trace_id=uuid7()))


def test_it_may_be_about_the_whole_trace(given: Given) -> None:
    """Then its run is the outermost one."""
    assert {"counted": 1} == given.book(given.feedback(run_id=given.trace_id))
    assert [{"langsmith:helpful": 1.0}] == booked(given.model)


def test_what_is_said_of_another_run_of_the_trace_is_not_said_of_the_answer(given: Given) -> None:
    """A retriever that found the wrong pages is no model's fault."""
    feedback = given.feedback(run_id=uuid7(), key="retrieval_relevance", score=0)

    assert {"unknown": 1} == given.book(feedback)
    assert [{}] == booked(given.model)


@pytest.mark.parametrize("name", ["run_id", "trace_id"])
def test_one_id_may_be_missing(given: Given, name: str) -> None:
    """LangSmith leaves some of them out."""
    assert {"counted": 1} == given.book(given.feedback(**{name: None}))


def test_delivered_again_it_changes_nothing(given: Given) -> None:
    """The same list, the next day."""
    feedbacks = [given.feedback(), given.feedback(key="correct", score=0)]

    assert {"counted": 2} == given.book(*feedbacks)
    before = given.model.router.state
    assert {"repeated": 2} == given.book(*feedbacks)
    assert before == given.model.router.state


def test_one_that_was_modified_is_a_correction(given: Given) -> None:
    """The newer value takes the older one's place, and delivered again, it is old news."""
    given.book(given.feedback())
    modified = given.feedback(score=0, modified_at=CREATED + timedelta(hours=1))

    assert {"corrected": 1} == given.book(modified)
    assert [{"langsmith:helpful": 0.0}] == booked(given.model)
    before = given.model.router.state
    assert {"repeated": 1} == given.book(modified)
    assert before == given.model.router.state


def test_an_older_version_does_not_undo_a_newer_one(given: Given) -> None:
    """Lists may come late, and in any order."""
    newer = given.feedback(score=0, modified_at=CREATED + timedelta(hours=1))

    assert {"counted": 1, "repeated": 1} == given.book(newer, given.feedback(score=1))
    assert [{"langsmith:helpful": 0.0}] == booked(given.model)


def test_people_and_keys_are_sources_of_their_own(given: Given) -> None:
    """Each is heard once."""
    one, other = (
        FeedbackSourceBase(type="app", user_id=uuid.UUID(int=number)) for number in (1, 2)
    )

    verdicts = given.book(
        given.feedback(feedback_source=one),
        given.feedback(feedback_source=other, score=0),
        given.feedback(feedback_source=one, key="short"),
        given.feedback(feedback_source=one, score=0),
    )

    assert {"counted": 3, "repeated": 1} == verdicts
    assert [3] == [len(sources) for sources in booked(given.model)]


@pytest.mark.parametrize(
    ("score", "span", "booked_as"),
    [(4, (1, 5), 0.75), (1, (1, 5), 0.0), (-1, (-1, 1), 0.0), (2, (5, 1), 0.75), (0, (10, 0), 1.0)],
)
def test_scales_are_mapped_to_the_unit(
    given: Given, score: float, span: tuple[float, float], booked_as: float
) -> None:
    """Stars, or errors where less is better."""
    assert {"counted": 1} == given.book(
        given.feedback(key="stars", score=score), key_to_range={"stars": span}
    )
    assert [{"langsmith:stars": booked_as}] == booked(given.model)


@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({"score": None, "value": "good"}, "no_score"),
        ({"score": 5}, "out_of_range"),
        ({"score": -0.1}, "out_of_range"),
        ({"score": float("nan")}, "out_of_range"),
        ({"score": float("inf")}, "out_of_range"),
        ({"run_id": uuid.UUID(int=1), "trace_id": uuid.UUID(int=2)}, "unknown"),
        ({"run_id": None, "trace_id": None}, "unknown"),
    ],
)
def test_what_cannot_be_booked_is_counted(given: Given, settings: Any, verdict: str) -> None:
    """One bad feedback does not keep the others out."""
    assert {verdict: 1, "counted": 1} == given.book(given.feedback(**settings), given.feedback())


def test_an_empty_scale_is_refused(given: Given) -> None:
    """It is a mistake in the settings."""
    with pytest.raises(ConfigError, match="the range of 'stars' is empty"):
        given.book(given.feedback(), given.feedback(key="stars"), key_to_range={"stars": (1, 1)})

    assert [{}] == booked(given.model)


def test_what_holds_no_router_is_refused(given: Given) -> None:
    """By its type."""
    with pytest.raises(
        ConfigError, match="must be the routed model, or its router; it is Scripted"
    ):
        book_langsmith_feedback(ScriptedChatModel(), [given.feedback()])


def test_objects_that_come_from_a_file_are_as_good(given: Given) -> None:
    """Dumped to JSON and read again by LangSmith's own class."""
    source = FeedbackSourceBase(type="app", user_id="someone")
    text = given.feedback(feedback_source=source).model_dump_json()

    assert {"counted": 1} == given.book(Feedback.model_validate_json(text))
    assert [{"langsmith:helpful:someone": 1.0}] == booked(given.model)


def test_plain_objects_with_plain_strings_are_as_good(given: Given) -> None:
    """Feedback that was kept as JSON and never became an object of LangSmith's."""
    plain = json.loads(given.feedback().model_dump_json())
    later = {**plain, "score": 0, "modified_at": "2026-01-02T00:00:00Z"}

    assert {"counted": 1} == given.book(SimpleNamespace(**plain))
    assert {"corrected": 1} == given.book(SimpleNamespace(**later))


def test_the_client_s_iterator_is_read_as_it_comes(given: Given) -> None:
    """`list_feedback` gives a generator; a router does in the model's place."""

    def listed() -> Iterator[Feedback]:
        yield given.feedback()
        yield given.feedback(key="short")

    assert {"counted": 2} == dict(book_langsmith_feedback(given.model.router, listed()))


def test_feedback_on_a_cached_answer_is_about_no_model() -> None:
    """The cache gave it: nothing is learnt, and the verdict says so."""
    given = Given(cache=InMemoryCache())
    before, run_id = given.model.router.state, uuid7()
    for arm in ("small", "large"):
        given.model.invoke("2 + 2?", model=arm)
    asked = sum(arm.calls for arm in given.model.models.values())

    given.model.invoke("2 + 2?", {"run_id": run_id})

    assert asked == sum(arm.calls for arm in given.model.models.values())
    assert {"no_answer": 1} == given.book(given.feedback(run_id=run_id))
    assert before == given.model.router.state


def test_feedback_on_a_call_that_failed_is_about_no_model(given: Given) -> None:
    """No arm gave an answer: nothing is learnt, and the verdict says so."""
    failing = {name: ScriptedChatModel(error=ConnectionError()) for name in ("small", "large")}
    given.model.models.update(failing)
    run_id = uuid7()
    with pytest.raises(ConnectionError):
        given.model.invoke("2 + 2?", {"run_id": run_id})

    assert {"no_answer": 1} == given.book(given.feedback(run_id=run_id, trace_id=None))
