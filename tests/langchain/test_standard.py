"""LangChain's own suites for chat models, over routed pools."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_pickllm import RoutedChatModel
from tests.langchain.scripted import NoToolsChatModel, ScriptedChatModel


class _OverAPool:
    """What both suites are told of a routed model."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return RoutedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "models": {
                "small": ScriptedChatModel(model_name="scripted-small"),
                "large": ScriptedChatModel(model_name="scripted-large"),
            },
            "policy": "random",
            "seed": 1,
        }

    @property
    def model_override_value(self) -> str:
        return "small"


class _OverAMixedPool(_OverAPool):
    """One arm has no tools: whatever needs them must go to the other."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "models": {
                "small": NoToolsChatModel(model_name="scripted-small"),
                "large": ScriptedChatModel(model_name="scripted-large"),
            },
            "policy": "random",
            "seed": 1,
        }


class TestUnit(_OverAPool, ChatModelUnitTests):
    """Two arms alike."""


class TestUnitMixed(_OverAMixedPool, ChatModelUnitTests):
    """An arm without tools in the pool."""


class TestIntegration(_OverAPool, ChatModelIntegrationTests):
    """Two arms alike."""


class TestIntegrationMixed(_OverAMixedPool, ChatModelIntegrationTests):
    """An arm without tools in the pool."""
