"""The training that language models share: epochs of shuffled batches, the best epoch kept.

    each epoch ──► judged on what is held out ──► better than before? keep these weights
                                                  └─ not for `patience` epochs? stop

A ranker's file says what is its own, as a `Task`: tokens, labels and what each label is worth.
`fine_tune` does the rest, from battles to a folder, and judges by APGR. The learning rate rises
over the first tenth of the steps and falls to nothing at the end.
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
from pickllm.errors import ConfigError, StateConflict
from pickllm.evaluation.metrics import apgr, routing_curve
from pickllm.ranking.tokens import chances_of

__all__ = [
    "Manifest",
    "PairBattles",
    "Task",
    "Training",
    "fine_tune",
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
    """So many epochs that are judged no better end it."""
    batch: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    tokens: int = 512
    """Longer prompts lose their middle."""
    held_out: float = 0.1
    """Share of the prompts that epochs are judged on, in (0, 1)."""
    bfloat16: bool = False
    """Whether products are taken in 16 bits, which processors that know them do twice as fast.
    Weights stay in 32."""
    device: str = "cpu"
    """Where it is trained, as torch has it: "cuda", "mps"."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience, self.batch) < 1 or self.tokens < 8:
            raise ConfigError("epochs, patience and batch must be at least 1, and tokens 8")
        if not 0.0 < self.held_out < 1.0 or not self.learning_rate > 0.0:
            raise ConfigError("held_out must lie in (0, 1), and learning_rate above 0")

    def precision(self) -> Any:
        """A context in which products are taken as ``bfloat16`` says."""
        import torch

        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.bfloat16)


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
class Task:
    """What one kind of model learns, and how it is asked."""

    kind: str
    """Stands in the manifest."""
    model: Any
    """A torch module of transformers, before the training."""
    tokenizer: Any
    rows: Sequence[Sequence[int]]
    """Tokens of each prompt of the table."""
    logits: Callable[[Sequence[Sequence[int]]], Any]
    """What the model says of some rows, as a tensor ``[rows, labels]``."""
    worth: Floats
    """What the strong arm won where a label is right: 1, 0.5, 0 or between, ``[labels]``."""
    at_once: int
    """How many rows it is given in one go when it is only asked."""


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


def fine_tune(
    task: Task,
    table: PreferenceTable,
    *,
    pair: tuple[str, str],
    training: Training,
    folder: Path,
    published_score: bool = False,
) -> None:
    """Train a task's model on the battles of a pair, and write its best epoch to a folder.

    Low-rank adapters are merged into the weights that they stand beside.

    Args:
        task: What is learnt; its model is trained in place.
        table: Whose prompts the task's rows are.
        pair: The strong arm and the weak one.
        training: Settings.
        folder: Where model, tokenizer and manifest go.
        published_score: Goes into the manifest.

    Raises:
        ConfigError: The pair met on too few prompts.
    """
    import torch

    battles = pair_battles(table, strong=pair[0], weak=pair[1], training=training)
    nearest = np.abs(battles.won[:, None] - task.worth).argmin(axis=1)
    labels = torch.from_numpy(nearest).to(training.device)
    model = task.model.to(training.device)

    def rows_of(places: Integers) -> list[Sequence[int]]:
        return [task.rows[at] for at in battles.prompt[places]]

    def loss(batch: Integers) -> Any:
        with training.precision():
            logits = task.logits(rows_of(batch))
        return torch.nn.functional.cross_entropy(logits.float(), labels[batch])

    def judge() -> float:
        rows = rows_of(np.flatnonzero(battles.held))
        chances = chances_of(rows, task.logits, labels=len(task.worth), at_once=task.at_once)
        return battles.held_apgr(chances @ task.worth)

    learnable = np.flatnonzero(~battles.held)
    epochs = train_best(model, loss, places=learnable, judge=judge, training=training)
    whole = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    whole.to("cpu").save_pretrained(folder)
    task.tokenizer.save_pretrained(folder)
    Manifest(
        kind=task.kind,
        arms=pair,
        tokens=training.tokens,
        published_score=published_score,
        held_out_apgr=tuple(epochs),
    ).write(folder)


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


def train_best(
    model: Any,
    loss: Callable[[Integers], Any],
    *,
    places: Integers,
    judge: Callable[[], float],
    training: Training,
) -> list[float]:
    """Train in place, leave the best epoch's weights in the model, and return what each was worth.

    Args:
        model: A torch module, where it is to be trained.
        loss: Of a batch, given the places of its examples.
        places: Of all that may be trained on.
        judge: What the model is worth as it stands, on what is held out; higher is better.
        training: Settings.
    """
    import torch

    torch.manual_seed(training.seed)
    rng = np.random.default_rng(training.seed)
    learnt = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        learnt, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    per_epoch = -(-len(places) // training.batch)
    steps = training.epochs * per_epoch
    warm = max(1, int(_WARM_UP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    found: list[float] = []
    best: dict[str, Any] = {}
    for _ in range(training.epochs):
        model.train()
        for batch in np.array_split(rng.permutation(places), per_epoch):
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


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
