"""Whether two answers say the same, without a model: for pairs that are verified on the way.

Equal but for case, blanks and a full stop; or nine tenths of their words the same, with every
number, every "not" and a "yes" or "no" at the beginning the same. It errs on the side of "no", so
bands open late rather than wrongly; an embedding or a judge of yours sees more.

>>> say_the_same("Paris.", "paris"), say_the_same("It is 12 km.", "It is 13 km.")
(True, False)
"""

import re

from pickllm.scoring import exact_match, word_match

__all__ = ["say_the_same"]

_TELLING = re.compile(r"\d+(?:[.,]\d+)*|\b(?:no|not|never|none|yes|cannot)\b|n't\b")
_ALIKE = 0.9


def say_the_same(one: str, other: str) -> bool:
    """Whether two answers agree."""
    if exact_match(one, other):
        return True
    telling = [_TELLING.findall(text.casefold()) for text in (one, other)]
    return telling[0] == telling[1] and word_match(one, other) >= _ALIKE
