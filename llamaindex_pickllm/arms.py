"""What a LlamaIndex LLM says of itself without being called: price, capabilities, window."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Literal, TypeAlias, get_args

from llama_index.core.llms import LLM, CustomLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM

from llamaindex_pickllm.local import LocalLLM
from pickllm.construction import stated_limit
from pickllm.errors import ConfigError
from pickllm.types import Arm, Capability

__all__ = ["Modality", "arms_of", "blocks_the_loop", "calls_tools", "known_by", "llms_of"]

Modality: TypeAlias = Literal["text", "image", "audio", "video", "document"]
"""What a model reads; the types of LlamaIndex's content blocks."""

_READS: Mapping[str, Capability] = {
    "image": "images",
    "audio": "audio",
    "video": "video",
    "document": "pdf",
}

_TEXT_ONLY = (CustomLLM, LocalLLM)
"""LLMs that read text alone, and have no price in a table: they run here, or are one's own."""

_LONGEST = ("max_tokens", "max_new_tokens", "num_output")
"""What LLMs call the longest answer that they are set to give. Their metadata is not looked at: it
says 256 where nobody has said anything."""

_SECRET = ("key", "secret", "password", "credential", "auth", "header")
"""What names of settings hold that give access to a model."""


def llms_of(given: object) -> dict[str, LLM]:
    """The pool's LLMs by name, checked."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"llms must map names to LLMs; it is {type(given).__name__}. "
            'For example llms={"small": OpenAI(model="gpt-4o-mini"), ...}'
        )
    for name, llm in given.items():
        if not isinstance(name, str):
            raise ConfigError(f"the name of an arm must be a string; {name!r} is not")
        if not isinstance(llm, LLM):
            kind = llm.__name__ if isinstance(llm, type) else type(llm).__name__
            raise ConfigError(
                f"arm {name!r} is no LLM but {kind}: give an instance of LlamaIndex's LLM, such as "
                'OpenAI(model="gpt-4o-mini")'
            )
    return dict(given)


def arms_of(
    llms: Mapping[str, LLM],
    given: Mapping[str, Arm] | None,
    *,
    modalities: Mapping[str, Collection[Modality]] | None,
    timeout_s: float | None,
) -> dict[str, Arm]:
    """An arm for each LLM: what the user states, and from the LLM what the user leaves out."""
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f'arms must map names to Arm, as in {{"small": Arm(...)}}, not {given!r}')
    stated, reads = dict(given or {}), dict(modalities or {})
    for what, names in (("arms", stated), ("modalities", reads)):
        unknown = sorted(set(names) - set(llms))
        if unknown:
            raise ConfigError(f"{what} names {unknown}, but llms has only {sorted(llms)}")
    for name, arm in stated.items():
        if not isinstance(arm, Arm):
            raise ConfigError(f"arms[{name!r}] must be an Arm, not {type(arm).__name__}")
    for name, kinds in reads.items():
        if isinstance(kinds, str) or not set(kinds) <= set(get_args(Modality)):
            raise ConfigError(
                f"modalities[{name!r}] must be some of {list(get_args(Modality))}; it is {kinds!r}"
            )
    return {
        name: _completed(stated.get(name, Arm()), llm, reads.get(name), timeout_s)
        for name, llm in llms.items()
    }


def known_by(llm: LLM) -> str:
    """The model, and a hash of the settings that shape its answers; no key is part of it.

    It is the same in every process: what is no plain value counts by its type.
    """
    settings = _plain(llm.to_dict())
    digest = blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8)
    return f"{llm.metadata.model_name} {digest.hexdigest()}"


def calls_tools(llm: LLM) -> bool:
    """Whether LlamaIndex lets this LLM call tools: it needs the class, and must say so."""
    return isinstance(llm, FunctionCallingLLM) and llm.metadata.is_function_calling_model


def blocks_the_loop(llm: LLM, method: str) -> bool:
    """Whether an async method only calls its sync twin, on the loop that should stay free."""
    return _owner(llm, method if method in vars(CustomLLM) else "achat") is CustomLLM


def _plain(value: Any) -> Any:
    """Mappings, lists and plain values, less what is secret, as JSON holds them."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if not _is_secret(str(k))}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    kept = value is None or isinstance(value, bool | int | float | str)
    return value if kept else type(value).__name__


def _is_secret(name: str) -> bool:
    """Whether a setting is of the access to a model, not of its answers."""
    return any(part in name.lower() for part in _SECRET) or name.lower().endswith("token")


def _owner(llm: LLM, method: str) -> type | None:
    return next((kind for kind in type(llm).__mro__ if method in vars(kind)), None)


def _completed(
    arm: Arm, llm: LLM, reads: Collection[Modality] | None, timeout_s: float | None
) -> Arm:
    metadata = llm.metadata
    if timeout_s is not None and arm.timeout_s is None:
        arm = replace(arm, timeout_s=timeout_s)
    arm = replace(
        arm,
        can={"tools": calls_tools(llm), **_readable(llm, reads), **arm.can},
        context_tokens=arm.context_tokens or max(metadata.context_window, 1),
        max_tokens_out=arm.max_tokens_out or stated_limit(llm, _LONGEST),
    )
    stated = (arm.usd_per_hour, arm.usd_per_mtok_in, arm.model)
    if all(price is None for price in stated) and not isinstance(llm, _TEXT_ONLY):
        arm = replace(arm, model=metadata.model_name, provider=arm.provider or _provider(llm))
    return arm


def _readable(llm: LLM, reads: Collection[Modality] | None) -> dict[Capability, bool]:
    """What the arm can read. An LLM that turns messages into one text drops all else silently."""
    if reads is None:
        return dict.fromkeys(_READS.values(), False) if isinstance(llm, _TEXT_ONLY) else {}
    return {capability: kind in reads for kind, capability in _READS.items()}


def _provider(llm: Any) -> str | None:
    """The base URL, as another server has other prices, or what the class is called by."""
    base_url = getattr(llm, "api_base", None) or getattr(llm, "base_url", None)
    name = llm.class_name().lower().replace("_llm", "").replace("llm", "").strip("_ ")
    return str(base_url) if base_url else name or None
