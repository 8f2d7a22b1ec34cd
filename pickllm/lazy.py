"""Names of a package that are imported when they are first asked for (PEP 562).

A package lists under ``TYPE_CHECKING`` what its modules give, for readers and type checkers, and
says here where each name stands; a test holds the two together.

>>> get, _ = lazily("pickllm.scoring", {"rules": "Grade scorer_of"})
>>> get("scorer_of").__module__
'pickllm.scoring.rules'
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(
    package: str, module_to_names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``; a name that was asked for once stays there.

    ``module_to_names`` holds modules of the package and the names that each of them gives, parted
    by spaces. No module may be called as one of them: once imported it would stand in its place.
    """
    name_to_module = {
        name: f"{package}.{module}"
        for module, names in module_to_names.items()
        for name in names.split()
    }

    def get(name: str) -> Any:
        if name not in name_to_module:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(name_to_module[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *name_to_module})

    return get, names
