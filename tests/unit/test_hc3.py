"""The reader of HC3, on files of its shape."""

import json
from pathlib import Path

import pytest

from pickllm import ConfigError
from pickllm.data import HC3_SUBSETS, HC3Row, read_hc3


def line(question: object = "Why?", **more: object) -> str:
    """One line of a file."""
    return json.dumps(
        {"question": question, "human_answers": ["So."], "chatgpt_answers": ["Thus."]} | more
    )


def test_the_whole_corpus_says_its_sources(tmp_path: Path) -> None:
    """Each line of all.jsonl names the subset that it comes from; blank lines are passed over."""
    (tmp_path / "all.jsonl").write_text(f"{line(source='finance')}\n\n{line(source='medicine')}\n")

    assert ["finance", "medicine"] == [row.source for row in read_hc3(tmp_path)]


def test_a_subset_is_named_by_its_file(tmp_path: Path) -> None:
    """The five split files carry no source of their own."""
    for name in HC3_SUBSETS:
        (tmp_path / f"{name}.jsonl").write_text(line(question=name))

    assert list(HC3_SUBSETS) == [row.source for row in read_hc3(tmp_path)]
    expected = HC3Row(
        question="open_qa", human_answers=("So.",), chatgpt_answers=("Thus.",), source="open_qa"
    )
    assert [expected] == read_hc3(tmp_path / "open_qa.jsonl")


@pytest.mark.parametrize(
    "bad",
    ["{", "[]", "3", '{"question": "Why?"}', line(question=3), line(human_answers="So.")],
)
def test_a_line_that_is_no_row_is_named(bad: str, tmp_path: Path) -> None:
    """The error names file and line."""
    (tmp_path / "all.jsonl").write_text(f"{line(source='finance')}\n{bad}\n")

    with pytest.raises(ConfigError, match=r"all\.jsonl, line 2"):
        read_hc3(tmp_path)


def test_where_there_is_nothing_the_error_says_what_is_looked_for(tmp_path: Path) -> None:
    """A folder without the files is no empty corpus."""
    with pytest.raises(ConfigError, match=r"all\.jsonl.*reddit_eli5\.jsonl"):
        read_hc3(tmp_path)
