"""The server of a local model, asked as users ask it: by LangChain's client of OpenAI."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from pickllm.demo.models import answers
from pickllm.demo.server import ServedModel, ServerFailed, serve

_PROMPTS = [f"Sort the letters: {word}" for word in ("dba", "cab", "zyx", "mop")]


@pytest.fixture(scope="module")
def served(tiny_llama: Path) -> Iterator[ServedModel]:
    """One server for all the tests."""
    with serve(tiny_llama) as served:
        yield served


def _chat(served: ServedModel, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=served.base_url,
        api_key=SecretStr("none"),
        max_retries=0,
        **{"model": served.model, "max_tokens": 16, **settings},
    )


def _post(served: ServedModel, body: bytes) -> tuple[int, dict[str, Any]]:
    url = urlsplit(served.base_url)
    connection = HTTPConnection(url.netloc, timeout=30)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{url.path}/chat/completions", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _wait_until_gone(process_id: int) -> bool:
    for _ in range(200):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_invoke_answers_with_usage(served: ServedModel, tiny_llama: Path) -> None:
    """The served model says what it says in process, and counts its tokens."""
    reply = _chat(served).invoke(_PROMPTS[0])

    assert answers(tiny_llama, _PROMPTS[:1]) == [reply.content]
    assert reply.usage_metadata is not None
    assert 6 == reply.usage_metadata["input_tokens"]
    assert len(str(reply.content)) + 1 == reply.usage_metadata["output_tokens"]
    assert "stop" == reply.response_metadata["finish_reason"]


def test_stream_is_the_same_answer_with_usage(served: ServedModel) -> None:
    """The pieces of a stream add up to the answer, and its usage comes once."""
    chat = _chat(served)

    pieces = list(chat.stream(_PROMPTS[0]))

    whole = chat.invoke(_PROMPTS[0])
    added = sum(pieces[1:], start=pieces[0])
    assert isinstance(added, AIMessageChunk)
    assert whole.content == added.content
    assert whole.usage_metadata == added.usage_metadata
    assert len(pieces) > 2
    assert 1 == sum(piece.usage_metadata is not None for piece in pieces)


async def test_async_calls_answer_alike(served: ServedModel) -> None:
    """Async invoke and async stream give the same answer."""
    chat = _chat(served)

    reply = await chat.ainvoke(_PROMPTS[1])
    pieces = [str(piece.content) async for piece in chat.astream(_PROMPTS[1])]

    assert reply.content == "".join(pieces)
    await chat.root_async_client.close()


def test_an_answer_ends_at_its_limit(served: ServedModel) -> None:
    """`max_tokens` is kept, and the reason for the end says so."""
    reply = _chat(served, max_tokens=2).invoke(_PROMPTS[0])

    assert reply.usage_metadata is not None
    assert 2 == reply.usage_metadata["output_tokens"]
    assert "length" == reply.response_metadata["finish_reason"]


def test_sixteen_at_once(served: ServedModel, tiny_llama: Path) -> None:
    """Sixteen requests at a time get the answers that they get one by one."""
    prompts = _PROMPTS * 8

    replies = _chat(served).batch([*prompts], config={"max_concurrency": 16})

    assert answers(tiny_llama, prompts) == [reply.content for reply in replies]


def test_an_unknown_model_is_refused(served: ServedModel) -> None:
    """A request for another model is a bad request, and no other model answers it."""
    with pytest.raises(openai.BadRequestError):
        _chat(served, model="another").invoke("Add: 34+5")


def test_bad_json_is_refused(served: ServedModel) -> None:
    """A body that is no JSON is the caller's fault, and the server lives on."""
    status, _ = _post(served, b"{not json")
    assert 422 == status

    request = {"model": served.model, "messages": [{"role": "user", "content": _PROMPTS[0]}]}
    status, answer = _post(served, json.dumps(request).encode())
    assert 200 == status
    assert "assistant" == answer["choices"][0]["message"]["role"]


def test_the_server_ends_with_its_block(tiny_llama: Path) -> None:
    """After the block the process is gone and nobody listens any more, an error or not."""
    with pytest.raises(RuntimeError), serve(tiny_llama) as served:
        raise RuntimeError

    assert _wait_until_gone(served.process_id)
    with pytest.raises(ConnectionError):
        _post(served, b"{}")


def test_the_server_ends_when_its_parent_is_killed(tiny_llama: Path) -> None:
    """A parent that had no time to say goodbye leaves no server behind."""
    program = (
        "import sys, time; from pathlib import Path; from pickllm.demo.server import serve\n"
        "with serve(Path(sys.argv[1])) as served:\n"
        "    print(served.process_id, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tiny_llama)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)

    assert _wait_until_gone(process_id)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A folder without a model is told in the server's own words."""
    with pytest.raises(ServerFailed, match="ended before it was ready"), serve(tmp_path / "none"):
        pass
