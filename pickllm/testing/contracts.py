"""What every policy and every store must do. Each check raises `AssertionError` with its sentence.

Run ours or yours through them: ``check_policy(MyPolicy())``, ``check_store(lambda: MyStore())``.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from pickllm.errors import StateConflict
from pickllm.prompting.conversation import breach
from pickllm.protocols import (
    Adaptation,
    Journal,
    Note,
    Policy,
    Renewable,
    Store,
    is_additive,
    state_name,
)
from pickllm.rng import Rng
from pickllm.stores.codec import decode, encode
from pickllm.testing.fakes import experience, situation
from pickllm.types import Arm, Choice, Request, Role, Said

__all__ = ["check_adaptation", "check_journal", "check_policy", "check_store"]

_ARMS = ("small", "large", "a model: with/odd chars")


def check_policy(policy: Policy[Any], *, arms: tuple[str, ...] = _ARMS) -> None:
    """Every promise of `pickllm.protocols.Policy`, on a fresh state and on learnt ones."""
    assert not isinstance(policy, type), "give an instance of the policy, not its class"
    for rounds in (0, 1, 50):
        state = _taught(policy, arms, rounds)
        _check_probabilities(policy, state, arms)
        _check_same_seed_same_choice(policy, state, arms)
        _check_learn_leaves_its_input(policy, state, arms)
        _check_state_survives_bytes(policy, state, arms)
        _check_pool_may_change(policy, state, arms)
        _check_arms_are_not_preferred_by_order(policy, state, arms)
        if is_additive(policy):
            _check_learning_adds_up(cast("Any", policy), state, arms)
        if isinstance(policy, Renewable):
            _check_probabilities(policy, policy.model_updated(state, arms[0], 1.0), arms)
    assert isinstance(policy.name, str), "a policy has a name"
    assert policy.name, "a policy's name is not empty"
    assert state_name(policy), "nor is the name of its state"


def check_store(make_store: Callable[[], Store]) -> None:
    """Every promise of `pickllm.protocols.Store`, on a store that ``make_store`` opens empty."""
    store = make_store()
    assert store.get("a") is None, "a key never written holds nothing"
    assert store.put("a", b"1", expect=0) == 1, "the first version is 1"
    assert store.put("a", b"2") == 2, "each write is one version more"
    assert store.put("a", b"\x00\xff", expect=2) == 3, "a write over the expected version is made"
    for key, expect in (("a", 2), ("a", 0), ("new", 1)):
        assert _refuses(store, key, expect), "a write over another version is a StateConflict"
    entry = store.get("a")
    assert entry is not None, "a key written holds something"
    assert (entry.value, entry.version) == (b"\x00\xff", 3), "a refused write leaves no trace"
    for key in ("b/2", "b/1", "b%", "b_1", "ü/1"):
        store.put(key, b"x")
    assert list(store.scan("b/")) == ["b/1", "b/2"], "scan finds what begins with it, and sorts"
    assert list(store.scan("b_")) == ["b_1"], "scan takes a prefix literally, even an underscore"
    assert list(store.scan("b%")) == ["b%"], "scan takes a prefix literally, even a per cent sign"
    assert list(store.scan("")) == ["a", "b%", "b/1", "b/2", "b_1", "ü/1"], "'' finds every key"
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None, "a deleted key holds nothing"


def check_adaptation(adaptation: Adaptation, *, arm: Arm | None = None) -> None:
    """Every promise of `pickllm.protocols.Adaptation`, on conversations of many kinds."""
    assert not isinstance(adaptation, type), "give an instance of the adaptation, not its class"
    assert isinstance(adaptation.name, str), "an adaptation has a name"
    assert adaptation.name, "an adaptation's name is not empty"
    assert "\n" not in adaptation.name, "which is one line"
    for turns in _conversations():
        request = Request(text=turns[-1].text if turns else "", turns=turns)
        after = adaptation.adapted(request, arm or Arm(name="small"))
        assert breach(turns, after) == "", breach(turns, after)
        again = adaptation.adapted(request, arm or Arm(name="small"))
        assert list(after) == list(again), "the same conversation is adapted in the same way"
        assert request.turns == turns, "and is itself left as it was"
    assert list(adaptation.adapted(Request(text="Hi"), Arm(name="small"))) == [], (
        "where only a text is given there is nothing to adapt"
    )


def check_journal(make_journal: Callable[[], Journal]) -> None:
    """Every promise of `pickllm.protocols.Journal`, on one that ``make_journal`` opens empty."""
    journal = make_journal()
    assert journal.read("log", after=0, limit=9) == [], "a journal never written is empty"
    first = [Note(key="a", value=b"\x00\xff", about=("x", "y")), Note(key="b", value=b"2")]
    assert journal.append("log", first) == [True, True], "new keys are written"
    again = [Note(key="b", value=b"lost"), Note(key="c", value=b"3", about=("x",))]
    assert journal.append("log", again) == [False, True], "a key is written once"
    notes = journal.read("log", after=0, limit=9)
    assert [note.value for note in notes] == [b"\x00\xff", b"2", b"3"], "in the order of writing"
    positions = [note.position for note in notes]
    assert positions == sorted(set(positions)), "positions rise"
    assert positions[0] > 0, "position 0 is before the first note"
    assert journal.read("log", after=positions[0], limit=1) == notes[1:2], "after, and no more"
    assert journal.read("log", after=positions[-1], limit=9) == [], "nothing follows the last"
    assert journal.find("log", "x") == [notes[0], notes[2]], "what is about an id, in order"
    assert journal.find("log", "nothing") == [], "nothing is about an id never named"
    assert journal.append("log", []) == [], "no notes are no trouble"
    assert journal.append("other", [Note(key="a", value=b"1")]) == [True], "names stand apart"
    assert journal.find("other", "x") == [], "their ids as well"
    twice = [Note(key="d", value=b"4"), Note(key="d", value=b"lost")]
    assert journal.append("log", twice) == [True, False], "also when it is written twice at once"
    for nothing in (0, -7):
        journal.trim("log", upto=nothing)
        left = [note.value for note in journal.read("log", after=0, limit=9)]
        assert left == [b"\x00\xff", b"2", b"3", b"4"], "nothing stands at 0 and below"
    journal.trim("log", upto=positions[1])
    left = [note.value for note in journal.read("log", after=0, limit=9)]
    assert left == [b"3", b"4"], "what is trimmed is gone"
    assert journal.find("log", "x") == [notes[2]], "and not found any more"
    assert journal.find("log", "y") == [], "by any of its ids"
    assert journal.append("log", [Note(key="a", value=b"5")]) == [True], "and its key is free"
    (newest,) = journal.read(
        "log", after=journal.read("log", after=0, limit=9)[1].position, limit=9
    )
    assert newest.value == b"5", "positions go on rising after a trim"
    assert len(journal.read("other", after=0, limit=9)) == 1, "another name is not trimmed"


def _conversations() -> list[tuple[Said, ...]]:
    """Short, long, with tools and images, with code, and without any question."""
    prose = "The house is old. Its roof leaks. Ann mends it in spring. Bob paints the door. " * 20
    code = f"Look:\n```python\nfor x in range(9):\n    print(x)\n```\n{prose}\nWhat is wrong?"
    data = f'{{"rows": [1, 2, 3]}}\n| a | b |\n|---|---|\n| 1 | 2 |\n{prose}\nSum up.'
    brief, answer = ("system", "Be brief.", True), ("assistant", prose, True)
    pairs = [(("user", f"Example: {n} + {n} =", True), ("assistant", "?", True)) for n in range(5)]
    tools = [("user", f"{prose} Call a tool.", True), ("assistant", "", False)]
    results = [("tool", prose, True), ("tool", prose, False), ("assistant", "Done.", True)]
    spoken: list[list[tuple[str, str, bool]]] = [
        [],
        [("user", "2 + 2 =", True)],
        [("system", f"Rules. {prose}", True), ("user", prose, True)],
        [brief, ("assistant", "Hello.", True)],
        [*[brief, ("user", code, True), answer] * 3, ("user", data, True)],
        [*(message for pair in pairs for message in pair), ("user", "9 + 9 =", True)],
        [*[*tools, *results] * 4, ("user", prose, False), ("assistant", "", False), results[0]],
    ]
    return [
        tuple(
            Said(role=cast("Role", role), text=text, plain=plain, at=at)
            for at, (role, text, plain) in enumerate(each)
        )
        for each in spoken
    ]


def _refuses(store: Store, key: str, expect: int) -> bool:
    try:
        store.put(key, b"lost", expect=expect)
    except StateConflict:
        return True
    return False


def _taught(policy: Policy[Any], arms: tuple[str, ...], rounds: int) -> Any:
    state = policy.init(arms, 0)
    for number in range(rounds):
        arm = arms[number % len(arms)]
        state = policy.learn(state, experience(arm, reward=(number * 7 % 11) / 10, arms=arms))
    return state


def _decide(policy: Policy[Any], state: Any, arms: tuple[str, ...], *, number: int = 1) -> Choice:
    return policy.decide(state, situation(*arms), Rng(seed=7, number=number))


def _check_probabilities(policy: Policy[Any], state: Any, arms: tuple[str, ...]) -> None:
    for eligible in (arms, arms[:2], arms[1:] or arms, arms[-1:]):
        choice = _decide(policy, state, eligible)
        assert len(choice.probabilities) == len(eligible), "one probability for each eligible arm"
        assert min(choice.probabilities) >= 0.0, "no probability is negative"
        assert sum(choice.probabilities) == pytest.approx(1.0, abs=1e-9), "they sum to one"
        assert len(choice.values) in (0, len(eligible)), "one value for each eligible arm, or none"


def _check_same_seed_same_choice(policy: Policy[Any], state: Any, arms: tuple[str, ...]) -> None:
    first, second = _decide(policy, state, arms), _decide(policy, state, arms)
    assert first == second, "the same state, situation and seed give the same choice"


def _check_learn_leaves_its_input(policy: Policy[Any], state: Any, arms: tuple[str, ...]) -> None:
    before = copy.deepcopy(state)
    for reward in (0.0, 0.3, 1.0):
        policy.learn(state, experience(arms[0], reward=reward, arms=arms))
    assert encode(state, policy="") == encode(before, policy=""), "learn changes no state in place"


def _check_state_survives_bytes(policy: Policy[Any], state: Any, arms: tuple[str, ...]) -> None:
    data = encode(state, policy=policy.name)
    back = decode(data, like=policy.init(arms, 0), policy=policy.name)
    assert encode(back, policy=policy.name) == data, "a state read back is the state written"
    assert _decide(policy, back, arms) == _decide(policy, state, arms), "and decides the same"


def _check_pool_may_change(policy: Policy[Any], state: Any, arms: tuple[str, ...]) -> None:
    grown = (*arms, "a newcomer")
    _check_probabilities(
        policy, policy.learn(state, experience(grown[-1], reward=0.5, arms=grown)), grown
    )
    _check_probabilities(policy, state, grown)


def _check_learning_adds_up(policy: Any, state: Any, arms: tuple[str, ...]) -> None:
    lesson = experience(arms[-1], reward=0.7, arms=arms)
    expected = pytest.approx(_decide(policy, state, arms).probabilities, abs=0.05)
    there_and_back = policy.unlearn(policy.learn(state, lesson), lesson)
    assert _decide(policy, there_and_back, arms).probabilities == expected, (
        "what is unlearnt was never learnt"
    )
    merged = policy.merge([policy.init(arms, 0), state])
    assert _decide(policy, merged, arms).probabilities == expected, (
        "a fresh state adds nothing to another"
    )


def _check_arms_are_not_preferred_by_order(
    policy: Policy[Any], state: Any, arms: tuple[str, ...]
) -> None:
    for learnt, turned in ((state, state), (policy.init(arms, 0), policy.init(arms[::-1], 0))):
        straight = _decide(policy, learnt, arms).probabilities
        backwards = _decide(policy, turned, arms[::-1]).probabilities
        near = pytest.approx(straight, abs=0.05)  # wide: a policy may estimate them from draws
        assert backwards[::-1] == near, "order in the pool means nothing"
