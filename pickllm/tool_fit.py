"""Whether the tools that an answer asks for exist, and are given arguments that fit them.

>>> add = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
>>> tools_fit([("add", {"a": 2})], {"add": add}), tools_fit([("add", {})], {"add": add})
(True, False)
>>> tools_fit([("subtract", {"a": 2})], {"add": add})
False
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pickllm.errors import ConfigError, MissingExtra
from pickllm.scoring.formats import validator_of

__all__ = ["tools_fit"]


def tools_fit(
    calls: Sequence[tuple[str, Mapping[str, Any]]], name_to_schema: Mapping[str, Mapping[str, Any]]
) -> bool | None:
    """Whether every call names a tool and gives it what its JSON schema asks for.

    None where that cannot be told, for a schema is none. Without `jsonschema` only the names and
    the required arguments are looked at.
    """
    if any(name not in name_to_schema for name, _ in calls):
        return False
    try:
        return all(validator_of(name_to_schema[name]).is_valid(dict(args)) for name, args in calls)
    except MissingExtra:
        return all(set(name_to_schema[n].get("required", ())) <= set(args) for n, args in calls)
    except ConfigError:
        return None
