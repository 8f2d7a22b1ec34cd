"""The training that both language models share: epochs of shuffled batches, the best epoch kept.

    each epoch ──► APGR on battles held out ──► better than before? keep these weights
                                               └─ not for `patience` epochs? stop

The learning rate rises over the first tenth of the steps and falls to nothing at the end. Prompts
that are too long keep their head and their tail.
"""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data.preferences import PreferenceTable
from pickllm.errors import ConfigError, MissingExtra, StateConflict
from pickllm.evaluation.metrics import apgr, routing_curve

__all__ = [
    "Manifest",
    "PairBattles",
    "Training",
    "chances_of",
    "head_and_tail",
    "packages",
    "padded",
    "pair_battles",
    "train_best",
]

_MANIFEST = "pickllm.json"
_WARM_UP = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Settings of the training."""

    epochs: int = 3
    """At most."""
    patience: int = 1
    """So many epochs without a better APGR end it."""
    batch: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    tokens: int = 512
    """Longer prompts lose their middle."""
    held_out: float = 0.1
    """Share of the prompts that APGR is measured on, in (0, 1)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.batch) < 1 or self.tokens < 8:
            raise ConfigError("epochs, patience and batch must be at least 1, and tokens 8")
        if not 0.0 < self.held_out < 1.0 or not self.learning_rate > 0.0:
            raise ConfigError("held_out must lie in (0, 1), and learning_rate above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What stands beside a fine-tuned model, in a file of its own."""

    kind: str
    arms: tuple[str, str]
    """The strong one and the weak one."""
    tokens: int
    published_score: bool
    held_out_apgr: tuple[float, ...]
    """After each epoch."""

    def write(self, folder: Path) -> None:
        """Put it into a model's folder."""
        (folder / _MANIFEST).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @staticmethod
    def read(folder: Path, *, kind: str) -> "Manifest":
        """Find it there; `StateConflict` where the folder holds no such model."""
        try:
            fields = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            found = Manifest(**{name: _hashable(value) for name, value in fields.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StateConflict(f"{folder} holds no fine-tuned {kind}") from error
        if found.kind != kind:
            raise StateConflict(f"{folder} holds no fine-tuned {kind}, but a {found.kind}")
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBattles:
    """What the strong arm won against the weak one, with the prompts that are held out."""

    prompt: Integers
    """``[battles]``."""
    won: Floats
    """By the strong arm: 1, 0.5 or 0, ``[battles]``."""
    held: Integers
    """Whether a battle is held out, ``[battles]``."""

    def held_apgr(self, scores: Floats) -> float:
        """APGR of scores ``[held-out battles]``; 0.5 where the strong arm won no more of them."""
        won = self.won[self.held]
        found = apgr(routing_curve(scores, 1.0 - won, won))
        return 0.5 if np.isnan(found) else found


def pair_battles(
    table: PreferenceTable, *, strong: str, weak: str, training: Training
) -> PairBattles:
    """The battles of a pair, with some prompts held out.

    Raises:
        ConfigError: The pair met too seldom to hold any prompt out.
    """
    battles = table.between(strong, weak)
    prompts = np.random.default_rng(training.seed).permutation(np.unique(battles.prompt))
    count = max(1, int(training.held_out * len(prompts)))
    if count >= len(prompts):
        raise ConfigError(f"{strong} and {weak} met on {len(prompts)} prompts: too few to learn")
    at_first = battles.first == table.arm(strong)
    return PairBattles(
        prompt=battles.prompt,
        won=np.where(at_first, battles.won, 1.0 - battles.won),
        held=np.isin(battles.prompt, prompts[:count]),
    )


def head_and_tail(tokens: Sequence[int], limit: int) -> list[int]:
    """Tokens without their middle where there are more than ``limit``.

    >>> head_and_tail([1, 2, 3, 4, 5, 6], 4)
    [1, 2, 5, 6]
    """
    if len(tokens) <= limit:
        return list(tokens)
    head = limit // 2
    return [*tokens[:head], *tokens[len(tokens) - (limit - head) :]]


def padded(rows: Sequence[Sequence[int]], *, padding: int, left: bool = False) -> dict[str, Any]:
    """Rows of tokens as the tensors that models take; padding stands behind, or before."""
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), padding, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[at, where] = torch.tensor(row, dtype=torch.long)
        mask[at, where] = 1
    return {"input_ids": ids, "attention_mask": mask}


def train_best(
    model: Any,
    loss: Callable[[Integers], Any],
    *,
    battles: Integers,
    judge: Callable[[], float],
    training: Training,
) -> list[float]:
    """Train in place, leave the best epoch's weights in the model, and return each epoch's APGR.

    Args:
        model: A torch module.
        loss: Of a batch, given the places of its battles.
        battles: Places of all that may be trained on.
        judge: APGR of the model as it stands, on what is held out.
        training: Settings.
    """
    import torch

    torch.manual_seed(training.seed)
    rng = np.random.default_rng(training.seed)
    learnt = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        learnt, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    per_epoch = -(-len(battles) // training.batch)
    steps = training.epochs * per_epoch
    warm = max(1, int(_WARM_UP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    found: list[float] = []
    best: dict[str, Any] = {}
    for _ in range(training.epochs):
        model.train()
        for batch in np.array_split(rng.permutation(battles), per_epoch):
            optimizer.zero_grad()
            loss(batch).backward()
            torch.nn.utils.clip_grad_norm_(learnt, 1.0)
            optimizer.step()
            schedule.step()
        model.eval()
        found.append(judge())
        if found[-1] >= max(found):
            best = copy.deepcopy(model.state_dict())
        if len(found) - 1 - int(np.argmax(found)) >= training.patience:
            break
    model.load_state_dict(best)
    return found


def chances_of(
    rows: Sequence[Sequence[int]],
    logits: Callable[[Sequence[Sequence[int]]], Any],
    *,
    labels: int,
    at_once: int,
) -> Floats:
    """Probabilities of the labels, ``[rows, labels]``; rows of like length go together.

    Args:
        rows: Tokens of each prompt.
        logits: What a model says of some rows, as a tensor ``[rows, labels]``.
        labels: How many there are.
        at_once: How many rows a model is given in one go.
    """
    import torch

    found = np.zeros((len(rows), labels))
    order = np.argsort([len(row) for row in rows], kind="stable")
    with torch.no_grad():
        for start in range(0, len(rows), at_once):
            places = order[start : start + at_once]
            found[places] = logits([rows[at] for at in places]).float().softmax(dim=-1).numpy()
    return found


def packages(what: str) -> tuple[Any, Any]:
    """`transformers` and `torch`, or `MissingExtra` which says that ``what`` needs them."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(what, extra="local") from error
    return transformers, torch


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
