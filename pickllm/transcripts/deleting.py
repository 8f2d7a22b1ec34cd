"""Where transcripts stand in a store, and how they are taken out of it for good.

    …/kept/TENANT/TIME/DECISION   the transcript              names are digests, so that no key
    …/at/DECISION                 where that decision's is     tells whose or what
    …/gone/WHAT                   what was just deleted

What was deleted stays deleted: a worker that writes a moment later looks for the last of these, and
takes its own transcript out again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from pickllm.protocols import Store
from pickllm.transcripts.transcript import Transcript

__all__ = ["Shelves", "time_s_of"]

_REMEMBER_S = 3_600.0
"""How long it is remembered that something was deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelves:
    """The part of a store that holds transcripts."""

    store: Store
    base: str
    """What all keys begin with."""
    clock: Callable[[], float]

    # Where things stand

    @property
    def everything(self) -> str:
        """What the places of all transcripts begin with."""
        return f"{self.base}/kept/"

    def of_tenant(self, tenant: str) -> str:
        """What the places of a tenant's begin with."""
        return f"{self.base}/kept/{_digest(tenant)}/"

    def place(self, transcript: Transcript) -> str:
        """Where a transcript belongs; a tenant's stand in the order of their times."""
        milliseconds = max(int(transcript.time_s * 1e3), 0)
        tenant = self.of_tenant(transcript.tenant)
        return f"{tenant}{milliseconds:015d}/{_digest(transcript.decision_id)}"

    def place_of(self, decision_id: str) -> str | None:
        """Where the transcript of a decision stands; None where there is none."""
        pointer = self.store.get(f"{self.base}/at/{_digest(decision_id)}")
        return None if pointer is None else pointer.value.decode()

    # Writing and deleting

    def write(self, transcript: Transcript, value: bytes) -> bool:
        """Put it where it belongs; False where it was deleted meanwhile, and is out again."""
        place = self.place(transcript)
        self.store.put(self._pointer(place), place.encode())
        self.store.put(place, value)
        for about in (_about_tenant(transcript.tenant), _about_decision(transcript.decision_id)):
            gone = self.store.get(self._gone(about))
            if gone is not None and float(gone.value) >= transcript.time_s:
                self._delete(place)
                return False
        return True

    def forget(self, decision_id: str) -> bool:
        """Delete the transcript of a decision; whether there was one."""
        self._remember_gone(_about_decision(decision_id))
        place = self.place_of(decision_id)
        if place is not None:
            self._delete(place)
        self._shred()
        return place is not None

    def forget_tenant(self, tenant: str) -> int:
        """Delete all of a tenant; returns how many."""
        self._remember_gone(_about_tenant(tenant))
        places = [*self.store.scan(self.of_tenant(tenant))]
        for place in places:
            self._delete(place)
        self._shred()
        return len(places)

    def prune(self, prefix: str, *, keep_s: float, max_per_tenant: int) -> int:
        """Delete what is older, and of each tenant the oldest that are too many; how many."""
        tenant_to_places: dict[str, list[str]] = {}
        for place in self.store.scan(prefix):
            tenant_to_places.setdefault(place.split("/")[-3], []).append(place)
        oldest_s = self.clock() - keep_s
        doomed = [
            place
            for places in tenant_to_places.values()
            for index, place in enumerate(places)
            if index < len(places) - max_per_tenant or time_s_of(place) < oldest_s
        ]
        for place in doomed:
            self._delete(place)
        for key in [*self.store.scan(f"{self.base}/gone/")]:
            entry = self.store.get(key)
            if entry is not None and float(entry.value) < self.clock() - _REMEMBER_S:
                self.store.delete(key)
        return len(doomed)

    def _delete(self, place: str) -> None:
        self.store.delete(place)
        self.store.delete(self._pointer(place))

    def _shred(self) -> None:
        """Where a store keeps bytes of what was deleted, have it overwrite them."""
        getattr(self.store, "shred", lambda: None)()

    def _remember_gone(self, about: str) -> None:
        self.store.put(self._gone(about), repr(self.clock()).encode())

    def _pointer(self, place: str) -> str:
        return f"{self.base}/at/{place.rpartition('/')[2]}"

    def _gone(self, about: str) -> str:
        return f"{self.base}/gone/{_digest(about)}"


def time_s_of(place: str) -> float:
    """When what stands there was decided, in seconds since the epoch."""
    return int(place.split("/")[-2]) / 1e3


def _about_tenant(tenant: str) -> str:
    return f"tenant {tenant}"


def _about_decision(decision_id: str) -> str:
    return f"decision {decision_id}"


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
