"""An HTTP server in this process that talks like OpenAI's, and does what a test wrote down."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

__all__ = ["Served", "Server", "serving"]

_WAIT_S = 10.0
"""A request that waits for this long has hung."""


@dataclass(kw_only=True)
class Served:
    """How the server answers for one model."""

    says: str = "Hello there friend"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    heals_after: int | None = None
    """How many requests get ``status``; None is all."""
    cut_after: int | None = None
    """After how many chunks of a stream the connection breaks; the first one is empty."""
    ends_after: int | None = None
    """After how many chunks a stream ends in peace, but without its end."""
    calls: bool = False
    """Whether it calls the tools that it is given."""
    waits_for: threading.Event | None = None
    """Awaited before an answer, or in a stream after the first word."""


class Server:
    """What it serves by model name, and what it saw."""

    def __init__(self) -> None:
        self.url = ""
        self.models: dict[str, Served] = {}
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.left: Counter[str] = Counter()
        """By model: clients that went away in the middle."""
        self.app = FastAPI()
        self.app.post("/v1/chat/completions", response_model=None)(self._complete)

    def asked(self, model: str) -> int:
        """How many requests a model got."""
        return sum(request["model"] == model for request in self.requests)

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("authorization", ""))
        served = self.models[body["model"]]
        asked = self.asked(body["model"])
        if served.status != 200 and (served.heals_after is None or asked <= served.heals_after):
            error = {"message": "not now", "type": "test", "code": None}
            return JSONResponse({"error": error}, served.status, headers=dict(served.headers))
        if body.get("stream"):
            chunks = self._stream(served, body)
            return StreamingResponse(chunks, media_type="text/event-stream")
        if served.waits_for is not None and not await self._patient(served.waits_for, request):
            self.left[body["model"]] += 1
            return Response(status_code=499)
        return JSONResponse(_whole(served, body))

    async def _patient(self, signal: threading.Event, request: Request) -> bool:
        """Wait; False if the client leaves before the signal comes."""
        async with asyncio.timeout(_WAIT_S):
            while not signal.is_set():
                if await request.is_disconnected():
                    return False
                await asyncio.sleep(0.002)
        return True

    async def _stream(self, served: Served, body: dict[str, Any]) -> AsyncIterator[str]:
        try:
            for number, chunk in enumerate(_chunks(served, body)):
                if number == served.cut_after:
                    raise ConnectionAbortedError
                if number == served.ends_after:
                    return
                if number == 2 and served.waits_for is not None:
                    async with asyncio.timeout(_WAIT_S):
                        while not served.waits_for.is_set():  # noqa: ASYNC110  # a flag of threads
                            await asyncio.sleep(0.002)
                yield f"data: {json.dumps(chunk)}\n\n"
            yield "data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.left[body["model"]] += 1
            raise


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port, in a thread of its own."""
    server = Server()
    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    config = uvicorn.Config(
        server.app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    uvicorn_server = uvicorn.Server(config)
    thread = threading.Thread(target=uvicorn_server.run, args=([listener],), daemon=True)
    thread.start()
    deadline_s = time.monotonic() + _WAIT_S
    while not uvicorn_server.started:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    try:
        yield server
    finally:
        uvicorn_server.should_exit = True
        thread.join(_WAIT_S)
        listener.close()


def _head(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body["model"]}


def _usage(served: Served) -> dict[str, Any]:
    words = len(served.says.split())
    return {
        "prompt_tokens": 7,
        "completion_tokens": words,
        "total_tokens": 7 + words,
        "prompt_tokens_details": {"cached_tokens": 2},
    }


def _call(body: Mapping[str, Any]) -> dict[str, Any]:
    name = body["tools"][0]["function"]["name"]
    return {
        "id": "call_1",
        "type": "function",
        "function": {"name": name, "arguments": '{"a": 2, "b": 3}'},
    }


def _calls(served: Served, body: Mapping[str, Any]) -> bool:
    return served.calls and "tools" in body and body["messages"][-1]["role"] != "tool"


def _whole(served: Served, body: Mapping[str, Any]) -> dict[str, Any]:
    called = _calls(served, body)
    message: dict[str, Any] = {"role": "assistant", "content": None if called else served.says}
    if called:
        message["tool_calls"] = [_call(body)]
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "tool_calls" if called else "stop",
    }
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": _usage(served)}


def _chunks(served: Served, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An empty chunk, words or fragments of a call, the reason of the end, and usage."""
    called = _calls(served, body)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if called:
        call = _call(body)
        arguments = call["function"]["arguments"]
        opening = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [opening]})
        deltas.extend(
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            for piece in (arguments[:5], arguments[5:])
        )
    else:
        words = served.says.split()
        deltas.extend({"content": f" {word}" if n else word} for n, word in enumerate(words))
    head = _head(body, "chat.completion.chunk")
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    reason = "tool_calls" if called else "stop"
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(served)}
