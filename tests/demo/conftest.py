"""One very small Llama for all the tests of the demo."""

from pathlib import Path

import pytest

from tests.tiny import tiny_folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sorts three letters, more or less."""
    return tiny_folder(tmp_path_factory)
