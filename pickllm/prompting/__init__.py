"""Prompt adaptation: what an arm reads in place of the conversation, so that it costs less.

    selection.py        of many worked examples, those that pay for their tokens
    usefulness.py       what each example has been worth
    compression.py      of long messages, the sentences that matter
    lingua.py           the same with a token classifier's weights (LLMLingua-2)
    history.py          the latest exchanges, as many as fit
    rewriting.py        instructions that a strong model wrote for a weak one
    concatenation.py    several questions in one call
    gate.py             only where it pays, and was shown to lose nothing
    proof.py            … by a replay with and without it
    composed.py         several, one after another; others for other arms
    prefix_discount.py  what providers take off for what they have read before
    conversation.py     exchanges, tool rounds, lengths; what none may do
    passages.py         prose in sentences; code, JSON and tables whole

Each is an `Adaptation` (`pickllm.protocols`), but for concatenation, which is a way of asking.
The stable part of a prompt stays in front, what varies goes behind it.
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily

if TYPE_CHECKING:
    from pickllm.prompting.asking import AskTurns, as_text
    from pickllm.prompting.composed import AdaptationsLike, Composed, PerArm, adaptations_of
    from pickllm.prompting.compression import Compressed, Compressor, Extractive
    from pickllm.prompting.concatenation import (
        AnsweredTogether,
        Concatenation,
        OneAnswer,
        answer_together,
        asking_together,
    )
    from pickllm.prompting.conversation import CountTokens, about_tokens, breach, tokens_of
    from pickllm.prompting.examples import Example
    from pickllm.prompting.gate import Gated, Saving
    from pickllm.prompting.history import Trimmed
    from pickllm.prompting.lingua import LLMLingua2
    from pickllm.prompting.prefix_discount import PrefixDiscount
    from pickllm.prompting.proof import Proof, prove
    from pickllm.prompting.rewriting import (
        Rewriting,
        Rewritten,
        load_rewriting,
        rewrite,
        save_rewriting,
    )
    from pickllm.prompting.selection import Examples, Selected
    from pickllm.prompting.usefulness import Usefulness, try_out
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "asking": "AskTurns as_text",
            "composed": "AdaptationsLike Composed PerArm adaptations_of",
            "compression": "Compressed Compressor Extractive",
            "concatenation": (
                "AnsweredTogether Concatenation OneAnswer answer_together asking_together"
            ),
            "conversation": "CountTokens about_tokens breach tokens_of",
            "examples": "Example",
            "gate": "Gated Saving",
            "history": "Trimmed",
            "lingua": "LLMLingua2",
            "prefix_discount": "PrefixDiscount",
            "proof": "Proof prove",
            "rewriting": "Rewriting Rewritten load_rewriting rewrite save_rewriting",
            "selection": "Examples Selected",
            "usefulness": "Usefulness try_out",
        },
    )

__all__ = [
    "AdaptationsLike",
    "AnsweredTogether",
    "AskTurns",
    "Composed",
    "Compressed",
    "Compressor",
    "Concatenation",
    "CountTokens",
    "Example",
    "Examples",
    "Extractive",
    "Gated",
    "LLMLingua2",
    "OneAnswer",
    "PerArm",
    "PrefixDiscount",
    "Proof",
    "Rewriting",
    "Rewritten",
    "Saving",
    "Selected",
    "Trimmed",
    "Usefulness",
    "about_tokens",
    "adaptations_of",
    "answer_together",
    "as_text",
    "asking_together",
    "breach",
    "load_rewriting",
    "prove",
    "rewrite",
    "save_rewriting",
    "tokens_of",
    "try_out",
]
