"""The training of a student: epochs of shuffled batches, the best epoch kept, stopped in time.

    each epoch ──► loss on the pairs held out ──► lower than ever? keep these weights
                                                  └─ not for `patience` epochs? stop

The weights that it began with take part: where no epoch makes them better, they are what is left.

AdamW; the learning rate rises over the first steps and falls to nothing at the end. A batch's loss
is the mean over its answer tokens, however it is cut up to fit into memory.

Everything that is drawn hangs on the seed and the number of the step. So a training that was killed
goes on from its last checkpoint to the very weights that it would have had.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pickllm.distillation.checkpoints import Checkpoints, Reached
from pickllm.distillation.lessons import Lesson
from pickllm.errors import ConfigError

__all__ = ["OnStep", "Progress", "Training", "mean_loss", "train"]

_WARM_UP = 0.1
_NOT_LEARNT = -100


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Settings of the training. The defaults suit models of a billion weights and more."""

    epochs: int = 3
    """At most."""
    patience: int = 1
    """So many epochs without a lower held-out loss end it."""
    batch: int = 16
    """Pairs for each step."""
    learning_rate: float = 2e-5
    """With adapters ten times as much is usual; tiny models take a hundred times as much."""
    weight_decay: float = 0.0
    adapter_rank: int | None = None
    """Rank of low-rank adapters (LoRA, Hu et al., arXiv 2106.09685); None trains all weights."""
    most_tokens: int = 2048
    """Longer pairs are left out, and so are those that exceed the model's window."""
    tokens_at_once: int = 8192
    """So many, padding among them, go through the model in one go; bounds the memory."""
    checkpoint_steps: int = 500
    """After so many steps, and after each epoch, it is written down how far it has come."""
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.epochs, self.patience, self.batch, self.checkpoint_steps)
        if min(counts) < 1 or min(self.most_tokens, self.tokens_at_once) < 8:
            raise ConfigError(
                "epochs, patience, batch and checkpoint_steps must be at least 1, and tokens 8"
            )
        if not 0.0 < self.learning_rate < math.inf or self.weight_decay < 0.0:
            raise ConfigError("learning_rate must be above 0, and weight_decay at least 0")
        if self.adapter_rank is not None and self.adapter_rank < 1:
            raise ConfigError("adapter_rank must be at least 1, or None")


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a training has come."""

    step: int
    steps: int
    """If it is not stopped before."""
    loss: float
    """Of this step, per answer token."""


OnStep: TypeAlias = Callable[[Progress], None]
"""Told after each step."""


def train(
    model: Any,
    lessons: Sequence[Lesson],
    held_out: Sequence[Lesson],
    *,
    settings: Training,
    folder: Path,
    on_step: OnStep | None = None,
) -> list[float]:
    """Train in place, and leave the best epoch's weights in the model.

    Returns the held-out loss before the first epoch and after each.

    Args:
        model: A causal language model of `transformers`; what is frozen stays as it is.
        lessons: What is learnt, at least one.
        held_out: What decides which epoch is best, at least one.
        settings: How it is trained.
        folder: Where checkpoints go; one that is there already is gone on from.
        on_step: Told after each step.
    """
    import torch

    name_to_weight = {name: w for name, w in model.named_parameters() if w.requires_grad}
    optimizer = torch.optim.AdamW(
        name_to_weight.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    keeper = Checkpoints(folder, name_to_weight, optimizer)
    reached = keeper.load()
    per_epoch = -(-len(lessons) // settings.batch)
    steps, losses = per_epoch * settings.epochs, list(reached.losses)

    def judge() -> None:
        losses.append(mean_loss(model, held_out, tokens_at_once=settings.tokens_at_once))
        if losses[-1] <= min(losses):
            keeper.keep_best()

    if not losses:
        judge()
    with torch.random.fork_rng():
        for step in range(reached.step, steps):
            if _is_over(losses, settings.patience):
                break
            torch.manual_seed(hash((settings.seed, step)) % 2**63)
            _set_rate(optimizer, settings.learning_rate, step, steps)
            batch = _batch(lessons, step, per_epoch, settings)
            loss = _learn(model, batch, optimizer, settings.tokens_at_once)
            if on_step is not None:
                on_step(Progress(step=step + 1, steps=steps, loss=loss))
            ended = (step + 1) % per_epoch == 0
            if ended:
                judge()
            if ended or (step + 1) % settings.checkpoint_steps == 0:
                keeper.save(Reached(step=step + 1, losses=losses))
    keeper.take_best()
    model.eval()
    return losses


def mean_loss(model: Any, lessons: Sequence[Lesson], *, tokens_at_once: int) -> float:
    """Mean over all answer tokens, in nats; NaN of no lesson."""
    import torch

    if not lessons:
        return math.nan
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for part in _parts(lessons, tokens_at_once):
            total += float(_summed_loss(model, part))
    return total / sum(len(lesson.answer) for lesson in lessons)


def _is_over(losses: Sequence[float], patience: int) -> bool:
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def _batch(
    lessons: Sequence[Lesson], step: int, per_epoch: int, settings: Training
) -> list[Lesson]:
    """The lessons of one step: each epoch is shuffled anew, and cut into even batches."""
    epoch, at = divmod(step, per_epoch)
    order = np.random.default_rng([settings.seed, epoch]).permutation(len(lessons))
    return [lessons[place] for place in np.array_split(order, per_epoch)[at]]


def _set_rate(optimizer: Any, full: float, step: int, steps: int) -> None:
    warm = max(1, int(_WARM_UP * steps))
    share = min((step + 1) / warm, (steps - step) / max(1, steps - warm), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = full * share


def _learn(model: Any, batch: Sequence[Lesson], optimizer: Any, tokens_at_once: int) -> float:
    import torch

    model.train()
    optimizer.zero_grad()
    tokens = sum(len(lesson.answer) for lesson in batch)
    total = 0.0
    for part in _parts(batch, tokens_at_once):
        loss = _summed_loss(model, part) / tokens
        loss.backward()
        total += float(loss.detach())
    if not math.isfinite(total):
        raise ConfigError("the loss is no number any more: take a lower learning_rate")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    return total


def _parts(lessons: Sequence[Lesson], tokens_at_once: int) -> Iterator[list[Lesson]]:
    """Lessons of like length together, as many at once as fit with their padding."""
    part: list[Lesson] = []
    for lesson in sorted(lessons, key=len):  # so that the last one is the longest
        if part and len(lesson) * (len(part) + 1) > tokens_at_once:
            yield part
            part = []
        part.append(lesson)
    if part:
        yield part


def _summed_loss(model: Any, lessons: Sequence[Lesson]) -> Any:
    """Cross-entropy summed over the answers' tokens; padding stands behind."""
    import torch

    longest = max(map(len, lessons))
    ids = torch.zeros((len(lessons), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    targets = torch.full_like(ids, _NOT_LEARNT)
    for row, lesson in enumerate(lessons):
        begins, ends = len(lesson.prompt), len(lesson)
        ids[row, :begins] = torch.from_numpy(lesson.prompt)
        ids[row, begins:ends] = targets[row, begins:ends] = torch.from_numpy(lesson.answer)
        mask[row, :ends] = 1
    device = next(model.parameters()).device
    found = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
    return torch.nn.functional.cross_entropy(
        found.logits[:, :-1].float().flatten(0, 1),
        targets[:, 1:].to(device).flatten(),
        ignore_index=_NOT_LEARNT,
        reduction="sum",
    )
