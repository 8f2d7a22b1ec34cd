"""A pair in tokens: the prompt as the chat template shows it, and the answer that is learnt.

    <s> [INST] 2 + 2 = [/INST]   4 </s>
    └── shown, not learnt ────┘  └ learnt

Loss on the prompt would teach the model to write prompts. The answer ends with the token at which
the model stops when it is served, or it would never learn to. What does not fit into the model's
window is no lesson: half an answer teaches to stop in the middle.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickllm.arrays import Integers
from pickllm.distillation.pairs import Pair
from pickllm.errors import ConfigError

__all__ = ["Lesson", "lessons_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One pair in tokens."""

    prompt: Integers
    """``[tokens]``"""
    answer: Integers
    """``[tokens]``, with the one that ends it."""

    def __len__(self) -> int:
        """Tokens of both."""
        return len(self.prompt) + len(self.answer)


def lessons_of(
    pairs: Iterable[Pair], tokenizer: Any, *, ends: Collection[int], most_tokens: int
) -> Iterator[tuple[Pair, Lesson | None]]:
    """Each pair with the lesson that it makes; None for one that is too long.

    Args:
        pairs: What is to be learnt.
        tokenizer: One of `transformers`, with a chat template.
        ends: Tokens at which the model stops.
        most_tokens: The most that a lesson may have.

    Raises:
        ConfigError: The template refuses a conversation.
    """
    from jinja2 import TemplateError

    for pair in pairs:
        try:
            lesson = _lesson(pair, tokenizer, ends)
        except TemplateError as error:
            raise ConfigError(
                f"the chat template of the base refuses a conversation ({error}): leave such out, "
                "or take another base"
            ) from error
        yield pair, lesson if len(lesson) <= most_tokens else None


def _lesson(pair: Pair, tokenizer: Any, ends: Collection[int]) -> Lesson:
    turns = [{"role": turn.role, "content": turn.text} for turn in pair.turns]
    answered = [*turns, {"role": "assistant", "content": pair.answer}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    shown = tokenizer.encode(prompt, add_special_tokens=False)
    # some templates show a finished answer otherwise than the one they ask for
    said = whole.removeprefix(prompt) if whole.startswith(prompt) else pair.answer
    learnt = tokenizer.encode(said, add_special_tokens=False)
    last = max((at for at, token in enumerate(learnt) if token in ends), default=None)
    ended = [*learnt, tokenizer.eos_token_id] if last is None else learnt[: last + 1]
    return Lesson(prompt=np.array(shown, np.int64), answer=np.array(ended, np.int64))
