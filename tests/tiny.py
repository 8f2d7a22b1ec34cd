"""One very small Llama for all the tests that want a real model in this process."""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pickllm.demo.models import is_sound, make_tiny_llama
from pickllm.local import LocalModel

__all__ = ["ANSWER", "QUESTION", "before_tokens", "generating", "rambling", "soon", "tiny_folder"]

QUESTION, ANSWER = "Sort the letters: dba", "abd"
"""What the model has learnt to answer, and what it answers."""


def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder. It is made once for a whole run, by whichever worker is there first."""
    import torch

    torch.set_num_threads(1)  # models this small are fastest so, beside other workers above all
    base = tmp_path_factory.getbasetemp()
    # the folder of a worker stands in that of the run
    common = base.parent if base.name.startswith("popen-") else base
    with (common / "tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = common / "tiny-llama" / "tiny"
        return folder if is_sound(folder) else make_tiny_llama(folder)


def rambling(local: LocalModel, tokens: int = 200) -> Mapping[str, Any]:
    """Settings under which the model writes letters and spaces at random, and never ends."""
    import torch

    tokenizer = local.pipeline.tokenizer
    allowed = set(tokenizer("abc def")["input_ids"])
    torch.manual_seed(0)
    return {
        "do_sample": True,
        "temperature": 100.0,
        "suppress_tokens": [token for token in range(len(tokenizer)) if token not in allowed],
        "max_new_tokens": tokens,
    }


@contextmanager
def before_tokens(local: LocalModel, run: Callable[[], None]) -> Iterator[None]:
    """Run something before each token that the model makes."""
    hook = local.pipeline.model.register_forward_pre_hook(lambda *_: run())
    try:
        yield
    finally:
        hook.remove()


def generating() -> bool:
    """Whether a thread of a stream is at work."""
    return any(thread.name == "pickllm-generate" for thread in threading.enumerate())


def soon(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Wait until something holds; False if it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True
