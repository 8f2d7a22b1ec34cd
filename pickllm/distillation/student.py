"""A model that is to be taught: loaded with its tokenizer, and saved as any model is."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pickllm.distillation.training import Training
from pickllm.errors import ConfigError, MissingExtra
from pickllm.pretrained import loading

__all__ = ["Student", "load_student", "save_student"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Student:
    """A causal language model of `transformers`, and what goes with it."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    dtype: Any
    """Of the weights as they were saved."""

    @property
    def window(self) -> int:
        """The most tokens that it can read; what it does not say is not bounded."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 2**31)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens at which it stops when it is served."""
        own = self.model.generation_config.eos_token_id
        listed = own if isinstance(own, list) else [own]
        known = {token for token in (*listed, self.tokenizer.eos_token_id) if token is not None}
        return frozenset(known)


def load_student(base: Path | str, training: Training, *, device: str | None = None) -> Student:
    """Load a base, with adapters where they are trained in place of all weights.

    All weights are trained in single precision; below adapters they stay as they were saved.

    Raises:
        ConfigError: There is no such model or device, or it is no chat model.
        MissingExtra: torch, transformers, or peft for adapters, is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra("to fine-tune a model", extra="distill") from error
    name = str(base)
    with loading(name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        model = transformers.AutoModelForCausalLM.from_pretrained(name, dtype="auto")
    if tokenizer.chat_template is None or tokenizer.eos_token_id is None:
        raise ConfigError(f"{name} has no chat template, or no token that ends an answer")
    dtype = model.dtype
    rank = training.adapter_rank
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    ready: Any = model if rank is None else _adapted(model, rank, training.seed)
    try:
        moved = ready.to(place, torch.float32) if rank is None else ready.to(place)
    except (RuntimeError, AssertionError) as error:  # torch's, for a device that is not there
        raise ConfigError(f"cannot bring {name!r} to the device {place!r}: {error}") from error
    return Student(model=moved, tokenizer=tokenizer, dtype=dtype)


def save_student(student: Student, folder: Path) -> None:
    """Write it as `transformers` does, adapters merged into the weights they belong to."""
    shutil.rmtree(folder, ignore_errors=True)  # what a killed run has left
    model = student.model
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.to(student.dtype).save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)


def _adapted(model: Any, rank: int, seed: int) -> Any:
    try:
        import torch
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtra("low-rank adapters", extra="distill") from error
    settings = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # adapters begin at random
        return get_peft_model(model, settings)
