"""Many processes under one cap: together they spend what is there and no more."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pickllm import BudgetExceeded, Outcome, Request
from pickllm.types import Attempt
from tests.redis_server import RedisServer
from tests.workers.spender import CAP, spender_on

WORKERS, EACH = 4, 60


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts spenders, and ends those that are left."""
    running: list[subprocess.Popen[str]] = []

    def begin(address: str, number: int, count: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.workers.spender", address, str(number), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def test_workers_on_redis_never_overspend(redis_server: RedisServer, start: Any) -> None:
    """Nor do they leave anything that a call would fit into."""
    processes = [start(redis_server.url, number, EACH) for number in range(WORKERS)]
    ends = [process.communicate(timeout=60) for process in processes]
    spent = sum(int(cost) for out, _ in ends for cost in out.split())

    assert ["0 0"] * WORKERS == [err.splitlines()[-1] for _, err in ends]
    assert CAP - 3 < spent <= CAP
    assert CAP - spent == spender_on(redis_server.url).budget_left_usd()


def test_nor_do_workers_on_one_file(tmp_path: Path, start: Any) -> None:
    """A file that is locked for long counts as down, so each keeps to its own count at most."""
    address = f"sqlite:///{tmp_path / 'shared.db'}"
    processes = [start(address, number, EACH) for number in range(WORKERS)]
    ends = [process.communicate(timeout=60) for process in processes]
    spent = sum(int(cost) for out, _ in ends for cost in out.split())

    alone = sum(int(err.splitlines()[-1].split()[0]) for _, err in ends)
    assert spent <= CAP + 3 * alone


def test_what_a_killed_worker_had_set_aside_is_never_spent_twice(
    redis_server: RedisServer, start: Any
) -> None:
    """It stays set aside until the window ends: at most one call's worth."""
    spent = 0
    process = start(redis_server.url, 1, 10_000)
    spent += sum(int(process.stdout.readline()) for _ in range(5))
    process.send_signal(signal.SIGKILL)
    spent += sum(int(cost) for cost in process.stdout.read().split())

    left = spender_on(redis_server.url).budget_left_usd()
    assert left is not None
    assert CAP - spent - 6 <= left <= CAP - spent  # one told late, and one under way


def test_a_server_that_comes_back_is_told_what_was_spent(redis_server: RedisServer) -> None:
    """Answers go on meanwhile."""
    router, other = spender_on(redis_server.url), spender_on(redis_server.url, seed=1)
    router.decide(Request(text=""))
    redis_server.stop()
    for _ in range(15):
        decision = router.decide(Request(text=""))
        attempt = Attempt(arm="only", status="ok", latency_s=0.1, cost_usd=3.0)
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    with pytest.raises(BudgetExceeded):
        router.decide(Request(text=""))
    redis_server.start()
    assert 15 == router.stats()["budget_alone"]
    spending = router._spending
    assert spending is not None
    spending._retry_s = 0.0  # the rest that it was given is over

    router.save()

    with pytest.raises(BudgetExceeded):
        other.decide(Request(text=""))
