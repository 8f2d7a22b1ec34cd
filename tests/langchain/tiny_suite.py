"""What LangChain's own suites are told of a tiny Llama, with tools or without."""

from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel

from langchain_pickllm.local import ChatLocal
from pickllm.local import LocalModel


class OverATinyModel:
    """Mix it in before a suite; the module's own ``local`` fixture is the model."""

    knows_tools: ClassVar[bool]
    local: ClassVar[LocalModel]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _loaded(cls, local: LocalModel) -> None:
        cls.local = local

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLocal

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.local}

    @property
    def has_tool_calling(self) -> bool:
        return self.knows_tools

    @property
    def has_structured_output(self) -> bool:
        return self.knows_tools
