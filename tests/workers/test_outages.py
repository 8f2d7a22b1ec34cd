"""Stores that go away, lock up or grow old under their workers: nothing is lost unsaid."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pickllm import Request, UnknownDecision, drive
from pickllm.stores import store_of
from pickllm.testing import Script, ScriptedPort
from pickllm.types import Experience
from tests.redis_server import RedisServer
from tests.workers.test_many_workers import address, check_state, experiences, start
from tests.workers.worker import decided, router_on, value_of

__all__ = ["address", "start"]  # fixtures

TWENTY, EACH = 20, 12
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def acknowledged(process: Any, count: int) -> list[str]:
    """The next ids that a worker prints."""
    return [process.stdout.readline().strip() for _ in range(count)]


@pytest.mark.parametrize("address", ["redis"], indirect=True)
def test_twenty_workers_learn_as_one(address: str, start: Any) -> None:
    """As many as the mission speaks of, on one server."""
    processes = [start(number, EACH) for number in range(TWENTY)]
    told = [line for process in processes for line in process.communicate(timeout=240)[0].split()]

    learnt = experiences(address)
    assert TWENTY * EACH == len(told) == len(learnt)
    assert {i: value_of(i) for i in told} == {i: e.score for i, e in learnt.items()}
    check_state(router_on(address), learnt)


@pytest.mark.parametrize("address", ["redis"], indirect=True)
def test_a_server_restarted_in_the_middle_loses_nothing(
    address: str, start: Any, redis_server: RedisServer
) -> None:
    """Workers go on while it is away; it comes back with its log, and gets what waited."""
    processes = [start(number, 150) for number in range(3)]
    told = [line for process in processes for line in acknowledged(process, 5)]
    redis_server.stop()
    redis_server.start()
    told += [line for process in processes for line in process.stdout.read().split()]

    learnt = experiences(address)
    assert 3 * 150 == len(told) == len(set(told))
    assert set(told) == set(learnt)
    check_state(router_on(address), learnt)


@pytest.fixture
def locked_file() -> Iterator[Any]:
    """Locks a SQLite file from another process, until what it returns is called."""
    running: list[subprocess.Popen[str]] = []

    def lock(path: Path) -> Any:
        process = subprocess.Popen(
            [sys.executable, "-c", LOCK, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert "locked\n" == process.stdout.readline()
        return lambda: process.communicate("done\n", timeout=60)

    yield lock
    for process in running:
        process.kill()
        process.communicate()


def test_a_file_locked_by_another_process_gets_what_waited(
    tmp_path: Path, locked_file: Any
) -> None:
    """A backup, or a shell that somebody left open."""
    path = tmp_path / "shared.db"
    router = router_on(f"sqlite:///{path}")
    unlock = locked_file(path)
    for step in range(5):
        decided(router, f"d{step}")
        assert "counted" == router.feedback(f"d{step}", value_of(f"d{step}"))
    assert {"store_failures": 1, "store_waiting": 10}.items() <= router.stats().items()
    unlock()

    router.close()

    learnt = experiences(f"sqlite:///{path}")
    assert {f"d{step}": value_of(f"d{step}") for step in range(5)} == {
        decision_id: experience.score for decision_id, experience in learnt.items()
    }
    check_state(router_on(f"sqlite:///{path}"), learnt)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_file_that_others_are_making_is_waited_for(
    tmp_path: Path, locked_file: Any, is_new: bool
) -> None:
    """Workers that begin together are not refused for want of a quarter of a second."""
    path = tmp_path / "shared.db"
    if not is_new:
        router_on(f"sqlite:///{path}").close()
    unlock = locked_file(path)
    with ThreadPoolExecutor() as threads:
        opening = threads.submit(router_on, f"sqlite:///{path}")
        if is_new:
            with pytest.raises(TimeoutError):
                opening.result(timeout=1.0)
        unlock()
        decided(opening.result(timeout=60.0), "one")


def test_what_could_not_be_written_in_the_end_is_told(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing a router whose store is away is the one way to lose what was learnt."""
    router = router_on(redis_server.url)
    redis_server.stop()
    decided(router, "one")
    router.close()
    redis_server.start()

    assert "1 events of 'pickllm/default' were not written" == caplog.messages[-1]


def test_snapshots_of_a_young_journal_are_no_failure(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to trim yet."""
    monkeypatch.setattr("pickllm.booking.keeper._BEHIND", 2)
    router = router_on(address)
    for step in range(6):
        decided(router, f"d{step}")
        router.feedback(f"d{step}", 1.0)
        router.save()

    assert "store_failures" not in router.stats()
    check_state(router_on(address), experiences(address))


def test_an_old_journal_is_trimmed_and_the_state_is_not(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a snapshot stands for is forgotten, but for the newest, which late feedback may need."""
    monkeypatch.setattr("pickllm.booking.keeper._BEHIND", 10)
    monkeypatch.setattr("pickllm.booking.keeper._REMEMBERED", 20)
    monkeypatch.setattr("pickllm.booking.keeper._AT_ONCE", 7)
    router, neighbour = router_on(address), router_on(address, seed=1)
    learnt: dict[str, Experience] = {}
    for step in range(100):
        decided(router, f"d{step}")
        router.feedback(f"d{step}", value_of(f"d{step}"))
        learnt |= experiences(address)
        router.save()
        neighbour.save()

    left = store_of(address).read("pickllm/default", after=0, limit=1000)
    assert 20 <= len(left) < 40
    fresh = router_on(address, seed=2)
    for worker in (router, neighbour, fresh):
        check_state(worker, learnt)
    with pytest.raises(UnknownDecision):
        fresh.feedback("d0", 1.0)
    assert "repeated" == fresh.feedback("d99", 1.0)
    assert "corrected" == fresh.feedback("d99", 1.0, correction=True)


def test_a_worker_that_was_idle_decides_by_what_others_learnt(address: str) -> None:
    """From its first request on; without requests it asks the store for nothing."""
    idle, busy = router_on(address), router_on(address, seed=1)
    for step in range(10):
        decided(busy, f"d{step}")
        busy.feedback(f"d{step}", value_of(f"d{step}"))
    assert 0 == idle.state.steps
    idle._books.keeper._synced_s -= 60.0  # a minute has passed

    port = ScriptedPort({arm: Script(pieces=("4",)) for arm in ("small", "large")})
    drive.run(idle.flow(Request(text="2 + 2 =")), port)

    assert 10 == idle.state.steps
    check_state(idle, experiences(address))
