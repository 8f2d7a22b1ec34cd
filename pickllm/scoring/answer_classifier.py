"""A fine-tuned encoder reads question and answer and says how likely the answer is right.

    [CLS] question … [SEP] answer [SEP] ──► encoder ──► logit ──► Platt of that arm ──► score

What is too long is cut from the question, and from the middle of an answer that fills three
quarters of the room by itself: the end of an answer tells most, and cutting the pair at its end, as
is common, loses just that. `pickllm.answer_training` fine-tunes one, from DistilBERT or any other
encoder; it wants some thousand labels, a scorer of `fitting.py` some hundred.

References: the scoring function of Chen, Zaharia and Zou, FrugalGPT (2023), arXiv 2305.05176; Sanh
et al., DistilBERT (2019), arXiv 1910.01108.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import StateConflict
from pickllm.lock import Lock
from pickllm.plain import from_plain, to_plain
from pickllm.pretrained import pretrained
from pickllm.scoring.calibration import Platt
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["AnswerClassifier", "AnswerClassifierCard", "encoded_pairs", "logits_from"]

_CARD = "pickllm_scorer.json"
_BATCH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerClassifierCard:
    """What stands beside the weights."""

    tokens: int
    """Longest pair."""
    pooled: Platt
    """What a logit means for arms without a calibration of their own."""
    arm_to_platt: Mapping[str, Platt]
    held_out_loss: tuple[float, ...]
    """Cross-entropy after each epoch."""
    version: int = 1

    def write(self, folder: Path) -> None:
        """Put it into a model's folder."""
        (folder / _CARD).write_text(json.dumps(to_plain(self)), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> "AnswerClassifierCard":
        """Find it there; `StateConflict` where there is none of this version."""
        try:
            plain = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            card = from_plain(AnswerClassifierCard, plain)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StateConflict(f"{folder} holds no answer classifier") from error
        if card.version != 1:
            raise StateConflict(f"{folder} holds an answer classifier of another version")
        return card


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerClassifier(TextScorer):
    """Scores answers by a sequence classifier of one or two labels. An empty answer scores 0."""

    card: AnswerClassifierCard
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | None = None) -> "AnswerClassifier":
        """Load one that was fine-tuned.

        Args:
            folder: Where it lies.
            device: Such as "cuda"; None is the CPU.

        Raises:
            StateConflict: There is none.
            MissingExtra: torch or transformers is not installed.
        """
        place = Path(folder)
        card = AnswerClassifierCard.read(place)
        model, tokenizer = pretrained(
            place, "AutoModelForSequenceClassification", what="an answer classifier", device=device
        )
        return cls(card=card, model=model, tokenizer=tokenizer)

    def judged(self, request: Request, reply: Reply) -> float:
        """Probability that the answer is right, in [0, 1]."""
        return float(self.scores([request.text], [reply.text], [reply.arm])[0])

    def scores(
        self, prompts: Sequence[str], answers: Sequence[str], arms: Sequence[str]
    ) -> NDArray[np.float64]:
        """The scores of many answers, ``[answers]``."""
        logits = self.logits(prompts, answers)
        platts = [self.card.arm_to_platt.get(arm, self.card.pooled) for arm in arms]
        found = [platt(logit) for platt, logit in zip(platts, logits.tolist(), strict=True)]
        return np.where([bool(answer.strip()) for answer in answers], found, 0.0)

    def logits(self, prompts: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
        """What the model itself says, ``[answers]``: unbounded, higher is better."""
        import torch

        parts = []
        with self._lock, torch.inference_mode():  # a fast tokenizer serves one thread at a time
            for start in range(0, len(answers), _BATCH):
                some = slice(start, start + _BATCH)
                encoded = encoded_pairs(
                    self.tokenizer, prompts[some], answers[some], tokens=self.card.tokens
                ).to(self.model.device)
                parts.append(logits_from(self.model(**encoded).logits).float().cpu().numpy())
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def encoded_pairs(
    tokenizer: Any, prompts: Sequence[str], answers: Sequence[str], *, tokens: int
) -> Any:
    """Pairs as the tensors that a model takes: what is too long is cut from the question."""
    longest = min(tokens, tokenizer.model_max_length)
    room = 3 * longest // 4
    return tokenizer(
        [_readable(prompt) for prompt in prompts],
        [_without_middle(tokenizer, _readable(answer), room) for answer in answers],
        truncation="only_first",
        max_length=longest,
        padding=True,
        return_tensors="pt",
    )


def logits_from(outputs: Any) -> Any:
    """One logit for each row: the single output, or the second less the first."""
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]


def _without_middle(tokenizer: Any, answer: str, room: int) -> str:
    """The head and the tail of an answer of more than ``room`` tokens."""
    offsets = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)
    places = offsets["offset_mapping"]
    if len(places) <= room:
        return answer
    head = room // 2
    tail = room - head
    return f"{answer[: places[head - 1][1]]}\n{answer[places[-tail][0] :]}"


def _readable(text: str) -> str:
    """Text that a tokenizer takes: no halves of surrogate pairs."""
    return text.encode(errors="replace").decode()
