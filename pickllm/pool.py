"""The arms, and which of them may answer a request.

>>> pool = Pool([Arm(name="text"), Arm(name="eyes", can={"images": True})])
>>> pool.eligible(Request(text="What is on the picture?", needs=frozenset({"images"})))
(('text', 'eyes'), {})
>>> pool = Pool([Arm(name="text", can={"images": False}), Arm(name="eyes")])
>>> pool.eligible(Request(text="What is on the picture?", needs=frozenset({"images"})))
(('eyes',), {'text': 'cannot do images'})
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from math import isfinite
from typing import get_args

from pickllm.errors import ConfigError, NoEligibleArm
from pickllm.prices import has_price
from pickllm.types import Arm, Capability, Request

__all__ = ["Pool"]

_NUMBERS = (
    *("usd_per_mtok_in", "usd_per_mtok_out", "usd_per_hour", "context_tokens", "timeout_s"),
    *("max_tokens_out", "reserve_usd"),
)


class Pool:
    """The arms of a router, by name, checked. Immutable."""

    __slots__ = ("name_to_arm", "names")

    names: tuple[str, ...]
    name_to_arm: Mapping[str, Arm]
    """Those that were taken out are still in it."""

    def __init__(self, arms: Iterable[Arm], *, before: "Pool | None" = None) -> None:
        """Check the arms; those of ``before`` that are not among them may still have calls."""
        listed = tuple(arms)
        for arm in listed:
            _check(arm)
        self.names = tuple(arm.name for arm in listed)
        self.name_to_arm = {
            **(before.name_to_arm if before else {}),
            **dict(zip(self.names, listed, strict=True)),
        }
        if not listed:
            raise ConfigError("the pool is empty: give at least one arm")
        if len(set(self.names)) < len(listed):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ConfigError(f"two arms have one name: {twice}; names must differ")

    @classmethod
    def of(cls, name_to_arm: Mapping[str, Arm]) -> "Pool":
        """A pool from arms by name; an arm need not repeat its name, but must not contradict it."""
        for name, arm in name_to_arm.items():
            if not isinstance(arm, Arm):
                raise ConfigError(f"arm {name!r} is {type(arm).__name__}; it must be an Arm")
            if arm.name not in ("", name):
                raise ConfigError(f"arm {name!r} says that its name is {arm.name!r}")
        return cls(replace(arm, name=name) for name, arm in name_to_arm.items())

    def __getitem__(self, name: str) -> Arm:
        """The arm of that name, or what was known of it before it was taken out."""
        return self.name_to_arm[name]

    def __contains__(self, name: str) -> bool:
        """Whether something is known of such an arm."""
        return name in self.name_to_arm

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms, in order."""
        return tuple(self[name] for name in self.names)

    def __len__(self) -> int:
        """How many arms there are."""
        return len(self.names)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Arms whose price is unknown."""
        return tuple(name for name in self.names if not has_price(self[name]))

    def eligible(self, request: Request) -> tuple[tuple[str, ...], dict[str, str]]:
        """Arms that may answer, in the pool's order, and for each other arm the reason why not."""
        if not isinstance(request, Request):
            raise ConfigError(f"give a Request(text=...); this is {type(request).__name__}")
        reasons = {name: _why_not(self[name], request) for name in self.names}
        names = tuple(name for name in self.names if not reasons[name])
        if not names:
            told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise NoEligibleArm(f"no arm may answer this request ({told})")
        return names, {name: reason for name, reason in reasons.items() if reason}


def _why_not(arm: Arm, request: Request) -> str:
    """Reason why the arm may not answer, or an empty string. What is unknown is allowed."""
    if request.only is not None and arm.name not in request.only:
        return "not among the arms asked for"
    if arm.name in request.barred:
        return request.barred[arm.name]
    if arm.can:
        for need in sorted(request.needs):
            if not arm.can.get(need, True):
                return f"cannot do {need}"
    if arm.context_tokens is not None and request.tokens > arm.context_tokens:
        return f"prompt of about {request.tokens} tokens, window of {arm.context_tokens}"
    return ""


def _check(arm: Arm) -> None:
    if not isinstance(arm, Arm):
        given = f"arm {arm!r}" if isinstance(arm, str) else "an arm"
        raise ConfigError(f"{given} is {type(arm).__name__}; it must be an Arm")
    if not arm.name:
        raise ConfigError("an arm has no name: Arm(name=...)")
    for field in fields(Arm):
        if field.name not in _NUMBERS:
            continue
        value = getattr(arm, field.name)
        if value is not None and not (isinstance(value, int | float) and isfinite(value)):
            raise ConfigError(f"arm {arm.name!r}: {field.name} must be a number, not {value!r}")
        if value is not None and value < 0:
            raise ConfigError(f"arm {arm.name!r}: {field.name} is {value}; it must not be negative")
    if 0 in (arm.timeout_s, arm.context_tokens, arm.max_tokens_out):
        raise ConfigError(
            f"arm {arm.name!r}: timeout_s, context_tokens and max_tokens_out must be above zero"
        )
    _check_capabilities(arm)
    if (arm.usd_per_mtok_in is None) != (arm.usd_per_mtok_out is None):
        raise ConfigError(
            f"arm {arm.name!r}: state both usd_per_mtok_in and usd_per_mtok_out, or neither"
        )
    if arm.usd_per_hour is not None and arm.usd_per_mtok_in is not None:
        raise ConfigError(f"arm {arm.name!r}: state a price per hour or per token, not both")


def _check_capabilities(arm: Arm) -> None:
    if not isinstance(arm.can, Mapping) or not set(arm.can) <= set(get_args(Capability)):
        raise ConfigError(
            f"arm {arm.name!r}: can must map some of {list(get_args(Capability))} to True or "
            f"False; it is {arm.can!r}"
        )
    for capability, able in arm.can.items():
        if not isinstance(able, bool):
            raise ConfigError(
                f"arm {arm.name!r}: can[{capability!r}] must be True or False; it is {able!r}"
            )
