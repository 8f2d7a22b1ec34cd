"""A very small Llama that calls a tool, and answers with what the tool returned."""

import fcntl
import importlib
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pickllm.demo.models import no_bars

__all__ = ["ADD", "TEMPLATE", "tool_folder"]

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
"""The tool that the model knows."""

TEMPLATE = """\
{{- bos_token -}}
{%- if tools -%}[{%- for tool in tools -%}{{ tool.function.name }}{%- endfor -%}]{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}<|tool|>{{ message.content }}
  {%- elif message.role == 'assistant' -%}
    <|answer|>{{ message.content }}
    {%- for call in message.tool_calls or [] -%}
      <tool_call>{{ call.function | tojson }}</tool_call>
    {%- endfor -%}
    {{ eos_token }}
  {%- elif message.role == 'user' -%}<|user|>{{ message.content }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|answer|>{%- endif -%}"""
"""Shows names of tools, and calls as Qwen writes them; the system's turn is left out."""

_SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|answer|>", "<|tool|>"]
_TAGS = ["<tool_call>", "</tool_call>"]
_PHRASES = ["[add]", '{"name": "add", "arguments": {"a": ', ', "b": ', "}}", "The sum is "]


def tool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder. It is made once for a whole run, by whichever worker is there first."""
    import torch

    torch.set_num_threads(1)
    base = tmp_path_factory.getbasetemp()
    common = base.parent if base.name.startswith("popen-") else base
    with (common / "tiny-tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = common / "tiny-tools"
        return folder if folder.exists() else make_tool_llama(folder)


def make_tool_llama(folder: Path, *, steps: int = 120) -> Path:
    """Write the model. With tools it calls one, without it says "No", on a result it answers."""
    import torch

    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _model(tokenizer)
        tokens, targets = _lessons(tokenizer)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
        for _ in range(steps):
            logits = model(tokens).logits[:, :-1]
            loss: Any = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets[:, 1:].flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with no_bars():
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    import tokenizers
    from tokenizers import AddedToken, decoders, models, pre_tokenizers

    symbols = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = tokenizers.Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(tag, special=True) for tag in [*_SPECIAL, *_TAGS]])
    made.add_tokens([AddedToken(phrase, normalized=False) for phrase in _PHRASES])
    return _transformers().PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _model(tokenizer: Any) -> Any:
    transformers = _transformers()
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            **ids,
        )
    )
    model.generation_config = transformers.GenerationConfig(
        max_new_tokens=32, do_sample=False, **ids
    )
    return model


def _transformers() -> Any:
    """The package; what it hands out is typed in name only."""
    return importlib.import_module("transformers")


def _lessons(tokenizer: Any) -> tuple[Any, Any]:
    """Tokens and targets `[lessons, tokens]`; -100 is where nothing is to be predicted."""
    import torch

    pairs = [
        (tokenizer.encode(prompt), tokenizer.encode(reply)) for prompt, reply in _conversations()
    ]
    length = max(len(prompt) + len(reply) for prompt, reply in pairs)
    tokens = torch.zeros(len(pairs), length, dtype=torch.long)
    targets = torch.full((len(pairs), length), -100)
    for row, (prompt, reply) in enumerate(pairs):
        both = len(prompt) + len(reply)
        tokens[row, :both] = torch.tensor(prompt + reply)
        targets[row, len(prompt) : both] = torch.tensor(reply)
    return tokens, targets


def _conversations() -> Iterator[tuple[str, str]]:
    for a, b in product(range(4), repeat=2):
        asked = f"<|user|>{a}+{b}<|answer|>"
        call = {"name": "add", "arguments": {"a": a, "b": b}}
        called = f"<tool_call>{json.dumps(call)}</tool_call></s>"
        yield f"<s>[add]{asked}", called
        yield f"<s>{asked}", "No</s>"
        yield f"<s>[add]{asked}{called}<|tool|>{a + b}<|answer|>", f"The sum is {a + b}</s>"
