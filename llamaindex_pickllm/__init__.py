"""PickLLM for LlamaIndex: the place of `RoutedLLM`, which is not written yet."""

from pickllm import __version__

__all__ = ["__version__"]
