"""What stands beside the models when an adapter's routed model is made, checked in one place."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pickllm.errors import ConfigError
from pickllm.router import Router

__all__ = ["check_router", "check_sticky", "stated_limit"]


def check_router(
    router: Router,
    models: Collection[str],
    settings: Mapping[str, Any],
    maker: Callable[..., object],
    *,
    what: str = "models",
) -> None:
    """See that a router given is of these models, and that nothing is set that it brings with it.

    ``settings`` are those that would have made a router; what each is by default, the signature of
    ``maker`` says. ``what`` is how the adapter calls its models.
    """
    if not isinstance(router, Router):
        raise ConfigError(f"router must be a pickllm.Router; it is {type(router).__name__}")
    parameters = inspect.signature(maker).parameters
    stated = [name for name, value in settings.items() if value != parameters[name].default]
    if stated:
        raise ConfigError(
            f"a router brings its own {', '.join(stated)}: leave {'them' if stated[1:] else 'it'} "
            "out, or set it on the router"
        )
    if set(router.pool.names) != set(models):
        raise ConfigError(
            f"the router's arms are {list(router.pool.names)}, and the {what} {list(models)}"
        )


def check_sticky(sticky: object) -> None:
    """See that it is what it must be, where much else would do until much later."""
    if not isinstance(sticky, bool):
        raise ConfigError(f"sticky must be True or False; it is {type(sticky).__name__}")


def stated_limit(model: object, names: Iterable[str]) -> int | None:
    """The first of these attributes of a model that is a whole number above 0; None for none."""
    values = (getattr(model, name, None) for name in names)
    return next((value for value in values if isinstance(value, int) and value > 0), None)
