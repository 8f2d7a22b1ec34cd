"""Any LlamaIndex embedding as features of prompts."""

from llama_index.core.base.embeddings.base import BaseEmbedding

from pickllm.embedded import EmbeddedFeatures
from pickllm.errors import ConfigError
from pickllm.protocols import Featurizer

__all__ = ["featurizer_of"]


def featurizer_of(given: Featurizer | BaseEmbedding | None) -> Featurizer | None:
    """The featurizer that ``given`` stands for, or `ConfigError`."""
    if given is None:
        return None
    if isinstance(given, BaseEmbedding):
        return EmbeddedFeatures(embed=given.get_query_embedding)
    if isinstance(given, type) or not hasattr(given, "features"):
        kind = given.__name__ if isinstance(given, type) else type(given).__name__
        raise ConfigError(f"featurizer must be a featurizer or a LlamaIndex embedding, not {kind}")
    return given
