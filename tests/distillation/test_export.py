"""From transcripts to training pairs: what is left out, what is told apart, and how it is split."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickllm import Arm, ConfigError, MissingExtra, Outcome, Request, Router, StateConflict
from pickllm.arrays import unit_rows
from pickllm.demo.tasks import make_tasks
from pickllm.distillation import (
    Exported,
    ExportSettings,
    Pair,
    Selection,
    export_pairs,
    judgements_of,
    read_export,
    read_pairs,
)
from pickllm.embedding import HashingEmbedder
from pickllm.evaluation.log import write_log
from pickllm.stores import MemoryStore
from pickllm.transcripts import Transcript, Transcripts, redact_pii
from pickllm.types import Attempt, Said

WORDS = ("the red fox", "a blue whale", "seven small mice", "an old oak", "rain on the roof")


def said(
    number: int | str,
    prompt: str,
    answer: str = "yes",
    *,
    score: float | None = None,
    **others: Any,
) -> Transcript:
    """A transcript of one turn."""
    fields = {"arm": "large", "time_s": 100.0 + (number if isinstance(number, int) else 0)}
    return Transcript(
        decision_id=f"d{number}",
        turns=(Said(role="user", text=prompt),),
        answer=answer,
        source_to_score={} if score is None else {"user": score},
        **{**fields, **others},
    )


def pairs_of(folder: Path) -> tuple[list[Pair], list[Pair]]:
    """What is learnt, and what is held out."""
    train, held_out = ([*read_pairs(folder / f"{side}.jsonl")] for side in ("train", "held_out"))
    return train, held_out


def everything(folder: Path) -> list[Pair]:
    """Both sides."""
    return [pair for side in pairs_of(folder) for pair in side]


def tasks(count: int) -> list[Transcript]:
    """Prompts of the demo with their answers, each one different."""
    made = {task.prompt: task.answer for task in make_tasks(2 * count, 0)}
    return [
        said(number, prompt, answer, score=1.0)
        for number, (prompt, answer) in enumerate([*made.items()][:count])
    ]


# ---- what is written -----------------------------------------------------------------------------


def test_lines_are_chats_as_trainers_read_them(tmp_path: Path) -> None:
    """Messages that end with the answer; beside them what is known of it."""
    turns = (
        Said(role="system", text="Be short."),
        Said(role="user", text="Zwölf, oder?"),
        Said(role="assistant", text="Ja."),
        Said(role="user", text="Sicher?"),
    )
    kept = Transcript(
        decision_id="d1",
        turns=turns,
        answer="Ja.",
        arm="large",
        time_s=7.0,
        source_to_score={"user": 1.0},
    )

    export_pairs([kept], tmp_path / "out", settings=ExportSettings(held_out=0.0))

    (line,) = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Zwölf, oder?"},
        {"role": "assistant", "content": "Ja."},
        {"role": "user", "content": "Sicher?"},
        {"role": "assistant", "content": "Ja."},
    ] == row["messages"]
    assert {"id": "d1", "arm": "large", "score": 1.0, "time_s": 7.0} == {
        name: row["pickllm"][name] for name in ("id", "arm", "score", "time_s")
    }
    (pair,) = read_pairs(tmp_path / "out" / "train.jsonl")
    assert (turns, "Ja.") == (pair.turns, pair.answer)


def test_bare_lines_hold_the_messages_alone(tmp_path: Path) -> None:
    """For services that refuse anything else."""
    export_pairs(tasks(20), tmp_path / "out", settings=ExportSettings(bare=True))

    lines = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert {("messages",)} == {tuple(json.loads(line)) for line in lines}


@pytest.mark.parametrize("bare", [False, True])
def test_parquet_holds_the_same(tmp_path: Path, bare: bool) -> None:
    """Row for row, on both sides of the split."""
    out = tmp_path / "out"
    done = export_pairs(tasks(40), out, settings=ExportSettings(parquet=True, bare=bare))

    for side in ("train", "held_out"):
        lines, table = out / f"{side}.jsonl", out / f"{side}.parquet"
        assert [*read_pairs(lines)] == [*read_pairs(table)]
        assert {lines.name, table.name} <= set(done.files)


def test_parquet_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before anything is read."""
    monkeypatch.setattr("pickllm.distillation.exported.find_spec", lambda _: None)

    with pytest.raises(MissingExtra, match="tables"):
        export_pairs(tasks(1), tmp_path / "out", settings=ExportSettings(parquet=True))
    assert not (tmp_path / "out").exists()


def test_it_says_what_became_of_every_transcript(tmp_path: Path) -> None:
    """What was read is what was left out, for one reason each, and what is there."""
    transcripts = [
        said(1, "the red fox", score=1.0),
        said(2, "The  red FOX", score=0.9),
        said(3, "a blue whale", score=0.2),
        said(4, "seven small mice"),
        said(5, "an old oak", score=1.0, arm="small"),
        said(6, "rain on the roof", score=1.0, finish_reason="length"),
        said(7, "a dog that barks", score=1.0, time_s=5.0),
        said(8, "snow on the hill", score=1.0, time_s=900.0),
        said(9, "my evaluation prompt", score=1.0),
    ]
    wanted = Selection(arms={"large"}, min_score=0.8, since_s=50.0, until_s=500.0)

    done = export_pairs(
        transcripts,
        tmp_path / "out",
        settings=ExportSettings(selection=wanted),
        against=["My evaluation prompt!", "another one"],
    )

    reasons = {
        "nobody has judged it": 1,
        "scored too low": 1,
        "of another arm": 1,
        "cut off": 1,
        "too early": 1,
        "too late": 1,
        "known from the evaluation": 1,
        "the very same prompt": 1,
    }
    assert reasons == done.left_out
    assert 9 == done.read == sum(reasons.values()) + done.train + done.held_out
    assert ["d1"] == [pair.id for pair in everything(tmp_path / "out")]
    assert (1.0, {"large": 1}) == (done.mean_score, done.arm_to_pairs)
    assert done == read_export(tmp_path / "out")
    assert ("transcripts read", "9") in done.rows()


def test_the_best_answer_to_a_prompt_is_learnt(tmp_path: Path) -> None:
    """The newest of equals; one that somebody has judged rather than one that nobody has."""
    transcripts = [
        said(1, "the red fox", "worse", score=0.5),
        said(2, "the red fox", "best", score=1.0),
        said(3, "the red fox", "unjudged"),
        said(4, "a blue whale", "older", score=1.0),
        said(5, "a blue whale", "newer", score=1.0),
    ]

    export_pairs(transcripts, tmp_path / "out")

    assert {"best", "newer"} == {pair.answer for pair in everything(tmp_path / "out")}


def test_scores_are_those_of_the_sources_that_are_named(tmp_path: Path) -> None:
    """Their mean; what others say counts for nothing."""
    kept = Transcript(
        decision_id="d1",
        turns=(Said(role="user", text="the red fox"),),
        answer="yes",
        arm="large",
        time_s=1.0,
        source_to_score={"user": 1.0, "judge": 0.5, "scorer": 0.0},
    )
    wanted = Selection(sources={"user", "judge"}, min_score=0.7)

    export_pairs([kept], tmp_path / "out", settings=ExportSettings(selection=wanted))

    (pair,) = everything(tmp_path / "out")
    assert 0.75 == pair.score


@pytest.mark.parametrize("kind", ["journal", "log"])
def test_what_was_booked_counts_more_than_what_was_kept(tmp_path: Path, kind: str) -> None:
    """Feedback is looked up in the journal, corrections included, or in a log."""
    address = f"sqlite:///{tmp_path / 'routes.db'}"
    router = Router(arms=[Arm(name="large")], weights={"quality": 1.0}, store=address, seed=1)
    for name in ("d1", "d2"):
        made = router.decide(Request(text="the red fox", id=name))
        attempt = Attempt(arm=made.arm, status="ok", latency_s=1.0)
        router.settle(Outcome(decision_id=made.id, attempts=(attempt,)))
    router.feedback("d1", 0.0)
    router.feedback("d1", 0.75, correction=True)
    if kind == "log":
        address = str(tmp_path / "log.jsonl")
        write_log(address, router.ledger)

    export_pairs(
        [said(1, "the red fox", score=0.25), said(2, "a blue whale", score=0.5)],
        tmp_path / "out",
        judgements=judgements_of(address),
    )

    assert {"d1": 0.75, "d2": 0.5} == {pair.id: pair.score for pair in everything(tmp_path / "out")}


# ---- telling apart, splitting --------------------------------------------------------------------


def test_near_duplicates_give_their_best(tmp_path: Path) -> None:
    """Or as many as ``per_cluster`` says, the best first."""
    base = "Tell me in some few words what you think of the weather on the hills of the north"
    near = [said(at, f"{base}{'!' * at}", score=at / 10) for at in range(5)]
    far = said("far", "seven small mice", score=0.5)

    one = export_pairs([*near, far], tmp_path / "one")
    two = export_pairs([*near, far], tmp_path / "two", settings=ExportSettings(per_cluster=2))

    assert {"d4", "dfar"} == {pair.id for pair in everything(tmp_path / "one")}
    assert {"d4", "d3", "dfar"} == {pair.id for pair in everything(tmp_path / "two")}
    assert (2, 5, 4) == (one.clusters, one.largest_cluster, one.left_out["nearly the same prompt"])
    assert 3 == two.left_out["nearly the same prompt"]


VARIED = st.lists(
    st.tuples(
        st.sampled_from(WORDS),
        st.sampled_from(WORDS),
        st.sampled_from(["", "!", " please", " now?"]),
        st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0])),
    ),
    max_size=40,
)


@settings(max_examples=40)
@given(
    prompts=VARIED,
    near=st.sampled_from([0.7, 0.85, 0.95]),
    per_cluster=st.integers(1, 3),
    held_out=st.sampled_from([0.2, 0.5]),
)
def test_no_near_duplicate_crosses_the_split(
    tmp_path_factory: pytest.TempPathFactory,
    prompts: list[tuple[str, str, str, float | None]],
    near: float,
    per_cluster: int,
    held_out: float,
) -> None:
    """Whatever the prompts: none held out is near to one that is learnt, no cluster too large."""
    out = tmp_path_factory.mktemp("export") / "out"
    transcripts = [
        said(number, f"{one} and {other}{end}", score=score)
        for number, (one, other, end, score) in enumerate(prompts)
    ]

    done = export_pairs(
        transcripts,
        out,
        settings=ExportSettings(near=near, per_cluster=per_cluster, held_out=held_out),
    )

    train, held = pairs_of(out)
    embed = HashingEmbedder().embed
    if train and held:
        learnt, judged = (
            unit_rows(embed([pair.question for pair in side])) for side in (train, held)
        )
        assert float((learnt @ judged.T).max()) < near
    clusters = [pair.cluster for pair in (*train, *held)]
    assert set() == {pair.cluster for pair in train} & {pair.cluster for pair in held}
    assert max(map(clusters.count, clusters), default=0) <= per_cluster
    assert done.clusters == len(set(clusters))
    assert len(prompts) == done.read == done.train + done.held_out + sum(done.left_out.values())


def test_the_split_stays_as_traffic_grows(tmp_path: Path) -> None:
    """What was held out is never learnt later, and what was learnt is never held out."""
    some = tasks(150)
    export_pairs(some[:80], tmp_path / "before")
    export_pairs(some, tmp_path / "after")

    before, after = (
        [{p.id for p in side} for side in pairs_of(tmp_path / name)] for name in ("before", "after")
    )
    assert set() == before[0] & after[1]
    assert set() == before[1] & after[0]
    assert before[1]


def test_prompts_of_one_template_are_warned_of(tmp_path: Path) -> None:
    """Where all look alike, the user is told what to do."""
    frame = "Translate the following word into French and answer with the word alone, please: "
    words = ["".join(pair) for pair in itertools.product("bdfg", "aeiou")]

    done = export_pairs([said(at, frame + word) for at, word in enumerate(words)], tmp_path / "out")

    assert any("raise near or per_cluster" in warning for warning in done.warnings())


def test_redaction_holds_in_every_file(tmp_path: Path) -> None:
    """Also for texts that were kept before anybody thought of it."""
    transcripts = [
        said(at, f"{words}: I am ann{at}@example.org", f"Hello ann{at}@example.org")
        for at, words in enumerate(WORDS)
    ]

    export_pairs(
        transcripts, tmp_path / "out", settings=ExportSettings(redact=redact_pii, parquet=True)
    )

    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert (False, True) == (b"@example" in written, b"[email]" in written)


# ---- tenants -------------------------------------------------------------------------------------


def test_tenants_are_not_mixed_by_accident(tmp_path: Path) -> None:
    """A model may recite what it was taught: somebody has to say that this is right."""
    both = [said(1, "the red fox", tenant="a"), said(2, "a blue whale", tenant="b")]

    with pytest.raises(ConfigError, match="of several tenants"):
        export_pairs(both, tmp_path / "refused")

    for name, selection in (
        ("one", Selection(tenants={"a"})),
        ("both", Selection(tenants={"a", "b"})),
        ("all", Selection(all_tenants=True)),
    ):
        export_pairs(both, tmp_path / name, settings=ExportSettings(selection=selection))
    assert [1, 2, 2] == [len(everything(tmp_path / name)) for name in ("one", "both", "all")]


def test_what_is_deleted_while_it_is_exported_is_not_in_it(tmp_path: Path) -> None:
    """A tenant who is forgotten between reading and writing leaves nothing in the export."""

    class ForgottenMeanwhile(Transcripts):
        def read(self, *, after: str = "") -> Iterator[Transcript]:
            yield from super().read(after=after)
            self.forget_tenant("gone")

    kept = ForgottenMeanwhile(MemoryStore(), clock=lambda: 200.0)
    for number, words in enumerate(WORDS):
        kept.add(said(number, f"{words} here", tenant="stays"))
        kept.add(said(f"x{number}", f"{words} there", "secret", tenant="gone"))

    done = export_pairs(
        kept,
        tmp_path / "out",
        settings=ExportSettings(selection=Selection(all_tenants=True), near=1.0),
    )

    assert 5 == done.left_out["deleted meanwhile"]
    assert 5 == len(everything(tmp_path / "out"))
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())


# ---- going on ------------------------------------------------------------------------------------


class Killed(RuntimeError):
    """The process is gone."""


def broken_off(transcripts: list[Transcript], after: int) -> Iterator[Transcript]:
    """A source that is read so far, and then no more."""
    yield from transcripts[:after]
    raise Killed


@pytest.mark.parametrize("after", [0, 1, 300, 599])
def test_a_killed_export_goes_on_where_it_was(tmp_path: Path, after: int) -> None:
    """And comes to what it would have come to; nothing is read twice."""
    some = tasks(600)
    whole = export_pairs(some, tmp_path / "whole")

    with pytest.raises(Killed):
        export_pairs(broken_off(some, after), tmp_path / "out")
    assert not (tmp_path / "out" / "train.jsonl").exists()
    done = export_pairs(some, tmp_path / "out")

    assert (whole.files, whole.read, whole.left_out) == (done.files, done.read, done.left_out)
    assert {"train.jsonl", "held_out.jsonl", "export.json"} == {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize("file", ["train.jsonl", "held_out.jsonl", "export.json"])
def test_one_killed_at_a_file_goes_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """However many files have their names already; each gets it when it is whole."""
    whole = export_pairs(tasks(60), tmp_path / "whole")
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == file:
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            export_pairs(tasks(60), tmp_path / "out")
    assert not (tmp_path / "out" / file).exists()
    done = export_pairs(tasks(60), tmp_path / "out")

    assert (whole.files, whole.read, whole.left_out) == (done.files, done.read, done.left_out)
    assert [] == [*(tmp_path / "out").glob("*.unfinished")]


def test_pairs_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    """Where no export was begun, the files are not ours."""
    (tmp_path / "train.jsonl").write_text("mine", encoding="utf-8")

    with pytest.raises(ConfigError, match="holds pairs already"):
        export_pairs(tasks(10), tmp_path)
    assert "mine" == (tmp_path / "train.jsonl").read_text(encoding="utf-8")


def test_kept_transcripts_are_gone_on_with_by_their_place(tmp_path: Path) -> None:
    """Those that were deleted or came meanwhile shift nothing."""
    kept = Transcripts(MemoryStore(), clock=lambda: 2_000.0)
    for transcript in tasks(400):
        kept.add(transcript)
    read: list[str] = []

    class Once(Transcripts):
        stop_after = 300

        def read(self, *, after: str = "") -> Iterator[Transcript]:
            for transcript in kept.read(after=after):
                if len(read) == self.stop_after:
                    raise Killed
                read.append(transcript.decision_id)
                yield transcript

    source = Once(kept._store, clock=lambda: 2_000.0)
    with pytest.raises(Killed):
        export_pairs(source, tmp_path / "out")
    source.stop_after = -1
    kept.forget("d3")
    done = export_pairs(source, tmp_path / "out")

    assert 400 == done.read
    assert 300 + (400 - 256) == len(read)  # batches of 256 are what is gone on from
    assert "d3" not in {pair.id for pair in everything(tmp_path / "out")}


def test_an_unfinished_export_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    """Half of one and half of another would be neither."""
    with pytest.raises(Killed):
        export_pairs(broken_off(tasks(300), 299), tmp_path / "out")

    with pytest.raises(ConfigError, match="unfinished export of other settings"):
        export_pairs(tasks(300), tmp_path / "out", settings=ExportSettings(near=0.9))


def test_a_finished_export_is_not_written_over(tmp_path: Path) -> None:
    """Nor is a file."""
    export_pairs(tasks(10), tmp_path / "out")
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="holds pairs already"):
        export_pairs(tasks(10), tmp_path / "out")
    with pytest.raises(ConfigError, match="no folder"):
        export_pairs(tasks(10), tmp_path / "file")


# ---- reading -------------------------------------------------------------------------------------


def test_pairs_of_others_are_read(tmp_path: Path) -> None:
    """What other tools write for fine-tuning, with whatever stands beside the messages."""
    file = tmp_path / "others.jsonl"
    row = {
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
        "source": "elsewhere",
    }
    file.write_text(f"{json.dumps(row)}\n\n", encoding="utf-8")

    (pair,) = read_pairs(file)

    assert ("hi", "ho", None) == (pair.question, pair.answer, pair.score)


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"messages": []}',
        '{"messages": [{"role": "assistant", "content": "ho"}]}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
        '{"messages": [{"role": "x", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        '{"messages": [{"role": "user", "content": ["a"]}, {"role": "assistant", "content": ""}]}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]}',
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    """By its number, and not by what stands in it."""
    file = tmp_path / "pairs.jsonl"
    good = json.dumps(
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    )
    file.write_text(f"{good}\n{line}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"row 2 of .* is no pair"):
        [*read_pairs(file)]


@pytest.mark.parametrize("name", ["gone.jsonl", "gone.parquet", "text.parquet"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    """Missing, or of another kind."""
    (tmp_path / "text.parquet").write_text("no table", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"cannot read|is no Parquet file"):
        [*read_pairs(tmp_path / name)]


def test_a_folder_without_an_export_is_told(tmp_path: Path) -> None:
    """An unfinished one has no summary, and is none."""
    with pytest.raises(StateConflict, match="holds no finished export"):
        read_export(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Selection(min_score=2.0),
        lambda: Selection(arms="large"),
        lambda: ExportSettings(near=0.0),
        lambda: ExportSettings(per_cluster=0),
        lambda: ExportSettings(held_out=1.0),
    ],
)
def test_settings_that_cannot_be_are_told(wrong: Any) -> None:
    """When they are made."""
    with pytest.raises(ConfigError):
        wrong()


def test_an_empty_export_says_that_there_is_nothing(tmp_path: Path) -> None:
    """It is no error: tomorrow there may be something."""
    done = export_pairs([], tmp_path / "out")

    assert (0, 0, ["there is nothing to learn from"]) == (
        done.train,
        done.held_out,
        done.warnings(),
    )
    assert isinstance(done, Exported)
    assert np.isnan(done.mean_score or np.nan)
