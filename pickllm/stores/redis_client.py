"""A client of a Redis server, as stores and shelves have it."""

from collections.abc import Mapping
from typing import Any

from pickllm.errors import ConfigError, MissingExtra

__all__ = ["client_of", "literally"]

_PATIENCE_S = 0.5
"""Wait for the server at most so long: what cannot be written now waits for the next time."""


def client_of(url: str, options: Mapping[str, Any], *, purpose: str) -> Any:
    """A client that connects when first used; ``options`` are `redis.from_url`'s.

    Raises:
        MissingExtra: ``purpose`` needs a package that is not there.
        ConfigError: The address is none of Redis.
    """
    try:
        import redis
    except ImportError as error:
        raise MissingExtra(purpose, extra="redis") from error
    settings = {
        "socket_timeout": _PATIENCE_S,
        "socket_connect_timeout": _PATIENCE_S,
        **options,
    }
    try:
        return redis.Redis.from_url(url, **settings)
    except ValueError as error:
        raise ConfigError(
            "a Redis address begins with redis://, rediss:// or unix://, such as "
            "'redis://localhost:6379/0'"
        ) from error


def literally(text: str) -> str:
    """A pattern that matches the text and nothing else."""
    return "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in text)
