"""PickLLM for LlamaIndex. `RoutedLLM`, the twin of `langchain_pickllm.RoutedChatModel`, is to come."""

from pickllm import __version__

__all__ = ["__version__"]
