"""A router as a decision model: for LangChain's own `ModelRouterMiddleware`, from 1.8 of its core.

    ModelRouterMiddleware(
        choices={"small": ModelChoice(model=small, criteria="…"), "large": …},
        instructions="…",
        classifier=RoutingDecisionModel(Router(arms=[Arm(name="small"), Arm(name="large")])),
    )

The router answers which label to take, with the probability of each, and its decision's id is the
response's ``request_id``, by which feedback finds it. What the model behind a label costs and how
long it takes is not seen from here, so quality alone is learnt. `RoutedChatModel`, or
`RoutingMiddleware`, sees all three.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pickllm.errors import ConfigError

try:
    from langchain_core.decisions import (  # type: ignore[import-not-found]  # new in 1.8
        BaseDecisionModel,
        Choice,
        ChoiceAnswer,
        ClassifierResponse,
    )
except ImportError as error:
    raise ConfigError("decision models need langchain-core 1.8 or newer: upgrade it") from error

from langchain_core.messages import BaseMessage
from pydantic import Field

from pickllm import drive
from pickllm.protocols import Asking
from pickllm.router import Router
from pickllm.types import Attempt, Decision, Outcome, Request

__all__ = ["RoutingDecisionModel"]


class RoutingDecisionModel(BaseDecisionModel):  # type: ignore[misc]  # Any, where it is not there
    """Answers `Choice` questions whose labels are arms of a router."""

    router: Router = Field(exclude=True, repr=False)
    """What decides and learns; tell it how good the answers are."""
    model: str = "pickllm"

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    def __init__(self, router: Router, **others: Any) -> None:
        """A decision model over ``router``; its prices and time limits play no part."""
        super().__init__(router=router, **others)

    @property
    def _provider(self) -> str:
        return "pickllm"

    def _classify(self, state: Any, questions: Mapping[str, Any]) -> Any:
        """One decision, which answers every question that is asked of it."""
        labels = _labels(self.router, questions)
        request = Request(text="\n".join(_texts(state)), only=labels)
        decision = drive.work(_decided(self.router, request))
        answer = ChoiceAnswer(
            type="choice",
            choice=decision.arm,
            probabilities={label: decision.probability(label) for label in labels},
            confidence=decision.propensity,
        )
        return ClassifierResponse(
            model=self.model,
            answers=dict.fromkeys(questions, answer),
            request_id=decision.id,
        )


def _decided(router: Router, request: Request) -> Asking[Decision]:
    """A decision whose answer someone else will get: nothing is known of its cost and latency."""
    features = yield from router.featurize(request)
    decision = router.decide(request, features)
    seen = Attempt(arm=decision.arm, status="ok", latency_s=0.0, cost_usd=None)
    router.settle(Outcome(decision_id=decision.id, attempts=(seen,)))
    return decision


def _labels(router: Router, questions: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels to choose among, which must be arms."""
    asked = {tuple(q.criteria) if isinstance(q, Choice) else () for q in questions.values()}
    labels = next(iter(asked), ())
    if len(asked) != 1 or not labels or not set(labels) <= set(router.pool.names):
        raise ConfigError(
            "this decision model answers Choice questions whose labels are the same arms of its "
            f"router: {list(router.pool.names)}"
        )
    return labels


def _texts(state: Any) -> Iterator[str]:
    """The words in a state: messages, strings, and what holds them."""
    if isinstance(state, BaseMessage):
        yield state.text
    elif isinstance(state, str):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _texts(value)
    elif isinstance(state, Sequence):
        for value in state:
            yield from _texts(value)
    elif state is not None:
        yield json.dumps(state)
