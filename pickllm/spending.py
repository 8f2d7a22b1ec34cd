"""What was spent and is set aside in the window of each tenant, so that a cap is never exceeded.

    decide ──► reserve the most it can cost ──► Call ──► settle on what it did cost
                  │ does not fit
                  └──► the arm is not eligible; where none is, `BudgetExceeded`

Looking and setting aside are one step under one lock. What an attempt cost is not always known: a
failure may be billed or not. Then all that was set aside counts as spent.

With a store there is one entry for each tenant, ``{"window": number, "total": amount}``, changed by
compare-and-set only, so the cap holds across workers. Setting aside waits for the store; what is
given back goes out with the next write. A store that fails takes no answer away: until it is back,
each worker counts what it last read there and what it spends itself, so that N workers may spend up
to N times what was left. These reservations are counted as ``budget_alone``.

A worker that dies keeps what it had set aside until its window ends. A window's number never goes
back: a worker whose clock is behind books in the window that the others are in.
"""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

from pickllm.budget import Amount, Budget, amount_of, in_usd, most
from pickllm.errors import BudgetExceeded, StateConflict
from pickllm.lock import Lock
from pickllm.pool import Pool
from pickllm.protocols import Store
from pickllm.types import Decision, Outcome, Request

__all__ = ["TAKEN", "Spending"]

logger = logging.getLogger("pickllm")

TAKEN = "another call has just taken what was left of the budget"
"""Why an arm that did fit does not any more."""
_TRIES = 200
"""Writes tried while others come between; each that fails is one of theirs that succeeded."""
_REST_S = 2.0
"""How long a store that failed is left alone."""
_PRUNE = 1_024
"""Tenants after which those of past windows are let go."""
_UNPRICED = "its price is unknown, and a budget needs one: state it, or reserve_usd, in its Arm"


@dataclass(slots=True, eq=False)
class _Account:
    """One tenant's window."""

    key: str
    window: int = -1
    shared: Amount = 0
    """What the store said last: spent and set aside by all workers."""
    unsent: Amount = 0
    """What came to it here and does not stand in the store yet; below 0 for what is given back."""
    lock: Lock = field(default_factory=Lock)
    """Held while the store is asked: one thread of a worker at a time."""

    @property
    def total(self) -> Amount:
        """Spent and set aside, as far as is known here."""
        return self.shared + self.unsent

    def roll(self, window: int) -> None:
        """Begin a later window with nothing spent."""
        if window > self.window:
            self.window, self.shared, self.unsent = window, 0, 0


@dataclass(slots=True)
class _Held:
    """What is set aside for one arm of a decision."""

    account: _Account
    window: int
    arm: str
    amount: Amount


@dataclass(slots=True)
class _Open:
    """A decision that is not settled."""

    arm_to_most: Mapping[str, Amount]
    held: list[_Held] = field(default_factory=list)


class Spending:
    """The accounts of one router under one budget. Safe to share between threads."""

    def __init__(
        self,
        budget: Budget,
        pool: Pool,
        *,
        store: Store | None = None,
        namespace: str = "default",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget
        self.cap = amount_of(budget.usd)
        self.pool = pool
        self._store = store
        self._prefix = f"pickllm/{namespace}/budget/{budget.per}/{budget.window_s:g}"
        self._clock, self._monotonic = clock, monotonic
        self._tenant_to_account: dict[str, _Account] = {}
        self._id_to_open: dict[str, _Open] = {}
        self._unsent: set[_Account] = set()
        """Accounts with something to write, where there is a store."""
        self._retry_s = -math.inf
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    @property
    def waits(self) -> bool:
        """Whether setting aside may wait for a store."""
        return self._store is not None

    @property
    def due(self) -> bool:
        """Whether there is something to write."""
        return bool(self._unsent) and self._monotonic() >= self._retry_s

    def prices(self, request: Request, arms: tuple[str, ...]) -> dict[str, Amount | None]:
        """The most that a call of each arm can cost; None where that is unknown."""
        return {arm: most(self.pool[arm], request, self.budget) for arm in arms}

    def split(
        self, tenant: str, arm_to_most: Mapping[str, Amount | None]
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Arms that fit into what is left, and for each other one the reason why not.

        Raises:
            BudgetExceeded: None fits.
        """
        account = self._account(tenant)
        left = self._left(account)
        dearest = max([amount or 0 for amount in arm_to_most.values()], default=0)
        if dearest > left and self._store is not None:
            self._exchange(account, 0)  # others may have given something back
            left = self._left(account)
        if arm_to_most and dearest <= left and None not in arm_to_most.values():
            return tuple(arm_to_most), {}
        reasons = {arm: self._why_not(tenant, amount, left) for arm, amount in arm_to_most.items()}
        able = tuple(arm for arm, reason in reasons.items() if not reason)
        if not able:
            raise self._exceeded(tenant, reasons)
        return able, {arm: reason for arm, reason in reasons.items() if reason}

    def reserve(
        self, decision: Decision, arm: str, arm_to_most: Mapping[str, Amount | None]
    ) -> bool:
        """Set aside the most that a call of the arm can cost; False where that does not fit."""
        amount = arm_to_most.get(arm)
        if amount is None:
            return False
        account = self._account(decision.tenant)
        window = self._taken(account, amount)
        with self._lock:
            if window is None:
                self._counts["budget_refused"] += 1
                return False
            known = {arm: amount for arm, amount in arm_to_most.items() if amount is not None}
            opened = self._id_to_open.setdefault(decision.id, _Open(arm_to_most=known))
            opened.held.append(_Held(account=account, window=window, arm=arm, amount=amount))
        return True

    def reserve_more(self, decision: Decision, arm: str) -> bool:
        """The same for an arm that takes over."""
        with self._lock:
            opened = self._id_to_open.get(decision.id)
        return opened is not None and self.reserve(decision, arm, opened.arm_to_most)

    def withdraw(self, decision: Decision) -> None:
        """Give back what was set aside last for a decision: it is not to be."""
        with self._lock:
            opened = self._id_to_open.get(decision.id)
            if opened is None:
                return
            held = opened.held.pop()
            self._book(held, 0)
            if not opened.held:
                del self._id_to_open[decision.id]

    def settle(self, outcome: Outcome) -> None:
        """Book what the attempts did cost, and give back the rest; the second time does nothing."""
        arm_to_attempt = {attempt.arm: attempt for attempt in outcome.attempts}
        with self._lock:
            opened = self._id_to_open.pop(outcome.decision_id, None)
            for held in opened.held if opened else ():
                attempt = arm_to_attempt.get(held.arm)
                if attempt is None:  # it never came to a call
                    self._book(held, 0)
                elif attempt.cost_usd is not None:
                    self._book(held, amount_of(attempt.cost_usd))

    def flush(self) -> None:
        """Write what came to the accounts since the last time."""
        if not self.due:
            return
        with self._lock:
            accounts = tuple(self._unsent)
        for account in accounts:
            self._exchange(account, 0)

    def left_usd(self, tenant: str = "") -> float:
        """What a tenant may still spend in this window, less what is set aside."""
        account = self._account(tenant)
        if self._store is not None:
            self._exchange(account, 0)
        return in_usd(max(self._left(account), 0))

    def stats(self) -> dict[str, int]:
        """What was refused, went over what was set aside, or was booked without the store."""
        with self._lock:
            return dict(self._counts)

    def _account(self, tenant: str) -> _Account:
        name = tenant if self.budget.per == "tenant" else ""
        with self._lock:
            account = self._tenant_to_account.get(name)
            if account is None:
                if len(self._tenant_to_account) % _PRUNE == _PRUNE - 1:
                    self._prune()
                digest = blake2b(name.encode(errors="replace"), digest_size=16).hexdigest()
                account = _Account(key=f"{self._prefix}/{digest}")
                self._tenant_to_account[name] = account
            account.roll(self._window())
            return account

    def _prune(self) -> None:
        """Let go of what nobody can be using: no thread stands still for a whole window."""
        used = {held.account for each in self._id_to_open.values() for held in each.held}
        window = self._window()
        for name, account in tuple(self._tenant_to_account.items()):
            if account.window < window - 1 and account not in used:
                del self._tenant_to_account[name]

    def _window(self) -> int:
        return int(self._clock() // self.budget.window_s)

    def _left(self, account: _Account) -> Amount:
        with self._lock:
            return self.cap - account.total

    def _taken(self, account: _Account, amount: Amount) -> int | None:
        """Set aside in the window that is now; None where it does not fit."""
        if self._store is not None and amount:
            return self._exchange(account, amount)
        with self._lock:
            return self._add(account, amount)

    def _add(self, account: _Account, amount: Amount) -> int | None:
        account.roll(self._window())
        if amount and account.total + amount > self.cap:
            return None
        self._change(account, amount)
        return account.window

    def _change(self, account: _Account, amount: Amount) -> None:
        account.unsent += amount
        if self._store is not None and account.unsent:
            self._unsent.add(account)

    def _book(self, held: _Held, cost: Amount) -> None:
        """What a reservation came to. Of a window that has ended nobody asks any more."""
        if cost > held.amount:
            self._counts["budget_overruns"] += 1
        if held.account.window == held.window:
            self._change(held.account, cost - held.amount)

    def _exchange(self, account: _Account, amount: Amount) -> int | None:
        """Bring the store up to date, and set aside there if it fits; else, or alone, here."""
        store = self._store
        if store is not None and self._monotonic() >= self._retry_s:
            try:
                with account.lock:
                    return self._exchanged(store, account, amount)
            except Exception as error:  # a store may fail in any way
                self._failed(error)
        with self._lock:
            window = self._add(account, amount)
            if amount and window is not None:
                self._counts["budget_alone"] += 1
            return window

    def _exchanged(self, store: Store, account: _Account, amount: Amount) -> int | None:
        for _ in range(_TRIES):
            entry = store.get(account.key)
            window, total = _decoded(entry.value) if entry else (0, 0)
            with self._lock:
                account.roll(max(self._window(), window))
                account.shared = total if window == account.window else 0
                window, sent = account.window, account.unsent
                fits = not amount or account.total + amount <= self.cap
                total = account.total + (amount if fits else 0)
                if not sent:
                    self._unsent.discard(account)
            if not sent and not (amount and fits):
                return window if fits else None
            try:
                store.put(
                    account.key, _encoded(window, total), expect=entry.version if entry else 0
                )
            except StateConflict:  # another worker was faster
                continue
            with self._lock:
                if account.window == window:
                    account.shared = total
                    account.unsent -= sent
                    if not account.unsent:
                        self._unsent.discard(account)
            return window if fits else None
        with self._lock:
            self._counts["budget_contended"] += 1
        return None

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._counts["budget_store_failures"] += 1
            first = self._counts["budget_store_failures"] == 1
            self._retry_s = self._monotonic() + _REST_S
        if first:
            logger.warning(
                "the store of the budget failed (%s); until it is back, this worker counts what "
                "it spends itself",
                type(error).__name__,
            )

    def _why_not(self, tenant: str, amount: Amount | None, left: Amount) -> str:
        if amount is None:
            return _UNPRICED
        if amount <= max(left, 0):  # what costs nothing always fits
            return ""
        if amount > self.cap:
            return (
                f"a call may cost ${in_usd(amount):.4g}, more than the whole {self._name(tenant)}: "
                "lower its max_tokens_out, or raise the budget"
            )
        return f"{self._name(tenant)} is spent until {self._until(tenant)}: {_words(amount, left)}"

    def _exceeded(self, tenant: str, reasons: Mapping[str, str]) -> BudgetExceeded:
        with self._lock:
            self._counts["budget_exceeded"] += 1
        told = "; ".join(f"{arm}: {reason}" for arm, reason in reasons.items()) or TAKEN
        until_s = self._until_s(tenant)
        return BudgetExceeded(
            f"no arm fits into what is left of the {self._name(tenant)}, which begins anew at "
            f"{self._until(tenant)} ({told})",
            tenant=tenant,
            until_s=until_s,
        )

    def _name(self, tenant: str) -> str:
        whose = f" of tenant {tenant!r}" if tenant and self.budget.per == "tenant" else ""
        return f"budget{whose}"

    def _until_s(self, tenant: str) -> float:
        return (self._account(tenant).window + 1) * self.budget.window_s

    def _until(self, tenant: str) -> str:
        return datetime.fromtimestamp(self._until_s(tenant), UTC).isoformat(timespec="seconds")


def _words(amount: Amount, left: Amount) -> str:
    return f"a call may cost ${in_usd(amount):.4g}, and ${in_usd(max(left, 0)):.4g} is left"


def _encoded(window: int, total: Amount) -> bytes:
    return json.dumps({"window": window, "total": total}).encode()


def _decoded(value: bytes) -> tuple[int, Amount]:
    found = json.loads(value)
    return int(found["window"]), int(found["total"])
