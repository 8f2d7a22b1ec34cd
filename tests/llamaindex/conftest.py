"""What several files share."""

from collections.abc import Iterator

import pytest

from tests.serving import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that talks like OpenAI's."""
    with serving() as running:
        yield running
