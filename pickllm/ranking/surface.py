"""What a prompt looks like, in numbers that take a tenth of a millisecond and no model.

Length, vocabulary, digits, signs, lists of options, code and formulas: a fair part of what makes a
prompt hard for a small model shows on its surface. What is learnt from it holds for prompts of the
same kinds; it does not carry over to others.

>>> float(surface_features("Add: 3+4")[SURFACE_FEATURES.index("numbers")])
2.0
"""

import re
from math import log1p

import numpy as np

from pickllm.arrays import Floats

__all__ = ["SURFACE_FEATURES", "surface_features"]

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPTION = re.compile(r"^\s*(?:\(?[A-Ja-j1-9][.):]|[-*•])\s+(.*)$", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?]+(?:\s|$)")
_SIGNS = ("?", "!", ",", ":", ";", "(", "$", "%", "=", "+", "-", "/", '"', "'", "_", "\\", "{", "<")
_ASKS = ("what", "which", "how", "why", "who", "when", "if", "not", "following", "write", "each")

SURFACE_FEATURES: tuple[str, ...] = (
    *("characters", "words", "lines", "sentences"),
    *("word_length", "longest_word", "distinct_words", "words_per_sentence"),
    *("digits", "capitals", "beyond_ascii", "spaces"),
    *("numbers", "longest_number", "largest_number"),
    *("options", "option_length", "option_spread", "option_numbers"),
    *(f"sign {sign}" for sign in _SIGNS),
    *(f"asks {word}" for word in _ASKS),
)
"""Names of the features, in their order."""


def surface_features(text: str) -> Floats:
    """Features of a prompt, ``[len(SURFACE_FEATURES)]`` float32; an empty one is all zeros."""
    size = max(len(text), 1)
    words = [word.lower() for word in _WORD.findall(text)]
    lengths = [len(word) for word in words] or [0]
    numbers = _NUMBER.findall(text)
    options = _OPTION.findall(text)
    option_lengths = [len(option) for option in options] or [0]
    sentences = len(_SENTENCE.findall(text))
    asked = set(words)
    values = [
        log1p(len(text)),
        log1p(len(words)),
        log1p(text.count("\n")),
        log1p(sentences),
        sum(lengths) / len(lengths),
        max(lengths),
        len(asked) / max(len(words), 1),
        len(words) / max(sentences, 1),
        sum(map(str.isdigit, text)) / size,
        sum(map(str.isupper, text)) / size,
        0.0 if text.isascii() else sum(letter > "\x7f" for letter in text) / size,
        text.count(" ") / size,
        len(numbers),
        max(map(len, numbers), default=0),
        max((_magnitude(number) for number in numbers), default=0.0),
        len(options),
        log1p(sum(option_lengths) / len(option_lengths)),
        log1p(max(option_lengths) - min(option_lengths)),
        sum(any(map(str.isdigit, option)) for option in options) / max(len(options), 1),
        *(text.count(sign) for sign in _SIGNS),
        *(word in asked for word in _ASKS),
    ]
    return np.array(values, dtype=np.float32)


def _magnitude(number: str) -> float:
    """How long the whole part is, in digits; exact for numbers too long for a float."""
    return float(len(number.partition(".")[0].replace(",", "").lstrip("0")))
