"""Prompts as vectors for rankers. Models are loaded when first asked, never at import.

hashing.py    from words alone; needs nothing
onnx.py       a sentence encoder in 8-bit numbers: the fast local one
onnx_model.py what it shares with exported classifiers
sentences.py  any model of sentence-transformers
functions.py  by a function: embeddings of LangChain, of LlamaIndex, of a service
cached.py     vectors remembered, around any of them
contract.py   what they all are
"""

from pickllm.embedding.cached import CachedEmbedder
from pickllm.embedding.contract import Embedder
from pickllm.embedding.functions import FunctionEmbedder
from pickllm.embedding.hashing import HashingEmbedder
from pickllm.embedding.onnx import OnnxEmbedder, export_encoder
from pickllm.embedding.sentences import SentenceEmbedder

__all__ = [
    "CachedEmbedder",
    "Embedder",
    "FunctionEmbedder",
    "HashingEmbedder",
    "OnnxEmbedder",
    "SentenceEmbedder",
    "export_encoder",
]
