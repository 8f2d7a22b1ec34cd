"""A compressor with weights: a real token classifier, of two layers, made here."""

import re
from pathlib import Path

import pytest

from pickllm.errors import ConfigError
from pickllm.prompting import Compressed, LLMLingua2
from pickllm.testing import check_adaptation
from tests.ranking.tiny_bert import make_tiny_bert

TEXT = "Add these numbers to the sum and write a poem about the sea. " * 60


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a classifier of tokens; its tokenizer is the tiny BERT's."""
    import torch
    from transformers import AutoConfig, BertForTokenClassification

    folder = make_tiny_bert(tmp_path_factory.mktemp("classifier"))
    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(folder, num_labels=2)
    BertForTokenClassification(config).save_pretrained(folder)
    return folder


def test_words_go_and_the_rest_stays_as_it_was(classifier: Path) -> None:
    """Half of them, in long texts too; what is left is a subsequence, letter by letter."""
    short = LLMLingua2.load(classifier, rate=0.5).compressed(TEXT, "")

    assert len(short.split()) == pytest.approx(0.5 * len(TEXT.split()), abs=1)
    words = iter(TEXT.split())
    assert all(word in words for word in short.split())


def test_the_least_wanted_words_go(classifier: Path) -> None:
    """By the mean over a word's tokens."""
    compressor = LLMLingua2.load(classifier, rate=0.5)
    words = ["add", "these", "numbers", "to", "the", "sum"]
    keeps = compressor.keeps(words)

    kept = compressor.compressed(" ".join(words), "").split()

    ranked = sorted(range(6), key=lambda place: -keeps[place])[:3]
    assert [words[place] for place in sorted(ranked)] == kept
    assert len(set(keeps)) > 1


def test_code_numbers_and_negations_stay(classifier: Path) -> None:
    """Whatever the model thinks of them; blocks stay on lines of their own."""
    compressor = LLMLingua2.load(classifier, rate=0.05)
    block = '```py\nx = 1\n```\n| a | b |\n{"sum": 3}\n'
    text = f"Add three and four, the sum is 7.\n{block}Do not write a poem."

    short = compressor.compressed(text, "")

    assert f"\n{block}" in short
    assert ["7", "1", "3"] == re.findall(r"\d", short)
    assert "not" in short.split()
    assert "poem" not in short


def test_it_keeps_the_promises_of_adaptations(classifier: Path) -> None:
    """Behind the same seam as the one without weights."""
    compressor = LLMLingua2.load(classifier, rate=0.3)

    check_adaptation(Compressed(compressor=compressor, least_tokens=20))


def test_what_is_no_classifier_is_refused(classifier: Path, tmp_path: Path) -> None:
    """With words; and rates that cannot be."""
    from transformers import AutoConfig, BertForTokenClassification

    folder = make_tiny_bert(tmp_path)
    BertForTokenClassification(AutoConfig.from_pretrained(folder, num_labels=5)).save_pretrained(
        folder
    )
    with pytest.raises(ConfigError, match="5 labels"):
        LLMLingua2.load(folder)
    with pytest.raises(ConfigError, match="cannot load"):
        LLMLingua2.load(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="rate"):
        LLMLingua2.load(classifier, rate=1.0)
