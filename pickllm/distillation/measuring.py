"""What a student is worth beside its teacher, on pairs that it has not seen.

    loss    mean negative log-likelihood of the teacher's answers, per token, in nats
    exact   share of its own answers that are the teacher's, but for case, spaces and a full stop
    words   F1 of the words that its answers share with the teacher's

Its own answers are greedy, as long as the longest of the teacher's and no longer. Of free text few
answers are the teacher's to the letter: then ``words`` and the loss tell more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickllm.distillation.lessons import Lesson
from pickllm.distillation.training import mean_loss
from pickllm.evaluation.intervals import bootstrap
from pickllm.evaluation.sessions import Interval
from pickllm.scoring.matching import exact_match, word_match

__all__ = ["Measured", "answers_of", "measured"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """How near a model comes to its teacher."""

    loss: float
    """Per answer token, in nats; NaN where nothing is held out."""
    exact: tuple[float, float, float]
    """Share of the very same answers, with its 95 % interval: mean, low, high."""
    words: tuple[float, float, float]
    """Words in common, likewise."""
    pairs: int
    """Held-out pairs behind the loss."""
    asked: int
    """And those behind the answers."""

    def row(self, name: str) -> tuple[str, str, str, str]:
        """As a row of a table."""
        exact, words = (
            f"{mean:.1%} ({low:.1%} to {high:.1%})" for mean, low, high in (self.exact, self.words)
        )
        return name, f"{self.loss:.3f}", exact, words


def measured(
    model: Any,
    tokenizer: Any,
    lessons: Sequence[Lesson],
    answers: Sequence[str],
    *,
    asked: int,
    tokens_at_once: int,
    seed: int,
) -> Measured:
    """Measure a model on lessons and the teacher's answers in them.

    Args:
        model: A causal language model of `transformers`.
        tokenizer: Its tokenizer.
        lessons: What was held out.
        answers: The teacher's answers, ``[lessons]``.
        asked: How many of them the model is asked, at most: that takes the time.
        tokens_at_once: Bounds the memory.
        seed: Picks those that are asked.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(lessons))[:asked]).tolist()
    made = answers_of(
        model, tokenizer, [lessons[at] for at in chosen], tokens_at_once=tokens_at_once
    )
    wanted = [answers[at] for at in chosen]
    exact = np.array([exact_match(*both) for both in zip(made, wanted, strict=True)])
    words = np.array([word_match(*both) for both in zip(made, wanted, strict=True)])
    return Measured(
        loss=mean_loss(model, lessons, tokens_at_once=tokens_at_once),
        exact=_with_interval(exact, rng),
        words=_with_interval(words, rng),
        pairs=len(lessons),
        asked=len(chosen),
    )


def answers_of(
    model: Any, tokenizer: Any, lessons: Sequence[Lesson], *, tokens_at_once: int
) -> list[str]:
    """What a model answers to the prompts of lessons, greedily."""
    import torch

    model.eval()
    longest = max((len(lesson.answer) for lesson in lessons), default=0)
    found: dict[int, str] = {}
    order = sorted(range(len(lessons)), key=lambda at: len(lessons[at].prompt), reverse=True)
    while order:
        room = len(lessons[order[0]].prompt) + longest
        part, order = (
            order[: max(1, tokens_at_once // room)],
            order[max(1, tokens_at_once // room) :],
        )
        ids, mask = _left_padded([lessons[at] for at in part])
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                do_sample=False,
                num_beams=1,
                max_new_tokens=longest,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            )
        texts = tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True)
        found.update(zip(part, texts, strict=True))
    return [found[at] for at in range(len(lessons))]


def _left_padded(lessons: Sequence[Lesson]) -> tuple[Any, Any]:
    import torch

    longest = max(len(lesson.prompt) for lesson in lessons)
    ids = torch.zeros((len(lessons), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, lesson in enumerate(lessons):
        ids[row, longest - len(lesson.prompt) :] = torch.from_numpy(lesson.prompt)
        mask[row, longest - len(lesson.prompt) :] = 1
    return ids, mask


def _with_interval(values: Any, rng: np.random.Generator) -> tuple[float, float, float]:
    if not len(values):
        return (float("nan"),) * 3
    found: Interval = bootstrap(
        lambda rows: float(values[rows].mean()), prompts=len(values), rng=rng
    )
    return found.mean, found.low, found.high
