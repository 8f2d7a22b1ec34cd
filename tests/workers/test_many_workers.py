"""Many processes on one store: they learn as one, lose nothing, and count nothing twice."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pickllm import Router
from pickllm.booking.events import Decided, Judged, decode
from pickllm.stores import store_of
from pickllm.types import Experience
from tests.redis_server import RedisServer
from tests.workers.worker import ARMS, decided, router_on, value_of

WORKERS, EACH = 4, 60


@pytest.fixture(params=["redis", "sqlite"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that processes can share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
def start(address: str) -> Iterator[Any]:
    """Starts workers, and ends those that are left."""
    running: list[subprocess.Popen[str]] = []

    def begin(number: int, count: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.workers.worker", address, str(number), str(count)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def experiences(address: str) -> dict[str, Experience]:
    """What the journal says was learnt, by decision; each there once."""
    notes = store_of(address).read("pickllm/default", after=0, limit=100_000)
    judged = [event for event in (decode(n.value) for n in notes) if isinstance(event, Judged)]
    by_id = {event.experience.decision.id: event.experience for event in judged}
    assert len(judged) == len(by_id)
    return by_id


def check_state(router: Router, learnt: dict[str, Experience]) -> None:
    """The state is the mean of what was judged, to the last bits."""
    for arm in ARMS:
        rewards = [e.reward for e in learnt.values() if e.arm == arm]
        assert len(rewards) == router.state.estimates.arm_to_count.get(arm, 0)
        if rewards:
            mean = sum(rewards) / len(rewards)
            assert mean == pytest.approx(router.state.estimates.arm_to_mean[arm], abs=1e-9)


def test_workers_learn_as_one(address: str, start: Any) -> None:
    """Whatever the order: each judgement counts once, in the state of each worker."""
    processes = [start(number, EACH) for number in range(WORKERS)]
    told = [line for process in processes for line in process.communicate(timeout=60)[0].split()]

    learnt = experiences(address)
    assert WORKERS * EACH == len(told) == len(learnt)
    assert {i: value_of(i) for i in told} == {i: e.score for i, e in learnt.items()}
    check_state(router_on(address), learnt)


def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(address: str, start: Any) -> None:
    """What was acknowledged is there once; another goes on, and may be told again."""
    told: list[str] = []
    for number in range(6):
        process = start(number, 10_000)
        told += [process.stdout.readline().strip() for _ in range(3 + 4 * number)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()

    learnt = experiences(address)
    assert set(told) <= set(learnt)
    assert len(learnt) <= len(told) + 6  # written, and killed before it could say so
    router = router_on(address)
    check_state(router, learnt)
    assert {"repeated"} == {router.feedback(decision_id, 0.5) for decision_id in told}
    check_state(router, learnt)


def test_feedback_told_to_all_workers_at_once_counts_once(address: str) -> None:
    """The same judgement, from eight sides."""
    routers = [router_on(address, seed=number) for number in range(8)]
    for step in range(20):
        decided(routers[0], f"d{step}")
        routers[0].save()
        together = threading.Barrier(len(routers))

        def tell(router: Router, step: int = step, together: Any = together) -> str:
            together.wait()
            return router.feedback(f"d{step}", value_of(f"d{step}"))

        with ThreadPoolExecutor(len(routers)) as pool:
            verdicts = sorted(pool.map(tell, routers))
        assert ["counted", *["repeated"] * 7] == verdicts

    for router in routers:
        router.save()
        check_state(router, experiences(address))


def test_a_decision_may_be_judged_by_a_worker_that_never_saw_it(address: str) -> None:
    """Also after the one that made it has ended."""
    first, second = router_on(address), router_on(address, seed=1)
    decided(first, "one")
    first.close()

    assert "counted" == second.feedback("one", 1.0)
    assert "ok" == second.explain("one").status
    check_state(second, experiences(address))


def test_a_server_that_comes_back_gets_what_waited(redis_server: RedisServer) -> None:
    """Answers go on meanwhile, and nothing is lost."""
    router = router_on(redis_server.url)
    decided(router, "before")
    router.feedback("before", 1.0)
    redis_server.stop()
    for step in range(10):
        decided(router, f"meanwhile {step}")
        assert "counted" == router.feedback(f"meanwhile {step}", 0.5)
    assert 20 <= router.stats()["store_waiting"]
    redis_server.start()
    router._books.keeper._retry_s = 0.0  # the rest that it was given is over

    router.save()

    learnt = experiences(redis_server.url)
    assert {"before", *(f"meanwhile {step}" for step in range(10))} == set(learnt)
    check_state(router_on(redis_server.url), learnt)


def test_decisions_are_kept_without_prompts(address: str) -> None:
    """Who may read the store may not read what people asked."""
    router = router_on(address)
    decided(router, "one")
    router.close()

    notes = store_of(address).read("pickllm/default", after=0, limit=10)
    assert ["Decided"] == [type(decode(note.value)).__name__ for note in notes]
    assert all(isinstance(decode(note.value), Decided) for note in notes)
    assert not any(b"2 + 2" in note.value for note in notes)
