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
out come from the price table. The folder of a model is sought from where the program runs.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from langchain_pickllm.local import ChatLocal
from langchain_pickllm.opening import by_name, opening
from pickllm.errors import ConfigError, MissingExtra
from pickllm.pool import Pool
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
    except FileNotFoundError as error:
        raise ConfigError(f"there is no pool file {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the pool file {path}: {error}") from error
    tables = document.get("arms")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{path} has no [arms.NAME] table: describe at least one model")
    for name, table in tables.items():
        _check(name, table)
    arms = {name: _arm(table) for name, table in tables.items()}
    Pool.of(arms)  # prices that cannot be are found before any weights are loaded
    return PoolFile(
        models={name: _opened(name, table) for name, table in tables.items()}, arms=arms
    )


def _opened(name: str, table: Mapping[str, Any]) -> BaseChatModel:
    with opening(name):
        return _KINDS[table["kind"]].open(table)


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
    key = _key(table)
    named: dict[str, Any] = {} if key is None else {"api_key": key}
    return by_name(table["model"], **named, **table.get("chat", {}))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """A kind of model that a file may name."""

    open: Callable[[Mapping[str, Any]], BaseChatModel]
    keys: frozenset[str]
    """What says how to open one, beside "kind", "model" and "chat"."""


_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "local": _Kind(open=_local, keys=frozenset({"load"})),
        "openai": _Kind(open=_openai, keys=frozenset({"api_key_env", "base_url"})),
        "init": _Kind(open=_init, keys=frozenset({"api_key_env"})),
    }
)
_KEYS = frozenset({"kind", "model", "chat"})
_ARM_FIELDS = frozenset(field.name for field in fields(Arm)) - {"name", "model", "provider"}
_TABLES = ("chat", "load", "can")


def _check(name: str, table: object) -> None:
    """All that can be said of an arm without opening it."""
    if not isinstance(table, dict):
        raise ConfigError(f"arms.{name} must be a table: [arms.{name}] and its keys below")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        told = "names no kind" if kind is None else f"has kind {kind!r}"
        raise ConfigError(f"arm {name!r} {told}; there are {sorted(_KINDS)}")
    if not isinstance(table.get("model"), str):
        raise ConfigError(f'arm {name!r} names no model: model = "..."')
    known = _KEYS | _KINDS[kind].keys | _ARM_FIELDS
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConfigError(
            f"arm {name!r} of kind {kind!r} has unknown keys {unknown}; it knows {sorted(known)}"
        )
    for key in _TABLES:
        if not isinstance(table.get(key, {}), dict):
            raise ConfigError(f"arm {name!r}: {key} must be a table, such as {key} = {{ }}")
    if any(key.endswith("api_key") for key in table.get("chat", {})):
        raise ConfigError(f"arm {name!r}: keys stay in the environment; name it as api_key_env")


def _arm(table: Mapping[str, Any]) -> Arm:
    return Arm(**{key: value for key, value in table.items() if key in _ARM_FIELDS})


def _key(table: Mapping[str, Any]) -> SecretStr | None:
    """The key from the environment; None leaves it to the client's own variable.

    A server of the user's own gets no key that is not named for it.
    """
    variable = table.get("api_key_env")
    if variable is None:
        return SecretStr("none") if "base_url" in table else None
    if not os.environ.get(variable):
        raise ConfigError(f"the environment has no {variable}, which the pool file names as a key")
    return SecretStr(os.environ[variable])
