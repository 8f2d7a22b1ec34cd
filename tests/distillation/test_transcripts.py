"""Prompts and answers that are kept by opt-in: what is kept, for how long, and how it goes."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm import ConfigError, StateConflict, StoreUnavailable
from pickllm.protocols import Entry, KeepsJournal
from pickllm.stores import MemoryStore, SqliteStore
from pickllm.testing import decision
from pickllm.transcripts import Transcript, Transcripts, redact_pii
from pickllm.transcripts.transcript import decode, encode, transcript_of
from pickllm.types import Attempt, Outcome, Reply, Request, Routed, Said
from tests.redis_server import RedisServer

MAKERS: dict[str, Callable[[Path], KeepsJournal]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "kept.db"),
}


@pytest.fixture(params=[*MAKERS, "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeepsJournal:
    """Each store that ships."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return server.store()
    return MAKERS[request.param](tmp_path)


class Clock:
    """Seconds that go when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Broken(MemoryStore):
    """A store that fails for a while."""

    away = False

    def get(self, key: str) -> Entry | None:
        if self.away:
            raise OSError("the secret prompt")
        return super().get(key)

    def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        if self.away:
            raise OSError("the secret prompt")
        return super().put(key, value, expect=expect)

    def scan(self, prefix: str) -> Iterator[str]:
        if self.away:
            raise OSError("the secret prompt")
        return super().scan(prefix)


def said(
    decision_id: str,
    *,
    prompt: str = "2 + 2 =",
    answer: str = "4",
    tenant: str = "",
    time_s: float = 900.0,
    **others: Any,
) -> Transcript:
    """A transcript of one turn."""
    return Transcript(
        decision_id=decision_id,
        turns=(Said(role="user", text=prompt),),
        answer=answer,
        arm="large",
        time_s=time_s,
        tenant=tenant,
        **others,
    )


def routed(reply: Reply, *, turns: tuple[Said, ...] = (), score: float | None = None) -> Routed:
    """What a flow returns."""
    made = decision("large", id="d1", time_s=900.0)
    return Routed(
        request=Request(text="2 + 2 =", id="d1", turns=turns),
        decision=made,
        reply=reply,
        outcome=Outcome(
            decision_id="d1", attempts=(Attempt(arm="large", status="ok", latency_s=1.0),)
        ),
        score=score,
    )


def ids(transcripts: Transcripts) -> list[str]:
    """Decisions that are kept, in their order."""
    return [each.decision_id for each in transcripts.read()]


# ---- keeping -------------------------------------------------------------------------------------


def test_what_was_said_is_kept_with_what_was_said_of_it(store: KeepsJournal) -> None:
    """Turns, answer, arm, tenant and time come back, and each source's newest judgement."""
    transcripts = Transcripts(store, clock=Clock())

    assert transcripts.add(said("d1", tenant="acme", finish_reason="stop"))
    assert transcripts.judged("d1", 0.0, "user")
    assert transcripts.judged("d1", 1.0, "user")
    assert transcripts.judged("d1", 0.5, "judge")

    found = transcripts.find("d1")
    assert found is not None
    assert {"user": 1.0, "judge": 0.5} == found.source_to_score
    assert (0.75, 1.0, None) == (found.score(), found.score({"user"}), found.score({"nobody"}))
    assert said("d1", tenant="acme", finish_reason="stop") == decode(
        encode(said("d1", tenant="acme", finish_reason="stop"))
    )
    assert [found] == [*transcripts.read()]


def test_an_answer_of_a_flow_is_kept_with_its_score() -> None:
    """With the whole conversation where there is one, or else the prompt alone."""
    transcripts = Transcripts("memory://", clock=Clock())
    turns = (Said(role="system", text="Be short."), Said(role="user", text="2 + 2 ="))

    assert transcripts.keep(routed(Reply(text="4", arm="max"), turns=turns, score=0.9), {"user": 1})

    found = transcripts.find("d1")
    assert found is not None
    assert (turns, "4", "max") == (found.turns, found.answer, found.arm)
    assert {"scorer": 0.9, "user": 1} == found.source_to_score
    plain = transcript_of(routed(Reply(text="4")))
    assert plain is not None
    assert ((Said(role="user", text="2 + 2 ="),), "large") == (plain.turns, plain.arm)


@pytest.mark.parametrize(
    ("reply", "turns"),
    [
        (Reply(text="4", called=False), ()),
        (Reply(text="4", partial=True), ()),
        (Reply(text="I call", calls_tools=True), ()),
        (Reply(text="  "), ()),
        (Reply(text="A cat."), (Said(role="user", text="What is this?", plain=False),)),
    ],
    ids=["of a cache", "cut short", "a call of tools", "empty", "an image"],
)
def test_what_nobody_could_learn_from_is_not_kept(reply: Reply, turns: tuple[Said, ...]) -> None:
    """It is counted, and nothing of it is written."""
    transcripts = Transcripts("memory://", clock=Clock())

    assert not transcripts.keep(routed(reply, turns=turns))
    assert [] == ids(transcripts)
    assert {"transcripts_not_text": 1} == transcripts.stats()


def test_tenants_opt_in_one_by_one() -> None:
    """Of others nothing is written; those without a tenant are the tenant ""."""
    transcripts = Transcripts("memory://", tenants={"acme"}, clock=Clock())
    for tenant in ("acme", "other", ""):
        transcripts.add(said(f"of {tenant}", tenant=tenant))

    assert ["of acme"] == ids(transcripts)
    with pytest.raises(ConfigError, match="tenants is a collection of names"):
        Transcripts("memory://", tenants="acme")


def test_texts_are_redacted_before_they_are_kept(tmp_path: Path) -> None:
    """No byte of the store holds what was taken out."""
    file = tmp_path / "kept.db"
    store = SqliteStore(file)
    transcripts = Transcripts(store, redact=redact_pii, clock=Clock())

    transcripts.add(said("d1", prompt="I am ann@example.org", answer="Hello ann@example.org!"))

    found = transcripts.find("d1")
    assert found is not None
    assert ("I am [email]", "Hello [email]!") == (found.turns[0].text, found.answer)
    store.close()
    assert b"ann@" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_what_cannot_be_redacted_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A redactor that fails keeps nothing, takes no answer along, and is counted."""

    def fails(text: str) -> str:
        raise RuntimeError(text)

    transcripts = Transcripts("memory://", redact=fails, clock=Clock())

    assert not transcripts.add(said("d1", prompt="secret"))
    assert [] == ids(transcripts)
    assert {"redaction_failures": 1} == transcripts.stats()
    assert "secret" not in caplog.text


def test_long_ones_are_not_kept() -> None:
    """Half of a text would teach the wrong thing."""
    transcripts = Transcripts("memory://", max_chars=10, clock=Clock())

    assert not transcripts.add(said("d1", prompt="12345678", answer="123"))
    assert transcripts.add(said("d2", prompt="1234567", answer="123"))


# ---- bounds --------------------------------------------------------------------------------------


def test_old_ones_are_not_read_and_soon_gone(store: KeepsJournal) -> None:
    """After ``keep_s`` nothing comes back, and the next look through deletes it."""
    clock = Clock()
    transcripts = Transcripts(store, keep_s=100.0, clock=clock)
    transcripts.add(said("old", time_s=1_000.0))
    transcripts.add(said("new", time_s=1_090.0))

    clock.now_s = 1_101.0

    assert ["new"] == ids(transcripts)
    assert 1 == transcripts.prune()
    assert (None, 0) == (transcripts.find("old"), transcripts.prune())


def test_a_tenant_keeps_its_newest(store: KeepsJournal) -> None:
    """Of each so many; one that talks much pushes out no other's."""
    transcripts = Transcripts(store, max_per_tenant=3, clock=Clock())
    transcripts.add(said("other", tenant="quiet"))
    for number in range(9):
        transcripts.add(said(f"d{number}", time_s=900.0 + number, tenant="loud"))

    transcripts.prune()

    assert {"other", "d6", "d7", "d8"} == set(ids(transcripts))
    assert len([*store.scan("pickllm/default/transcripts/kept/")]) == 4
    assert len([*store.scan("pickllm/default/transcripts/at/")]) == 4


def test_it_is_pruned_as_it_goes() -> None:
    """Nobody has to call anything for the bound to hold, give or take a few hundred."""
    transcripts = Transcripts("memory://", max_per_tenant=50, clock=Clock())
    for number in range(400):
        transcripts.add(said(f"d{number}", time_s=float(number)))

    assert 50 <= len(ids(transcripts)) <= 100


@pytest.mark.parametrize("wrong", [{"keep_s": 0.0}, {"max_per_tenant": 0}, {"max_chars": 0}])
def test_limits_that_cannot_be_are_told(wrong: dict[str, Any]) -> None:
    """When the keeper is made."""
    with pytest.raises(ConfigError, match="must be above 0"):
        Transcripts("memory://", **wrong)


# ---- deleting ------------------------------------------------------------------------------------


@given(
    kept=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.floats(0, 1e6)), max_size=15
    ),
    gone=st.sampled_from("abc"),
)
def test_a_deleted_tenant_leaves_nothing(kept: list[tuple[str, int, float]], gone: str) -> None:
    """No transcript, no pointer and no byte; and of the others nothing is missing."""
    store = MemoryStore()
    transcripts = Transcripts(store, keep_s=1e9, clock=Clock())
    for tenant, number, time_s in kept:
        one = f"{tenant}-{number}-{time_s}"
        transcripts.add(said(one, prompt=f"of {tenant}!", tenant=tenant, time_s=time_s))
    others = [each for each in transcripts.read() if each.tenant != gone]

    transcripts.forget_tenant(gone)

    assert others == [*transcripts.read()]
    left = [entry.value for key in store.scan("") if (entry := store.get(key))]
    assert [] == [value for value in left if f"of {gone}!".encode() in value]
    pointers = [*store.scan("pickllm/default/transcripts/at/")]
    assert len(others) == len(pointers)


def test_deleted_bytes_leave_the_file(tmp_path: Path) -> None:
    """What was forgotten is not found in a SQLite file by reading its bytes, nor in its log."""
    transcripts = Transcripts(SqliteStore(tmp_path / "kept.db"), clock=Clock())
    for number in range(50):
        transcripts.add(said(f"a{number}", prompt="a very secret word", tenant="a"))
    transcripts.add(said("b", prompt="a common word", tenant="b"))
    assert b"very secret" in b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert 50 == transcripts.forget_tenant("a")

    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (False, True) == (b"very secret" in left, b"common word" in left)


def test_one_decision_is_deleted(store: KeepsJournal) -> None:
    """By its id, as often as one likes."""
    transcripts = Transcripts(store, clock=Clock())
    transcripts.add(said("d1"))
    transcripts.add(said("d2"))

    assert (True, False) == (transcripts.forget("d1"), transcripts.forget("d1"))
    assert ["d2"] == ids(transcripts)


@pytest.mark.parametrize("by", ["decision", "tenant"])
def test_what_is_written_while_it_is_deleted_goes_too(by: str, store: KeepsJournal) -> None:
    """A worker that is late with its transcript finds that it was deleted, and takes it out."""
    clock = Clock()
    late, deleting = Transcripts(store, clock=clock), Transcripts(store, clock=clock)
    if by == "tenant":
        deleting.forget_tenant("acme")
    else:
        deleting.forget("d1")

    assert not late.add(said("d1", tenant="acme", time_s=999.0))
    assert [] == ids(late)
    assert {"transcripts_deleted_meanwhile": 1} == late.stats()

    clock.now_s += 1.0
    assert late.add(said("d2", tenant="acme", time_s=clock.now_s))


def test_a_judgement_brings_nothing_back() -> None:
    """One that was read before it was deleted, and is written after, is not written."""

    class DeletedWhileRead(MemoryStore):
        def get(self, key: str) -> Entry | None:
            entry = super().get(key)
            if "/kept/" in key:
                self.delete(key)
            return entry

    transcripts = Transcripts(DeletedWhileRead(), clock=Clock())
    transcripts.add(said("d1"))

    assert not transcripts.judged("d1", 1.0)
    assert [] == ids(transcripts)


def test_a_judgement_of_what_is_not_kept_is_none() -> None:
    """It is no error: most decisions are of somebody who did not opt in."""
    transcripts = Transcripts("memory://", clock=Clock())

    assert not transcripts.judged("nobody", 1.0)
    assert {} == transcripts.stats()


def test_two_who_judge_at_once_are_both_heard() -> None:
    """The one whose write comes late reads again."""

    class Contended(MemoryStore):
        met = False

        def put(self, key: str, value: bytes, *, expect: int | None = None) -> int:
            if expect is not None and not self.met:
                self.met = True
                assert other.judged("d1", 0.5, "judge")
            return super().put(key, value, expect=expect)

    store = Contended()
    one, other = Transcripts(store, clock=Clock()), Transcripts(store, clock=Clock())
    one.add(said("d1"))

    assert one.judged("d1", 1.0, "user")
    found = one.find("d1")
    assert found is not None
    assert {"user": 1.0, "judge": 0.5} == found.source_to_score


# ---- failures ------------------------------------------------------------------------------------


def test_a_store_that_fails_takes_nothing_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted, logged by its kind alone, left alone for a while, and then tried again."""
    clock, store = Clock(), Broken()
    transcripts = Transcripts(store, clock=clock)
    store.away = True

    with caplog.at_level(logging.DEBUG):
        assert not transcripts.add(said("d1", prompt="secret"))
        assert not transcripts.add(said("d2", prompt="secret"))
        assert not transcripts.judged("d2", 1.0)

    assert {"transcript_failures": 1, "transcripts_store_away": 2} == transcripts.stats()
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text
    store.away = False
    clock.now_s += 6.0
    assert transcripts.add(said("d3"))


def test_a_deletion_that_fails_is_told() -> None:
    """Whoever asks to be forgotten must know that he was not."""
    store = Broken()
    transcripts = Transcripts(store, clock=Clock())
    transcripts.add(said("d1", tenant="acme"))
    store.away = True

    with pytest.raises(StoreUnavailable, match="say it again"):
        transcripts.forget_tenant("acme")
    with pytest.raises(StoreUnavailable, match="say it again"):
        transcripts.forget("d1")
    with pytest.raises(StoreUnavailable, match="say it again"):
        [*transcripts.read()]


def test_what_a_newer_program_wrote_is_left_out() -> None:
    """It is counted, and stays where it is."""
    store = MemoryStore()
    transcripts = Transcripts(store, clock=Clock())
    transcripts.add(said("d1"))
    (key,) = store.scan("pickllm/default/transcripts/kept/")
    entry = store.get(key)
    assert entry is not None
    newer = entry.value.replace(b'"pickllm_transcript": 1', b'"pickllm_transcript": 2')
    store.put(key, newer)

    assert [] == ids(transcripts)
    assert 1 == transcripts.stats()["transcripts_unreadable"]
    assert newer == (store.get(key) or entry).value
    with pytest.raises(StateConflict):
        decode(newer)


def test_no_repr_and_no_key_shows_a_word() -> None:
    """Neither prompts and answers nor whose they are."""
    store = MemoryStore()
    transcripts = Transcripts(store, clock=Clock())
    transcripts.add(said("d1", prompt="secret", answer="secret", tenant="tenant-x"))

    assert "secret" not in repr([*transcripts.read()]) + repr(transcripts)
    assert [] == [key for key in store.scan("") if "tenant-x" in key or "secret" in key]


@pytest.mark.parametrize(
    "settings",
    [{"keep_s": "30d"}, {"keep_s": True}, {"redact": "pii"}, {"max_chars": "9"}],
    ids=str,
)
def test_settings_of_another_kind_are_told_in_words(settings: dict[str, object]) -> None:
    """At once, and not when the first transcript is lost by them."""
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Transcripts("memory://", **settings)  # type: ignore[arg-type]  # what is tested
