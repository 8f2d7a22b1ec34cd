"""What was said of answers, looked up one by one where it was booked: a journal, or a log.

>>> judgements_of("memory://")("a decision")
{}
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pickllm.booking.events import Judged, decode
from pickllm.errors import StateConflict
from pickllm.evaluation.log import read_log
from pickllm.protocols import Noted
from pickllm.stores import store_there

__all__ = ["Judgements", "judgements_of"]

Judgements: TypeAlias = Callable[[str], Mapping[str, float]]
"""From a decision's id to what each source says of its answer; empty where nobody does."""


def judgements_of(address: str, *, namespace: str = "default") -> Judgements:
    """Of a store such as sqlite:///routes.db, asked when needed, or of a log in a file.

    Raises:
        ConfigError: There is no such store or log.
    """
    if "://" not in address:
        logged = {entry.id: entry.source_to_score for entry in read_log(address)}
        return lambda decision_id: logged.get(decision_id, {})
    journal = store_there(address)

    def look_up(decision_id: str) -> Mapping[str, float]:
        return _newest(journal.find(f"pickllm/{namespace}", decision_id), decision_id)

    return look_up


def _newest(notes: list[Noted], decision_id: str) -> dict[str, float]:
    """Each source's last version."""
    found: dict[str, Judged] = {}
    for note in notes:
        try:
            event = decode(note.value)
        except StateConflict:  # of a newer program
            continue
        if isinstance(event, Judged) and event.experience.decision.id == decision_id:
            before = found.get(event.source)
            if before is None or event.version >= before.version:
                found[event.source] = event
    return {source: event.experience.score for source, event in found.items()}
