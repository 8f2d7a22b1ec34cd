"""The demo's own pool, written down as the very file that a user would write.

    small   the smaller Llama in this process                   cheap, right on what is easy
    large   the larger Llama in this process                    dearer, right on nearly all
    api     the larger Llama behind an OpenAI-compatible server    priced by the token

The prices are made up in the proportions of real ones: an hour of a small machine, an hour of one
with a GPU, and a good API.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from pickllm.demo.models import LARGE, SMALL, ensure_model, progress_bar
from pickllm.demo.server import ServedModel, serve

__all__ = ["demo_pool"]

_POOL = """\
[arms.small]
kind = "local"
model = '{small}'
usd_per_hour = 0.10

[arms.large]
kind = "local"
model = '{large}'
usd_per_hour = 2.50

[arms.api]
kind = "openai"
model = "{served}"
base_url = "{base_url}"
usd_per_mtok_in = 2.50
usd_per_mtok_out = 10.00
chat = {{ max_tokens = 16 }}
"""


@contextmanager
def demo_pool(console: Console, *, cache: Path | None = None) -> Iterator[Path]:
    """Train what is not there yet, serve the larger model, and yield the path of a pool file."""
    console.print("Two Llamas of this machine's own; trained once, and kept.", highlight=False)
    with progress_bar() as on_progress:
        small = ensure_model(SMALL, folder=cache, on_progress=on_progress)
        large = ensure_model(LARGE, folder=cache, on_progress=on_progress)
    # models this small are fastest on one thread, and it leaves a core to the server
    importlib.import_module("torch").set_num_threads(1)
    with serve(large) as served, TemporaryDirectory() as folder:
        path = Path(folder) / "pool.toml"
        path.write_text(_text(small, large, served), encoding="utf-8")
        yield path


def _text(small: Path, large: Path, served: ServedModel) -> str:
    return _POOL.format(small=small, large=large, served=served.model, base_url=served.base_url)
