"""A chat model that asks, for each prompt, one model of a pool.

    chain = prompt | RoutedChatModel(models={"small": small, "large": large}) | parser

What it returns is the arm's own message with one key more in ``response_metadata``. How LangChain
calls it stands in `langchain_pickllm.entry_points`; here is what it is made of, and what is said
to it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self
from uuid import UUID

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr, model_validator

from langchain_pickllm.arguments import known, time_limit
from langchain_pickllm.arms import arms_of, models_of, profile_of
from langchain_pickllm.configured import Configured
from langchain_pickllm.counting import count_tokens
from langchain_pickllm.embeddings import featurizer_of
from langchain_pickllm.entry_points import RoutedEntryPoints
from langchain_pickllm.shapes import SHAPE, shape_of
from langchain_pickllm.stamp import decision_id_of, stamp_on
from langchain_pickllm.stickiness import failed_tool_calls
from langchain_pickllm.structured import shaped_chain
from langchain_pickllm.tool_binding import Tools
from langchain_pickllm.turn import Turn
from langchain_pickllm.wrappers import chat_model_below
from pickllm import __version__
from pickllm.booking.books import Verdict
from pickllm.budget import Budget
from pickllm.construction import check_router, check_sticky
from pickllm.errors import ConfigError
from pickllm.explanation import Explanation
from pickllm.health import Breaker
from pickllm.policies import PolicyLike
from pickllm.prompting.composed import AdaptationsLike
from pickllm.protocols import Cache, Cascade, Featurizer, Reward
from pickllm.router import Router
from pickllm.scoring import ScorerLike
from pickllm.settings import DEFAULT_BREAKER, DEFAULT_POLICY, Fallback, WeightsLike
from pickllm.stores import StoreLike
from pickllm.transcripts import Transcripts
from pickllm.types import Arm

__all__ = ["RoutedChatModel"]

logger = logging.getLogger("pickllm")


class RoutedChatModel(RoutedEntryPoints):
    """A chat model over a pool of chat models; learns which of them to ask.

    Example:
        Swap it in where one model stood, and say how good the answers are:

        .. code-block:: python

            model = RoutedChatModel(
                models={"mini": ChatOpenAI(model="gpt-4o-mini"), "max": ChatOpenAI(model="gpt-4o")}
            )
            message = (prompt | model).invoke({"question": "…"})
            model.feedback(message, 1.0)
            print(model.explain(message))

    In a call, ``model="mini"`` pins an arm, ``model=["mini", "max"]`` narrows the pool, and
    ``weights={"quality": 0.5, "cost": 0.5}`` says what matters for this one.
    """

    models: dict[str, Any] = Field(exclude=True, repr=False)
    """The pool: name to chat model."""
    router: Router = Field(exclude=True, repr=False)
    """What decides and learns. Copies of the model share it."""
    sticky: bool = False
    """Whether a conversation stays with the arm that it began with."""
    temperature: float | None = None
    """Handed to the arm with each call, where it is not None."""
    max_tokens: int | None = None
    """Handed to the arm with each call, where it is not None."""
    stop: list[str] | None = None
    """Handed to the arm with each call that gives none of its own."""
    streaming: bool | None = None
    """Whether arms stream inside an `invoke`, too, for handlers to hear; False: they never do."""

    _timeout_s: float | None = PrivateAttr(default=None)

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    def __init__(
        self,
        *,
        models: Mapping[str, BaseChatModel | Runnable[Any, Any] | str],
        policy: PolicyLike = DEFAULT_POLICY,
        arms: Mapping[str, Arm] | None = None,
        weights: WeightsLike | None = None,
        reward: Reward | None = None,
        scorer: ScorerLike | None = None,
        learns_from: Iterable[str] | None = None,
        featurizer: Featurizer | Embeddings | None = None,
        fallback: Fallback = True,
        breaker: Breaker | None = DEFAULT_BREAKER,
        budget: Budget | None = None,
        cascade: Cascade | None = None,
        answers: Cache | None = None,
        adaptations: AdaptationsLike | None = None,
        transcripts: Transcripts | None = None,
        sticky: bool = False,
        store: StoreLike | None = None,
        namespace: str = "default",
        seed: int | None = None,
        timeout_s: float | None = None,
        max_decisions: int = 20_000,
        router: Router | None = None,
        **others: Any,
    ) -> None:
        """Put a routed model together; ``models`` is all that is needed.

        Args:
            models: Name to chat model. A name may hold any characters; a model may be a Runnable
                that returns an AIMessage, such as ``model.with_retry()``, or a string for
                LangChain's ``init_chat_model``.
            policy: How to choose: a policy, its name in `pickllm.policies.POLICIES`, or a function.
            arms: What the models do not say of themselves: prices, capabilities, time limits.
            weights: How much quality, cost and latency matter, ``{"quality": 0.7, "cost": 0.3}``.
            reward: A reward of your own, in place of the default one.
            scorer: Scores every answer as it comes, a function of prompt and answer for example.
                Without one, rewards come by `feedback` or a `RewardCallbackHandler`.
            learns_from: Sources of feedback that teach, such as "user"; others are booked and shown
                by `explain`, no more. None is all of them.
            featurizer: Makes a vector of each prompt, for a policy that looks at it; any LangChain
                embeddings will do.
            fallback: True: the next best arm answers where one fails; False: none does; or names.
            breaker: When an arm that keeps failing is given a rest; None never.
            budget: The most that may be spent in a window of time, such as ``Budget(usd=5.0)``.
            cascade: Asks arms one after another until an answer will do, such as a
                `ThresholdCascade`.
            answers: Keeps answers, and gives them again to requests like theirs: an `AnswerCache`.
                LangChain's own ``cache`` is handed to the arms.
            adaptations: What arms read in place of the prompt: one of `pickllm.prompting`, several
                in order, or either for each arm by its name, with "*" for the others.
            transcripts: Keeps prompts and answers, by tenant and for so long as you say; see
                `pickllm.transcripts`.
            sticky: Stay with the arm that a conversation began with. Within a tool loop, and where
                the history holds reasoning that only its author can read, the arm stays anyway.
            store: Where the learnt state is kept, "sqlite:///routes.db" for example.
            namespace: Which state of the store is this model's.
            seed: Makes the choices repeatable.
            timeout_s: Longest wait for an answer or the next piece of one, for arms without one;
                ``timeout`` is another name for it.
            max_decisions: How many decisions are held for late feedback.
            router: A router to share with another model of the same pool, in place of all these
                but ``models`` and ``sticky``.
            others: What every chat model takes: callbacks, tags, metadata, rate_limiter,
                temperature, max_tokens, stop, disable_streaming, …

        Raises:
            ConfigError: Something here cannot work; says what, and what to do.
        """
        opened = models_of(models)
        check_sticky(sticky)
        timeout_s = time_limit(timeout_s, others.pop("timeout", None))
        settings: dict[str, Any] = {
            "policy": policy,
            "weights": weights,
            "reward": reward,
            "scorer": scorer,
            "learns_from": learns_from,
            "featurizer": featurizer_of(featurizer),
            "fallback": fallback,
            "breaker": breaker,
            "budget": budget,
            "cascade": cascade,
            "answers": answers,
            "adaptations": adaptations,
            "transcripts": transcripts,
            "store": store,
            "namespace": namespace,
            "seed": seed,
            "max_decisions": max_decisions,
        }
        if router is None:
            router = Router(arms=arms_of(opened, arms, timeout_s=timeout_s), **settings)
        else:
            given = {"arms": arms, **settings, "timeout_s": timeout_s}
            check_router(router, opened, given, RoutedChatModel.__init__)
        super().__init__(models=opened, router=router, sticky=sticky, **known(type(self), others))
        self._timeout_s = timeout_s

    @model_validator(mode="after")
    def _set_pickllm_version(self) -> Self:
        self._add_version("langchain-pickllm", __version__)
        return self

    def __repr_args__(self) -> list[tuple[str, object]]:  # pydantic's hook
        """Arms and policy; what stands in the models, keys among it, is theirs to show."""
        return [("arms", list(self.models)), ("policy", self.router.policy.name)]

    # Feedback

    def feedback(
        self,
        message_or_id: BaseMessage | str | UUID,
        value: float,
        *,
        source: str = "user",
        correction: bool = False,
    ) -> Verdict:
        """Say how good an answer was, now or later; see `pickllm.Router.feedback`.

        Args:
            message_or_id: The message that the model returned, its decision id, or the id of a run
                around it.
            value: From 0 (useless) to 1 (perfect).
            source: Who says so. Each source is heard once for each decision.
            correction: Take this value in place of the one that this source gave before.

        Raises:
            ConfigError: No number in [0, 1], or a message that carries no decision.
            UnknownDecision: No such decision is held here.
        """
        return self.router.feedback(
            decision_id_of(message_or_id), value, source, correction=correction
        )

    def explain(self, message_or_id: BaseMessage | str | UUID) -> Explanation:
        """Why that arm answered: ``print(model.explain(message))``."""
        return self.router.explain(decision_id_of(message_or_id))

    def add_arm(
        self,
        name: str,
        model: BaseChatModel | Runnable[Any, Any] | str,
        arm: Arm | None = None,
    ) -> None:
        """Take one more model into the pool while requests go on; see `pickllm.Router.add_arm`.

        Raises:
            ConfigError: The name is taken, the model is none, or its price is not known.
        """
        opened = models_of({name: model})
        stated = None if arm is None else {name: arm}
        arms = arms_of(opened, stated, timeout_s=self._timeout_s)
        there = self.router.pool.names
        if name in there:
            raise ConfigError(f"an arm is called {name!r} already; the arms are {[*there]}")
        taken_out = {key: each for key, each in self.models.items() if key == name}
        self.models[name] = opened[name]  # first, for it may be asked as soon as it is an arm
        try:
            self.router.add_arm(replace(arms[name], name=name))
        except ConfigError:
            del self.models[name]
            self.models.update(taken_out)  # whose calls may still be under way
            raise

    def stats(self) -> dict[str, int]:
        """What happened how often; see `pickllm.Router.stats`."""
        return self.router.stats()

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same router with tools; each arm formats them its own way when it is asked."""
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(**Tools.of(tools, {**chosen, **kwargs}).kwargs)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Answers in the shape of a schema; whether one parsed is fed back as source "parse".

        Each arm is asked in its own way, natively where it can. ``kwargs`` go to the arms' own
        ``with_structured_output``: ``method``, ``strict`` and what else they all take.
        """
        shape = shape_of(self.router, self.models, schema, kwargs)
        asked = self.bind(**{SHAPE: shape})
        return shaped_chain(asked, shape, self.router, include_raw=include_raw)

    # What LangChain asks about a model

    @property
    def _llm_type(self) -> str:
        return "pickllm-router"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"arms": list(self.models), "policy": self.router.policy.name}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        model = kwargs.get("model")
        name = model if isinstance(model, str) else f"pickllm({','.join(sorted(self.models))})"
        params = LangSmithParams(ls_provider="pickllm", ls_model_name=name, ls_model_type="chat")
        return LangSmithParams(**params, ls_stop=stop) if stop else params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.models)

    def get_num_tokens(self, text: str) -> int:
        """The most that any arm counts, or about as many."""
        return self.get_num_tokens_from_messages([HumanMessage(text)])

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """The most that any arm counts, or about as many."""
        found = (chat_model_below(model) for model in self.models.values())
        return count_tokens((chat for chat in found if chat is not None), messages, tools)

    # Inside

    def _turn(
        self,
        input: LanguageModelInput,  # noqa: A002  # LangChain's name
        config: RunnableConfig | None,
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Turn:
        defaults = {
            "stop": stop or self.stop or None,
            "temperature": self.temperature,
            "max_tokens": None if "max_completion_tokens" in kwargs else self.max_tokens,
        }
        messages = self._convert_input(input).to_messages()
        self._hear_of_tools(messages)
        return Turn.of(
            router=self.router,
            configured=Configured(
                models=self.models,
                cache=self.cache,
                output_version=self.output_version,
                streaming=bool(self.streaming),
            ),
            messages=messages,
            config=ensure_config(config),
            sticky=self.sticky,
            kwargs={
                **{key: value for key, value in defaults.items() if value is not None},
                **kwargs,
            },
        )

    def _hear_of_tools(self, messages: Sequence[BaseMessage]) -> None:
        """A tool call that came back as an error speaks against the arm that made it."""
        for message in failed_tool_calls(messages):
            decision_id = str(stamp_on(message).get("decision_id", ""))
            try:
                if self.router.knows(decision_id):
                    self.router.feedback(decision_id, 0.0, "tool_error")
            except Exception as error:  # the call that is to come must not fail for it
                logger.warning("a tool's error was not booked: %s", type(error).__name__)
