"""What several files share."""

import gc
from collections.abc import Iterator

import pytest

from tests.serving import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that talks like OpenAI's."""
    with serving() as running:
        yield running
    gc.collect()  # what clients leave open is told of here, not in another test
