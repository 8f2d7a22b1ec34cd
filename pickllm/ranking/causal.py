"""A causal language model that reads the prompt and says in one token how far the strong arm leads.

    "…template with the prompt…" ──► Llama ──► softmax over five score tokens
    level 5: the strong arm wins, 3: a tie, 1: the weak arm wins
    strength of the strong arm = sum over levels of  P(level) * (level - 1) / 4

The published score is ``P(level >= 4)``. Prompts are put into the very same template for the fit
and for the prediction, and only the score token is learnt: loss on anything else would teach the
model to write prompts. Small models are trained whole, large ones by low-rank adapters (`peft`).

Source: Ong et al., RouteLLM (arXiv 2406.18665), section 4.2 and its ``causal_llm`` folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import MissingExtra
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

__all__ = ["LEVELS", "TEMPLATE", "CausalClassifier", "CausalSettings"]

LEVELS = 5
"""How many score tokens there are."""

TEMPLATE = ("Rate from 1 to 5 how much this needs the stronger model.\n\n", "\n\nRating:")
"""What stands before the prompt and behind it."""

_WORTH = np.arange(LEVELS) / (LEVELS - 1)
"""Of the levels to the strong arm."""
_PUBLISHED_WORTH = (_WORTH >= 0.75).astype(float)
_KIND = "causal model"
_SCORES = tuple(f"[[{level}]]" for level in range(1, LEVELS + 1))
_PROMPTS_AT_ONCE = 16
_WHAT = "to fine-tune a language model"


@dataclass(frozen=True, kw_only=True, slots=True)
class CausalSettings:
    """What is fine-tuned, and how."""

    base: str
    """Folder or name of a causal language model."""
    strong: str
    weak: str
    folder: str
    """Where the fine-tuned model is written; it must not be there yet."""
    published_score: bool = False
    """Whether strengths follow the published score."""
    adapter_rank: int | None = None
    """Rank of low-rank adapters; None trains all weights."""
    training: Training = field(default_factory=Training)

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"causal(base={Path(self.base).name}, adapter_rank={self.adapter_rank})"

    def fit(self, table: PreferenceTable, prompts: Prompts) -> "CausalClassifier":
        """Fine-tune on the battles of the pair, and write the best epoch, adapters merged in.

        Raises:
            ConfigError: The folder is there, the pair met on too few prompts, or there is no base.
            MissingExtra: torch, transformers, or peft for adapters, is not installed.
        """
        place = new_place(self.folder)
        transformers, torch = packages(_WHAT)
        torch.manual_seed(self.training.seed)
        with loading(self.base):
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.base)
            model = transformers.AutoModelForCausalLM.from_pretrained(self.base)
        tokenizer.add_special_tokens({"additional_special_tokens": list(_SCORES)})
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        model = self._adapted(model)
        task = Task(
            kind=_KIND,
            model=model,
            tokenizer=tokenizer,
            rows=_tokens(tokenizer, prompts.texts, self.training.tokens),
            logits=partial(_logits, model, _score_tokens(tokenizer)),
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
        return CausalClassifier(place)

    def _adapted(self, model: Any) -> Any:
        if self.adapter_rank is None:
            return model
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise MissingExtra("low-rank adapters", extra="adapters") from error
        tied = bool(model.config.tie_word_embeddings)
        settings = LoraConfig(
            r=self.adapter_rank,
            lora_alpha=2 * self.adapter_rank,
            target_modules="all-linear",
            modules_to_save=["embed_tokens"] if tied else ["embed_tokens", "lm_head"],
            ensure_weight_tying=tied,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, settings)


class CausalClassifier:
    """A fine-tuned model in its folder; it is loaded when first asked."""

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
            model = transformers.AutoModelForCausalLM.from_pretrained(self.folder)
            return model.eval(), transformers.AutoTokenizer.from_pretrained(self.folder)

    def chances(self, prompts: Prompts) -> Floats:
        """Probability of each level, ``[prompts, 5]``."""
        model, tokenizer = self._loaded
        rows = _tokens(tokenizer, prompts.texts, self.manifest.tokens)
        logits = partial(_logits, model, _score_tokens(tokenizer))
        return chances_of(rows, logits, labels=LEVELS, at_once=_PROMPTS_AT_ONCE)

    def strengths(self, prompts: Prompts) -> Floats:
        """Of the strong arm and the weak one, ``[prompts, 2]``."""
        published = self.manifest.published_score
        strong = self.chances(prompts) @ (_PUBLISHED_WORTH if published else _WORTH)
        return np.stack((strong, 1.0 - strong), axis=1)


def _score_tokens(tokenizer: Any) -> list[int]:
    return [int(tokenizer.convert_tokens_to_ids(score)) for score in _SCORES]


def _tokens(tokenizer: Any, texts: Sequence[str], limit: int) -> list[list[int]]:
    """The template's tokens, with the prompt's head and tail between them."""
    before = tokenizer(TEMPLATE[0])["input_ids"]
    after = tokenizer(TEMPLATE[1], add_special_tokens=False)["input_ids"]
    room = max(8, min(limit, tokenizer.model_max_length) - len(before) - len(after))
    whole = (text.encode(errors="replace").decode() for text in texts)
    inner = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in whole)
    return [[*before, *head_and_tail(tokens, room), *after] for tokens in inner]


def _logits(model: Any, scores: Sequence[int], rows: Sequence[Sequence[int]]) -> Any:
    """What comes next: logits of the score tokens, ``[rows, 5]``. Padding stands before."""
    inputs = padded(rows, padding=0, left=True, device=model.device)
    inputs["position_ids"] = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    return model(**inputs).logits[:, -1, scores].float()
