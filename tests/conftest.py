"""Settings of every test: property tests draw the same examples on every machine."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.redis_server import RedisServer, running_redis

settings.register_profile("pickllm", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("pickllm")


@pytest.fixture(scope="session")
def _redis_process() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_server(_redis_process: RedisServer) -> RedisServer:
    """A real Redis server with nothing in it; one process for all tests of a worker."""
    _redis_process.flush()
    return _redis_process
