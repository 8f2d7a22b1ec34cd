"""Loads models of `transformers` with their tokenizers; it is imported when the first one is."""

from pathlib import Path
from typing import Any

from pickllm.errors import ConfigError, MissingExtra

__all__ = ["packages", "pretrained"]


def packages(what: str) -> tuple[Any, Any]:
    """`transformers` and `torch`, or `MissingExtra` which says that ``what`` needs them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(what, extra="local") from error
    return transformers, torch


def pretrained(
    name: str | Path, kind: str, *, what: str, device: str | None = None, dtype: str = "auto"
) -> tuple[Any, Any]:
    """A model and its tokenizer, by its name on the hub, or from a folder; ready to be asked.

    Args:
        name: Of the model, or of the folder.
        kind: Class of `transformers` that loads it, such as "AutoModelForTokenClassification".
        what: What needs it, for the error.
        device: Such as "cuda"; None is the CPU.
        dtype: Weights' type, such as "bfloat16"; "auto" is as saved.

    Raises:
        ConfigError: There is no such model.
        MissingExtra: torch or transformers is not installed.
    """
    transformers, _ = packages(what)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(name))
        model = getattr(transformers, kind).from_pretrained(str(name), dtype=dtype)
    except OSError as error:
        raise ConfigError(
            f"cannot load {str(name)!r}, which must be a model on the hub or a folder that "
            f"holds one: {error}"
        ) from error
    return model.to(device or "cpu").eval(), tokenizer
