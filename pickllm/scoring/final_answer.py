r"""What an answer comes to, where it says so: "the answer is (C)", "#### 42", \boxed{42}, a field.

Models reason in many words and agree or differ in the last few. Two answers are compared by what
they come to where both say it, and by the words they share where not.

>>> final_answer("She has 3 + 4 = 7 apples.\n#### 7.00"), final_answer('{"answer": "7"}')
('7', '7')
>>> same_answer("Hence the answer is (B).", "It must be red.\nAnswer: b")
1.0
"""

import re

from pickllm.scoring.matching import word_match

__all__ = ["final_answer", "same_answer"]

_MARKS = (
    re.compile(r"\\boxed\s*\{(?P<said>[^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"),
    re.compile(r"^#{3,}[ \t]*(?P<said>[^\n]+)$", re.MULTILINE),
    re.compile(r"[\"'](?:final_)?answer[\"']\s*:\s*[\"']?(?P<said>[^\"'}\n]+)", re.IGNORECASE),
    re.compile(
        r"\banswer\b(?:\s+is|\s+would be|\s*:)+\s*\**\s*:?\s*(?P<said>(?:(?!\banswer\b)[^\n])+)",
        re.IGNORECASE,
    ),
)
_CHOICE = re.compile(r"\(?\**\(?(?P<choice>[A-Za-z])\)?\**(?:[).:,]|\s*$)")
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*)?\.?\d+")
_LONGEST = 60


def final_answer(text: str) -> str | None:
    """What it comes to, in one form for equal things; None where it does not say.

    A letter is a choice, and is a capital then; a number loses what does not change its worth.
    """
    found = [match for mark in _MARKS for match in mark.finditer(text)]
    if not found:
        return None
    said = max(found, key=lambda match: match.start())["said"].strip().rstrip(".").strip("*$ ")
    return _one_form(said) if said else None


def same_answer(one: str, other: str) -> float:
    """1 or 0 where both say what they come to; else the F1 of their words, in [0, 1]."""
    first, second = final_answer(one), final_answer(other)
    if first is None or second is None:
        return word_match(one, other)
    return float(first == second)


def _one_form(said: str) -> str | None:
    choice = _CHOICE.match(said)
    if choice is not None:
        return choice["choice"].upper()
    if len(said) > _LONGEST:
        return None
    numbers = _NUMBER.findall(said)
    if len(numbers) == 1:
        return f"{float(numbers[0].replace(',', '')):g}"
    return " ".join(said.lower().split())
