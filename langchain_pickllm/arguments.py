"""What stands beside the models when a routed model is made: whose argument it is, and what not."""

import difflib
import inspect
import logging
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from pickllm.errors import ConfigError

__all__ = ["known", "time_limit"]

logger = logging.getLogger("pickllm")

_OF_THE_ARMS = frozenset({"api_key", "base_url", "max_retries"})
"""Standard arguments of chat models that only the arms' own constructors can honour."""


def time_limit(timeout_s: float | None, timeout: float | None) -> float | None:
    """The arms' time limit, under our name for it or under every chat model's."""
    if timeout_s is not None and timeout is not None:
        raise ConfigError("give timeout_s or timeout, not both: they are the same")
    return timeout if timeout_s is None else timeout_s


def known(model: type[BaseChatModel], others: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a chat model takes; a misspelt one is an error, not ignored."""
    for name in sorted(_OF_THE_ARMS & set(others)):
        logger.warning("%s is ignored here: set it on the models of the pool", name)
    taken = {name: value for name, value in others.items() if name not in _OF_THE_ARMS}
    unknown = sorted(set(taken) - set(model.model_fields))
    if unknown:
        raise ConfigError(f"{model.__name__} takes no {', '.join(unknown)}{_like(model, unknown)}")
    return taken


def _like(model: type[BaseChatModel], unknown: list[str]) -> str:
    """Arguments whose names are close to these."""
    named = sorted({*inspect.signature(model.__init__).parameters, *model.model_fields})
    close = [name for each in unknown for name in difflib.get_close_matches(each, named, n=1)]
    return f"; did you mean {', '.join(dict.fromkeys(close))}?" if close else ""
