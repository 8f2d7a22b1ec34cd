"""A student has to win its requests: it joins a living pool without a head start."""

import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from llama_index.core.llms import MockLLM

from langchain_pickllm import ChatLocal, RoutedChatModel
from llamaindex_pickllm import LocalLLM, RoutedLLM
from pickllm import Arm, Budget, ConfigError, Outcome, Request, Router, drive
from pickllm.distillation import ExportSettings, Selection, Training, distil, export_pairs
from pickllm.stores import MemoryStore
from pickllm.testing import Script, ScriptedPort
from pickllm.transcripts import Transcripts
from pickllm.types import Attempt, Usage
from tests.tiny import tiny_folder

LARGE = Arm(name="large", usd_per_mtok_in=5.0, usd_per_mtok_out=15.0)
STUDENT = Arm(name="student", usd_per_mtok_in=0.05, usd_per_mtok_out=0.15)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sorts three letters, more or less."""
    return tiny_folder(tmp_path_factory)


def answer(router: Router, requests: int, quality: Callable[[str], float], seed: int) -> list[str]:
    """Route requests, and judge each as that arm's answers are right; who was asked."""
    rng = random.Random(seed)
    asked = []
    for _ in range(requests):
        prompt = f"Add: {rng.randrange(1000)}+{rng.randrange(1000)}"
        decision = router.decide(Request(text=prompt))
        usage = Usage(tokens_in=300, tokens_out=100)
        card = router.pool[decision.arm]
        cost_usd = (300 * (card.usd_per_mtok_in or 0) + 100 * (card.usd_per_mtok_out or 0)) / 1e6
        attempt = Attempt(
            arm=decision.arm, status="ok", latency_s=1.0, usage=usage, cost_usd=cost_usd
        )
        router.settle(Outcome(decision_id=decision.id, attempts=(attempt,)))
        right = rng.random() < quality(decision.arm)
        router.feedback(decision.id, float(right))
        asked.append(decision.arm)
    return asked


def share(asked: list[str], arm: str) -> float:
    """Of the requests, how many went to an arm."""
    return asked.count(arm) / len(asked)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_default_policy_moves_to_a_student_that_is_as_good_and_cheaper(seed: int) -> None:
    """After some hundreds of requests it has most of them; it began with few."""
    router = Router(arms=[LARGE], seed=seed)
    answer(router, 200, lambda _: 0.95, seed)

    router.add_arm(STUDENT)
    asked = answer(router, 800, lambda _: 0.95, seed + 100)

    first = router.ledger[[record.decision.id for record in router.ledger][200]].decision
    quality = dict(zip(first.arms, first.forecasts, strict=True))
    assert quality["student"].quality is not None
    assert quality["large"].quality is not None
    assert quality["student"].quality < quality["large"].quality
    assert first.probability("student") < 0.5
    assert share(asked[-300:], "student") > 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_does_not_move_to_one_that_is_bad(seed: int) -> None:
    """It costs some tries to know, and then hardly any."""
    router = Router(arms=[LARGE], seed=seed)
    answer(router, 200, lambda _: 0.95, seed)

    router.add_arm(STUDENT)
    asked = answer(router, 800, lambda arm: 0.4 if arm == "student" else 0.95, seed + 100)

    assert share(asked, "student") < 0.1
    assert share(asked[-300:], "student") < 0.05


def test_what_was_learnt_stays() -> None:
    """The state is the same object; a decision made before is judged as ever."""
    router = Router(arms=[LARGE, Arm(name="mini", usd_per_mtok_in=0.1, usd_per_mtok_out=0.2)])
    answer(router, 50, lambda _: 1.0, 0)
    before = router.state
    waiting = router.decide(Request(text="Add: 1+1"))

    router.add_arm(STUDENT)

    assert before is router.state
    router.settle(
        Outcome(
            decision_id=waiting.id,
            attempts=(Attempt(arm=waiting.arm, status="ok", latency_s=1.0),),
        )
    )
    assert "counted" == router.feedback(waiting.id, 1.0)
    assert ("large", "mini", "student") == router.pool.names


@pytest.mark.parametrize("policy", ["epsilon_greedy", "learning_automaton", "lin_ucb", "ucb1"])
def test_every_policy_takes_a_new_arm(policy: str) -> None:
    """Names, not places, are what they know arms by."""
    router = Router(
        arms=[LARGE, Arm(name="mini", usd_per_mtok_in=0.1, usd_per_mtok_out=0.2)],
        policy=policy,
        seed=1,
    )
    answer(router, 30, lambda _: 0.5, 0)
    router.add_arm(STUDENT)

    asked = answer(router, 60, lambda _: 0.5, 1)

    assert 60 == len(asked)


def test_a_budget_knows_the_new_arm() -> None:
    """What its calls may cost is set aside as for any other."""
    router = Router(arms=[LARGE], budget=Budget(usd=100.0), seed=1)
    router.add_arm(STUDENT)

    answer(router, 40, lambda _: 1.0, 0)

    left = router.budget_left_usd()
    assert left is not None
    assert left < 100.0


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        (Arm(name="large", usd_per_hour=1.0), "two arms have one name"),
        (Arm(name="student"), "no price is known for 'student'"),
        (Arm(usd_per_hour=1.0), "an arm has no name"),
    ],
)
def test_an_arm_that_cannot_be_is_refused(arm: Arm, told: str) -> None:
    """And the pool stays as it was."""
    router = Router(arms=[LARGE])

    with pytest.raises(ConfigError, match=told):
        router.add_arm(arm)
    assert ("large",) == router.pool.names


def test_arms_that_come_at_once_all_come() -> None:
    """While requests go on in other threads; none is lost, and none is asked before it is there."""
    router = Router(arms=[LARGE], seed=1)
    comers = [replace(STUDENT, name=f"student {number}") for number in range(8)]

    with ThreadPoolExecutor(6) as threads:
        waiting: list[Future[Any]] = [threads.submit(router.add_arm, arm) for arm in comers]
        waiting += [threads.submit(answer, router, 40, lambda _: 1.0, seed) for seed in (1, 2)]
        for each in waiting:
            each.result()

    assert {"large", *(arm.name for arm in comers)} == set(router.pool.names)


# ---- in the frameworks ---------------------------------------------------------------------------


def test_a_chat_model_takes_a_student_while_it_runs(tiny: Path) -> None:
    """Its copies have it, too; a model that shares the router without it is not sent there."""
    large = FakeListChatModel(responses=["large"])
    model = RoutedChatModel(models={"large": large}, arms={"large": LARGE}, seed=1)
    copy, bound = model.model_copy(), model.bind(temperature=0.0)
    sharing = RoutedChatModel(models={"large": large}, router=model.router)

    model.add_arm("student", ChatLocal.load(tiny), Arm(usd_per_hour=0.1))

    for each in (model, copy, bound):
        message = each.invoke("Sort the letters: dba", model="student")
        assert "abd" == message.content
    assert {"large"} == {sharing.invoke("Sort the letters: dba").content for _ in range(30)}
    with pytest.raises(ConfigError, match="is called 'student' already"):
        model.add_arm("student", large)
    with pytest.raises(ConfigError, match="no price is known for 'new'"):
        model.add_arm("new", large)
    assert ["large", "student"] == [*model.models]


def test_an_llm_takes_a_student_while_it_runs(tiny: Path) -> None:
    """The same in LlamaIndex."""
    llm = RoutedLLM(llms={"large": MockLLM()}, arms={"large": LARGE}, seed=1)

    llm.add_arm("student", LocalLLM.load(tiny), Arm(usd_per_hour=0.1))

    assert "abd" == llm.complete("Sort the letters: dba", model="student").text
    with pytest.raises(ConfigError, match="is called 'student' already"):
        llm.add_arm("student", MockLLM())
    with pytest.raises(ConfigError, match="no price is known for 'new'"):
        llm.add_arm("new", MockLLM())
    assert ["large", "student"] == [*llm.llms]


def test_an_arm_that_was_taken_out_comes_back_with_another_model() -> None:
    """In both frameworks; where it cannot, its calls under way still find the old model."""
    chat = FakeListChatModel(responses=["old"])
    price = Arm(usd_per_hour=0.1)
    arms = {"a": price, "b": price}
    model = RoutedChatModel(models={"a": chat, "b": chat}, arms=arms, seed=1)
    llm = RoutedLLM(llms={"a": MockLLM(), "b": MockLLM()}, arms=arms, seed=1)
    new, other = FakeListChatModel(responses=["new"]), MockLLM(max_tokens=1)
    model.router.remove_arm("b")
    llm.router.remove_arm("b")
    with pytest.raises(ConfigError, match="no price is known for 'b'"):
        model.add_arm("b", new)
    assert chat is model.models["b"]

    model.add_arm("b", new, price)
    llm.add_arm("b", other, price)

    assert "new" == model.invoke("Sort the letters: dba", model="b").content
    assert "text" == llm.complete("Sort the letters: dba", model="b").text


# ---- from the first answer to the new arm --------------------------------------------------------


def test_a_router_keeps_what_was_said() -> None:
    """Prompts, answers, scores and feedback, in whatever order these come."""
    transcripts = Transcripts(MemoryStore())
    router = Router(
        arms=[LARGE], scorer=lambda _prompt, _answer: 0.5, transcripts=transcripts, seed=1
    )
    port = ScriptedPort({"large": Script(pieces=("four",))})

    routed = drive.run(router.flow(Request(text="2 + 2 =", id="d1", tenant="acme")), port)
    router.feedback("d1", 1.0)
    router.feedback("d1", 0.0)  # this source has spoken
    router.feedback("d1", 0.25, "judge")
    router.feedback("d1", 0.75, "judge", correction=True)

    found = transcripts.find(routed.decision.id)
    assert found is not None
    assert ("2 + 2 =", "four", "large", "acme") == (
        found.turns[0].text,
        found.answer,
        found.arm,
        found.tenant,
    )
    assert {"scorer": 0.5, "user": 1.0, "judge": 0.75} == found.source_to_score
    assert 1 == router.stats()["transcripts_kept"]
    with pytest.raises(ConfigError, match="transcripts is str"):
        Router(arms=[LARGE], transcripts="sqlite:///kept.db")  # type: ignore[arg-type]  # wrong


def test_feedback_that_comes_before_the_end_is_kept() -> None:
    """The reader of a stream may judge it before its transcript is written."""
    transcripts = Transcripts(MemoryStore())
    router = Router(arms=[LARGE], transcripts=transcripts, seed=1)
    port = ScriptedPort({"large": Script(pieces=("fo", "ur"))})

    for number, _ in enumerate(drive.stream(router.flow(Request(text="2 + 2 =", id="d1")), port)):
        if number == 0:
            router.feedback("d1", 1.0)

    found = transcripts.find("d1")
    assert found is not None
    assert {"user": 1.0} == found.source_to_score


async def test_an_answer_is_kept_under_async_too() -> None:
    """By a thread: a disk must not stop the loop."""
    transcripts = Transcripts(MemoryStore())
    router = Router(arms=[LARGE], transcripts=transcripts, seed=1)
    port = ScriptedPort({"large": Script(pieces=("four",))})

    await drive.arun(router.flow(Request(text="2 + 2 =", id="d1")), port)
    await router.afeedback("d1", 1.0)

    found = transcripts.find("d1")
    assert found is not None
    assert {"user": 1.0} == found.source_to_score


@pytest.mark.parametrize("framework", ["langchain", "llamaindex"])
def test_a_student_is_taught_from_a_framework_s_traffic(
    framework: str, tiny: Path, tmp_path: Path
) -> None:
    """Kept, exported, distilled and added: what a user does, from end to end."""
    transcripts = Transcripts(f"sqlite:///{tmp_path / 'kept.db'}")
    prompts = [f"Spell backwards: {word}" for word in ("cat", "dog", "owl", "bee", "fox", "hen")]
    taught: Any
    if framework == "langchain":
        answers = FakeListChatModel(responses=["Kim"])
        taught = RoutedChatModel(
            models={"large": answers}, arms={"large": LARGE}, transcripts=transcripts
        )
        for prompt in prompts:
            taught.feedback(taught.invoke(prompt), 1.0)
    else:
        taught = RoutedLLM(
            llms={"large": MockLLM()}, arms={"large": LARGE}, transcripts=transcripts
        )
        for prompt in prompts:
            taught.feedback(taught.complete(prompt), 1.0)
    assert 6 == len([*transcripts.read()])

    wanted = ExportSettings(selection=Selection(min_score=1.0, arms={"large"}), held_out=0.4)
    export_pairs(transcripts, tmp_path / "pairs", settings=wanted)
    fast = Training(epochs=10, patience=10, batch=4, learning_rate=1e-2)
    done = distil(tmp_path / "pairs", tiny, tmp_path / "student", training=fast)

    assert done.helped
    assert {"large": done.pairs} == done.teachers
    if framework == "langchain":
        taught.add_arm("student", ChatLocal.load(done.folder), Arm(usd_per_hour=0.01))
        assert "Kim" == taught.invoke("Spell backwards: cat", model="student").content
    else:
        taught.add_arm("student", LocalLLM.load(done.folder), Arm(usd_per_hour=0.01))
        assert taught.complete("Spell backwards: cat", model="student").text
