"""A middleware for `create_agent`: one decision for each agent run, by the router that learns.

    create_agent(model="openai:gpt-4o", tools=[...], middleware=[RoutingMiddleware(routed)])
    RoutingMiddleware(choices={"mini": "openai:gpt-4o-mini", "max": "openai:gpt-4o"})

An agent made with a `RoutedChatModel` as its model needs no middleware. This one is for agents
whose model someone else sets, and it notes the route in the agent's state, as LangChain's own model
router does: ``state["model_route"]``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NotRequired

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
except ImportError as error:
    from pickllm.errors import MissingExtra

    raise MissingExtra("the agent middleware", extra="agents") from error

from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.runtime import Runtime

from langchain_pickllm.chat_model import RoutedChatModel
from langchain_pickllm.stamp import stamp_on
from pickllm.errors import ConfigError

__all__ = ["RoutingMiddleware", "RoutingState"]


class RoutingState(AgentState[Any]):
    """An agent's state, with the route of its last run."""

    model_route: NotRequired[dict[str, Any]]
    """Arm, decision id, probabilities by arm, and the confidence: the chosen arm's probability."""


class RoutingMiddleware(AgentMiddleware[RoutingState, Any, Any]):
    """Puts a routed model in the place of the agent's own; within a run the arm stays."""

    state_schema = RoutingState

    def __init__(
        self,
        model: RoutedChatModel | None = None,
        *,
        choices: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Route by a routed model, or by one made of ``choices`` and `RoutedChatModel`'s settings.

        ``choices`` maps names to models, or to LangChain's `ModelChoice`, whose ``criteria`` play
        no part: what a model is good for is learnt here, not read.
        """
        super().__init__()
        given_both_or_none = (model is None) == (choices is None)
        unfit = model is not None and (settings or not isinstance(model, RoutedChatModel))
        if given_both_or_none or unfit:
            raise ConfigError("give a RoutedChatModel, or choices and settings to make one of")
        self.model = model or RoutedChatModel(models=_models(choices or {}), **settings)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the routed model."""
        return handler(request.override(model=self.model))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Ask the routed model."""
        return await handler(request.override(model=self.model))

    def after_model(self, state: RoutingState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note the route; a turn that goes on with another has the route of the run's first."""
        stamp = stamp_on(_answer(state["messages"]))
        if not self.model.router.knows(stamp.get("decision_id", "")):  # another model answered
            return None
        decision = self.model.explain(stamp["decision_id"]).decision
        if decision.held and decision.held.continues:
            return None
        return {
            "model_route": {
                "arm": stamp["arm"],
                "decision_id": decision.id,
                "probabilities": dict(zip(decision.arms, decision.probabilities, strict=True)),
                "confidence": decision.propensity,
            }
        }


def _answer(messages: Sequence[BaseMessage]) -> BaseMessage:
    """What the model just said; a call for structured output is followed by its result already."""
    spoken = (message for message in reversed(messages) if not isinstance(message, ToolMessage))
    return next(spoken, messages[-1])


def _models(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The models in what LangChain's own router would be given."""
    return {
        name: choice.model if hasattr(choice, "criteria") else choice
        for name, choice in choices.items()
    }
