"""A reward model of `transformers`: a very small DeBERTa, made here, that learns one preference."""

import importlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pickllm import ConfigError, Reply, Request, Router, drive
from pickllm.scoring import OPEN_ASSISTANT, Platt, RewardModel
from pickllm.testing import Script, ScriptedPort
from tests.unit.doubles import priced

pytestmark = pytest.mark.xdist_group("reward-model")
"""So that the model is made once."""

LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789+=?."]
QUESTIONS = ["2 + 2 =", "capital of france?", "who?"]


def transformers() -> Any:
    """The library, whose types tell less than it takes."""
    return importlib.import_module("transformers")


def make_tokenizer() -> Any:
    """Letters as tokens, and a pair as DeBERTa has it: [CLS] question [SEP] answer [SEP]."""
    import tokenizers
    from tokenizers import models, pre_tokenizers, processors, trainers

    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=120, special_tokens=special, initial_alphabet=LETTERS
    )
    made.train_from_iterator(["good answer", "bad answer", *QUESTIONS], trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    )


def make_model(folder: Path, *, outputs: int = 1) -> Path:
    """A DeBERTa-v3 of two layers that prefers answers with "good" in them to those with "bad"."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    config = transformers().DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        max_position_embeddings=64,
        type_vocab_size=0,
        num_labels=outputs,
        pad_token_id=0,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pooler_dropout=0.0,
    )
    model = transformers().DebertaV2ForSequenceClassification(config)
    steps = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30 if outputs == 1 else 0):
        good, bad = (
            model(
                **tokenizer(QUESTIONS, [f"a {word} answer"] * 3, padding=True, return_tensors="pt")
            ).logits[:, 0]
            for word in ("good", "bad")
        )
        loss: Any = -torch.nn.functional.logsigmoid(good - bad).mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    """The small one, loaded from its folder as the large one is by its name."""
    return RewardModel.load(make_model(tmp_path_factory.mktemp("reward-model")), max_tokens=48)


def test_the_paper_s_model_is_the_default() -> None:
    """By its name on the hub."""
    assert "OpenAssistant/reward-model-deberta-v3-large-v2" == OPEN_ASSISTANT
    assert (OPEN_ASSISTANT,) == RewardModel.load.__func__.__defaults__  # type: ignore[attr-defined]  # of a class method


def test_it_has_learnt_what_people_prefer(scorer: RewardModel) -> None:
    """The logit of the better answer is higher, by far more than nothing."""
    good, bad = scorer.logits(["2 + 2 ="] * 2, ["a good answer", "a bad answer"])

    assert good > bad + 1.0
    assert 0.0 < score_of(scorer, "a bad answer") < score_of(scorer, "a good answer") < 1.0


def score_of(scorer: RewardModel, answer: str) -> float:
    """Of an answer to a sum."""
    score = scorer.judged(Request(text="2 + 2 ="), Reply(text=answer))
    assert score is not None
    return score


def test_a_batch_is_its_parts(scorer: RewardModel) -> None:
    """Padding beside a longer answer changes nothing; more than a batch is done in several."""
    answers = ["a good answer", "bad", "a bad answer " * 3] * 7
    together = scorer.logits(["who?"] * 21, answers)

    alone = [scorer.logits(["who?"], [answer])[0] for answer in answers[:3]]
    np.testing.assert_allclose(together, alone * 7, rtol=1e-4, atol=1e-5)
    assert (0,) == scorer.logits([], []).shape


def test_what_is_too_long_is_cut(scorer: RewardModel) -> None:
    """A question and an answer far beyond the window still get a score."""
    assert 0.0 < score_of(scorer, "a good answer " * 500) < 1.0


def test_its_logits_are_calibrated_on_labels(scorer: RewardModel) -> None:
    """The sigmoid that the labels ask for takes the place of the plain one."""
    answers = ["a good answer", "a bad answer"] * 30
    labels = [1.0, 0.0] * 24 + [0.0, 1.0] * 6
    fitted = Platt.fit(scorer.logits(["who?"] * 60, answers), labels)

    calibrated = scorer.calibrated(fitted)

    scores = [calibrated.judged(Request(text="who?"), Reply(text=each)) for each in answers[:2]]
    assert scores == [pytest.approx(0.8, abs=0.03), pytest.approx(0.2, abs=0.03)]


def test_an_empty_answer_is_not_judged(scorer: RewardModel) -> None:
    """Nothing is to be said of nothing."""
    assert None is scorer.judged(Request(text="who?"), Reply(text="\n"))


async def test_it_scores_in_a_thread(scorer: RewardModel) -> None:
    """A loop goes on meanwhile."""
    router = Router(arms=priced("a"), scorer=scorer)
    port = ScriptedPort({"a": Script(pieces=("a good answer",))})

    routed = await drive.arun(router.flow(Request(text="2 + 2 =")), port)

    assert score_of(scorer, "a good answer") == routed.score


def test_threads_do_not_disturb_each_other(scorer: RewardModel) -> None:
    """Its tokenizer serves one at a time."""
    expected = score_of(scorer, "a good answer")
    scores: list[float] = []

    def work() -> None:
        scores.extend(score_of(scorer, "a good answer") for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [expected] * 20 == scores


def test_what_is_no_reward_model_is_refused(tmp_path: Path) -> None:
    """Two outputs are a classifier's; and a name may lead nowhere."""
    with pytest.raises(ConfigError, match="has 2 outputs; a reward model has one"):
        RewardModel.load(make_model(tmp_path, outputs=2))
    with pytest.raises(ConfigError, match="cannot load"):
        RewardModel.load(tmp_path / "nothing")


def test_pairs_must_pair(scorer: RewardModel) -> None:
    """As many questions as answers."""
    with pytest.raises(ConfigError):
        scorer.logits(["who?"], [])
