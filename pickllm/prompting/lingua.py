"""LLMLingua-2: a token classifier, taught by a large model's examples which words to keep.

    compressor = LLMLingua2.load()               # microsoft/llmlingua-2-…-meetingbank, 0.7 GB
    adaptation = Compressed(compressor=compressor)

    keep(word) = mean over its tokens of P(label 1 | text)
    kept       = forced words, and of the rest ``rate`` of them, those with the highest keep

Forced are words with digits, negations, quoted code and question marks; what is no prose is not
shown to the model at all. Words come out as they stood, spaces and case included: only what is left
out is gone. The weights were taught on transcripts of meetings: have it proven on your own prompts
(`pickllm.prompting.proof.prove`).

The weights are read by `transformers` itself. The package `llmlingua` (0.2.2, of April 2024) is not
used: it fetches OpenAI's token table from the net when it is built, lets the model's repository run
its code, knows a model by parts of its name, and puts words together anew from tokens.

Source: Pan et al., LLMLingua-2: Data Distillation for Efficient and Faithful Task-Agnostic Prompt
Compression (2024), arXiv 2403.12968.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pickllm.errors import ConfigError
from pickllm.lock import Lock
from pickllm.pretrained import pretrained
from pickllm.prompting.passages import joined, pieces

__all__ = ["MEETING_BANK", "LLMLingua2"]

MEETING_BANK = "microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank"
"""The smaller of the published ones: multilingual BERT, 0.7 GB of weights."""

_WORD = re.compile(r"\s*\S+\s*|\s+")
_KEEP = 1
"""The label of tokens that are to be kept."""
_WORDS_AT_ONCE = 256
_BATCH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class LLMLingua2:
    """A `Compressor` with weights: keeps words by a token classifier, whatever the question."""

    model_name: str
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    rate: float = 0.5
    """Share of the words that stays of those that may go, in (0, 1)."""
    most_tokens: int = 512
    """That the model reads at once."""
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 1.0:
            raise ConfigError(f"rate must lie between 0 and 1; it is {self.rate}")
        outputs = getattr(self.model.config, "num_labels", None)
        if outputs != 2 or not getattr(self.tokenizer, "is_fast", False):
            raise ConfigError(
                f"{self.model_name!r} has {outputs} labels; a classifier of tokens has two, "
                "drop and keep, and a fast tokenizer"
            )

    @classmethod
    def load(
        cls,
        name: str | Path = MEETING_BANK,
        *,
        rate: float = 0.5,
        device: str | None = None,
        dtype: str = "auto",
    ) -> "LLMLingua2":
        """Load a classifier by its name on the hub, or from a folder.

        Args:
            name: Such as "microsoft/llmlingua-2-xlm-roberta-large-meetingbank".
            rate: Share of the words that stays of those that may go.
            device: Such as "cuda"; None is the CPU.
            dtype: Weights' type, such as "bfloat16"; "auto" is as saved.

        Raises:
            ConfigError: There is no such model, or it is no classifier of tokens.
        """
        model, tokenizer = pretrained(
            name,
            "AutoModelForTokenClassification",
            what="a compressor with weights",
            device=device,
            dtype=dtype,
        )
        most = min(tokenizer.model_max_length, model.config.max_position_embeddings, 512)
        return cls(
            model_name=str(name),
            model=model,
            tokenizer=tokenizer,
            rate=rate,
            most_tokens=most,
        )

    @property
    def name(self) -> str:
        """Name and settings in one line."""
        return f"llmlingua2({self.model_name}, rate={self.rate})"

    def compressed(self, text: str, question: str) -> str:
        """The text without the words that its model would leave out."""
        parts = pieces(text, _WORD.findall)
        spare = [place for place, part in enumerate(parts) if part.spare]
        words = [i for i, part in enumerate(parts) if part.text.strip() and "\n" not in part.text]
        place_to_keep = dict(zip(words, self.keeps([parts[i].text for i in words]), strict=True))
        ranked = sorted(spare, key=lambda place: -place_to_keep[place])
        return joined(parts, dropped=set(ranked[round(self.rate * len(spare)) :]))

    def keeps(self, words: Sequence[str]) -> list[float]:
        """How much each word is to be kept, ``[words]``, in [0, 1]."""
        import torch

        chunks = [
            list(words[start : start + _WORDS_AT_ONCE])
            for start in range(0, len(words), _WORDS_AT_ONCE)
        ]
        found: list[float] = []
        with self._lock, torch.inference_mode():  # a fast tokenizer serves one thread at a time
            for start in range(0, len(chunks), _BATCH):
                found += self._keeps_of(chunks[start : start + _BATCH])
        return found

    def _keeps_of(self, chunks: list[list[str]]) -> list[float]:
        """Of some chunks together; words behind the model's window count as to be kept."""
        encoded = self.tokenizer(
            chunks,
            is_split_into_words=True,
            truncation=True,
            max_length=self.most_tokens,
            padding=True,
            return_tensors="pt",
        ).to(self.model.device)
        chances = self.model(**encoded).logits.float().softmax(dim=-1)[..., _KEEP].cpu().tolist()
        found: list[float] = []
        for row, chunk in enumerate(chunks):
            tokens: list[list[float]] = [[] for _ in chunk]
            for place, word in enumerate(encoded.word_ids(row)):
                if word is not None:
                    tokens[word].append(chances[row][place])
            found += [sum(each) / len(each) if each else 1.0 for each in tokens]
        return found
