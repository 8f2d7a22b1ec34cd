"""A sequence classifier: an encoder that reads the prompt, and three labels.

    prompt ──► encoder (BERT, MiniLM, …) ──► P(strong wins), P(tie), P(weak wins)
    score     P(strong wins) - P(weak wins)             what a strong call is worth
              1 - (P(tie) + P(weak wins))               as published

Ranked by the difference a fine-tuned encoder routes better: the published score takes a tie for as
bad as a loss, though neither gains anything by the strong model, and a loss loses something.

Source: Ong et al., RouteLLM (arXiv 2406.18665), section 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats
from pickllm.data.preferences import PreferenceTable
from pickllm.places import new_place
from pickllm.pretrained import loading, packages
from pickllm.ranking.contract import Prompts
from pickllm.ranking.fine_tuning import (
    Manifest,
    Task,
    Training,
    fine_tune,
)
from pickllm.ranking.tokens import chances_of, head_and_tail, padded

__all__ = ["Classifier", "ClassifierSettings", "strengths_of"]

_KIND = "classifier"
_WORTH = np.array([1.0, 0.5, 0.0])
"""Of the labels to the strong arm: it wins, a tie, the weak arm wins."""
_PUBLISHED_WORTH = np.array([1.0, 0.0, 0.0])
_PROMPTS_AT_ONCE = 32
_WHAT = "to fine-tune a classifier"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierSettings:
    """What is fine-tuned, and how."""

    base: str
    """Folder or name of an encoder."""
    strong: str
    weak: str
    folder: str
    """Where the fine-tuned model is written; it must not be there yet."""
    published_score: bool = False
    """Whether strengths follow the published score."""
    training: Training = field(default_factory=Training)

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"classifier(base={Path(self.base).name}, published_score={self.published_score})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> "Classifier":
        """Fine-tune on the battles of the pair, and write the best epoch.

        Raises:
            ConfigError: The folder is there, the pair met on too few prompts, or there is no base.
            MissingExtra: torch or transformers is not installed.
        """
        place = new_place(self.folder)
        transformers, torch = packages(_WHAT)
        torch.manual_seed(self.training.seed)
        with loading(self.base):
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.base)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                self.base, num_labels=len(_WORTH)
            )
        model.config.pad_token_id = _padding(tokenizer)  # decoders do not bring it along
        task = Task(
            kind=_KIND,
            model=model,
            tokenizer=tokenizer,
            rows=_tokens(tokenizer, prompts.texts, self.training.tokens),
            logits=partial(_logits, model, _padding(tokenizer)),
            worth=_WORTH,
            at_once=_PROMPTS_AT_ONCE,
        )
        fine_tune(
            task,
            table,
            pair=(self.strong, self.weak),
            training=self.training,
            folder=place,
            published_score=self.published_score,
        )
        return Classifier(place)


class Classifier:
    """A fine-tuned classifier in its folder; the model is loaded when first asked."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = Manifest.read(self.folder, kind=_KIND)

    @property
    def arms(self) -> tuple[str, ...]:
        """The strong arm and the weak one."""
        return self.manifest.arms

    @property
    def dim(self) -> int:
        """It reads texts alone."""
        return 0

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        transformers, _ = packages(_WHAT)
        with loading(self.folder):
            model = transformers.AutoModelForSequenceClassification.from_pretrained(self.folder)
            return model.eval(), transformers.AutoTokenizer.from_pretrained(self.folder)

    def chances(self, prompts: Prompts) -> Floats:
        """P(strong wins), P(tie), P(weak wins), ``[prompts, 3]``."""
        model, tokenizer = self._loaded
        rows = _tokens(tokenizer, prompts.texts, self.manifest.tokens)
        logits = partial(_logits, model, _padding(tokenizer))
        return chances_of(rows, logits, labels=len(_WORTH), at_once=_PROMPTS_AT_ONCE)

    def strengths(self, prompts: Prompts) -> Floats:
        """Of the strong arm and the weak one, ``[prompts, 2]``: a tie is half a win for each.

        With the published score it is a whole win for the weak one.
        """
        return strengths_of(self.chances(prompts), self.manifest)


def strengths_of(chances: Floats, manifest: Manifest) -> Floats:
    """What chances of the three labels ``[prompts, 3]`` say of both arms, ``[prompts, 2]``."""
    strong = chances @ (_PUBLISHED_WORTH if manifest.published_score else _WORTH)
    return np.stack((strong, 1.0 - strong), axis=1)


def _tokens(tokenizer: Any, texts: Sequence[str], limit: int) -> list[list[int]]:
    longest = min(limit, tokenizer.model_max_length)
    whole = (text.encode(errors="replace").decode() for text in texts)
    return [head_and_tail(tokenizer(text)["input_ids"], longest) for text in whole]


def _padding(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id or 0)


def _logits(model: Any, padding: int, rows: Sequence[Sequence[int]]) -> Any:
    return model(**padded(rows, padding=padding, device=model.device)).logits
