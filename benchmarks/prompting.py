"""What adapting prompts saves in tokens and costs in right answers, on a model that reads them.

    python benchmarks/prompting.py            # trains a Llama of 0.1 million weights once: minutes

The demo's models read nothing but the last question, so this trains one that looks things up, in
prose ("Ann beat Bob.") or in worked examples. It is asked through the very adaptations that serve
requests, and its answers are held against the truth.

    compression     sentences kept by salience, beside the first ones and random ones
    selection       examples kept by value per token, beside the first ones and random ones

So small a model stays a poor reader: among twelve facts it mostly guesses, and is right in 16 % of
the cases where it reads them all. What this shows is which part of a prompt holds what is needed,
at equal tokens; not what a good reader would lose.

Needs `pickllm[local]`. Prompts are drawn anew, by other seeds than those it was trained on; tokens
are the model's own. Intervals are 95 %, over prompts.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from pickllm.demo.models import default_folder
from pickllm.demo.muon import Muon
from pickllm.evaluation.intervals import bootstrap
from pickllm.prompting import (
    Compressed,
    Extractive,
    Selected,
)
from pickllm.prompting.passages import pieces
from pickllm.types import Arm, Request, Said

NAMES = (
    *("Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Ida", "Joe", "Kim", "Leo", "Mia"),
    *("Ned", "Oda", "Pia", "Ray", "Sue", "Tom", "Una", "Vic", "Wes", "Xia", "Yan", "Zoe"),
)
PAD, BOS, EOS, ANSWER = "<pad>", "<s>", "</s>", "<|answer|>"
FACTS = 12
STEPS, BATCH, SEED = 2_400, 24, 0
ARM = Arm(name="tiny")

Facts = list[tuple[str, str]]
"""Who beat whom; each beats one."""


def facts_of(rng: random.Random, count: int) -> Facts:
    """Facts about different winners."""
    return [
        (winner, rng.choice([name for name in NAMES if name != winner]))
        for winner in rng.sample(NAMES, count)
    ]


def told(facts: Facts) -> str:
    """The facts in prose."""
    return " ".join(f"{winner} beat {loser}." for winner, loser in facts)


def question(winner: str) -> str:
    """What is asked of a fact."""
    return f"Who lost to {winner}?"


def make_tokenizer() -> Tokenizer:
    """One token for each name and phrase, and one for each byte of the rest."""
    symbols = [PAD, BOS, EOS, ANSWER, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    phrases = [*NAMES, " beat ", "Who lost to ", ". "]
    tokenizer.add_special_tokens([PAD, BOS, EOS, ANSWER])
    tokenizer.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases])
    return tokenizer


def lesson(rng: random.Random, most: int) -> list[tuple[str, str, bool]]:
    """Prompts, answers, and whether they are learnt: what nothing could tell is not."""
    facts = facts_of(rng, rng.randint(2, most))
    asked = [(question(winner), loser, True) for winner, loser in rng.sample(facts, len(facts))]
    if rng.random() < 0.5:
        (first, answer, _), *others = asked
        return [(f"{told(facts)}\n{first}", answer, True), *others]
    return [*((question(winner), loser, False) for winner, loser in facts), *asked]


def batches(tokenizer: Tokenizer, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Tokens and targets ``[batch, tokens]`` of every step; lengths in a batch are alike.

    It begins with few facts, and ends with as many as there may be.
    """
    rng = random.Random(SEED)
    for step in range(0, steps, 8):
        most = min(2 + round((FACTS - 2) * 1.6 * step / steps), FACTS)
        rows = []
        for _ in range(BATCH * 8):
            tokens, targets = [tokenizer.token_to_id(BOS)], [-100]
            for prompt, answer, learnt in lesson(rng, most):
                asked = tokenizer.encode(prompt + ANSWER).ids
                given = tokenizer.encode(answer + EOS).ids
                tokens += asked + given
                targets += [-100] * len(asked) + (given if learnt else [-100] * len(given))
            rows.append((tokens, targets))
        rows.sort(key=lambda row: len(row[0]))
        groups = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
        rng.shuffle(groups)
        for group in groups:
            length = max(len(tokens) for tokens, _ in group)
            yield (
                torch.tensor([t + [0] * (length - len(t)) for t, _ in group]),
                torch.tensor([t[1:] + [-100] * (length - len(t) + 1) for _, t in group]),
            )


def trained(folder: Path, *, steps: int) -> tuple[LlamaForCausalLM, Tokenizer]:
    """The model, from the folder or trained now."""
    tokenizer = make_tokenizer()
    if (folder / "config.json").is_file():
        return LlamaForCausalLM.from_pretrained(folder).eval(), tokenizer
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=64,
            intermediate_size=168,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    ).train()
    inside = {id(w) for w in model.model.layers.parameters() if w.ndim == 2}
    optimizers = [
        Muon([w for w in model.parameters() if id(w) in inside], lr=0.02),
        torch.optim.AdamW([w for w in model.parameters() if id(w) not in inside], lr=0.004),
    ]
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    for step, (tokens, targets) in zip(range(steps), batches(tokenizer, steps), strict=False):
        share = min(1.0, (step + 1) / 100) * (1.0 - step / steps)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = share * rate
        asked = targets >= 0
        hidden = model.model(tokens, use_cache=False).last_hidden_state[asked]
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden), targets[asked])
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    model.save_pretrained(folder)
    return model.eval(), tokenizer


class Reader:
    """The model as one that is asked with conversations; counts the tokens that it reads."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.tokens_in = 0

    def __call__(self, turns: Sequence[Said]) -> str:
        """The likeliest answer."""
        text = BOS + "".join(
            said.text + (EOS if said.role == "assistant" else ANSWER) for said in turns
        )
        ids = self.tokenizer.encode(text).ids
        self.tokens_in += len(ids)
        made: Any = self.model.generate(
            torch.tensor([ids]), max_new_tokens=4, do_sample=False, pad_token_id=0
        )
        return self.tokenizer.decode(made[0, len(ids) :].tolist()).strip()

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.tokenizer.encode(text).ids)


Adapt = Callable[[Request, random.Random], Sequence[Said]]


def measured(reader: Reader, requests: Sequence[tuple[Request, str]], adapt: Adapt) -> str:
    """Right answers and tokens to a prompt, in words."""
    rng = random.Random(1)
    reader.tokens_in = 0
    hits = np.array([float(reader(adapt(request, rng)) == answer) for request, answer in requests])
    right = bootstrap(
        lambda rows: float(hits[rows].mean()), prompts=len(hits), rng=np.random.default_rng(0)
    )
    return f"{right:.1%} | {reader.tokens_in / len(requests):.0f}"


def request_of(*texts: str) -> Request:
    """Texts of a user and of a model in turn."""
    turns = tuple(
        Said(role="assistant" if at % 2 else "user", text=text, at=at)
        for at, text in enumerate(texts)
    )
    return Request(text=texts[-1], turns=turns)


def compression(reader: Reader, prompts: int) -> None:
    """Facts in prose, and a question about one of them."""
    rng = random.Random("compression")
    requests = []
    for _ in range(prompts):
        facts = facts_of(rng, FACTS)
        winner, loser = rng.choice(facts)
        requests.append((request_of(f"{told(facts)}\n{question(winner)}"), loser))

    def cut(rate: float, *, shuffled: bool) -> Adapt:
        def adapt(request: Request, drawn: random.Random) -> Sequence[Said]:
            *facts, _, asked = [piece.text for piece in pieces(request.turns[0].text)]
            order = drawn.sample(range(len(facts)), len(facts)) if shuffled else range(len(facts))
            kept = sorted(order[: round(rate * len(facts))])
            return [Said(role="user", text="".join(facts[i] for i in kept).strip() + "\n" + asked)]

        return adapt

    print("\n| compression | right | tokens |\n|---|---|---|")
    print(f"| all | {measured(reader, requests, lambda request, _: request.turns)} |")
    for rate in (0.5, 0.25):
        ours = Compressed(
            compressor=Extractive(rate=rate, count_tokens=reader.count), least_tokens=1
        )
        rows: dict[str, Adapt] = {
            "salient": lambda request, _, ours=ours: ours.adapted(request, ARM),  # type: ignore[misc]  # bound here
            "first": cut(rate, shuffled=False),
            "random": cut(rate, shuffled=True),
        }
        for name, adapt in rows.items():
            print(f"| {name} {rate:.0%} | {measured(reader, requests, adapt)} |")


def selection(reader: Reader, prompts: int) -> None:
    """Worked examples, one of which answers the question."""
    rng = random.Random("selection")
    requests = []
    for _ in range(prompts):
        facts = facts_of(rng, FACTS)
        winner, loser = rng.choice(facts)
        pairs = [text for one, other in facts for text in (question(one), other)]
        requests.append((request_of(*pairs, question(winner)), loser))

    def ours(most: int) -> Adapt:
        chosen = Selected(marked="Who", most=most, least_similarity=0.0, least_gain=0.0)
        return lambda request, _: chosen.adapted(request, ARM)

    def cut(most: int, *, shuffled: bool) -> Adapt:
        def adapt(request: Request, drawn: random.Random) -> Sequence[Said]:
            places = drawn.sample(range(FACTS), most) if shuffled else range(most)
            kept = [request.turns[2 * place + side] for place in sorted(places) for side in (0, 1)]
            return [*kept, request.turns[-1]]

        return adapt

    print("\n| selection | right | tokens |\n|---|---|---|")
    print(f"| all {FACTS} | {measured(reader, requests, lambda request, _: request.turns)} |")
    for most in (3, 1):
        rows = {
            "value per token": ours(most),
            "first": cut(most, shuffled=False),
            "random": cut(most, shuffled=True),
        }
        for name, adapt in rows.items():
            print(f"| {name}, {most} | {measured(reader, requests, adapt)} |")


def main() -> None:
    """Train where nothing is trained yet, and measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--prompts", type=int, default=400)
    arguments.add_argument("--steps", type=int, default=STEPS)
    given = arguments.parse_args()
    name = json.dumps([given.steps, BATCH, SEED, FACTS]).strip("[]").replace(", ", "-")
    model, tokenizer = trained(default_folder() / f"lookup-{name}", steps=given.steps)
    reader = Reader(model, tokenizer)
    compression(reader, given.prompts)
    selection(reader, given.prompts)


if __name__ == "__main__":
    main()
