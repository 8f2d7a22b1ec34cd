"""One router, many threads: nothing is lost and nothing is counted twice."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from pickllm import LearningAutomaton, Request, Router, drive
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort
from tests.unit.doubles import priced

THREADS, EACH = 32, 8
TOTAL = THREADS * EACH
SCRIPTS = {"a": Script(pieces=("yes", ".")), "b": Script(pieces=("no",))}


def test_threads_share_a_router() -> None:
    """32 threads: every request is decided, settled, scored, judged, learnt and kept once."""
    store = MemoryStore()
    router = Router(
        arms=priced("a", "b"),
        policy=LearningAutomaton(floor=0.1),
        weights={"quality": 1.0},
        scorer=lambda _prompt, _answer: 0.5,
        store=store,
        seed=1,
    )
    port, together = ScriptedPort(SCRIPTS), threading.Barrier(THREADS)

    def session(thread: int) -> None:
        together.wait()
        for number in range(EACH):
            request = Request(text="2 + 2 =", id=f"{thread}/{number}")
            if number % 2:
                drive.run(router.flow(request), port)
            else:
                list(drive.stream(router.flow(request), port))
            router.feedback(request.id, 1.0)
            router.feedback(request.id, 1.0)
            router.explain(request.id)
            router.stats()
            router.convergence()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(session, range(THREADS)))
    assert {
        "decisions": TOTAL,
        "outcome_ok": TOTAL,
        "feedback_counted": 2 * TOTAL,
        "feedback_repeated": TOTAL,
    } == {name: count for name, count in router.stats().items() if count}
    assert TOTAL == len(router.ledger)
    assert 2 * TOTAL == router.state.steps
    assert 0.75 == round(router.state.reward_mean, 9)
    assert TOTAL == len(port.asked)
    router.close()
    kept = Router(arms=priced("a", "b"), policy=LearningAutomaton(floor=0.1), store=store)
    assert router.state == kept.state


def test_threads_draw_what_one_thread_would_have_drawn() -> None:
    """Draws belong to a decision's number, so many threads draw the same numbers as one."""
    policy = LearningAutomaton()
    together, alone = (Router(arms=priced("a", "b"), policy=policy, seed=3) for _ in range(2))
    with ThreadPoolExecutor(THREADS) as pool:
        requests = [Request(text="") for _ in range(TOTAL)]
        drawn = list(pool.map(lambda request: together.decide(request).arm, requests))
    assert sorted(drawn) == sorted(alone.decide(Request(text="")).arm for _ in range(TOTAL))


async def test_tasks_share_a_router() -> None:
    """Many tasks of one loop do as well."""
    router = Router(arms=priced("a", "b"), scorer=lambda _prompt, _answer: 1.0, seed=1)
    port = ScriptedPort(SCRIPTS)
    routed = await asyncio.gather(
        *(drive.arun(router.flow(Request(text="")), port) for _ in range(TOTAL))
    )
    assert {1.0} == {each.score for each in routed}
    assert TOTAL == router.state.steps == router.stats()["outcome_ok"]


def test_corrections_from_many_threads_end_in_one_state() -> None:
    """While threads correct each other, the state stays the fold of what stands in the ledger."""
    router = Router(
        arms=priced("a", "b"), policy="epsilon_greedy", weights={"quality": 1.0}, seed=1
    )
    ids = [str(number) for number in range(20)]
    for name in ids:
        drive.run(router.flow(Request(text="", id=name)), ScriptedPort(SCRIPTS))

    def correct(thread: int) -> None:
        for name in ids:
            router.feedback(name, (thread % 5) / 4, correction=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(correct, range(8)))
    arm_to_values: dict[str, list[float]] = {}
    for record in router.ledger:
        values = arm_to_values.setdefault(record.decision.arm, [])
        values.append(record.source_to_feedback["user"].value)
    means = {arm: sum(values) / len(values) for arm, values in arm_to_values.items()}
    assert {arm: round(mean, 9) for arm, mean in means.items()} == {
        arm: round(mean, 9) for arm, mean in router.state.estimates.arm_to_mean.items()
    }
    assert len(ids) == router.state.steps
