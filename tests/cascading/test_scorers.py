"""The scorers that cascades are made with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

import langchain_pickllm.log_probabilities as of_langchain
import llamaindex_pickllm.log_probabilities as of_llamaindex
from pickllm import ConfigError, StateConflict
from pickllm.answer_training import AnswerTraining
from pickllm.ranking.fine_tuning import Training
from pickllm.scoring import (
    AnswerClassifier,
    AnswerScoring,
    GradedAnswers,
    LearnedScorer,
    LogProbabilities,
    PTrue,
    SelfConsistency,
    final_answer,
    fit_log_probabilities,
    load_scorer,
    same_answer,
    save_scorer,
)
from pickllm.scoring.answer_classifier import encoded_pairs
from pickllm.scoring.answer_features import ANSWER_FEATURES, answer_features
from pickllm.scoring.arithmetic import checked_sums
from pickllm.scoring.fitting import AnswerRows, logits_of
from pickllm.types import Reply, Request
from tests.cascading.worlds import result_of, sums
from tests.ranking.tiny_bert import make_tiny_bert

ASKED = Request(text="What is 2 + 3?")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("So the answer is (C).", "C"),
        ("The answer is **B**", "B"),
        ("Answer: $1,200.50", "1200.5"),
        ("#### 42 ", "42"),
        (r"Hence \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"so \boxed{17}", "17"),
        ('{"reasoning": "…", "answer": "x = 3"}', "3"),
        ("The answer is 3. No: the answer is 4.", "4"),
        ("I do not know.", None),
        ("", None),
    ],
)
def test_final_answer(text: str, said: str | None) -> None:
    """What an answer comes to is read where it says so, the last time it does."""
    assert final_answer(text) == said


def test_same_answer_looks_at_what_answers_come_to() -> None:
    """However they reason; words count where nothing is said."""
    assert same_answer("Well. The answer is 7.0", "#### 7") == 1.0
    assert same_answer("The answer is 7", "The answer is 8") == 0.0
    assert 0.0 < same_answer("a red fox", "a red hen") < 1.0


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("3 * 4 = 12", (1, 0)),
        ("$3 + $4 = $8", (0, 1)),
        ("2 + 3 * 4 = 14, (2 + 3) * 4 = 20", (2, 0)),
        ("1/0 = 5 and x = 3", (0, 0)),
        ("1,000 - 1 = 999", (1, 0)),
    ],
)
def test_sums_are_worked_out_again(text: str, counts: tuple[int, int]) -> None:
    """Right ones and wrong ones are counted; what is no sum is passed over."""
    assert checked_sums(text).counts == counts


@given(st.text(max_size=300), st.text(max_size=300), st.booleans())
def test_features_of_any_text_are_finite(question: str, answer: str, cut_off: bool) -> None:
    """Whatever is asked and said."""
    found = answer_features(question, answer, cut_off=cut_off)
    assert found.shape == (len(ANSWER_FEATURES),)
    assert np.isfinite(found).all()


@pytest.fixture(scope="module")
def learned() -> LearnedScorer:
    """A scorer of sums."""
    return AnswerScoring(least=50).fit(sums(400).graded())


def test_learned_scorer_tells_wrong_sums(learned: LearnedScorer) -> None:
    """On prompts that it has not seen, right answers score higher."""
    unseen = sums(200, seed=1).graded()
    scores = learned.scores(unseen.prompts, unseen.answers, unseen.arms)
    right = unseen.labels > 0.5
    assert scores[right].mean() > scores[~right].mean() + 0.3
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    assert scores.mean() == pytest.approx(unseen.labels.mean(), abs=0.1)


def test_learned_scorer_is_a_scorer(learned: LearnedScorer) -> None:
    """It does its work where a driver says, and leaves turns with tools alone."""
    reply = Reply(text="2 + 3 = 5. The answer is 5", arm="small")
    said = result_of(learned.score(ASKED, reply))
    assert said == learned.judged(ASKED, reply)
    assert result_of(learned.score(ASKED, Reply(text="", arm="small", calls_tools=True))) is None


def test_batches_score_as_single_answers_do(learned: LearnedScorer) -> None:
    """What is fitted on is what is served."""
    table = sums(20, seed=2).graded()
    rows = AnswerRows.of(table.prompts, table.answers, bits=15)
    at_once = logits_of(learned.weights, rows, np.array(table.arms))
    singly = [
        learned.weights.logit(*each)
        for each in zip(table.prompts, table.answers, table.arms, strict=True)
    ]
    assert at_once == pytest.approx(singly, abs=1e-4)
    assert rows.take(np.arange(5, 20)).idf.shape == (1 << 15,)


def test_learned_scorer_comes_back_from_its_file(learned: LearnedScorer, tmp_path: Path) -> None:
    """All of it; what is no scorer is refused."""
    file = tmp_path / "scorer.json"
    save_scorer(file, learned)
    reply = Reply(text="2 + 3 = 6", arm="large")
    assert load_scorer(file).judged(ASKED, reply) == learned.judged(ASKED, reply)
    for damage in ("{", "[]", '{"pickllm_scorer": 2}'):
        file.write_text(damage, encoding="utf-8")
        with pytest.raises(StateConflict):
            load_scorer(file)


def test_arms_with_labels_enough_have_weights_of_their_own() -> None:
    """The others share theirs."""
    table = sums(300).graded()
    assert set(AnswerScoring(own_least=200, bits=10).fit(table).arm_to_weights) == {
        "small",
        "large",
    }
    assert not AnswerScoring(bits=10).fit(table).arm_to_weights


def test_too_few_prompts_are_refused() -> None:
    """As are labels that are none."""
    graded = GradedAnswers(prompts=("a",), answers=("b",), arms=("c",), labels=np.array([1.0]))
    with pytest.raises(ConfigError, match="folds"):
        AnswerScoring().fit(graded)
    with pytest.raises(ConfigError, match="labels"):
        GradedAnswers(prompts=("a",), answers=("b",), arms=("c",), labels=np.array([2.0]))


# Log-probabilities, samples, and a model that is asked


def test_log_probabilities_are_read_of_langchain_messages() -> None:
    """Of each token, in either of the two forms; of the first one, with its rivals."""
    token = {"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "No", "logprob": -2.0}]}
    message = AIMessage("Yes", response_metadata={"logprobs": {"content": [token]}})
    other = AIMessage("Yes", response_metadata={"logprobs": {"token_logprobs": [None, -0.5]}})
    assert of_langchain.token_log_probabilities(message) == [-0.1]
    assert of_langchain.token_log_probabilities(other) == [-0.5]
    assert of_langchain.first_token_log_probabilities(message) == {"Yes": -0.1, "No": -2.0}
    assert of_langchain.token_log_probabilities(AIMessage("Yes")) is None
    assert of_langchain.first_token_log_probabilities(None) is None


def test_log_probabilities_are_read_of_llamaindex_responses() -> None:
    """The likeliest of each place counts."""
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LogProb

    places = [[LogProb(token="Yes", logprob=-0.1), LogProb(token="No", logprob=-2.0)]]
    response = ChatResponse(message=ChatMessage(content="Yes"), logprobs=places)
    assert of_llamaindex.token_log_probabilities(response) == [-0.1]
    assert of_llamaindex.first_token_log_probabilities(response) == {"Yes": -0.1, "No": -2.0}
    assert of_llamaindex.token_log_probabilities(SimpleNamespace(logprobs=None)) is None


def test_labels_that_are_all_the_same_are_refused() -> None:
    """Nothing can be learnt from them, and a scorer that says always the same would look learnt."""
    texts = tuple(f"{n} apples" for n in range(20))
    graded = GradedAnswers(prompts=texts, answers=texts, arms=("a",) * 20, labels=np.ones(20))
    with pytest.raises(ConfigError, match="all 20 labels are 1, which tells nothing"):
        AnswerScoring(bits=10).fit(graded)


def test_fitted_log_probabilities_tell_sure_answers() -> None:
    """One bad token among many is seen, and an answer without them is not judged."""
    rng = np.random.default_rng(0)
    labels = (rng.random(300) < 0.6).astype(float)
    answers = []
    for label in labels:
        tokens = -np.abs(rng.normal(0.0, 0.1, int(rng.integers(5, 30))))
        tokens[0] -= 0.0 if label else 3.0
        answers.append(tokens.tolist())
    fitted = fit_log_probabilities(answers, labels, ["small"] * 300)
    scorer = LogProbabilities(read=lambda message: message, fitted=fitted)
    sure, unsure = [-0.05] * 12, [-3.0, *[-0.05] * 11]
    found = [scorer.judged(ASKED, Reply(text="5", message=m, arm="small")) for m in (sure, unsure)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] > 0.8
    assert found[1] < 0.2
    assert scorer.judged(ASKED, Reply(text="5", message=None)) is None
    for odd in ([-0.1, float("nan")], [-0.1, 5.0]):
        assert scorer.judged(ASKED, Reply(text="5", message=odd, arm="small")) is None
        with pytest.raises(ConfigError, match="at most 0"):
            fit_log_probabilities([odd], [1.0], ["small"])
    with pytest.raises(ConfigError, match="token"):
        fit_log_probabilities([[]], [1.0], ["small"])


def test_self_consistency_asks_the_arm_that_answered() -> None:
    """Samples that fail are left out, and an arm that cannot be asked is not judged."""
    said: Iterator[str | None] = iter(["The answer is 5", "The answer is 6", "Answer: 5", None])

    def ask(prompt: str) -> str:
        assert prompt == ASKED.text
        answer = next(said)
        if answer is None:
            raise RuntimeError("down")
        return answer

    scorer = SelfConsistency(arm_to_ask={"small": ask})
    assert scorer.judged(ASKED, Reply(text="#### 5", arm="small")) == pytest.approx(2 / 3)
    assert scorer.judged(ASKED, Reply(text="#### 5", arm="large")) is None
    assert (scorer.spent.asked, scorer.spent.failed) == (4, 1)
    with pytest.raises(ConfigError):
        SelfConsistency(arm_to_ask={})


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        ("85", 0.85),
        ("85.5 %", 0.855),
        ("100%", 1.0),
        ("1", 0.01),
        ("0.7", 0.7),
        (".95", 0.95),
        ("1.0.", 1.0),
        ("0.5%", 0.005),
        ("Yes.", 1.0),
        ("no", 0.0),
        ("101", None),
        ("100.5", None),
        ("Perhaps 50", None),
        ("nan", None),
    ],
)
def test_p_true_reads_numbers_and_words(verdict: str, score: float | None) -> None:
    """What cannot be read is counted, and no score."""
    scorer = PTrue(ask=lambda _: verdict)
    assert scorer.judged(ASKED, Reply(text="5")) == score
    assert scorer.spent.unreadable == int(score is None)
    assert scorer.judged(ASKED, Reply(text=" ")) is None


def test_p_true_weighs_yes_against_no() -> None:
    """Spaces and cases of the two words add up; other tokens do not count."""
    likeliest = {"Yes": np.log(0.5), " yes": np.log(0.1), "No": np.log(0.2), "Well": np.log(0.2)}
    scorer = PTrue(ask=lambda _: Reply(text="Yes", message=likeliest), first_token=lambda m: m)
    assert scorer.judged(ASKED, Reply(text="5")) == pytest.approx(0.75)
    assert "Yes or No" in scorer.prompt("q", "a")


# The fine-tuned encoder


SEA_TRAINING = Training(epochs=3, batch=8, learning_rate=2e-3, tokens=32, held_out=0.25)


def of_the_sea(count: int = 80) -> GradedAnswers:
    """Every second answer is right: those that say "sea"."""
    return GradedAnswers(
        prompts=tuple(f"write a poem about the sea {n}" for n in range(count)),
        answers=tuple("the sea" if n % 2 else "add three" for n in range(count)),
        arms=("small",) * count,
        labels=np.array([float(n % 2) for n in range(count)]),
    )


@pytest.mark.parametrize("labels", [1, 2])
def test_encoder_learns_which_answers_are_right(tmp_path: Path, labels: int) -> None:
    """A tiny one, trained here: answers that say "sea" are right; it is kept and comes back."""
    base = make_tiny_bert(tmp_path / "base")
    graded, training = of_the_sea(), SEA_TRAINING
    scorer = AnswerTraining(
        base=str(base), folder=str(tmp_path / "scorer"), labels=labels, training=training
    ).fit(graded)
    asked = ("write a poem about the sea",) * 2
    found = scorer.scores(asked, ("the sea", "add three"), ("small",) * 2)
    assert found[0] > 0.6
    assert found[1] < 0.4
    again = AnswerClassifier.load(tmp_path / "scorer")
    np.testing.assert_allclose(
        again.scores(asked, ("the sea", ""), ("small",) * 2), [found[0], 0.0], rtol=1e-5
    )
    alone = again.judged(Request(text=asked[0]), Reply(text="the sea", arm="small"))
    assert alone == pytest.approx(found[0], rel=1e-5)
    with pytest.raises(ConfigError, match="there already"):
        AnswerTraining(base=str(base), folder=str(tmp_path / "scorer")).fit(graded)
    with pytest.raises(StateConflict):
        AnswerClassifier.load(base)


def test_encoder_learns_in_sixteen_bits_too(tmp_path: Path) -> None:
    """Its products are of 16 bits then, and so it comes out a little different."""
    base = str(make_tiny_bert(tmp_path / "base"))
    asked = ("write a poem about the sea",) * 2
    found = {}
    for bits in (16, 32):
        training = replace(SEA_TRAINING, bfloat16=bits == 16)
        folder = str(tmp_path / f"scorer{bits}")
        scorer = AnswerTraining(base=base, folder=folder, training=training).fit(of_the_sea())
        found[bits] = scorer.scores(asked, ("the sea", "add three"), ("small",) * 2)
    assert found[16][0] > 0.6
    assert found[16][1] < 0.4
    assert found[16].tolist() != found[32].tolist()


def test_encoder_is_trained_on_the_device_that_is_named(tmp_path: Path) -> None:
    """One that holds no numbers has none to give back."""
    base = str(make_tiny_bert(tmp_path / "base"))
    training = AnswerTraining(
        base=base, folder=str(tmp_path / "scorer"), training=replace(SEA_TRAINING, device="meta")
    )
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        training.fit(of_the_sea())


def test_question_is_cut_and_the_end_of_the_answer_stays(tmp_path: Path) -> None:
    """However long both are, the last words of the answer are read."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(make_tiny_bert(tmp_path / "base")))
    long = "add three and four " * 40
    encoded = encoded_pairs(tokenizer, [long, long], ["sum", f"{long} sea"], tokens=24)
    words = [tokenizer.decode(row) for row in encoded["input_ids"]]
    assert encoded["input_ids"].shape == (2, 24)
    assert "sum" in words[0]
    assert "sea" in words[1]
