"""Models opened by name, and what goes wrong in the opening told with the arm that it is about."""

import contextlib
from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from pickllm.errors import ConfigError, MissingExtra

__all__ = ["by_name", "opening"]


def by_name(name: str, **settings: Any) -> BaseChatModel:
    """The model of that name, "openai:gpt-4o-mini" for example, by LangChain's own opener."""
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtra(f"opening {name!r} by name", extra="agents") from error
    model: BaseChatModel = init_chat_model(name, **settings)
    return model


@contextlib.contextmanager
def opening(arm: str) -> Iterator[None]:
    """Whatever a model's maker finds wrong inside is raised as `ConfigError` about this arm."""
    try:
        yield
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_input=False, include_context=False, include_url=False)
        )
        raise ConfigError(f"arm {arm!r} cannot be opened: {told}") from None  # it shows the input
    except MissingExtra:
        raise
    except ConfigError as error:
        raise ConfigError(f"arm {arm!r}: {error}") from error
    except Exception as error:
        raise ConfigError(f"arm {arm!r} cannot be opened: {error}") from error
