"""What passes between a cache and its back end."""

from dataclasses import dataclass, field

__all__ = ["Placed", "Row"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One answer to be written."""

    key: str
    """A digest; no part of a prompt."""
    partition: str
    """A digest of what keeps it apart from others."""
    value: bytes = field(repr=False)
    decision_id: str
    arm: str
    expires_s: float | None = None
    """In seconds since the epoch; None is never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A row as it stands in its partition."""

    position: int
    """Higher than that of all rows written before."""
    key: str
    value: bytes = field(repr=False)
