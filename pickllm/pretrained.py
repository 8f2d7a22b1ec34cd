"""Loads models of `transformers` with their tokenizers; it is imported when the first one is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pickllm.errors import ConfigError, MissingExtra, PickLLMError

__all__ = ["loading", "packages", "pretrained"]


def packages(what: str) -> tuple[Any, Any]:
    """`transformers` and `torch`, or `MissingExtra` which says that ``what`` needs them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(what, extra="local") from error
    return transformers, torch


@contextmanager
def loading(name: str | Path) -> Iterator[None]:
    """Around whatever reads a model: what goes wrong there says which model it was.

    Raises:
        ConfigError: There is no such model, or its files are damaged.
    """
    try:
        yield
    except PickLLMError:
        raise
    except Exception as error:  # hub, tokenizers, weights and onnxruntime each have their own
        why = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"cannot load {str(name)!r}, which must be a model on the hub or a folder that "
            f"holds one: {type(error).__name__}: {why}"
        ) from error


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
    with loading(name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(name))
        model = getattr(transformers, kind).from_pretrained(str(name), dtype=dtype)
    return model.to(device or "cpu").eval(), tokenizer
