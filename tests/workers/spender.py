"""A process that spends under a shared cap, for tests of many on one store.

python -m tests.workers.spender ADDRESS NUMBER COUNT: asks COUNT times, settles most of it at less
than was set aside, and prints what each answer cost.
"""

import sys

from pickllm import Arm, Budget, BudgetExceeded, Outcome, Request, Router
from pickllm.types import Attempt

CAP = 50
"""In dollars, of which a call may take 3, and takes 0, 1, 2 or 3."""


def spender_on(address: str, *, seed: int = 0) -> Router:
    """One of many under one cap, in one window for as long as a test lasts."""
    return Router(
        arms=[Arm(name="only", reserve_usd=3.0)],
        policy="random",
        weights={"quality": 1.0},
        budget=Budget(usd=float(CAP), window_s=1e9),
        store=address,
        seed=seed,
    )


def main(address: str, number: int, count: int) -> None:
    """Reserve, settle, tell."""
    router = spender_on(address, seed=number)
    for step in range(count):
        try:
            decision = router.decide(Request(text="", id=f"{number}/{step}"))
        except BudgetExceeded:
            continue
        cost = (number + step) % 4
        attempt = Attempt(arm="only", status="ok", latency_s=0.1, cost_usd=float(cost))
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
        sys.stdout.write(f"{cost}\n")
        sys.stdout.flush()
    router.close()
    alone = router.stats().get("budget_alone", 0)
    contended = router.stats().get("budget_contended", 0)
    sys.stderr.write(f"{alone} {contended}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
