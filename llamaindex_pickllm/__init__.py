"""PickLLM for LlamaIndex: an LLM over a pool of LLMs that learns which one to ask."""

from llamaindex_pickllm.llm import RoutedLLM
from pickllm import __version__

__all__ = ["RoutedLLM", "__version__"]
