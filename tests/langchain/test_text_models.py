"""A text-completion model in a pool of chat models."""

from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.fake import FakeStreamingListLLM
from langchain_core.messages import AIMessage

from langchain_pickllm import RoutedChatModel
from pickllm import NoEligibleArm
from tests.langchain.recording import WAYS, Recorder

every_way = pytest.mark.parametrize("way", WAYS)
KINDS = {"whole": FakeListLLM, "streaming": FakeStreamingListLLM}
every_kind = pytest.mark.parametrize("kind", KINDS)


def model_of(kind: str, *says: str) -> RoutedChatModel:
    """One arm that completes texts."""
    return RoutedChatModel(models={"text": KINDS[kind](responses=list(says))})


@every_way
@every_kind
def test_its_text_is_a_message(way: str, kind: str) -> None:
    """An AIMessage that leads to its decision, with estimated usage."""
    model = model_of(kind, "four")

    answer = WAYS[way](model, "2 + 2?", {})

    (record,) = model.router.ledger
    assert ("four", "text") == (answer.text, answer.response_metadata["pickllm"]["arm"])
    assert record.answer is not None
    assert record.answer.usage is not None
    assert record.answer.usage.estimated
    assert "counted" == model.feedback(answer, 1.0)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch"])
@every_kind
def test_a_whole_answer_is_no_chunk(way: str, kind: str) -> None:
    """Who asks for an answer as a whole gets a message, as from any chat model."""
    assert AIMessage is type(WAYS[way](model_of(kind, "four"), "2 + 2?", {}))


def test_its_pieces_come_as_they_are_made() -> None:
    """A stream of texts is a stream of chunks."""
    model = model_of("streaming", "four")

    assert ["f", "o", "u", "r"] == [chunk.text for chunk in model.stream("Hi") if chunk.text]


@every_way
def test_its_run_hangs_below_the_router_s(way: str) -> None:
    """Router, the step that makes messages, model."""
    recorder = Recorder()
    WAYS[way](model_of("whole", "four"), "2 + 2?", {"callbacks": [recorder]})

    (router,) = recorder.routers()
    below = [span.name for span in recorder if recorder.parent(span) is router]
    assert ["RunnableSequence"] == below


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image", "url": "https://example.org/cat.png"}],
        [{"type": "audio", "base64": "aGVsbG8=", "mime_type": "audio/wav"}],
    ],
    ids=["image", "audio"],
)
def test_it_is_not_asked_what_it_cannot_do(content: Any) -> None:
    """There is no other arm, so the error says what is missing."""
    with pytest.raises(NoEligibleArm, match="text: cannot do"):
        model_of("whole", "four").invoke([("human", content)])
