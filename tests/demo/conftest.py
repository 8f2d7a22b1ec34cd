"""One very small Llama for all the tests of the demo."""

from pathlib import Path

import pytest

from pickllm.demo.models import make_tiny_llama


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sorts three letters, more or less."""
    return make_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")
