"""Tables of preferences, and their readers."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.data import (
    MARK,
    Battle,
    PreferenceTable,
    from_grades,
    from_outcomes,
    join,
    preference_table,
    read_arena,
    read_judgements,
)
from pickllm.evaluation import OutcomeTable

VOTE = {
    "id": 1,
    "model_a": "large",
    "model_b": "small",
    "prompt": '["Why is the sky blue?", "And at night?"]',
    "response_a": '["Because."]',
    "response_b": '["No idea."]',
    "winner_model_a": 1,
    "winner_model_b": 0,
    "winner_tie": 0,
}


def described(table: PreferenceTable) -> list[tuple[str, str, str, float]]:
    """Battles as they would be told."""
    return [
        (table.prompts[prompt], table.arms[first], table.arms[second], won)
        for prompt, first, second, won in zip(
            table.prompt, table.first, table.second, table.won.tolist(), strict=True
        )
    ]


def written(folder: Path, rows: Sequence[Mapping[str, Any]], kind: str = "csv") -> Path:
    """A file of votes."""
    path = folder / f"votes.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pyarrow = pytest.importorskip("pyarrow", reason="reads parquet")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_arena_export_is_read(kind: str, tmp_path: Path) -> None:
    """The first turn is what was voted on; the three winner columns become one."""
    tie = VOTE | {"winner_model_a": 0, "winner_tie": 1}
    lost = VOTE | {"winner_model_a": 0, "winner_model_b": 1, "prompt": '["Who?"]'}
    table = read_arena(written(tmp_path, [VOTE, tie, lost], kind))

    assert [
        ("Why is the sky blue?", "large", "small", 1.0),
        ("Why is the sky blue?", "large", "small", 0.5),
        ("Who?", "large", "small", 0.0),
    ] == described(table)
    assert ("arena",) == table.sources


def test_conversations_are_read(tmp_path: Path) -> None:
    """The other shape has messages, as JSON or nested, and one winner column."""
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    blocks = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    rows: list[Mapping[str, Any]] = [
        {"model_a": "a", "model_b": "b", "conversation_a": json.dumps(turns), "winner": winner}
        for turns, winner in ((said, "model_b"), (blocks, "tie (bothbad)"))
    ]
    table = read_arena(written(tmp_path, rows))

    assert [("Hi", "a", "b", 0.0), ("Hi", "a", "b", 0.5)] == described(table)


def test_an_export_that_a_spreadsheet_has_written_is_read(tmp_path: Path) -> None:
    """With a mark at its beginning; a row that was cut off is named."""
    path = written(tmp_path, [VOTE])
    text = path.read_text(encoding="utf-8")
    path.write_text(f"\ufeff{text}\n", encoding="utf-8")
    assert [("Why is the sky blue?", "large", "small", 1.0)] == described(read_arena(path))

    path.write_text(f"{text}large\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="row 2 is no battle"):
        read_arena(path)


def test_nested_conversations_are_read_from_parquet(tmp_path: Path) -> None:
    """As the newest exports have them."""
    row = {
        "model_a": "a",
        "model_b": "b",
        "conversation_a": [{"role": "user", "content": "Hi"}],
        "winner": "model_a",
    }
    assert [("Hi", "a", "b", 1.0)] == described(read_arena(written(tmp_path, [row], "parquet")))


def test_broken_text_and_empty_prompts_do_no_harm(tmp_path: Path) -> None:
    """Exports hold lone surrogates, null turns, and votes on one model twice."""
    rows = [
        VOTE | {"prompt": '["\\ud83d oops"]'},
        VOTE | {"prompt": '[null, "second turn"]'},
        VOTE | {"prompt": '[""]'},
        VOTE | {"prompt": ""},
        VOTE | {"model_b": "large"},
    ]
    assert ("? oops", "second turn") == read_arena(written(tmp_path, rows)).prompts


def test_short_prompts_can_be_left_out(tmp_path: Path) -> None:
    """RouteLLM leaves out what has fewer than 16 characters."""
    rows = [VOTE, VOTE | {"prompt": '["Hi there"]'}]

    assert 1 == len(read_arena(written(tmp_path, rows), least_characters=16))


@pytest.mark.parametrize(
    "change",
    [{"prompt": "not JSON"}, {"winner_tie": 1}, {"winner_model_a": "yes"}, {"prompt": "[3]"}],
)
def test_a_row_that_is_no_battle_is_named(change: Mapping[str, Any], tmp_path: Path) -> None:
    """The error says which row, and shows no prompt."""
    with pytest.raises(ConfigError, match="row 2 is no battle") as caught:
        read_arena(written(tmp_path, [VOTE, {**VOTE, **change}]))
    assert "sky" not in str(caught.value)


def test_only_known_files_are_read(tmp_path: Path) -> None:
    """A file of another kind is an error rather than an empty table."""
    with pytest.raises(ConfigError, match=r"neither \.csv nor"):
        read_arena(tmp_path / "votes.xlsx")


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
def test_a_file_that_can_not_be_read_is_named(name: str, tmp_path: Path) -> None:
    """Be it of another encoding, no file of that kind, or empty."""
    pytest.importorskip("pyarrow", reason="reads Parquet")
    path = tmp_path / name
    path.write_bytes("caf\u00e9".encode("latin-1"))

    with pytest.raises(ConfigError, match=f"cannot read {path}"):
        read_arena(path)
    with pytest.raises(ConfigError, match=f"cannot read {path}"):
        read_judgements(path)
    path.with_suffix(".csv").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no battle"):
        read_arena(path.with_suffix(".csv"))


def test_votes_may_be_written_as_fractions(tmp_path: Path) -> None:
    """As tables do that once had a gap in a column."""
    votes = {name: f"{VOTE[name]}.0" for name in VOTE if name.startswith("winner_")}
    assert described(read_arena(written(tmp_path, [VOTE]))) == described(
        read_arena(written(tmp_path, [VOTE | votes]))
    )


@pytest.mark.parametrize("change", [{"winner": "large"}, {"prompt": None}, {"first": 3}])
def test_a_battle_is_checked_when_it_is_made(change: dict[str, Any]) -> None:
    """Not when a ranker looks at it."""
    with pytest.raises(ConfigError, match=r"the winner is first|are text"):
        Battle(**{"prompt": "p", "first": "a", "second": "b", "winner": "tie", **change})


def test_verdicts_of_a_judge_are_read(tmp_path: Path) -> None:
    """With their own weight and source where they say so."""
    verdict = {"prompt": "Why?", "model_a": "a", "model_b": "b", "winner": "model_b"}
    lines = [verdict, verdict | {"winner": "tie", "weight": 0.5, "source": "panel"}]
    path = tmp_path / "verdicts.jsonl"
    path.write_text("\n\n".join(map(json.dumps, lines)))
    table = read_judgements(path)

    assert [("Why?", "a", "b", 0.0), ("Why?", "a", "b", 0.5)] == described(table)
    assert (("judge", "panel"), [1.0, 0.5]) == (table.sources, table.weight.tolist())


def test_a_line_that_is_no_verdict_is_named(tmp_path: Path) -> None:
    """The error says which line."""
    path = tmp_path / "verdicts.jsonl"
    path.write_text('{"prompt": "Why?"}')
    with pytest.raises(ConfigError, match="line 1 is no verdict"):
        read_judgements(path)


def test_graded_answers_are_battles() -> None:
    """Every pair of arms meets on every prompt; scores within the margin are a tie."""
    outcomes = OutcomeTable(
        arms=("z", "a"),
        score=np.array([[1.0, 0.0], [0.5, 0.55]]),
        cost_usd=np.zeros((2, 2)),
        latency_s=np.zeros((2, 2)),
    )
    table = from_outcomes(outcomes, ["p", "q"], margin=0.1)

    assert [("p", "a", "z", 0.0), ("q", "a", "z", 0.5)] == described(table)
    with pytest.raises(ConfigError, match="1 prompts and 2 rows"):
        from_outcomes(outcomes, ["p"])


def test_points_against_the_mark_are_scores() -> None:
    """Each arm's points are what its answer was graded."""
    score = np.array([[1.0, 0.25], [0.5, 0.0]])
    outcomes = OutcomeTable(
        arms=("z", "a"), score=score, cost_usd=np.zeros((2, 2)), latency_s=np.zeros((2, 2))
    )
    table = from_grades(outcomes, ["p", "q"])

    assert ("a", "z", MARK) == table.arms
    assert score[:, ::-1].tolist() == table.points()[:, :2].tolist()
    with pytest.raises(ConfigError, match="1 prompts and 2 rows"):
        from_grades(outcomes, ["p"])


def some_battles() -> PreferenceTable:
    """Three arms, two prompts."""
    return preference_table(
        [
            Battle(prompt="p", first="b", second="a", winner="first"),
            Battle(prompt="p", first="a", second="b", winner="second", weight=2.0),
            Battle(prompt="q", first="a", second="c", winner="tie"),
        ]
    )


def test_wins_are_counted_by_weight() -> None:
    """A tie is half a win for each."""
    wins = some_battles().wins()

    assert [[0.0, 0.0, 0.5], [3.0, 0.0, 0.0], [0.5, 0.0, 0.0]] == wins.tolist()


def test_equal_verdicts_become_one() -> None:
    """Either way round, with the sum of their weights; nothing else changes."""
    merged = some_battles().merged()

    assert [("p", "a", "b", 0.0), ("q", "a", "c", 0.5)] == described(merged)
    assert [3.0, 1.0] == merged.weight.tolist()
    assert some_battles().wins().tolist() == merged.wins().tolist()


def test_part_of_a_table_keeps_its_names() -> None:
    """Places go on to mean the same, so one set of embeddings serves all parts."""
    table = some_battles()
    part = table.between("a", "c")

    assert [("q", "a", "c", 0.5)] == described(part)
    assert (table.prompts, table.arms) == (part.prompts, part.arms)
    assert described(part) == described(table.of_prompts(np.array([False, True])))
    with pytest.raises(ConfigError, match="no battle has arm 'd'"):
        table.between("a", "d")


def test_tables_join() -> None:
    """Names, prompts and sources of both, each once; every battle as it was."""
    other = preference_table(
        [Battle(prompt="q", first="d", second="a", winner="first", source="x")]
    )
    joined = join(some_battles(), other)

    assert [*described(some_battles()), *described(other)] == described(joined)
    assert (("p", "q"), ("a", "b", "c", "d"), ("", "x")) == (
        joined.prompts,
        joined.arms,
        joined.sources,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"first": np.array([0, 0, 9])},
        {"first": np.array([0, 0])},
        {"first": np.array([0, 1, 2])},
        {"won": np.array([0.0, 2.0, 0.0])},
        {"weight": np.array([1.0, 0.0, 1.0])},
    ],
)
def test_columns_are_checked(change: Mapping[str, Any]) -> None:
    """Places, shapes and ranges that can not be are found when the table is built."""
    table = some_battles()
    fields = {name: getattr(table, name) for name in table.__dataclass_fields__}
    with pytest.raises(ConfigError):
        PreferenceTable(**{**fields, **change})


def test_a_table_needs_battles() -> None:
    """An empty table would only fail later."""
    with pytest.raises(ConfigError, match="no battles"):
        preference_table([])
