"""A log of decisions as JSON lines: who could answer, how likely each was, and what came of it.

    write_log("traffic.jsonl", router.ledger)          # records of a ledger, or entries
    entries = read_log("traffic.jsonl")

One line is one decision, a JSON object whose keys are the fields of `LogEntry`; every line says by
``"pickllm_log": 1`` what it is, so that logs may be cut anywhere and put together in any order.
Fields at their defaults are left out. A last line that was cut off by a crash is left out too; any
other line that cannot be read is an error that names it. Prompts and answers are not in it.
"""

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from pickllm.booking.ledger import Record
from pickllm.errors import ConfigError
from pickllm.types import Attempt, Status

__all__ = ["LogEntry", "entry_of", "read_log", "write_log"]

logger = logging.getLogger("pickllm")

_FORMAT = 1
_MARK = "pickllm_log"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """One decision with all that came of it, as far as it was known when it was written."""

    id: str
    time_s: float
    """Seconds since the epoch."""
    policy: str
    """Name and settings of the policy that decided."""
    arms: tuple[str, ...]
    """The eligible arms."""
    probabilities: tuple[float, ...]
    """``[eligible arms]``, exact, sum 1."""
    arm: str
    """The one that was drawn."""
    values: tuple[float | None, ...] = ()
    """``[eligible arms]``, what the policy expected of each, or empty."""
    ineligible: Mapping[str, str] = field(default_factory=dict)
    """Arm to the reason why it was not asked."""
    held: str = ""
    """Why the policy was not asked, such as "tool loop"; empty where it was."""
    begun_by: str = ""
    """The decision that this turn goes on with; its cost, latency and scores stand there."""
    features: tuple[float, ...] = ()
    session: str = ""
    tenant: str = ""
    status: Status = "open"
    answered_by: str = ""
    """The arm whose answer was judged: another one where the first had failed."""
    cost_usd: float | None = None
    """Of all arms asked and of later turns; None is unknown. A failure that does not say what it
    cost has cost nothing."""
    latency_s: float = 0.0
    """Of all of these, failures included, one after another."""
    source_to_score: Mapping[str, float] = field(default_factory=dict)
    """What each source says of the answer, in [0, 1]; empty where nobody has judged it."""

    def __post_init__(self) -> None:
        if len(self.arms) != len(self.probabilities) or self.arm not in self.arms:
            raise ConfigError(
                f"decision {self.id!r} has {len(self.probabilities)} probabilities for "
                f"{len(self.arms)} arms, and {self.arm!r} must be one of these"
            )
        if not (min(self.probabilities) >= 0.0 and abs(sum(self.probabilities) - 1.0) < 1e-6):
            raise ConfigError(f"the probabilities of decision {self.id!r} do not add up to 1")
        if self.values and len(self.values) != len(self.arms):
            raise ConfigError(f"decision {self.id!r} has values for {len(self.values)} arms")


def entry_of(record: Record) -> LogEntry:
    """A ledger's record as it stands now."""
    decision, answer = record.decision, record.answer
    outcomes = [each.outcome for each in (record, *record.followers) if each.outcome]
    return LogEntry(
        id=decision.id,
        time_s=decision.time_s,
        policy=decision.policy,
        arms=decision.arms,
        probabilities=decision.probabilities,
        arm=decision.arm,
        values=decision.values,
        ineligible=dict(decision.ineligible),
        held=decision.held.reason if decision.held else "",
        begun_by=record.begun_by,
        features=tuple(decision.features.tolist()),
        session=decision.session,
        tenant=decision.tenant,
        status=record.status,
        answered_by=answer.arm if answer else "",
        cost_usd=_cost_usd([attempt for outcome in outcomes for attempt in outcome.attempts]),
        latency_s=sum(outcome.latency_s for outcome in outcomes),
        source_to_score={
            source: feedback.value for source, feedback in record.source_to_feedback.items()
        },
    )


def write_log(
    path: Path | str, records: Iterable[Record | LogEntry], *, append: bool = False
) -> int:
    """Write one line for each; returns how many."""
    count = 0
    with Path(path).open("a" if append else "w", encoding="utf-8") as file:
        for record in records:
            entry = entry_of(record) if isinstance(record, Record) else record
            file.write(f"{json.dumps(_plain(entry), allow_nan=False)}\n")
            count += 1
    return count


def read_log(path: Path | str) -> list[LogEntry]:
    """The entries of a log, in the order of their decisions' times.

    Of several lines about one decision the last one counts: it knows the most.

    Raises:
        ConfigError: There is no such file, or a line of it is no entry of a log.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the log {path}: {type(error).__name__}") from error
    lines = text.splitlines()
    id_to_entry: dict[str, LogEntry] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = _entry(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not text.endswith("\n"):
                logger.warning("the last line of the log %s was cut off, and is left out", path)
                break
            raise ConfigError(f"line {number} of {path} is no entry of a log: {error}") from error
        id_to_entry[entry.id] = entry
    return sorted(id_to_entry.values(), key=lambda entry: entry.time_s)


def _cost_usd(attempts: Sequence[Attempt]) -> float | None:
    billed = [each.cost_usd for each in attempts if each.cost_usd or each.status != "error"]
    known = [cost for cost in billed if cost is not None]
    return sum(known) if attempts and len(known) == len(billed) else None


def _plain(entry: LogEntry) -> dict[str, Any]:
    """Fields that are not at their defaults."""
    plain: dict[str, Any] = {_MARK: _FORMAT}
    for each in fields(entry):
        value = getattr(entry, each.name)
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if value != default:
            plain[each.name] = value
    return plain


def _entry(plain: Any) -> LogEntry:
    """The entry of one line; `ValueError`, `TypeError` or `KeyError` where it is none."""
    if not isinstance(plain, dict) or plain.get(_MARK) != _FORMAT:
        raise ValueError(f"it has no {_MARK!r} of {_FORMAT}")
    given = {name: value for name, value in plain.items() if name != _MARK}
    unknown = sorted(set(given) - set(_NAME_TO_READER))
    if unknown:
        raise ValueError(f"no field is called {unknown[0]!r}")
    return LogEntry(**{name: _NAME_TO_READER[name](value) for name, value in given.items()})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where a text belongs")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number belongs")
    return float(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)


def _status(value: Any) -> Any:
    if value not in get_args(Status):
        raise ValueError(f"{value!r} is no status")
    return value


def _tuple(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def each(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} where a list belongs")
        return tuple(read(item) for item in value)

    return each


def _mapping(read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def each(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} where a mapping belongs")
        return {key: read(item) for key, item in value.items()}

    return each


_NAME_TO_READER: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ("id", "policy", "arm", "held", "begun_by", "session", "tenant", "answered_by"), _text
    ),
    **dict.fromkeys(("time_s", "latency_s"), _number),
    "arms": _tuple(_text),
    "probabilities": _tuple(_number),
    "features": _tuple(_number),
    "values": _tuple(_number_or_none),
    "ineligible": _mapping(_text),
    "status": _status,
    "cost_usd": _number_or_none,
    "source_to_score": _mapping(_number),
}
