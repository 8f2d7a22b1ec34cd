"""Battles out of live traffic."""

import numpy as np
import pytest

from pickllm import Arm, ConfigError, Request, Router
from pickllm.data import traffic_battles
from pickllm.data.traffic import ASKED_AGAIN, DRAFTS
from pickllm.evaluation import read_ledger
from pickllm.types import Attempt, Outcome, Status

POOL = [Arm(name=name, usd_per_hour=1.0) for name in ("large", "small")]


def router_on(store: str | None = None) -> Router:
    """Two arms, with features that tell prompts apart."""
    return Router(arms=POOL, policy="contextual", store=store)


def answered(
    router: Router,
    arm: str,
    *,
    text: str = "2 + 2 =",
    session: str = "mine",
    tenant: str = "",
    score: float | None = None,
    status: Status = "ok",
    trace: str = "",
) -> str:
    """One answer of an arm; returns the decision's id."""
    runs = (trace,) if trace else ()
    request = Request(text=text, session=session, tenant=tenant, only=(arm,), trace_ids=runs)
    decision = router.decide(request)
    attempt = Attempt(arm=arm, status=status, latency_s=0.1, cost_usd=0.001)
    router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
    if score is not None:
        router.feedback(decision.id, score, source="user")
    return decision.id


def test_an_answer_asked_for_again_beats_the_one_before() -> None:
    """Where another arm gave it and nothing was said of either; it counts less than a verdict."""
    router = router_on()
    for arm in ("small", "small", "large"):
        answered(router, arm)

    found = traffic_battles(router.ledger).table

    assert ((ASKED_AGAIN,), [0.25]) == (found.sources, found.weight.tolist())
    assert [[0.0, 0.25], [0.0, 0.0]] == found.wins().tolist()


def test_two_scores_of_one_source_are_a_battle() -> None:
    """The higher wins, or neither within the margin; which was asked last does not matter."""
    router = router_on()
    answered(router, "large", score=0.9)
    answered(router, "small", score=0.7)

    assert [1.0] == traffic_battles(router.ledger).table.won.tolist()
    assert [0.5] == traffic_battles(router.ledger, margin=0.3).table.won.tolist()
    assert ("user",) == traffic_battles(router.ledger).table.sources


def test_sessions_are_compared_only_where_that_is_wanted() -> None:
    """A thumb of one user and a thumb of another have no common measure; tenants never meet."""
    router = router_on()
    answered(router, "large", session="one", score=1.0)
    answered(router, "small", session="two", score=0.0)
    answered(router, "small", session="three", tenant="other", score=0.9)

    with pytest.raises(ConfigError, match="across_sessions"):
        traffic_battles(router.ledger)
    assert 1 == len(traffic_battles(router.ledger, across_sessions=True).table)


def test_requests_without_a_session_are_not_asked_again() -> None:
    """Equal prompts of nobody in particular are no complaint."""
    router = router_on()
    for arm in ("small", "large"):
        answered(router, arm, session="")

    with pytest.raises(ConfigError, match="no prompt was answered by two arms"):
        traffic_battles(router.ledger)


def test_what_failed_is_no_answer() -> None:
    """Nor are answers to different prompts a battle."""
    router = router_on()
    answered(router, "small", status="error")
    answered(router, "large")
    answered(router, "small", text="a poem")

    with pytest.raises(ConfigError):
        traffic_battles(router.ledger)


def test_drafts_of_a_cascade_are_battles() -> None:
    """By the scores that its scorer gave them, whichever was shown; without one there is none."""
    router = router_on()
    decision = router.decide(Request(text="2 + 2 =", only=("small",)))
    attempts = (
        Attempt(arm="small", status="rejected", latency_s=0.1, score=0.3),
        Attempt(arm="large", status="ok", latency_s=0.1, score=0.8),
    )
    router.settle(Outcome(decision_id=decision.id, attempts=attempts))

    found = traffic_battles(router.ledger)

    assert ((DRAFTS,), [[0.0, 1.0], [0.0, 0.0]], 0) == (
        found.table.sources,
        found.table.wins().tolist(),
        found.alone,
    )


def test_one_sided_praise_is_no_battle() -> None:
    """One answer was judged and the other was not: nothing says which is better."""
    router = router_on()
    answered(router, "small", score=1.0)
    answered(router, "large")

    with pytest.raises(ConfigError):
        traffic_battles(router.ledger)


def test_prompts_are_found_by_decision_and_by_run() -> None:
    """And the vectors are what the router decided by."""
    router = router_on()
    ids = [answered(router, "small"), answered(router, "large", trace="run 7")]

    found = traffic_battles(router.ledger, {ids[0]: "2 + 2 =", "run 7": "2 + 2 ="})

    assert (("2 + 2 =",), True, 0) == (found.table.prompts, found.texts_known, found.alone)
    assert np.array_equal(router.ledger[ids[0]].decision.features, found.vectors[0])


def test_what_is_known_by_its_features_has_no_text() -> None:
    """It says so, and two prompts with different features are two."""
    router = router_on()
    for text in ("2 + 2 =", "a poem"):
        for arm in ("small", "large"):
            answered(router, arm, text=text)
    answered(router, "small", text="alone")

    found = traffic_battles(router.ledger)

    assert (False, 2, 1) == (found.texts_known, len(found.table.prompts), found.alone)
    assert (2, len(router.ledger.last.decision.features)) == found.vectors.shape


def test_the_journal_of_a_store_gives_the_same(tmp_path: object) -> None:
    """As the ledger that wrote it, runs and judgements included."""
    address = f"sqlite:///{tmp_path}/routes.db"
    router = router_on(address)
    ids = [answered(router, "large", score=0.9), answered(router, "small", score=0.4)]
    router.save()

    here = traffic_battles(router.ledger, dict.fromkeys(ids, "2 + 2 ="))
    there = traffic_battles(read_ledger(address), dict.fromkeys(ids, "2 + 2 ="))

    assert here.table.wins().tolist() == there.table.wins().tolist()
    assert np.array_equal(here.vectors, there.vectors)
