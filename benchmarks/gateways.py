"""What a choice costs on a real HTTP call: the router beside other ways to put models behind one.

    pip install langchain-openai 'litellm<1.109.1' fastapi uvicorn
    python benchmarks/gateways.py [--calls 300] [--seed 0]

One OpenAI-compatible server on this machine answers at once. Every contender asks it through its
own client, and they take turns, so noise falls on all. Printed are median milliseconds and,
beside the contender's own bare client, the median of the paired differences with a 95 % bootstrap
interval:

    ChatOpenAI alone              bare
    RoutedChatModel               over two ChatOpenAI
    with_fallbacks                LangChain's own, over two ChatOpenAI
    litellm.completion alone      bare
    LiteLLM Router                over two deployments
"""

import argparse
import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from langchain_openai import ChatOpenAI

from langchain_pickllm import RoutedChatModel
from pickllm import Arm

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
HEAD = {"id": "c", "created": 0, "model": "tiny"}
PRICED = {name: Arm(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0) for name in ("a", "b")}


def main() -> None:
    """Race, and print."""
    logging.disable(logging.WARNING)
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    rng = np.random.default_rng(given.seed)
    with served() as url:
        race("whole answer", contenders(url, stream=False), given.calls, rng)
        race("first chunk", contenders(url, stream=True), given.calls, rng)


def contenders(url: str, *, stream: bool) -> dict[str, tuple[str | None, Callable[[], object]]]:
    """Name to the bare client that it is measured against, and one call."""
    import litellm

    chat = [ChatOpenAI(model="tiny", base_url=url, api_key="none", max_retries=0) for _ in range(3)]
    routed = RoutedChatModel(models={"a": chat[1], "b": chat[2]}, arms=PRICED, seed=1)
    fallbacks = chat[1].with_fallbacks([chat[2]])
    options: Any = {"model": "openai/tiny", "api_base": url, "api_key": "none"}
    deployments: Any = [{"model_name": "tiny", "litellm_params": options} for _ in range(2)]
    router = litellm.Router(model_list=deployments, num_retries=0)
    asked: Any = [{"role": "user", "content": "2 + 2 ="}]

    def langchain(model: Any) -> Callable[[], object]:
        if stream:
            return lambda: next(model.stream("2 + 2 ="))
        return lambda: model.invoke("2 + 2 =")

    def lite(complete: Any, **more: Any) -> Callable[[], object]:
        if stream:
            return lambda: next(iter(complete(messages=asked, stream=True, **more)))
        return lambda: complete(messages=asked, **more)

    return {
        "ChatOpenAI alone": (None, langchain(chat[0])),
        "RoutedChatModel": ("ChatOpenAI alone", langchain(routed)),
        "with_fallbacks": ("ChatOpenAI alone", langchain(fallbacks)),
        "litellm.completion alone": (None, lite(litellm.completion, **options)),
        "LiteLLM Router": ("litellm.completion alone", lite(router.completion, model="tiny")),
    }


def race(
    what: str,
    name_to_call: dict[str, tuple[str | None, Callable[[], object]]],
    count: int,
    rng: np.random.Generator,
) -> None:
    """All contenders in turns, ``count`` times after a tenth as many to warm up."""
    times: dict[str, list[float]] = {name: [] for name in name_to_call}
    for _ in range(count + count // 10):
        for name in rng.permutation(list(name_to_call)):  # whoever comes after whom costs, too
            call = name_to_call[name][1]
            began = time.perf_counter_ns()
            call()
            times[name].append((time.perf_counter_ns() - began) / 1e6)
    print(f"\n{what:<26}{'ms':>8}{'added':>9}   95 %")
    for name, (bare, _) in name_to_call.items():
        own = np.array(times[name][-count:])
        line = f"{name:<26}{np.median(own):>8.2f}"
        if bare is not None:
            added = own - np.array(times[bare][-count:])
            medians = [np.median(rng.choice(added, count)) for _ in range(1000)]
            low, high = np.quantile(medians, [0.025, 0.975])
            line += f"{np.median(added):>9.2f}   [{low:.2f}, {high:.2f}]"
        print(line)


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The server, in a thread of its own, on a free port."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        asked = await request.json()
        if asked.get("stream"):
            return StreamingResponse(chunks(), media_type="text/event-stream")
        message = {"role": "assistant", "content": "It is 4"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse(
            {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
        )

    # the protocol is named, for asyncio switches Nagle's algorithm off for such sockets alone
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join()


async def chunks() -> Any:
    """A streamed answer in three pieces."""
    for piece in ("It", " is", " 4"):
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}}
        event = {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}
        yield f"data: {json.dumps(event)}\n\n"
    yield "data: [DONE]\n\n"


if __name__ == "__main__":
    main()
