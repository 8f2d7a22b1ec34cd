"""An LLM that asks, for each prompt, one LLM of a pool.

    Settings.llm = RoutedLLM(llms={"small": small, "large": large})

Every engine, agent and workflow goes on as before; what it gets is the arm's own response with one
key more in ``additional_kwargs``. How LlamaIndex calls it stands in
`llamaindex_pickllm.entry_points`; here is what it is made of, and what is said to it.
"""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self
from uuid import UUID

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr, computed_field

from llamaindex_pickllm import hearing, tracing
from llamaindex_pickllm.arms import Modality, arms_of, calls_tools, known_by, llms_of
from llamaindex_pickllm.asked import Asked
from llamaindex_pickllm.conversations import Conversations
from llamaindex_pickllm.embeddings import featurizer_of
from llamaindex_pickllm.entry_points import RoutedEntryPoints
from llamaindex_pickllm.metadata import ContextWindow, checked_window, metadata_of
from llamaindex_pickllm.stamp import decision_id_of, stamp_on, with_inner_stamp
from llamaindex_pickllm.turn import Turn
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
from pickllm.types import Arm, Routed

__all__ = ["RoutedLLM"]


class RoutedLLM(RoutedEntryPoints):
    """An LLM over a pool of LLMs; learns which of them to ask.

    Example:
        Swap it in where one LLM stood, and say how good the answers are:

        .. code-block:: python

            Settings.llm = llm = RoutedLLM(
                llms={"mini": OpenAI(model="gpt-4o-mini"), "max": OpenAI(model="gpt-4o")}
            )
            response = llm.complete("2 + 2 =")
            llm.feedback(response, 1.0)
            print(llm.explain(response))

    In a call, ``model="mini"`` pins an arm, ``model=["mini", "max"]`` narrows the pool, and
    ``weights={"quality": 0.5, "cost": 0.5}`` says what matters for this one.
    """

    llms: dict[str, Any] = Field(exclude=True, repr=False)
    """The pool: name to LLM. Copies of the routed LLM share it."""
    router: Router = Field(exclude=True, repr=False)
    """What decides and learns."""
    context_window: ContextWindow = "min"
    """The window that it states: the pool's smallest, its largest, or a number of tokens."""
    sticky: bool = False
    """Whether a conversation stays with the arm that it began with."""

    _conversations: Conversations = PrivateAttr()
    _timeout_s: float | None = PrivateAttr(default=None)

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    def __init__(
        self,
        *,
        llms: Mapping[str, LLM],
        policy: PolicyLike = DEFAULT_POLICY,
        arms: Mapping[str, Arm] | None = None,
        weights: WeightsLike | None = None,
        reward: Reward | None = None,
        scorer: ScorerLike | None = None,
        learns_from: Iterable[str] | None = None,
        featurizer: Featurizer | BaseEmbedding | None = None,
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
        modalities: Mapping[str, Collection[Modality]] | None = None,
        context_window: ContextWindow = "min",
        **others: Any,
    ) -> None:
        """Put a routed LLM together; ``llms`` is all that is needed.

        Args:
            llms: Name to LLM. A name may hold any characters.
            policy: How to choose: a policy, its name in `pickllm.policies.POLICIES`, or a function.
            arms: What the LLMs do not say of themselves: prices, capabilities, time limits.
            weights: How much quality, cost and latency matter, ``{"quality": 0.7, "cost": 0.3}``.
            reward: A reward of your own, in place of the default one.
            scorer: Scores every answer as it comes, a function of prompt and answer for example.
                Without one, rewards come by `feedback` or a `RewardTracker`.
            learns_from: Sources of feedback that teach, such as "user"; others are booked and shown
                by `explain`, no more. None is all of them.
            featurizer: Makes a vector of each prompt, for a policy that looks at it; any LlamaIndex
                embedding will do.
            fallback: True: the next best arm answers where one fails; False: none does; or names.
            breaker: When an arm that keeps failing is given a rest; None never.
            budget: The most that may be spent in a window of time, such as ``Budget(usd=5.0)``.
            cascade: Asks arms one after another until an answer will do, such as a
                `ThresholdCascade`.
            answers: Keeps answers, and gives them again to requests like theirs: an `AnswerCache`.
            adaptations: What arms read in place of the prompt: one of `pickllm.prompting`, several
                in order, or either for each arm by its name, with "*" for the others.
            transcripts: Keeps prompts and answers, by tenant and for so long as you say; see
                `pickllm.transcripts`.
            sticky: Stay with the arm that a conversation began with. Within a tool loop, and where
                the history holds thoughts that only its author can read, the arm stays anyway.
            store: Where the learnt state is kept, "sqlite:///routes.db" for example.
            namespace: Which state of the store is this LLM's.
            seed: Makes the choices repeatable.
            timeout_s: Longest wait for an answer or the next piece of one, for arms without one.
            max_decisions: How many decisions are held for late feedback.
            router: A router to share with another LLM of the same pool, in place of all these
                but ``llms``, ``sticky`` and ``context_window``.
            modalities: What arms read apart from text, ``{"eyes": {"text", "image"}}``. An arm
                derived from `CustomLLM` reads text only unless it is named here; others may read
                anything.
            context_window: The window to state: "min" of the pool, "max", or a number of tokens.
                Whatever it is, a request goes only to arms whose own window holds it.
            others: What every LLM takes: callback_manager, rate_limiter, system_prompt,
                output_parser, …

        Raises:
            ConfigError: Something here cannot work; says what, and what to do.
        """
        opened = llms_of(llms)
        check_sticky(sticky)
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
        of_arms: dict[str, Any] = {"modalities": modalities, "timeout_s": timeout_s}
        if router is None:
            router = Router(arms=arms_of(opened, arms, **of_arms), **settings)
        else:
            given = {"arms": arms, **settings, **of_arms}
            check_router(router, opened, given, RoutedLLM.__init__, what="llms")
        window = checked_window(context_window)
        super().__init__(
            llms=opened,
            router=router,
            sticky=sticky,
            context_window=window,
            **_known(type(self), others),
        )
        self._conversations = Conversations(sticky=sticky)
        self._timeout_s = timeout_s
        self._hand_on(self.callback_manager)
        hearing.install()
        tracing.install()

    def __repr_args__(self) -> list[tuple[str, object]]:  # pydantic's hook
        """Arms and policy; what stands in the LLMs, keys among it, is theirs to show."""
        return [("arms", list(self.llms)), ("policy", self.router.policy.name)]

    # Feedback

    def feedback(
        self,
        response_or_id: ChatResponse | CompletionResponse | str | UUID,
        value: float,
        *,
        source: str = "user",
        correction: bool = False,
    ) -> Verdict:
        """Say how good an answer was, now or later; see `pickllm.Router.feedback`.

        Args:
            response_or_id: The response that the LLM returned, its decision id, or the id of a span
                around it, or an id given by ``instrument_tags({"request_id": ...})``.
            value: From 0 (useless) to 1 (perfect).
            source: Who says so. Each source is heard once for each decision.
            correction: Take this value in place of the one that this source gave before.

        Raises:
            ConfigError: No number in [0, 1], or a response that carries no decision.
            UnknownDecision: No such decision is held here.
        """
        return self.router.feedback(
            decision_id_of(response_or_id), value, source, correction=correction
        )

    def explain(
        self, response_or_id: ChatResponse | CompletionResponse | str | UUID
    ) -> Explanation:
        """Why that arm answered: ``print(llm.explain(response))``."""
        return self.router.explain(decision_id_of(response_or_id))

    def add_arm(self, name: str, llm: LLM, arm: Arm | None = None) -> None:
        """Take one more LLM into the pool while requests go on; see `pickllm.Router.add_arm`.

        Raises:
            ConfigError: The name is taken, it is no LLM, or its price is not known.
        """
        known = llms_of({name: llm})
        stated = None if arm is None else {name: arm}
        arms = arms_of(known, stated, modalities=None, timeout_s=self._timeout_s)
        there = self.router.pool.names
        if name in there:
            raise ConfigError(f"an arm is called {name!r} already; the arms are {[*there]}")
        taken_out = {key: each for key, each in self.llms.items() if key == name}
        self.llms[name] = llm  # first, for it may be asked as soon as it is an arm
        try:
            self.router.add_arm(replace(arms[name], name=name))
        except ConfigError:
            del self.llms[name]
            self.llms.update(taken_out)  # whose calls may still be under way
            raise

    def stats(self) -> dict[str, int]:
        """What happened how often; see `pickllm.Router.stats`."""
        return self.router.stats()

    # What LlamaIndex asks about an LLM

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names components."""
        return "PickLLM_RoutedLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The pool as one LLM; see `llamaindex_pickllm.metadata`."""
        return metadata_of(self.llms, self.router.pool, self.context_window)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way to write it
    @property
    def pool(self) -> dict[str, str]:
        """What a cache may tell two routed LLMs apart by: names, models, settings; no lessons."""
        return {name: known_by(self.llms[name]) for name in sorted(self.llms)}

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def policy(self) -> str:
        """The policy's name."""
        return self.router.policy.name

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:  # noqa: ARG003  # LlamaIndex's
        """Not to be had: a pool cannot be rebuilt from names alone."""
        if "llms" not in kwargs:
            raise ConfigError(
                "a routed LLM cannot be rebuilt from a dictionary, which holds no LLMs: "
                "make it with RoutedLLM(llms=...), or pickle it"
            )
        return cls(**kwargs)

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The tools that a response calls, read by the arm that wrote it."""
        known = self.llms.get(stamp_on(response).get("arm", ""))
        if known is not None and not calls_tools(known):
            if error_on_no_tool_call:
                raise ValueError("no tool was called: the arm that answered calls none")
            return []
        author = known or self._tool_caller()
        return author.get_tool_calls_from_response(
            with_inner_stamp(response), error_on_no_tool_call=error_on_no_tool_call, **kwargs
        )

    def _prepare_chat_with_tools(  # noqa: PLR0917  # LlamaIndex's signature, which it inspects
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Each arm prepares tools its own way, once it is chosen."""
        raise ConfigError(
            "a routed LLM cannot prepare tools before an arm is chosen: call chat_with_tools"
        )

    # Copies

    def __setattr__(self, name: str, value: Any) -> None:
        """A callback manager reaches the arms, too: ``Settings.llm`` sets it on every access."""
        before = self.__dict__.get("callback_manager") if name == "callback_manager" else None
        super().__setattr__(name, value)
        if name == "callback_manager" and value is not before:
            self._hand_on(value, before)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """The same arms, weights not copied, and a router that knows as much and goes its own way.

        What copies need to share, share by ``copy.copy`` or ``router=``.
        """
        memo = {} if memo is None else memo
        shared = {id(llm): llm for llm in self.llms.values()}
        twin = self.model_copy()
        memo.update({**shared, id(self): twin})
        twin.__dict__["router"] = copy.deepcopy(self.router, memo)
        twin.__dict__["llms"] = dict(self.llms)
        twin._conversations = copy.deepcopy(self._conversations, memo)  # noqa: SLF001  # its own class
        return twin

    def __getstate__(self) -> dict[Any, Any]:
        """All there is; an arm that cannot be pickled is told of, not left out."""
        state = BaseModel.__getstate__(self)
        fields = {k: v for k, v in state["__dict__"].items() if k != "callback_manager"}
        return {**state, "__dict__": fields}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """All there was."""
        BaseModel.__setstate__(self, state)
        self.__dict__["callback_manager"] = CallbackManager([])
        hearing.install()
        tracing.install()

    # Inside

    def _turn(self, asked: Asked[Any]) -> Turn:
        return Turn.of(asked, router=self.router, llms=self.llms, conversations=self._conversations)

    def _parsed(self, routed: Routed) -> None:
        """That an answer had its structure is a judgement that costs nothing."""
        if self.router.knows(routed.decision.id):
            self.router.feedback(routed.decision.id, 1.0, "parse")

    def _tool_caller(self) -> FunctionCallingLLM:
        """Some arm that reads tool calls, for a response of unknown origin."""
        found = next((llm for llm in self.llms.values() if calls_tools(llm)), None)
        if not isinstance(found, FunctionCallingLLM):
            raise ConfigError(f"no arm of {list(self.llms)} calls tools")
        return found

    def _hand_on(
        self, manager: CallbackManager | None, before: CallbackManager | None = None
    ) -> None:
        """Give the arms the callback manager; an empty one only in place of what came from here."""
        for llm in self.llms.values():
            if manager is not None and (manager.handlers or llm.callback_manager is before):
                llm.callback_manager = manager


def _known(llm: type[LLM], others: dict[str, Any]) -> dict[str, Any]:
    """The arguments that an LLM takes; a misspelt one is an error, not ignored."""
    unknown = sorted(set(others) - set(llm.model_fields))
    if unknown:
        raise ConfigError(
            f"RoutedLLM takes no {', '.join(unknown)}: what concerns one arm is set on its own LLM"
        )
    manager = others.get("callback_manager")
    if not isinstance(manager, CallbackManager | None):
        raise ConfigError(
            f"callback_manager must be LlamaIndex's CallbackManager; it is {type(manager).__name__}"
        )
    return others
