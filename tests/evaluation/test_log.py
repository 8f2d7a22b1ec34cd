"""The log: written from a ledger, read back the same, and refused where it is none."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import Arm, ConfigError, Outcome, Request, Router, WeightedReward, Weights
from pickllm.evaluation.log import LogEntry, entry_of, read_log, write_log
from pickllm.evaluation.logged import LoggedDecisions, log_warnings
from pickllm.types import Attempt, Hold, Status
from tests.unit.doubles import priced

ENTRY = LogEntry(
    id="1",
    time_s=2.0,
    policy="random()",
    arms=("a", "b"),
    probabilities=(0.25, 0.75),
    arm="b",
    status="ok",
    answered_by="b",
    cost_usd=0.5,
    latency_s=1.5,
    source_to_score={"user": 1.0, "scorer": 0.5},
)
QUALITY = WeightedReward(weights=Weights(quality=1.0, cost=0.0, latency=0.0))


def attempt(arm: str, status: Status = "ok", cost_usd: float | None = 0.25) -> Attempt:
    """An arm that took a second."""
    return Attempt(arm=arm, status=status, latency_s=1.0, cost_usd=cost_usd)


def traffic() -> Router:
    """One of each: judged, failed over, failed, open, held, stopped, not judged."""
    router = Router(arms=priced("a", "b"), policy="random", seed=1, clock=iter(range(99)).__next__)
    ends: dict[str, tuple[Attempt, ...]] = {
        "judged": (attempt("a"),),
        "failed over": (attempt("a", "error", None), attempt("b")),
        "failed": (attempt("a", "error", None),),
        "cancelled": (attempt("a", "cancelled"),),
        "not judged": (attempt("a"),),
        "turn": (attempt("a"),),
    }
    for name, attempts in ends.items():
        hold = Hold(arm="a", reason="tool loop", continues="judged") if name == "turn" else None
        router.decide(Request(text="secret", id=name, hold=hold))
        router.settle(Outcome(decision_id=name, attempts=attempts))
    router.decide(Request(text="secret", id="open"))
    router.feedback("judged", 1.0)
    router.feedback("failed over", 0.5, "scorer")
    return router


def test_a_ledger_is_written_and_read_back(tmp_path: Path) -> None:
    """Each record as it stands, in the order of time, without a word of a prompt."""
    router, path = traffic(), tmp_path / "log.jsonl"

    assert 7 == write_log(path, router.ledger)

    assert [entry_of(record) for record in router.ledger] == read_log(path)
    assert "secret" not in path.read_text(encoding="utf-8")


def test_an_entry_knows_what_came_of_its_decision() -> None:
    """Cost and time of all arms asked, and of the turns that went on."""
    id_to_entry = {entry.id: entry for entry in map(entry_of, traffic().ledger)}

    first, over = id_to_entry["judged"], id_to_entry["failed over"]
    assert (0.5, 2.0, {"user": 1.0}) == (first.cost_usd, first.latency_s, first.source_to_score)
    assert ("b", 0.25, 2.0, "ok") == (over.answered_by, over.cost_usd, over.latency_s, over.status)
    turn = id_to_entry["turn"]
    assert ("tool loop", "judged") == (turn.held, turn.begun_by)
    assert ("open", None) == (id_to_entry["open"].status, id_to_entry["open"].cost_usd)


def test_an_answer_without_a_price_has_an_unknown_cost() -> None:
    """It is no zero."""
    router = Router(arms=[Arm(name="a")])
    router.decide(Request(text="", id="1"))
    router.settle(Outcome(decision_id="1", attempts=(attempt("a", cost_usd=None),)))

    assert None is entry_of(router.ledger["1"]).cost_usd


@given(
    st.builds(
        LogEntry,
        id=st.text(),
        time_s=st.floats(0, 1e12),
        policy=st.text(),
        arms=st.just(("a", "b\n")),
        probabilities=st.floats(0, 1).map(lambda p: (p, 1.0 - p)),
        arm=st.sampled_from(["a", "b\n"]),
        values=st.one_of(st.just(()), st.just((None, 0.5))),
        ineligible=st.dictionaries(st.text(), st.text(), max_size=2),
        features=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)).map(tuple),
        cost_usd=st.one_of(st.none(), st.floats(0, 1e3)),
        source_to_score=st.dictionaries(st.text(), st.floats(0, 1), max_size=2),
        status=st.sampled_from(["open", "ok", "error", "cancelled", "abandoned"]),
    )
)
def test_any_entry_survives_its_line(
    tmp_path_factory: pytest.TempPathFactory, entry: LogEntry
) -> None:
    """To the last digit, whatever letters its names are made of."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    write_log(path, [entry])

    assert [entry] == read_log(path)


def test_logs_may_be_put_together(tmp_path: Path) -> None:
    """In any order; what a later line says of a decision counts."""
    path = tmp_path / "log.jsonl"
    write_log(path, [ENTRY])
    write_log(
        path, [replace(ENTRY, id="0", time_s=1.0), replace(ENTRY, status="error")], append=True
    )

    assert [("0", "ok"), ("1", "error")] == [(each.id, each.status) for each in read_log(path)]


def test_a_line_that_a_crash_cut_off_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last one alone, and that is told."""
    path = tmp_path / "log.jsonl"
    write_log(path, [ENTRY])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"pickllm_log": 1, "id": "2", "ti')

    with caplog.at_level(logging.WARNING, logger="pickllm"):
        assert [ENTRY] == read_log(path)
    assert "was cut off" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        "{}",
        '{"pickllm_log": 2}',
        '{"pickllm_log": 1}',
        '{"pickllm_log": 1, "nonsense": 1}',
        json.dumps({"pickllm_log": 1, "id": 7}),
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    """Anywhere but at a broken end."""
    path = tmp_path / "log.jsonl"
    write_log(path, [ENTRY])
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")

    with pytest.raises(ConfigError, match=r"line 2 of .* is no entry of a log"):
        read_log(path)


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    """As an error of ours."""
    with pytest.raises(ConfigError, match="cannot read the log"):
        read_log(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "change",
    [{"probabilities": (0.5,)}, {"probabilities": (0.5, 0.6)}, {"arm": "c"}, {"values": (1.0,)}],
    ids=str,
)
def test_an_entry_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    """Its probabilities are those of its arms."""
    with pytest.raises(ConfigError):
        replace(ENTRY, **change)


# As a table


def test_choices_are_kept_and_the_rest_is_counted() -> None:
    """A failure is a choice that earned nothing; a held turn is none at all."""
    logged = LoggedDecisions.of(map(entry_of, traffic().ledger), reward=QUALITY)

    assert [1.0, 0.5, 0.0] == logged.reward.tolist()
    assert {"held": 1, "cancelled": 1, "open": 1, "not judged": 1} == logged.left_out
    assert (3, ("a", "b")) == (len(logged), logged.arms)
    np.testing.assert_array_equal(logged.propensity, 0.5)


def test_what_nobody_judged_may_have_a_score() -> None:
    """Said in so many words; and one source may be picked among several."""
    entries = [ENTRY, replace(ENTRY, id="2", source_to_score={})]

    assert [0.75] == LoggedDecisions.of(entries, reward=QUALITY).reward.tolist()
    assert [0.75, 0.25] == LoggedDecisions.of(entries, reward=QUALITY, unjudged=0.25).score.tolist()
    assert [1.0] == LoggedDecisions.of(entries, reward=QUALITY, source="user").score.tolist()
    with pytest.raises(ConfigError, match=r"no decision is left .*: 2 not judged"):
        LoggedDecisions.of(entries, source="nobody")


def test_other_weights_may_be_asked_about() -> None:
    """The reward is made from score, cost and latency, not taken from the log."""
    cheap = WeightedReward(weights=Weights(quality=0.0, cost=1.0, latency=0.0))
    dear = replace(ENTRY, id="2", cost_usd=0.0)

    assert [0.0, 1.0] == LoggedDecisions.of([ENTRY, dear], reward=cheap).reward.tolist()


def test_a_cost_that_is_unknown_somewhere_counts_nowhere() -> None:
    """As for the live policy: costs of some arms alone cannot be compared."""
    entries = [ENTRY, replace(ENTRY, id="2", cost_usd=None)]
    first, second = LoggedDecisions.of(entries).reward

    assert first == second


def test_an_arm_that_was_not_eligible_has_no_chance() -> None:
    """Its column is there, for others had it."""
    alone = replace(ENTRY, id="2", arms=("c",), probabilities=(1.0,), arm="c")
    logged = LoggedDecisions.of([ENTRY, alone])

    assert ("a", "b", "c") == logged.arms
    assert [[True, True, False], [False, False, True]] == logged.eligible.tolist()
    np.testing.assert_array_equal(logged.always("a"), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(logged.uniform(), [[0.5, 0.5, 0], [0, 0, 1]])
    assert 1 == len(logged.only(np.array([True, False])))


def test_features_of_two_lengths_are_told() -> None:
    """They cannot stand in one table."""
    with pytest.raises(ConfigError, match="spans a change of the featurizer"):
        LoggedDecisions.of([ENTRY, replace(ENTRY, id="2", features=(1.0,))])


def test_odds_that_arms_were_not_drawn_with_are_told() -> None:
    """A hundred draws of an arm with a quarter of the chance."""
    honest = [
        replace(ENTRY, id=f"{i}", arm="a" if i % 4 == 0 else "b", answered_by="")
        for i in range(100)
    ]
    forged = [replace(each, arm="a") for each in honest]

    assert () == log_warnings(LoggedDecisions.of(honest))
    told = log_warnings(LoggedDecisions.of(forged))
    assert "'a' was drawn 100 times where its probabilities add up to 25.0" in told[0]


def test_feedback_that_depends_on_the_arm_is_told() -> None:
    """The judged are a chosen few."""
    entries = [
        replace(
            ENTRY,
            id=f"{i}",
            probabilities=(0.5, 0.5),
            arm="ab"[i % 2],
            source_to_score={"user": 1.0} if i % 4 != 2 else {},
        )
        for i in range(80)
    ]

    (told,) = log_warnings(LoggedDecisions.of(entries))

    assert "50% of the answers of 'a' were judged and 100% of 'b'" in told
