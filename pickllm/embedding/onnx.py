"""A sentence encoder in onnxruntime, in 8-bit numbers: the fast local one.

    folder of a sentence transformer ──► export_encoder ──► folder/model.onnx, tokenizer.json
                                                              │
                     prompt ──► OnnxEmbedder ──► tokens ──► mean over tokens ──► length one

Neither torch nor transformers is needed where it serves. A quarter of the time of the model as it
comes, a quarter of its size; vectors keep a cosine of 0.99 to the model's own. Long prompts keep
their head and their tail, for a question often stands at the end.
"""

import json
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats, unit_rows
from pickllm.errors import ConfigError, MissingExtra
from pickllm.types import Vector

__all__ = ["OnnxEmbedder", "export_encoder"]

_MODEL, _TOKENIZER, _SETTINGS = "model.onnx", "tokenizer.json", "encoder.json"


class OnnxEmbedder:
    """An encoder that `export_encoder` wrote.

    Args:
        folder: Where it is.
        tokens: Longer prompts are cut to this many, half from either end; None takes the model's.
        threads: How many one prompt may use.
    """

    def __init__(self, folder: str | Path, *, tokens: int | None = None, threads: int = 1) -> None:
        self.folder = Path(folder)
        if not (self.folder / _SETTINGS).is_file():
            raise ConfigError(f"{self.folder} holds no encoder; write one with export_encoder")
        settings = json.loads((self.folder / _SETTINGS).read_text(encoding="utf-8"))
        self.dim: int = settings["dim"]
        self.tokens: int = min(tokens or settings["tokens"], settings["tokens"])
        self.threads = threads
        if self.tokens < 8:
            raise ConfigError(f"tokens must be at least 8; it is {self.tokens}")

    @cached_property
    def _session(self) -> Any:
        try:
            from onnxruntime import InferenceSession, SessionOptions
        except ImportError as error:
            raise MissingExtra("an ONNX encoder", extra="ranking") from error
        options = SessionOptions()
        options.intra_op_num_threads = self.threads
        return InferenceSession(
            str(self.folder / _MODEL), options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("an ONNX encoder", extra="ranking") from error
        tokenizer = Tokenizer.from_file(str(self.folder / _TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of prompts, ``[texts, dim]`` float32.

        One after the other: on few cores padding costs more than a batch saves.
        """
        found = [self._pooled(text) for text in texts]
        return unit_rows(np.array(found, dtype=np.float32).reshape(-1, self.dim))

    def features(self, text: str) -> Vector:
        """The vector of one, ``[dim]`` float32."""
        return np.asarray(self.embed([text])[0])

    def _pooled(self, text: str) -> Floats:
        ids = self._tokenizer.encode(text.encode(errors="replace").decode()).ids
        if len(ids) > self.tokens:
            head = self.tokens // 2
            ids = [*ids[:head], *ids[head - self.tokens :]]
        row = np.array([ids], dtype=np.int64)
        (states,) = self._session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})
        return np.asarray(states[0].mean(axis=0))


def export_encoder(model: str | Path, folder: str | Path, *, int8: bool = True) -> Path:
    """Write a sentence transformer with mean pooling for `OnnxEmbedder`; needs torch.

    Args:
        model: Folder of a sentence transformer, or its name on the hub.
        folder: Where to write it; made where it is not there.
        int8: Whether weights become 8-bit numbers.

    Raises:
        MissingExtra: torch, transformers or onnx is not installed.
        ConfigError: The model's tokenizer can not be written as one file.
    """
    try:
        import onnx  # noqa: F401  # torch exports by it
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise MissingExtra("to export an encoder", extra="export") from error
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(model)
    if not tokenizer.is_fast:
        raise ConfigError("only models with a fast tokenizer can be exported")
    tokenizer.backend_tokenizer.save(str(place / _TOKENIZER))
    encoder = AutoModel.from_pretrained(model, attn_implementation="eager").eval()

    class States(torch.nn.Module):
        """The last hidden states, ``[prompts, tokens, dim]``."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]

    axes = {0: "prompts", 1: "tokens"}
    example = torch.ones(1, 9, dtype=torch.long)
    plain = place / "plain.onnx" if int8 else place / _MODEL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about shapes that stay open here
        torch.onnx.export(
            States().eval(),
            (example, example),
            str(plain),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "states": axes},
            opset_version=17,
            dynamo=False,
        )
        if int8:
            quantize_dynamic(plain, place / _MODEL, weight_type=QuantType.QInt8, per_channel=True)
            plain.unlink()
    settings = {
        "dim": encoder.config.hidden_size,
        "tokens": min(256, encoder.config.max_position_embeddings),
    }
    (place / _SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
    return place
