"""A pool written down in TOML: the models, how to open them, and what they cost.

    [arms.llama]
    kind = "local"                      # a HuggingFace model in this process
    model = "meta-llama/Llama-2-13b-chat-hf"
    load = { dtype = "bfloat16", device_map = "auto" }
    usd_per_hour = 1.2

    [arms."gpt-4o-mini"]
    kind = "openai"                     # langchain_openai.ChatOpenAI, or any server of its kind
    model = "gpt-4o-mini"
    api_key_env = "OPENAI_API_KEY"      # keys stay in the environment
    chat = { max_tokens = 64 }          # arguments of the chat model

    [arms.claude]
    kind = "init"                       # langchain's init_chat_model
    model = "anthropic:claude-haiku-4-5"

Prices, ``timeout_s``, ``context_tokens`` and ``can`` are those of `pickllm.Arm`; API prices left
out come from the price table.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_pickllm.local import ChatLocal
from pickllm.errors import ConfigError, MissingExtra
from pickllm.types import Arm

__all__ = ["PoolFile", "load_pool"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolFile:
    """What a pool file holds, opened: the first two arguments of a `RoutedChatModel`."""

    models: Mapping[str, BaseChatModel]
    arms: Mapping[str, Arm]


def load_pool(path: str | Path) -> PoolFile:
    """Open every model of a pool file.

    Raises:
        ConfigError: The file is missing, is no TOML, or says something that cannot be.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the pool file {path}: {error}") from error
    tables = document.get("arms")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{path} has no [arms.NAME] table: describe at least one model")
    return PoolFile(
        models={name: _opened(name, dict(table)) for name, table in tables.items()},
        arms={name: _arm(table) for name, table in tables.items()},
    )


def _local(table: Mapping[str, Any]) -> BaseChatModel:
    return ChatLocal.load(table["model"], chat=table.get("chat"), **table.get("load", {}))


def _openai(table: Mapping[str, Any]) -> BaseChatModel:
    try:
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise MissingExtra('an arm of kind "openai"', extra="demo") from error
    return ChatOpenAI(
        model=table["model"],
        base_url=table.get("base_url"),
        api_key=_key(table),
        **table.get("chat", {}),
    )


def _init(table: Mapping[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise ConfigError('an arm of kind "init" needs: pip install langchain') from error
    model: BaseChatModel = init_chat_model(table["model"], **table.get("chat", {}))
    return model


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], BaseChatModel]] = MappingProxyType(
    {"local": _local, "openai": _openai, "init": _init}
)
_OPENING = frozenset({"kind", "model", "load", "chat", "base_url", "api_key_env"})
_ARM_FIELDS = frozenset(field.name for field in fields(Arm)) - {"name", "model", "provider"}


def _opened(name: str, table: dict[str, Any]) -> BaseChatModel:
    kind = str(table.get("kind"))
    if kind not in _KINDS:
        raise ConfigError(f"arm {name!r} has kind {kind!r}; there are {sorted(_KINDS)}")
    if "model" not in table:
        raise ConfigError(f"arm {name!r} names no model")
    unknown = sorted(set(table) - _OPENING - _ARM_FIELDS)
    if unknown:
        raise ConfigError(f"arm {name!r} has unknown keys {unknown}")
    return _KINDS[kind](table)


def _arm(table: Mapping[str, Any]) -> Arm:
    return Arm(**{key: value for key, value in table.items() if key in _ARM_FIELDS})


def _key(table: Mapping[str, Any]) -> Any:
    """The key from the environment; None leaves it to the client's own variable.

    A server of the user's own gets no key that is not named for it.
    """
    variable = table.get("api_key_env")
    if variable is None:
        return "none" if "base_url" in table else None
    if variable not in os.environ:
        raise ConfigError(f"the environment has no {variable}, which the pool file names as a key")
    return os.environ[variable]
