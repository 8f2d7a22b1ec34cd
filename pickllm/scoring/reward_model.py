"""A reward model of `transformers`: an encoder that reads question and answer, and gives a logit.

    scorer = RewardModel.load()                  # OpenAssistant/reward-model-deberta-v3-large-v2
    scorer = scorer.calibrated(Platt.fit(scorer.logits(questions, answers), labels))

Such models learn from pairs which of two answers people preferred. So the logit has no zero and no
scale of its own: only differences between answers to one question mean something, until it is
calibrated. By default it is squashed as it stands, which keeps the order. Of the model that is
named here its makers report that it agrees with people on 61 % of WebGPT's pairs and 72 % of
summaries: a weak witness, to be heard in `Weighted` with others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pickllm.errors import ConfigError
from pickllm.lock import Lock
from pickllm.pretrained import pretrained
from pickllm.scoring.calibration import Calibration, Platt
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["OPEN_ASSISTANT", "RewardModel"]

OPEN_ASSISTANT = "OpenAssistant/reward-model-deberta-v3-large-v2"
"""The reward model of LLM-Blender and of the PickLLM paper: DeBERTa-v3, 1.7 GB of weights."""

_BATCH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardModel(TextScorer):
    """Scores answers by a sequence classifier with one output. An empty answer is not judged."""

    name: str
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    calibration: Calibration = field(default_factory=Platt)
    """From the logit to a probability."""
    max_tokens: int = 512
    """Of question and answer together; the longer of the two is cut."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        outputs = getattr(self.model.config, "num_labels", None)
        if outputs != 1:
            raise ConfigError(f"{self.name!r} has {outputs} outputs; a reward model has one")

    @classmethod
    def load(
        cls,
        name: str | Path = OPEN_ASSISTANT,
        *,
        device: str | None = None,
        dtype: str = "auto",
        calibration: Calibration | None = None,
        max_tokens: int = 512,
    ) -> "RewardModel":
        """Load a reward model by its name on the hub, or from a folder.

        Args:
            name: Such as "OpenAssistant/reward-model-deberta-v3-large-v2".
            device: Such as "cuda"; None is the CPU.
            dtype: Weights' type, such as "bfloat16"; "auto" is as saved.
            calibration: From the logit to a probability; a plain sigmoid by default.
            max_tokens: Of question and answer together.

        Raises:
            ConfigError: There is no such model, or it has not one output.
        """
        model, tokenizer = pretrained(
            name,
            "AutoModelForSequenceClassification",
            what="a reward model",
            device=device,
            dtype=dtype,
        )
        return cls(
            name=str(name),
            model=model,
            tokenizer=tokenizer,
            calibration=calibration or Platt(),
            max_tokens=max_tokens,
        )

    def calibrated(self, calibration: Calibration) -> "RewardModel":
        """The same model, its logits read in another way."""
        return replace(self, calibration=calibration)

    def judged(self, request: Request, reply: Reply) -> float | None:
        """The calibrated logit."""
        if not reply.text.strip():
            return None
        return self.calibration(float(self.logits([request.text], [reply.text])[0]))

    def logits(self, questions: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
        """What the model itself says of each answer, ``[answers]``: unbounded, higher is better."""
        if len(questions) != len(answers):
            raise ConfigError(f"{len(questions)} questions and {len(answers)} answers do not pair")
        import torch

        parts = []
        with self._lock, torch.inference_mode():  # a fast tokenizer serves one thread at a time
            for start in range(0, len(answers), _BATCH):
                encoded = self.tokenizer(
                    list(questions[start : start + _BATCH]),
                    list(answers[start : start + _BATCH]),
                    truncation="longest_first",
                    max_length=self.max_tokens,
                    padding=True,
                    return_tensors="pt",
                ).to(self.model.device)
                parts.append(self.model(**encoded).logits[:, 0].float().cpu().numpy())
        return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
