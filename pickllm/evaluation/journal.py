"""What a store's journal holds, as a ledger or as the entries of a log: the traffic of all workers.

    entries = read_journal("sqlite:///routes.db")
    ledger = read_ledger("sqlite:///routes.db")       # records, with the runs around each decision

>>> read_journal("memory://")
[]
"""

from pathlib import Path

from pickllm.booking.events import Decided, Event, Judged, Reset, Traced, decode
from pickllm.booking.ledger import Ledger
from pickllm.errors import ConfigError, PickLLMError, StateConflict, StoreUnavailable
from pickllm.evaluation.log import LogEntry, entry_of
from pickllm.protocols import KeepsJournal
from pickllm.stores import StoreLike, store_of
from pickllm.types import Feedback

__all__ = ["read_journal", "read_ledger"]

_SQLITE = "sqlite:///"
_AT_ONCE = 1_000
_ALL = 10**12


def read_journal(store: StoreLike, *, namespace: str = "default") -> list[LogEntry]:
    """The decisions that a journal still holds, as they stand now, by their times.

    Raises:
        ConfigError: There is no such store.
    """
    ledger = read_ledger(store, namespace=namespace)
    return sorted((entry_of(record) for record in ledger), key=lambda entry: entry.time_s)


def read_ledger(store: StoreLike, *, namespace: str = "default") -> Ledger:
    """The same as records, in the order in which they were settled.

    Events of a newer program are left out. A session that was reset begins anew.

    Raises:
        ConfigError: There is no such store.
        StoreUnavailable: It does not answer.
    """
    file = store.removeprefix(_SQLITE) if isinstance(store, str) else ""
    if file != store and file and not Path(file).exists():  # or it would be made, and be empty
        raise ConfigError(f"there is no file {file}")
    try:
        return _ledger_of(store_of(store), f"pickllm/{namespace}")
    except PickLLMError:
        raise
    except Exception as error:  # of whichever client the store has
        raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from error


def _ledger_of(journal: KeepsJournal, topic: str) -> Ledger:
    ledger = Ledger(max_decisions=_ALL)
    position = 0
    while notes := journal.read(topic, after=position, limit=_AT_ONCE):
        position = notes[-1].position
        for note in notes:
            try:
                event = decode(note.value)
            except StateConflict:
                continue
            ledger = Ledger(max_decisions=_ALL) if isinstance(event, Reset) else ledger
            _enter(ledger, event)
    return ledger


def _enter(ledger: Ledger, event: Event) -> None:
    if isinstance(event, Decided):
        ledger.recall(event)
    elif isinstance(event, Traced) and event.decision_id in ledger:
        ledger.trace(event.trace_id, event.decision_id)
    elif isinstance(event, Judged) and event.experience.decision.id in ledger:
        ledger[event.experience.decision.id].source_to_feedback[event.source] = Feedback(
            decision_id=event.experience.decision.id,
            value=event.experience.score,
            source=event.source,
            time_s=event.time_s,
            correction=event.version > 1,
            version=event.version,
        )
