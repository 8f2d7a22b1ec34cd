"""Judge a finished piece of work once, and book the score for every decision made inside it.

What the work is, a chain run or a query, a framework's handler knows; it hands over the decisions
and whatever its score function wants to see. Nothing here raises: it stands in callbacks.
"""

import asyncio
import inspect
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

from pickllm.errors import ConfigError, PickLLMError
from pickllm.router import Router

__all__ = ["Finished", "Settling", "router_of"]

logger = logging.getLogger("pickllm")


class Finished(Protocol):
    """A piece of work that has ended."""

    @property
    def decision_ids(self) -> tuple[str, ...]:
        """The decisions made inside it, in their order."""


F = TypeVar("F", bound=Finished)


class Settling(Generic[F]):
    """A score function at work: scores what has finished, and tells the router.

    ``counts`` says how often: the router's verdicts ("counted", "repeated", …), "unscored" (the
    score was None), "scorer_failures", "refused" (no number in [0, 1], or a decision held no more),
    "lost" (an async score whose loop was closed first) and "no_decision" (nothing was routed
    inside); users of it count what else they meet.

    An async score function is scheduled: on the loop that runs, else in a thread of its own. Who
    closes the loop, as ``asyncio.run`` does at its end, waits for `drained` before.
    """

    def __init__(
        self,
        router: Router,
        *,
        score: Callable[[F], float | Awaitable[float | None] | None] | None,
        source: str,
    ) -> None:
        if score is not None and not callable(score):
            raise ConfigError(
                f"score must be a function of what has finished; it is {type(score).__name__}"
            )
        self.router = router
        self.score = score
        self.source = source
        self.counts: Counter[str] = Counter()
        self._pending: set[asyncio.Future[float | None]] = set()
        self._threads: set[threading.Thread] = set()

    def settle(self, finished: F) -> None:
        """Score once, book for each decision."""
        if not finished.decision_ids:
            self.counts["no_decision"] += 1
            return
        try:
            score = self.score(finished) if self.score else None
        except Exception as error:
            self._tell_failure(error)
            return
        if inspect.isawaitable(score):
            self._schedule(score, finished)
        else:
            self._book_all(score, finished)

    def book(self, decision_id: str, score: float) -> None:
        """Feedback on one decision; what goes wrong is logged."""
        try:
            verdict = self.router.feedback(decision_id, score, self.source)
        except PickLLMError as error:
            self.counts["refused"] += 1
            logger.warning("a score was not booked: %s", error)
        except Exception as error:  # a reward or a policy of the user's own
            self.counts["refused"] += 1
            logger.warning("a score was not booked: %s", type(error).__name__)
        else:
            self.counts[verdict] += 1

    def drained(self) -> Awaitable[object]:
        """For awaiting: the async scores under way, on this loop and in threads, are booked."""
        here = asyncio.get_running_loop()
        waited: list[asyncio.Future[Any]] = [here.create_task(asyncio.to_thread(self.join))]
        waited += [future for future in self._pending if future.get_loop() is here]
        return asyncio.wait(waited)

    def join(self, timeout_s: float = math.inf) -> bool:
        """Wait for the async scores in threads, so long at most; whether all are booked."""
        until_s = time.monotonic() + timeout_s
        for thread in tuple(self._threads):
            thread.join(min(max(until_s - time.monotonic(), 0.0), threading.TIMEOUT_MAX))
        return not self._threads

    def _schedule(self, score: Awaitable[float | None], finished: F) -> None:
        """On the loop that runs here, else on one of its own in a thread that exit waits for."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            work = partial(self._settle_in_own_loop, score, finished)
            thread = threading.Thread(target=work, name="pickllm-score")
            self._threads.add(thread)
            thread.start()
        else:
            future = asyncio.ensure_future(score)
            self._pending.add(future)
            future.add_done_callback(partial(self._settle_later, finished))

    def _settle_in_own_loop(self, score: Awaitable[float | None], finished: F) -> None:
        try:
            with asyncio.Runner() as runner:
                value = runner.get_loop().run_until_complete(score)
        except Exception as error:
            self._tell_failure(error)
        else:
            self._book_all(value, finished)
        finally:
            self._threads.discard(threading.current_thread())

    def _settle_later(self, finished: F, future: "asyncio.Future[float | None]") -> None:
        self._pending.discard(future)
        if future.cancelled():
            self.counts["lost"] += 1
            logger.warning(
                "a score was lost: its loop was closed first. Before that, await drained()"
            )
            return
        error = future.exception()
        if error is not None:
            self._tell_failure(error)
        else:
            self._book_all(future.result(), finished)

    def _tell_failure(self, error: BaseException) -> None:
        self.counts["scorer_failures"] += 1
        logger.warning(
            "the scorer of a chain failed (%s); it goes unscored. Its traceback is logged at DEBUG",
            type(error).__name__,
        )
        logger.debug("the scorer of a chain failed", exc_info=error)  # it may quote the prompt

    def _book_all(self, score: float | None, finished: F) -> None:
        if score is None:
            self.counts["unscored"] += 1
            return
        # turns of a tool loop belong to the decision that began it
        begun = (self.router.decisions(i) or (i,) for i in finished.decision_ids)
        for decision_id in dict.fromkeys(chain.from_iterable(begun)):
            self.book(decision_id, score)


def router_of(model: Any) -> Router:
    """The router of a routed model, or itself, or `ConfigError`."""
    router = model if isinstance(model, Router) else getattr(model, "router", None)
    if not isinstance(router, Router):
        raise ConfigError(
            f"model must be the routed model, or its router; it is {type(model).__name__}"
        )
    return router
