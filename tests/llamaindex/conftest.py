"""What several files share."""

import asyncio
import contextlib
import gc
import inspect
import warnings
from collections.abc import Iterator

import pytest

from tests.serving import Server, serving


@pytest.fixture(autouse=True)
def _no_loop_left(request: pytest.FixtureRequest) -> None:
    """Close the loop that async tests leave: ``asyncio.run`` would drop it as it is."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        return
    with contextlib.suppress(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.get_event_loop_policy().get_event_loop().close()
        asyncio.set_event_loop(None)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that talks like OpenAI's."""
    with serving() as running:
        yield running
    gc.collect()  # what clients leave open is told of here, not in another test
