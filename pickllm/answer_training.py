"""Fine-tunes the scorer of `pickllm.scoring.answer_classifier` on graded answers.

    prompts held out ──► cross-entropy after each epoch ──► the best epoch is kept
                    └──► its logits there ──► Platt, for each arm with labels enough

scorer = AnswerTraining(base="distilbert-base-uncased", folder="scorer").fit(graded)
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickllm.arrays import Integers
from pickllm.errors import ConfigError
from pickllm.places import new_place
from pickllm.pretrained import loading, packages
from pickllm.ranking.fine_tuning import Training, train_best
from pickllm.scoring.answer_classifier import (
    AnswerClassifier,
    AnswerClassifierCard,
    encoded_pairs,
    logits_from,
)
from pickllm.scoring.calibration import Platt
from pickllm.scoring.fitting import GradedAnswers

__all__ = ["AnswerTraining"]

_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerTraining:
    """What is fine-tuned, and how."""

    base: str
    """Folder or name of an encoder, such as "distilbert-base-uncased"."""
    folder: str
    """Where the fine-tuned model is written; it must not be there yet."""
    labels: int = 1
    """Outputs of the model, 1 or 2: equal in the mathematics; published is 2."""
    least: int = 100
    """An arm with fewer labels held out shares its calibration with the others."""
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        if self.labels not in {1, 2}:
            raise ConfigError(f"labels must be 1 or 2; it is {self.labels}")

    def fit(self, graded: GradedAnswers) -> AnswerClassifier:
        """Fine-tune, and write the best epoch.

        Raises:
            ConfigError: The folder is there, there are too few prompts to hold any out, or there is
                no base.
            MissingExtra: torch or transformers is not installed.
        """
        place = new_place(self.folder)
        held = _held_out(graded.prompts, self.training)
        transformers, torch = packages("to fine-tune an answer classifier")
        torch.manual_seed(self.training.seed)
        with loading(self.base):
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.base)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                self.base, num_labels=self.labels
            )
        model.to(self.training.device)
        losses = self._train(model, tokenizer, graded, held)
        logits = np.concatenate(_held_logits(model, tokenizer, graded, held, self.training))
        model.to("cpu").save_pretrained(place)
        tokenizer.save_pretrained(place)
        _card(logits, graded, held, self, losses).write(place)
        return AnswerClassifier.load(place)

    def _train(
        self, model: Any, tokenizer: Any, graded: GradedAnswers, held: Integers
    ) -> tuple[float, ...]:
        """Train in place; cross-entropy on what is held out, after each epoch."""
        _, torch = packages("to fine-tune an answer classifier")
        labels = torch.from_numpy(graded.labels.astype(np.float32))
        targets = labels.to(self.training.device)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits

        def loss(batch: Integers) -> Any:
            with self.training.precision():
                logits = _logits(model, tokenizer, graded, batch, self.training)
            return entropy(logits.float(), targets[batch])

        def judge() -> float:
            logits = np.concatenate(_held_logits(model, tokenizer, graded, held, self.training))
            return -float(entropy(torch.from_numpy(logits), labels[held]))

        found = train_best(
            model, loss, places=np.flatnonzero(~held), judge=judge, training=self.training
        )
        return tuple(-each for each in found)


def _held_out(prompts: tuple[str, ...], training: Training) -> Integers:
    """Which answers are held out: all of some prompts; ``[answers]``."""
    distinct, prompt_of = np.unique(prompts, return_inverse=True)
    count = max(1, int(training.held_out * len(distinct)))
    if count >= len(distinct):
        raise ConfigError(f"{len(distinct)} prompts are too few to hold any out")
    order = np.random.default_rng(training.seed).permutation(len(distinct))
    return np.isin(prompt_of, order[:count])


def _logits(
    model: Any, tokenizer: Any, graded: GradedAnswers, rows: Integers, training: Training
) -> Any:
    places = rows.tolist()
    encoded = encoded_pairs(
        tokenizer,
        [graded.prompts[row] for row in places],
        [graded.answers[row] for row in places],
        tokens=training.tokens,
    ).to(model.device)
    return logits_from(model(**encoded).logits)


def _held_logits(
    model: Any, tokenizer: Any, graded: GradedAnswers, held: Integers, training: Training
) -> list[NDArray[np.float32]]:
    _, torch = packages("to fine-tune an answer classifier")
    rows = np.flatnonzero(held)
    with torch.inference_mode():
        return [
            _logits(model, tokenizer, graded, rows[at : at + _AT_ONCE], training).cpu().numpy()
            for at in range(0, len(rows), _AT_ONCE)
        ]


def _card(
    logits: NDArray[np.float32],
    graded: GradedAnswers,
    held: Integers,
    settings: AnswerTraining,
    losses: tuple[float, ...],
) -> AnswerClassifierCard:
    names, labels = np.array(graded.arms)[held], graded.labels[held]
    arms = [arm for arm in dict.fromkeys(graded.arms) if np.sum(names == arm) >= settings.least]
    return AnswerClassifierCard(
        tokens=settings.training.tokens,
        pooled=Platt.fit(logits, labels),
        arm_to_platt={arm: Platt.fit(logits[names == arm], labels[names == arm]) for arm in arms},
        held_out_loss=losses,
    )
