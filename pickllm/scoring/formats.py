"""Whether an answer has the form that was asked for: a pattern, JSON, JSON of a schema.

>>> from pickllm.types import Reply, Request
>>> asked = Request(text="A colour as hex, please")
>>> RegexMatch(pattern=r"#[0-9a-f]{6}", whole=True).judged(asked, Reply(text=" #ff8800 "))
1.0
>>> JSONMatch().judged(asked, Reply(text='{"colour": "#ff8800"'))
0.0
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pickllm.errors import ConfigError, MissingExtra
from pickllm.scoring.rules import TextScorer
from pickllm.types import Reply, Request

__all__ = ["JSONMatch", "RegexMatch", "Schema", "validator_of"]

Schema: TypeAlias = Mapping[str, Any] | type[Any] | None
"""A JSON schema, a pydantic model, or None: then any JSON will do."""

_FENCED = re.compile(r"```(?:json)?\s*\n(?P<inside>.*)\n\s*```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegexMatch(TextScorer):
    """1 where the pattern is found in the answer, else 0."""

    pattern: str
    whole: bool = False
    """Whether the answer, spaces around it aside, must be nothing but the pattern."""

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ConfigError(f"the pattern {self.pattern!r} cannot be read: {error}") from error

    def judged(self, request: Request, reply: Reply) -> float:
        """1 or 0."""
        seek = re.fullmatch if self.whole else re.search
        return float(seek(self.pattern, reply.text.strip()) is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class JSONMatch(TextScorer):
    """1 where the answer is JSON of the schema, else 0. Nothing is fetched to resolve a ``$ref``.

    JSON as the standard has it: no NaN and no Infinity. Of a pydantic model its own rules count.
    """

    schema: Schema = None
    fenced: bool = True
    """Whether the JSON may stand in one Markdown code fence."""

    def __post_init__(self) -> None:
        if isinstance(self.schema, Mapping):
            validator_of(self.schema)
        elif self.schema is not None and not hasattr(self.schema, "model_validate"):
            raise ConfigError(
                "schema must be a JSON schema as a mapping, a pydantic model, or None; it is "
                f"{type(self.schema).__name__}"
            )

    def judged(self, request: Request, reply: Reply) -> float:
        """1 or 0."""
        text = reply.text.strip()
        fence = _FENCED.fullmatch(text) if self.fenced else None
        try:
            value = json.loads(fence["inside"] if fence else text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return 0.0
        return float(self._fits(value))

    def _fits(self, value: object) -> bool:
        if self.schema is None:
            return True
        if isinstance(self.schema, Mapping):
            return bool(validator_of(self.schema).is_valid(value))
        try:
            self.schema.model_validate(value)
        except ValueError:  # pydantic's ValidationError is one
            return False
        return True


def validator_of(schema: Mapping[str, Any]) -> Any:
    """A validator of a JSON schema, which looks nowhere but in the published meta-schemas."""
    try:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from jsonschema_specifications import REGISTRY
    except ImportError as error:
        raise MissingExtra("checking answers against a JSON schema", extra="scoring") from error
    kind = validator_for(dict(schema))
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        raise ConfigError(f"the schema is no JSON schema: {error.message}") from error
    return kind(dict(schema), registry=REGISTRY)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
