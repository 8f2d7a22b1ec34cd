"""When a session has come to rest."""

import pytest

from pickllm import Convergence
from pickllm.convergence import convergence

EVEN, TO_A, TO_B = (0.5, 0.5), (0.9, 0.1), (0.1, 0.9)


def found(*probabilities: tuple[float, ...], patience: int = 3) -> Convergence:
    """Convergence of decisions between a and b."""
    return convergence([("a", "b")] * len(probabilities), probabilities, patience=patience)


def test_nothing_decided_is_not_converged() -> None:
    """Without decisions nobody leads."""
    assert Convergence(arm=None, since=None, probability=0.0, decisions=0) == found()


def test_shared_lead_is_no_lead() -> None:
    """Where the last decision had two likeliest arms, nobody leads."""
    assert Convergence(arm=None, since=None, probability=0.0, decisions=5) == found(
        *[TO_A] * 4, EVEN
    )


def test_lead_counts_once_it_has_lasted() -> None:
    """The same arm must have led alone for as many decisions as patience says."""
    assert Convergence(arm="a", since=None, probability=0.9, decisions=3) == found(EVEN, TO_A, TO_A)
    assert Convergence(arm="a", since=1, probability=0.9, decisions=4) == found(
        EVEN, TO_A, TO_A, TO_A
    )
    assert found(EVEN, TO_A, TO_A, TO_A).converged


def test_change_of_lead_starts_anew() -> None:
    """A new leader has led since it took over, not since the session began."""
    assert Convergence(arm="b", since=4, probability=0.9, decisions=7) == found(
        *[TO_A] * 4, *[TO_B] * 3
    )


@pytest.mark.parametrize("last", [("a",), ("a", "b", "c")], ids=["shrunk", "grown"])
def test_pool_may_change_meanwhile(last: tuple[str, ...]) -> None:
    """The leader is an arm, whatever the others: a pool that changes does not end its lead."""
    weights = (1.0,) if len(last) == 1 else (0.6, 0.2, 0.2)
    got = convergence([("a", "b"), ("a", "b"), last], [TO_A, TO_A, weights], patience=3)
    assert ("a", 0) == (got.arm, got.since)
