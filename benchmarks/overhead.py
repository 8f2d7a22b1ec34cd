"""What routing costs: microseconds that a routed call adds over calling the arm itself.

    python benchmarks/overhead.py [--calls 2000] [--seed 0]

Bare and routed calls take turns in one process, on a model that answers at once, so noise of the
machine falls on both. Printed are medians and, for what is added, a 95 % bootstrap interval of the
median of the paired differences. `RunnableWithFallbacks`, LangChain's own wrapper around two
models, stands beside the router.
"""

import argparse
import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

os.environ["LANGSMITH_TRACING"] = "false"

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from llama_index.core.llms import ChatMessage, ChatResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback

from langchain_pickllm import RoutedChatModel
from llamaindex_pickllm import RoutedLLM
from pickllm import Arm, Fixed, Outcome, Request, Router
from pickllm.policies import POLICIES
from pickllm.types import Attempt

USAGE = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}
LI_USAGE = {"prompt_tokens": 5, "completion_tokens": 1}
PRICED = {name: Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0) for name in ("a", "b")}


class InstantModel(BaseChatModel):
    """Answers at once."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        message = AIMessage(content="yes", usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> Any:
        return self._generate(messages)

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        for word in ("yes", " it", " is"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any
    ) -> Any:
        for chunk in self._stream(messages):
            yield chunk


class InstantLLM(CustomLLM):
    """Answers at once, as LlamaIndex's LLMs do, and knows async."""

    @property
    def metadata(self) -> LLMMetadata:
        """A chat model."""
        return LLMMetadata(is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Any, **_: Any) -> Any:
        """One word."""
        return ChatResponse(message=ChatMessage("yes", role="assistant"), raw={"usage": LI_USAGE})

    @llm_chat_callback()
    async def achat(self, messages: Any, **_: Any) -> Any:
        """One word."""
        return ChatResponse(message=ChatMessage("yes", role="assistant"), raw={"usage": LI_USAGE})

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **_: Any) -> Any:
        """Three words."""
        return (
            ChatResponse(message=ChatMessage(text, role="assistant"), delta=text.split()[-1])
            for text in ("yes", "yes it", "yes it is")
        )

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        """Not asked here."""
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        """Not asked here."""
        raise NotImplementedError


def main() -> None:
    """Run every measurement and print a table."""
    logging.disable(logging.WARNING)  # nothing is fed back on purpose here
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    rng = np.random.default_rng(given.seed)
    calls(given.calls, rng)
    llamaindex(given.calls, rng)
    core(given.calls)
    imports()


def calls(count: int, rng: np.random.Generator) -> None:
    """Bare, routed and with fallbacks: invoke, ainvoke, first chunk of a stream."""
    bare = InstantModel()
    routed = RoutedChatModel(models={"a": InstantModel(), "b": InstantModel()}, arms=PRICED, seed=1)
    fallbacks = InstantModel().with_fallbacks([InstantModel()])
    print(f"{'call':<14}{'bare':>9}{'routed':>9}{'added':>9}  95 % of added    {'fallbacks':>12}")
    for name, measure in (("invoke", invoke), ("ainvoke", ainvoke), ("first chunk", first_chunk)):
        times = np.array(in_turns([measure(model) for model in (bare, routed, fallbacks)], count))
        added = times[:, 1] - times[:, 0]
        low, high = interval(added, rng)
        print(
            f"{name:<14}{np.median(times[:, 0]):>9.1f}{np.median(times[:, 1]):>9.1f}"
            f"{np.median(added):>9.1f}  [{low:.1f}, {high:.1f}] us"
            f"{np.median(times[:, 2] - times[:, 0]):>19.1f} us"
        )


def llamaindex(count: int, rng: np.random.Generator) -> None:
    """Bare and routed in LlamaIndex: chat, achat, first frame of a stream."""
    bare = InstantLLM()
    routed = RoutedLLM(llms={"a": InstantLLM(), "b": InstantLLM()}, arms=PRICED, seed=1)
    asked = [ChatMessage("2 + 2 =")]
    loop = asyncio.new_event_loop()
    ways: dict[str, Callable[[Any], Callable[[], object]]] = {
        "chat": lambda llm: lambda: llm.chat(asked),
        "achat": lambda llm: lambda: loop.run_until_complete(llm.achat(asked)),
        "first frame": lambda llm: lambda: next(llm.stream_chat(asked)),
    }
    print(f"\n{'LlamaIndex':<14}{'bare':>9}{'routed':>9}{'added':>9}  95 % of added")
    for name, measure in ways.items():
        times = np.array(in_turns([measure(llm) for llm in (bare, routed)], count))
        added = times[:, 1] - times[:, 0]
        low, high = interval(added, rng)
        print(
            f"{name:<14}{np.median(times[:, 0]):>9.1f}{np.median(times[:, 1]):>9.1f}"
            f"{np.median(added):>9.1f}  [{low:.1f}, {high:.1f}] us"
        )
    loop.close()


def invoke(model: Any) -> Callable[[], object]:
    """One call."""
    return lambda: model.invoke("2 + 2 =")


def ainvoke(model: Any) -> Callable[[], object]:
    """One call on a running loop."""
    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(model.ainvoke("2 + 2 ="))


def first_chunk(model: Any) -> Callable[[], object]:
    """The first chunk, and the rest left."""
    return lambda: next(iter(model.stream("2 + 2 =")))


def in_turns(functions: Sequence[Callable[[], object]], count: int) -> list[list[float]]:
    """Microseconds ``[count, functions]``, after a tenth as many to warm up."""
    times = []
    for _ in range(count + count // 10):
        row = []
        for function in functions:
            began = time.perf_counter_ns()
            function()
            row.append((time.perf_counter_ns() - began) / 1e3)
        times.append(row)
    return times[count // 10 :]


def interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    medians = [np.median(rng.choice(values, len(values))) for _ in range(500)]
    return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def core(count: int) -> None:
    """Microseconds of decide, settle and feedback for each policy, four arms."""
    print(f"\n{'policy':<20}{'decide':>9}{'settle':>9}{'feedback':>9}   us, medians, four arms")
    for name, policy in {"fixed": lambda: Fixed(arm="b"), **POLICIES}.items():
        router = Router(arms=[Arm(name=arm, usd_per_hour=1.0) for arm in "abcd"], policy=policy())
        requests = [Request(text="2 + 2 =") for _ in range(count)]
        decide = each(router.decide, requests)
        outcomes = [
            Outcome(
                decision_id=request.id,
                attempts=(Attempt(arm="a", status="ok", latency_s=0.1, cost_usd=0.001),),
            )
            for request in requests
        ]
        settle = each(router.settle, outcomes)
        feedback = each(partial(router.feedback, value=0.5), [request.id for request in requests])
        print(f"{name:<20}{decide:>9.1f}{settle:>9.1f}{feedback:>9.1f}")


def each(function: Callable[[Any], object], values: Sequence[Any]) -> float:
    """Median microseconds of a call."""
    times = []
    for value in values:
        began = time.perf_counter_ns()
        function(value)
        times.append((time.perf_counter_ns() - began) / 1e3)
    return statistics.median(times)


def imports() -> None:
    """Milliseconds of imports in a fresh interpreter, less an empty one's.

    As of installed packages, whose bytecode is there.
    """
    print(f"\n{'statement':<38}{'ms':>6}   median of 9, an empty interpreter taken off")
    statements = (
        "import numpy",
        "import pickllm",
        "from pickllm import Arm, Router",
        "import langchain_core.language_models",
        "import langchain_pickllm",
        "import llama_index.core",
        "import llamaindex_pickllm",
    )
    with tempfile.TemporaryDirectory() as bytecode:
        empty = import_ms("pass", bytecode)
        for statement in statements:
            print(f"{statement:<38}{import_ms(statement, bytecode) - empty:>6.0f}")


def import_ms(statement: str, bytecode: str) -> float:
    """Median milliseconds of a Python process that runs a statement, after one that compiles."""
    kept = {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    times = []
    for _ in range(10):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True, env={**os.environ, **kept})
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
