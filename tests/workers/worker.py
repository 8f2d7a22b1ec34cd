"""A process that routes and hears feedback, for tests of many on one store.

python -m tests.workers.worker ADDRESS NUMBER COUNT: makes COUNT decisions, judges each, and prints
the id of each whose feedback was acknowledged.
"""

import sys

from pickllm import Arm, Router
from pickllm.policies import epsilon_greedy
from pickllm.types import Attempt, Outcome, Request

ARMS = ("small", "large")


def router_on(address: str, *, seed: int = 0) -> Router:
    """One of many that learn as one."""
    return Router(
        arms=[Arm(name=name, usd_per_hour=1.0) for name in ARMS],
        policy=epsilon_greedy(),
        weights={"quality": 1.0},
        store=address,
        seed=seed,
    )


def value_of(decision_id: str) -> float:
    """The judgement of a decision, which anyone can work out from its id."""
    return sum(map(ord, decision_id)) % 11 / 10


def decided(router: Router, decision_id: str) -> None:
    """One decision, answered."""
    decision = router.decide(Request(text="2 + 2 =", id=decision_id))
    attempt = Attempt(arm=decision.arm, status="ok", latency_s=0.1, cost_usd=0.001)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))


def main(address: str, number: int, count: int) -> None:
    """Decide, judge, acknowledge."""
    router = router_on(address, seed=number)
    for step in range(count):
        decision_id = f"{number}/{step}"
        decided(router, decision_id)
        if router.feedback(decision_id, value_of(decision_id)) == "counted":
            sys.stdout.write(f"{decision_id}\n")
            sys.stdout.flush()
    router.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
