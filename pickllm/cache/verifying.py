"""Answers to near questions, verified: which may serve, which are asked anew, what came of it.

A pair is a question, a near one that was answered before, and whether the old answer was right for
the new question. It comes from a model that answers all the same, or from a reader's verdict.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

from pickllm.cache.acceptance import Acceptance, band_of
from pickllm.cache.finding import Finding
from pickllm.cache.shelved import Shelved, remember
from pickllm.errors import ConfigError
from pickllm.lock import Lock
from pickllm.rng import Rng, fresh_seed

__all__ = ["Verifying"]

logger = logging.getLogger("pickllm")


class Verifying:
    """The pairs of a cache. Threads may share it."""

    def __init__(
        self,
        shelved: Shelved,
        *,
        acceptance: Acceptance,
        share: float,
        agrees: Callable[[str, str], bool],
        seed: int | None,
        remembered: int,
        count: Callable[[str, int], None],
    ) -> None:
        """Of ``share`` of near hits a model is asked; so many requests are ``remembered``."""
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"verified_share must lie in [0, 1]; it is {share}")
        self.acceptance = acceptance
        self.share = share
        self.seed = fresh_seed() if seed is None else seed
        self._shelved = shelved
        self._agrees = agrees
        self._remembered = remembered
        self._count = count
        self._draws = 0
        self._lock = Lock()
        self._judging = Lock()
        """One verdict after the other, while the store hears of it."""
        self._id_to_awaited: OrderedDict[str, tuple[Finding, str]] = OrderedDict()
        self._id_to_verdict: OrderedDict[str, bool] = OrderedDict()

    def accepts(self, finding: Finding) -> bool:
        """Whether answers to questions as near as this one are right often enough."""
        if finding.kind == "exact":
            return True
        pooled, own = self._shelved.pairs(""), self._shelved.pairs(finding.circle)
        if finding.kind == "same":
            return not any(self.acceptance.closes(each, "same") for each in (pooled, own))
        return self.acceptance.opens(pooled, finding.kind, finding.similarity or 0.0, own=own)

    def draws(self, finding: Finding) -> bool:
        """Whether a model is asked all the same; for equal questions none ever is."""
        if finding.kind == "exact" or not self.share:
            return False
        with self._lock:
            self._draws += 1
            number = self._draws
        return Rng(seed=self.seed, number=number).uniform() < self.share

    def await_answer(self, request_id: str, finding: Finding, text: str) -> None:
        """A model is asked what ``text`` might have answered."""
        with self._lock:
            remember(self._id_to_awaited, request_id, (finding, text), most=self._remembered)

    def awaited(self, request_id: str) -> tuple[Finding, str] | None:
        """What was found for a request that a model has answered now; but once."""
        with self._lock:
            return self._id_to_awaited.pop(request_id, None)

    def compare(self, awaited: tuple[Finding, str], answer: str) -> None:
        """Count a pair by whether the kept answer says what the model has said."""
        finding, text = awaited
        try:
            right = self._agrees(text, answer)
        except Exception as error:  # nothing is learnt, and the store is none the worse for it
            self._count("comparison failures", 1)
            logger.warning("answers could not be compared (%s)", type(error).__name__)
            return
        self._add(finding, right=right)

    def judged(self, decision_id: str, finding: Finding, *, right: bool) -> None:
        """Count a reader's verdict on a lesson: of each decision the last one."""
        with self._judging:
            before = self._id_to_verdict.get(decision_id)
            if before == right:
                return
            self._add(finding, right=right)
            remember(self._id_to_verdict, decision_id, right, most=self._remembered)
            if before is not None:
                self._add(finding, right=before, amount=-1)

    def clear(self) -> None:
        """Wait for nothing."""
        with self._lock, self._judging:
            self._id_to_awaited.clear()
            self._id_to_verdict.clear()

    def _add(self, finding: Finding, *, right: bool, amount: int = 1) -> None:
        """Count a pair; equal questions make none."""
        band = band_of(1.0 if finding.kind == "same" else finding.similarity or 0.0)
        if finding.kind not in ("", "exact") and band is not None:
            self._shelved.add_pair(finding.circle, finding.kind, band, right=right, amount=amount)
            self._count("verified right" if right else "verified wrong", amount)
