"""Every cache that ships keeps every promise of the protocol, wherever its answers stand."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pickllm.cache import AnswerCache
from pickllm.protocols import Cache
from pickllm.testing import check_cache, plain_request
from pickllm.types import Kept, Request
from tests.redis_server import RedisServer

Make = Callable[[], AnswerCache]
SETTINGS = {
    "exact": {},
    "semantic": {"semantic": True, "verified_share": 0.0},
    "sealed": {"secret": "a secret", "semantic": True, "verified_share": 0.0},
}


@pytest.fixture(params=["memory", "sqlite", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where answers stand."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return server.url
    return {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'answers.db'}"}[request.param]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_cache_keeps_its_promises(address: str, settings: dict[str, object]) -> None:
    """A cache of ours passes the suite that a user's own cache is asked to pass."""
    names, opened = count(), list[AnswerCache]()

    def make() -> AnswerCache:
        opened.append(
            AnswerCache(store=address, namespace=f"n{next(names)}", **settings)  # type: ignore[arg-type]  # each of its own type
        )
        return opened[-1]

    check_cache(make)

    assert [] == [each.stats() for each in opened if each.stats().get("errors")]
    for each in opened:
        each.close()


class Forgetful(AnswerCache):
    """Keeps no walls: it forgets whose request it is."""

    def recall(self, request: Request) -> Kept | None:
        return super().recall(replace(request, tenant=""))

    def keep(self, request: Request, kept: Kept) -> None:
        super().keep(replace(request, tenant=""), kept)


class Greedy(AnswerCache):
    """Keeps whatever it is given."""

    def keep(self, request: Request, kept: Kept) -> None:
        super().keep(request, replace(kept, finish_reason="stop"))


class Deaf(AnswerCache):
    """Hears no verdict."""

    def judged(self, decision_id: str, value: float) -> None:
        """Nothing comes of it."""


@pytest.mark.parametrize("broken", [Forgetful, Greedy, Deaf])
def test_suite_catches_broken_caches(broken: Callable[[], Cache]) -> None:
    """A cache without walls, without standards or without ears does not pass."""
    with pytest.raises(AssertionError):
        check_cache(broken)


def test_requests_of_the_suite_are_fresh() -> None:
    """Each has an id of its own, as adapters give it."""
    assert plain_request().id != plain_request().id
