"""A small transformer in onnxruntime, in 8-bit numbers: what is served where torch is not.

    torch module ──► write_onnx ──► folder/model.onnx, tokenizer.json ──► OnnxModel

A quarter of the size and of the time of the model as it comes. Long prompts keep their head and
their tail, for a question often stands at the end.
"""

import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats
from pickllm.errors import ConfigError, MissingExtra
from pickllm.pretrained import loading

__all__ = ["OnnxModel", "write_onnx"]

_MODEL, _TOKENIZER = "model.onnx", "tokenizer.json"


class OnnxModel:
    """A model that `write_onnx` wrote; loaded when first asked.

    Args:
        folder: Where it is.
        tokens: Longer prompts are cut to this many, half from either end.
        threads: How many one prompt may use.
    """

    def __init__(self, folder: Path, *, tokens: int, threads: int = 1) -> None:
        self.folder = folder
        self.tokens = tokens
        self.threads = threads

    @cached_property
    def _session(self) -> Any:
        try:
            from onnxruntime import InferenceSession, SessionOptions
        except ImportError as error:
            raise MissingExtra("an ONNX model", extra="ranking") from error
        options = SessionOptions()
        options.intra_op_num_threads = self.threads
        file = str(self.folder / _MODEL)
        with loading(self.folder):
            return InferenceSession(file, options, providers=["CPUExecutionProvider"])

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("an ONNX model", extra="ranking") from error
        with loading(self.folder):
            tokenizer = Tokenizer.from_file(str(self.folder / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def __call__(self, text: str) -> Floats:
        """What the model says of one prompt, as it came out: ``[1, …]``."""
        ids = self._tokenizer.encode(text.encode(errors="replace").decode()).ids
        if len(ids) > self.tokens:
            head = self.tokens // 2
            ids = [*ids[:head], *ids[head - self.tokens :]]
        row = np.array([ids], dtype=np.int64)
        (found,) = self._session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})
        return np.asarray(found)


def write_onnx(model: Any, tokenizer: Any, folder: Path, *, int8: bool = True) -> None:
    """Write the first output of a model of transformers, and its tokenizer, to a folder.

    Args:
        model: Loaded with ``attn_implementation="eager"``.
        tokenizer: Its own, of the fast kind.
        folder: Made where it is not there.
        int8: Whether weights become 8-bit numbers.

    Raises:
        MissingExtra: torch or onnx is not installed.
        ConfigError: The tokenizer can not be written as one file.
    """
    try:
        import onnx  # noqa: F401  # torch exports by it
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtra("to export a model", extra="export") from error
    if not tokenizer.is_fast:
        raise ConfigError("only models with a fast tokenizer can be exported")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(folder / _TOKENIZER))

    class First(torch.nn.Module):
        """The first output alone."""

        def __init__(self) -> None:
            super().__init__()
            self.inside = model.eval()

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inside(input_ids=input_ids, attention_mask=attention_mask)[0]

    axes = {0: "prompts", 1: "tokens"}
    example = torch.ones(1, 9, dtype=torch.long)
    plain = folder / "plain.onnx" if int8 else folder / _MODEL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes that stay open here
        torch.onnx.export(
            First().eval(),
            (example, example),
            str(plain),
            input_names=["input_ids", "attention_mask"],
            output_names=["found"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "found": axes},
            opset_version=17,
            dynamo=False,
        )
        if int8:
            quantize_dynamic(plain, folder / _MODEL, weight_type=QuantType.QInt8, per_channel=True)
            plain.unlink()
