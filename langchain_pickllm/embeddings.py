"""LangChain embeddings as features of prompts, and features as LangChain embeddings."""

from langchain_core.embeddings import Embeddings

from pickllm.embedded import EmbeddedFeatures
from pickllm.errors import ConfigError
from pickllm.protocols import Featurizer

__all__ = ["FeatureEmbeddings", "featurizer_of"]


class FeatureEmbeddings(Embeddings):
    """A featurizer where LangChain wants embeddings: for a vector store without a model."""

    def __init__(self, featurizer: Featurizer) -> None:
        self.featurizer = featurizer

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The features of each text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The features of a text."""
        return [float(value) for value in self.featurizer.features(text)]


def featurizer_of(given: Featurizer | Embeddings | None) -> Featurizer | None:
    """The featurizer that ``given`` stands for, or `ConfigError`."""
    if given is None:
        return None
    if isinstance(given, Embeddings):
        return EmbeddedFeatures(embed=given.embed_query)
    if isinstance(given, type) or not hasattr(given, "features"):
        raise ConfigError(
            f"featurizer must be a featurizer or LangChain embeddings; it is {type(given).__name__}"
        )
    return given
