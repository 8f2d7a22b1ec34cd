"""Feedback that was given in LangSmith, booked with the router.

    book_langsmith_feedback(model, client.list_feedback(run_ids=run_ids))

It takes the client's feedback objects as they come, from the client or from a file, and needs
nothing of LangSmith itself. A run may be the router's own or one around it; feedback on any other
run of the trace, a retriever's for example, says nothing of the answer and is left alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from pickllm.errors import ConfigError, UnknownDecision
from pickllm.router import Router
from pickllm.settling import router_of

__all__ = ["LangSmithFeedback", "book_langsmith_feedback"]

_UNIT = (0.0, 1.0)


class LangSmithFeedback(Protocol):
    """What is read of `langsmith.schemas.Feedback`."""

    @property
    def run_id(self) -> Any:
        """The run that was judged; where it is missing, the whole trace was."""

    @property
    def trace_id(self) -> Any:
        """The outermost run around it."""

    @property
    def key(self) -> str:
        """What was judged about it."""

    @property
    def score(self) -> Any:
        """A number, a truth value or None."""

    @property
    def created_at(self) -> Any:
        """When it was given."""

    @property
    def modified_at(self) -> Any:
        """When it was last changed."""

    @property
    def feedback_source(self) -> Any:
        """Who gave it."""


def book_langsmith_feedback(
    model: Any,
    feedbacks: Iterable[LangSmithFeedback],
    *,
    key_to_range: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> Counter[str]:
    """Book each feedback once; delivering the same ones again changes nothing.

    Args:
        model: The routed model, or its router.
        feedbacks: LangSmith's feedback objects. One that was modified after it was created is a
            correction.
        key_to_range: The worst and the best score of a key that does not run from 0 to 1, such as
            ``{"stars": (1, 5)}``.

    Returns:
        How many were booked with which verdict; "unknown" ids, "no_score" and "out_of_range" ones
        among them.

    Raises:
        ConfigError: There is no router in ``model``, or a range is empty; nothing is booked then.
    """
    router = router_of(model)
    for key, (worst, best) in key_to_range.items():
        if worst == best:
            raise ConfigError(f"the range of {key!r} is empty: give its worst and its best")
    return Counter(_book(router, feedback, key_to_range) for feedback in feedbacks)


def _book(
    router: Router,
    feedback: LangSmithFeedback,
    key_to_range: Mapping[str, tuple[float, float]],
) -> str:
    if feedback.score is None:
        return "no_score"
    worst, best = key_to_range.get(feedback.key, _UNIT)
    score = (float(feedback.score) - worst) / (best - worst)
    if not 0.0 <= score <= 1.0:
        return "out_of_range"
    judged = str(feedback.trace_id if feedback.run_id is None else feedback.run_id)
    if not router.knows(judged):
        return "unknown"
    source = _source(feedback)
    try:
        correction = _was_modified(feedback) and not _says(router, judged, source, score)
        return router.feedback(judged, score, source, correction=correction)
    except UnknownDecision:  # let go since
        return "unknown"


def _source(feedback: LangSmithFeedback) -> str:
    """Each person, and each key, is a source of its own."""
    person = getattr(feedback.feedback_source, "user_id", None)
    return f"langsmith:{feedback.key}" + (f":{person}" if person else "")


def _says(router: Router, run_id: str, source: str, score: float) -> bool:
    """Whether that source has given this very score: then it is delivered again."""
    return all(
        router.explain(decision_id).source_to_score.get(source) == score
        for decision_id in router.decisions(run_id)
    )


def _was_modified(feedback: LangSmithFeedback) -> bool:
    created, modified = feedback.created_at, feedback.modified_at
    return created is not None and modified is not None and modified > created
