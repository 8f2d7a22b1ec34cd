"""A model behind OpenAI's HTTP interface on this machine, so that one arm of the demo is remote.

    with serve(folder) as served:
        ChatOpenAI(model=served.model, base_url=served.base_url, api_key="none", max_tokens=16)

The server is `transformers serve`, which streams, counts tokens and takes many requests at once.
What is added here is its life: it gets a free port, is waited for until it answers, and ends with
the `with` block. Should this process be killed, the server's standard input closes, and it ends
itself.

Two of its habits to know: it lets an answer run to 1,024 tokens unless the request says
`max_tokens`, and it asks for no API key.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO

from pickllm.errors import MissingExtra, PickLLMError

__all__ = ["ServedModel", "ServerFailed", "serve"]

_HOST = "127.0.0.1"
_GRACE_S = 5.0


class ServerFailed(PickLLMError):
    """The server of a local model ended, or did not answer, before it was ready."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """Where a model is to be had."""

    model: str
    """The name to ask for: that of the folder."""
    base_url: str
    """Such as "http://127.0.0.1:8123/v1"."""
    process_id: int


@contextmanager
def serve(folder: Path, *, port: int = 0, start_timeout_s: float = 120.0) -> Iterator[ServedModel]:
    """Serve the model of a folder while the `with` block lasts.

    Args:
        folder: What `save_pretrained` wrote, the tokenizer and its chat template included.
        port: Where to listen on this machine; 0 takes a free port.
        start_timeout_s: How long to wait until it answers; some five seconds are usual.

    Raises:
        ServerFailed: It ended or did not answer in time; the message holds its last words.
    """
    for module in ("fastapi", "uvicorn", "transformers"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra("Serving a local model", extra="demo")
    port = port or _free_port()
    with tempfile.TemporaryFile() as log:
        process = _start(folder, port, log)
        try:
            _wait_until_ready(process, port, start_timeout_s, log)
            yield ServedModel(
                model=folder.name,
                base_url=f"http://{_HOST}:{port}/v1",
                process_id=process.pid,
            )
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        return int(listener.getsockname()[1])


def _start(folder: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pickllm.demo.server", str(folder.resolve()), str(port)]
    surroundings = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",  # small models are fastest so, and a core stays free for the rest
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.Popen(  # noqa: S603  # our own interpreter, our own module
        command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=surroundings
    )


def _wait_until_ready(
    process: subprocess.Popen[bytes], port: int, timeout_s: float, log: IO[bytes]
) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not _answers(port):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline_s:
            log.seek(0)
            words = log.read().decode(errors="replace")[-2000:]
            what = "ended before it was ready" if ended else f"was not ready in {timeout_s} s"
            raise ServerFailed(f"The server of a local model {what}. It said:\n{words}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    connection = HTTPConnection(_HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


# ---- in the server's own process -----------------------------------------------------------------


def _end_with_parent() -> None:
    """Wait until standard input closes, which it does when the parent is gone; then end."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def _main(arguments: Sequence[str]) -> None:
    """Run `transformers serve` on a folder, under the folder's own name."""
    folder, port = Path(arguments[0]), arguments[1]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(folder.parent)
    options = ["--host", _HOST, "--port", port, "--device", "cpu", "--log-level", "error"]
    sys.argv = ["transformers", "serve", folder.name, *options]
    (command,) = entry_points(group="console_scripts", name="transformers")
    command.load()()


if __name__ == "__main__":
    _main(sys.argv[1:])
