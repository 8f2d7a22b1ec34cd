"""Battles from live traffic: one prompt that two arms have answered, and what was said of both.

    asked again        a prompt is put a second time, and another arm answers ("try another model")
    judged twice       one source has scored answers of two arms to one prompt
    drafts             a cascade's scorer has scored what two arms answered to one request

    router.ledger, or read_ledger("sqlite:///routes.db") ──► traffic_battles ──► PreferenceTable

A ledger keeps no prompts. Give them by the ids of decisions, or of the runs around them, from where
you keep them; what has none is told apart by its features and makes battles all the same, whose
vectors can be learnt from, and whose text can not: see `TrafficBattles.texts_known`.

Scores of one source compare where it judges by one measure, as an evaluator does. A thumb of one
user and a thumb of another do not, so answers are compared within a session unless it is said
otherwise. Where nothing was said of either answer, the last one is taken for the better one: who
asks again was not content. Such a battle counts less.

>>> from pickllm import Arm, Outcome, Request, Router
>>> from pickllm.types import Attempt
>>> router = Router(arms=[Arm(name="small"), Arm(name="large")], policy="random")
>>> for number, arm in enumerate(("small", "large")):
...     request = Request(text="2 + 2 =", id=f"d{number}", session="mine", only=(arm,))
...     decision = router.decide(request)
...     attempt = Attempt(arm=arm, status="ok", latency_s=0.1)
...     router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
>>> found = traffic_battles(router.ledger, {"d0": "2 + 2 =", "d1": "2 + 2 ="})
>>> found.table.arms, found.table.wins().tolist(), found.table.sources
(('large', 'small'), [[0.0, 0.25], [0.0, 0.0]], ('asked again',))
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations

import numpy as np

from pickllm.arrays import Floats
from pickllm.booking.ledger import Record
from pickllm.data.preferences import Battle, PreferenceTable, Winner, preference_table
from pickllm.errors import ConfigError
from pickllm.types import NO_FEATURES

__all__ = ["ASKED_AGAIN", "DRAFTS", "TrafficBattles", "traffic_battles"]

ASKED_AGAIN = "asked again"
"""The source of battles in which nothing was said of either answer."""

DRAFTS = "cascade"
"""The source of battles between the drafts of one request."""

_NO_TEXT = "(prompt not kept) "


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficBattles:
    """Battles, with what was kept of their prompts."""

    table: PreferenceTable
    vectors: Floats
    """Features that the router decided by, ``[prompts, dim]`` float32; dim is 0 where it looked at
    none, or where they differ in length."""
    texts_known: bool
    """Whether all prompts have their texts; if not, fit only rankers that read vectors."""
    alone: int
    """Answers that stand beside no other one to the same prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """An arm's answer, and what was said of it."""

    prompt: str = field(repr=False)
    arm: str
    record: Record

    @property
    def source_to_score(self) -> dict[str, float]:
        return {source: each.value for source, each in self.record.source_to_feedback.items()}


def traffic_battles(
    records: Iterable[Record],
    id_to_prompt: Mapping[str, str] | None = None,
    *,
    across_sessions: bool = False,
    margin: float = 0.0,
    asked_again_weight: float = 0.25,
) -> TrafficBattles:
    """Battles among the answers to equal prompts, tenant by tenant.

    Args:
        records: Of a ledger, in any order.
        id_to_prompt: Prompts by the id of their decision, or of a run around it.
        across_sessions: Whether answers of different sessions are compared: right for a source
            that judges all by one measure, such as a scorer.
        margin: Scores that differ by no more than this are a tie, in [0, 1].
        asked_again_weight: What a battle counts in which nothing was said of either answer, in
            votes; 0 leaves those out.

    Raises:
        ConfigError: No two answers make a battle.
    """
    groups: dict[tuple[str, ...], list[_Answer]] = {}
    for record in sorted(records, key=lambda each: each.decision.time_s):
        prompt = _prompt(record, id_to_prompt or {})
        if record.answer is not None and prompt and not record.begun_by:
            session = "" if across_sessions else record.decision.session
            answer = _Answer(prompt=prompt, arm=record.answer.arm, record=record)
            groups.setdefault((record.decision.tenant, session, prompt), []).append(answer)
    battles: list[Battle] = []
    alone = 0
    for answers in groups.values():
        found = list(_judged(answers, margin))
        if not found and asked_again_weight > 0.0 and answers[0].record.decision.session:
            found = list(_asked_again(answers, asked_again_weight))
        found += _drafts(answers, margin)
        alone += 0 if found else len(answers)
        battles += found
    if not battles:
        raise ConfigError(
            "no prompt was answered by two arms of which something can be said; give the prompts "
            "by the ids of their decisions, or compare across_sessions"
        )
    table = preference_table(battles)
    prompt_to_record = {
        answer.prompt: answer.record for answers in groups.values() for answer in answers
    }
    return TrafficBattles(
        table=table,
        vectors=_vectors([prompt_to_record[prompt] for prompt in table.prompts]),
        texts_known=not any(prompt.startswith(_NO_TEXT) for prompt in table.prompts),
        alone=alone,
    )


def _judged(answers: Sequence[_Answer], margin: float) -> Iterator[Battle]:
    """One battle of each two arms and each source that judged both; its mean score counts."""
    source_to_arm_to_scores: dict[str, dict[str, list[float]]] = {}
    for answer in answers:
        for source, score in answer.source_to_score.items():
            arms = source_to_arm_to_scores.setdefault(source, {})
            arms.setdefault(answer.arm, []).append(score)
    for source, arm_to_scores in source_to_arm_to_scores.items():
        means = {arm: float(np.mean(scores)) for arm, scores in arm_to_scores.items()}
        for first, second in combinations(means, 2):
            yield Battle(
                prompt=answers[0].prompt,
                first=first,
                second=second,
                winner=_winner(means[first] - means[second], margin),
                source=source,
            )


def _asked_again(answers: Sequence[_Answer], weight: float) -> Iterator[Battle]:
    """The last answer over each arm's before it, where none of them was judged."""
    if any(answer.source_to_score for answer in answers):
        return
    *before, last = (answer.arm for answer in answers)
    for arm in dict.fromkeys(before):
        if arm != last:
            yield Battle(
                prompt=answers[0].prompt,
                first=last,
                second=arm,
                winner="first",
                source=ASKED_AGAIN,
                weight=weight,
            )


def _drafts(answers: Sequence[_Answer], margin: float) -> Iterator[Battle]:
    """Of each request by itself: what its cascade asked for and scored, shown or not."""
    for answer in answers:
        attempts = answer.record.outcome.attempts if answer.record.outcome else ()
        arm_to_score = {each.arm: each.score for each in attempts if each.score is not None}
        for first, second in combinations(arm_to_score, 2):
            yield Battle(
                prompt=answer.prompt,
                first=first,
                second=second,
                winner=_winner(arm_to_score[first] - arm_to_score[second], margin),
                source=DRAFTS,
            )


def _winner(ahead: float, margin: float) -> Winner:
    if abs(ahead) <= margin:
        return "tie"
    return "first" if ahead > 0.0 else "second"


def _prompt(record: Record, id_to_prompt: Mapping[str, str]) -> str:
    """Its text, or what tells its features apart; empty where there is neither."""
    for known in (record.decision.id, *record.trace_ids):
        if known in id_to_prompt:
            return id_to_prompt[known]
    features = record.decision.features
    if not len(features):
        return ""
    return _NO_TEXT + blake2b(features.tobytes(), digest_size=16).hexdigest()


def _vectors(records: Sequence[Record]) -> Floats:
    found = [record.decision.features for record in records]
    same = len({len(vector) for vector in found}) == 1
    return np.array(found if same else [NO_FEATURES] * len(found), dtype=np.float32)
