"""Two Llamas trained on this machine, so that there is something real to route between.

    recipe ──► LlamaForCausalLM and a tokenizer ──► steps on the answers' tokens ──► folder
      │                                                                              ▲
      └── fingerprint: names the folder ──► finished and sound? ── then it is used ──┘

Both are `transformers.LlamaForCausalLM` as Llama 2 has it: RMSNorm, rotary positions, SwiGLU. They
read one message, `Add: 3+4`, and write its answer. What comes of a recipe is settled by its steps
and its seed, never by a clock: a slow machine gets the same models, only later.

A folder holds what `save_pretrained` writes plus `recipe.json` with a digest of every file. It is
written beside its place and moved there in one step, so a run that is killed leaves nothing that a
later run would take for a model.
"""

import hashlib
import json
import os
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pickllm.demo.tasks import PHRASES, Task, grade, make_tasks

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

__all__ = [
    "LARGE",
    "SMALL",
    "Progress",
    "Recipe",
    "accuracy",
    "answers",
    "default_folder",
    "ensure_model",
    "fingerprint",
    "is_sound",
    "make_tiny_llama",
    "make_tokenizer",
    "no_bars",
    "progress_bar",
    "train",
]

Model: TypeAlias = Any
"""A `transformers.LlamaForCausalLM`."""
Tokenizer: TypeAlias = Any
"""A `transformers.PreTrainedTokenizerFast`."""

BOS, EOS, PAD, ANSWER = "<s>", "</s>", "<pad>", "<|answer|>"
CONTEXT_TOKENS = 512
MAX_NEW_TOKENS = 16
MANIFEST = "recipe.json"
_UNFINISHED = ".unfinished-"
_UNFINISHED_FOR_S = 3600.0
"""To write a model takes a second; a folder that is unfinished for so long was left by a kill."""
METHOD = 1
"""To be raised when the training below changes: models trained by the older way are left alone."""

CHAT_TEMPLATE = """\
{%- macro text(content) -%}
  {%- if content is string -%}{{ content }}
  {%- else -%}
    {%- for part in content if part.type == 'text' -%}{{ part.text }}{%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- set users = messages | selectattr('role', 'equalto', 'user') | list -%}
{{- bos_token -}}
{%- if users -%}{{- text(users[-1]['content']) -}}{%- endif -%}
{%- if messages and messages[-1]['role'] == 'assistant' and not add_generation_prompt -%}
  {{- '<|answer|>' + text(messages[-1]['content']) + eos_token -}}
{%- elif add_generation_prompt -%}
  {{- '<|answer|>' -}}
{%- endif -%}"""
"""Shows the model the last user message alone, for that is all it ever learnt to read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that decides what a model becomes: its shape, its lessons and how it learns from them."""

    name: str
    layers: int
    width: int
    heads: int
    steps: int
    batch_size: int = 64
    muon_rate: float = 0.02
    """Step size for the matrices within the layers."""
    adam_rate: float = 0.004
    """Step size for the embeddings and the norms."""
    warmup_steps: int = 100
    seed: int = 0
    families: tuple[str, ...] = (
        *("add", "add", "subtract", "subtract"),
        *("sort", "reverse", "who"),
    )
    """The mix of the lessons: sums are the hardest to learn and come twice as often."""


SMALL = Recipe(name="small", layers=1, width=48, heads=12, steps=2500)
"""Right on what is easy, and trained within half a minute."""
LARGE = Recipe(name="large", layers=3, width=96, heads=12, steps=3000)
"""Right on nearly everything, and trained within two minutes."""
_TINY = Recipe(name="tiny", layers=1, width=32, heads=8, steps=0, families=("sort",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the training of one model has come: `step` of `steps`, and the loss there."""

    name: str
    step: int
    steps: int
    loss: float


OnProgress: TypeAlias = Callable[[Progress], None]
"""Told after every step of training."""


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Show training on the terminal's error stream: one bar for each model."""
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    bars = Bars(console=Console(stderr=True))
    name_to_bar: dict[str, TaskID] = {}

    def show(progress: Progress) -> None:
        if progress.name not in name_to_bar:
            bars.start()  # now, for where nothing is trained there is nothing to show
            title = f"Training the {progress.name} Llama"
            name_to_bar[progress.name] = bars.add_task(title, total=progress.steps)
        bars.update(name_to_bar[progress.name], completed=progress.step)

    try:
        yield show
    finally:
        if name_to_bar:
            bars.stop()


def _transformers() -> Any:
    """Import transformers when it is needed; what it hands out is typed in name only."""
    import transformers

    return transformers


def make_tokenizer() -> Tokenizer:
    """Build the tokenizer: a token for each phrase of the tasks, and one for each byte of the rest.

    So a prompt is short and any text survives being encoded and decoded.
    """
    import tokenizers
    from tokenizers import AddedToken, decoders, models, pre_tokenizers

    symbols = [PAD, BOS, EOS, ANSWER, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    byte_level = tokenizers.Tokenizer(
        models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[])
    )
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    byte_level.decoder = decoders.ByteLevel()
    byte_level.add_tokens([AddedToken(phrase, normalized=False) for phrase in PHRASES])
    return _transformers().PreTrainedTokenizerFast(
        tokenizer_object=byte_level,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[ANSWER],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT_TOKENS,
        padding_side="left",
    )


def _new_model(recipe: Recipe, tokenizer: Tokenizer) -> Model:
    transformers = _transformers()
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.width,
            intermediate_size=recipe.width * 8 // 3,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            max_position_embeddings=CONTEXT_TOKENS,
            tie_word_embeddings=True,
            **ids,
        )
    )
    model.generation_config = transformers.GenerationConfig(
        max_new_tokens=MAX_NEW_TOKENS, do_sample=False, **ids
    )
    return model


# ---- training --------------------------------------------------------------------------------


def train(recipe: Recipe, on_progress: OnProgress | None = None) -> tuple[Model, Tokenizer]:
    """Train a model on tasks of the `train` split, the loss taken over the answers alone."""
    import torch

    tokenizer = make_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = _new_model(recipe, tokenizer)
    model.train()
    optimizers = _optimizers(model, recipe)
    for step, (tokens, targets) in enumerate(_batches(recipe, tokenizer), start=1):
        for optimizer in optimizers:
            _set_rates(optimizer, _rate_share(step, recipe))
        loss = _learn(model, tokens, targets, optimizers)
        if on_progress is not None:
            on_progress(Progress(name=recipe.name, step=step, steps=recipe.steps, loss=loss))
    return model.eval(), tokenizer


def _learn(
    model: Model,
    tokens: "Tensor",
    targets: "Tensor",
    optimizers: "Sequence[Optimizer]",
) -> float:
    import torch

    asked = targets >= 0
    hidden = model.model(tokens, use_cache=False).last_hidden_state[asked]
    loss: Any = torch.nn.functional.cross_entropy(model.lm_head(hidden), targets[asked])
    model.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.detach())


def _optimizers(model: Model, recipe: Recipe) -> "Sequence[Optimizer]":
    import torch

    from pickllm.demo.muon import Muon

    in_layers = {id(weight) for weight in model.model.layers.parameters() if weight.ndim == 2}
    matrices = [weight for weight in model.parameters() if id(weight) in in_layers]
    others = [weight for weight in model.parameters() if id(weight) not in in_layers]
    adam = torch.optim.AdamW(
        others, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True
    )
    optimizers: Sequence[Optimizer] = (Muon(matrices, lr=recipe.muon_rate), adam)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return optimizers


def _rate_share(step: int, recipe: Recipe) -> float:
    """Tell the share of the full rate at a step: up within the warm-up, then down to nothing."""
    return min(1.0, step / recipe.warmup_steps) * (1 - (step - 1) / recipe.steps)


def _set_rates(optimizer: "Optimizer", share: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = share * group["full_rate"]


def _batches(recipe: Recipe, tokenizer: Tokenizer) -> "Iterator[tuple[Tensor, Tensor]]":
    """Yield tokens and targets `[batch, tokens]` for every step; lengths in a batch are alike."""
    rng = random.Random(recipe.seed)  # noqa: S311  # lessons, no secrets
    size, per_round = recipe.batch_size, 16
    for first_step in range(0, recipe.steps, per_round):
        lessons = _lessons(size * per_round, rng.randrange(2**32), recipe, tokenizer)
        starts = list(range(0, len(lessons), size))
        rng.shuffle(starts)
        for start in starts[: recipe.steps - first_step]:
            yield _padded(lessons[start : start + size])


def _lessons(
    count: int, seed: int, recipe: Recipe, tokenizer: Tokenizer
) -> list[tuple[list[int], list[int]]]:
    """Make prompts and answers in tokens, the shortest first."""
    tasks = make_tasks(count, seed, split="train", families=recipe.families)
    prompts = tokenizer([f"{BOS}{task.prompt}{ANSWER}" for task in tasks])["input_ids"]
    replies = tokenizer([f"{task.answer}{EOS}" for task in tasks])["input_ids"]
    return sorted(zip(prompts, replies, strict=True), key=lambda lesson: len(lesson[0] + lesson[1]))


def _padded(lessons: Sequence[tuple[list[int], list[int]]]) -> "tuple[Tensor, Tensor]":
    """Put lessons side by side; -100 marks the places where nothing is to be predicted.

    No attention mask is needed: padding comes last and a token looks only back.
    """
    import torch

    length = max(len(prompt) + len(reply) for prompt, reply in lessons)
    tokens = torch.zeros(len(lessons), length, dtype=torch.long)
    targets = torch.full((len(lessons), length), -100)
    for row, (prompt, reply) in enumerate(lessons):
        both = len(prompt) + len(reply)
        tokens[row, :both] = torch.tensor(prompt + reply)
        targets[row, len(prompt) - 1 : both - 1] = torch.tensor(reply)
    return tokens, targets


# ---- the folder --------------------------------------------------------------------------------


def default_folder() -> Path:
    """Name the folder where the demo keeps its models: under `XDG_CACHE_HOME` or `~/.cache`."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "pickllm" / "demo-v1"


def ensure_model(
    recipe: Recipe, *, folder: Path | None = None, on_progress: OnProgress | None = None
) -> Path:
    """Return the folder of a recipe's model, trained now unless an earlier run has finished it.

    The last part of the path is the recipe's name. A model whose files are damaged is made anew.
    """
    cache = folder or default_folder()
    _clear_unfinished(cache)
    target = cache / fingerprint(recipe) / recipe.name
    if not is_sound(target):
        _save(*train(recipe, on_progress), recipe, target)
    return target


def _clear_unfinished(cache: Path) -> None:
    """Remove what killed runs have left; what may belong to a run at work is left alone."""
    for scratch in cache.glob(f"*/{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another run may be clearing too
            if time.time() - scratch.stat().st_mtime > _UNFINISHED_FOR_S:
                shutil.rmtree(scratch, ignore_errors=True)


def make_tiny_llama(folder: Path, *, steps: int = 300, seed: int = 0) -> Path:
    """Write a very small Llama to `folder` within seconds, for tests; it sorts letters, badly."""
    recipe = replace(_TINY, steps=steps, seed=seed)
    _save(*train(recipe), recipe, folder)
    return folder


def fingerprint(recipe: Recipe) -> str:
    """Digest all that a model comes from, so that another recipe means another folder."""
    lessons = make_tasks(200, recipe.seed, split="train", families=recipe.families)
    source = [METHOD, asdict(recipe), CHAT_TEMPLATE, PHRASES, [asdict(task) for task in lessons]]
    return hashlib.sha256(json.dumps(source).encode()).hexdigest()[:12]


def is_sound(folder: Path) -> bool:
    """Say whether a folder holds a finished model with every file as it was written."""
    try:
        digests = json.loads((folder / MANIFEST).read_text())["files"]
        return bool(digests) and all(_digest(folder / name) == digests[name] for name in digests)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _save(
    model: Model,
    tokenizer: Tokenizer,
    recipe: Recipe,
    target: Path,
) -> None:
    """Write the model beside `target`, then move it there in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target.parent) as scratch:
        written = Path(scratch) / "model"
        with no_bars():
            model.save_pretrained(written)
            tokenizer.save_pretrained(written)
        digests = {path.name: _digest(path) for path in sorted(written.iterdir())}
        manifest = {"recipe": asdict(recipe), "files": digests}
        (written / MANIFEST).write_text(json.dumps(manifest, indent=1))
        _move(written, target, Path(scratch) / "replaced")


def _move(written: Path, target: Path, replaced: Path) -> None:
    """Move a finished folder into place, unless another run has put a sound one there meanwhile."""
    with suppress(FileNotFoundError):
        if not is_sound(target):
            target.rename(replaced)
    try:
        written.rename(target)
    except OSError:
        if not is_sound(target):
            raise


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep transformers from drawing bars for files that take a millisecond."""
    logging = _transformers().utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


# ---- asking --------------------------------------------------------------------------------------


def answers(folder: Path, prompts: Sequence[str], *, batch_size: int = 100) -> list[str]:
    """Ask a saved model many prompts, the likeliest token each time; answers in prompts' order."""
    with no_bars():
        model = _transformers().LlamaForCausalLM.from_pretrained(folder)
        tokenizer = _transformers().AutoTokenizer.from_pretrained(folder)
    replies: list[str] = []
    for start in range(0, len(prompts), batch_size):
        chats = [[{"role": "user", "content": p}] for p in prompts[start : start + batch_size]]
        inputs = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        made = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        replies += tokenizer.batch_decode(made, skip_special_tokens=True)
    return replies


def accuracy(tasks: Sequence[Task], replies: Sequence[str]) -> Mapping[tuple[str, int], float]:
    """Average the grades of replies for each family and difficulty."""
    kind_to_grades: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for task, reply in zip(tasks, replies, strict=True):
        kind_to_grades[task.family, task.difficulty].append(grade(task, reply))
    return {kind: sum(grades) / len(grades) for kind, grades in sorted(kind_to_grades.items())}
