"""What an answer looks like beside its question, in numbers that take part of a millisecond.

A wrong answer is often told by its surface: it is much longer or shorter than others, uses numbers
the question does not hold, leaves out some that it does, contradicts its own arithmetic, hedges,
refuses, repeats itself, or breaks off.

>>> found = answer_features("What is 2 + 3?", "2 + 3 = 6, so the answer is 6", cut_off=False)
>>> float(found[ANSWER_FEATURES.index("some sum is wrong")])
1.0
"""

import re
from math import log1p

import numpy as np

from pickllm.arrays import Floats
from pickllm.scoring.arithmetic import checked_sums, number_of
from pickllm.scoring.final_answer import final_answer
from pickllm.scoring.signals import is_refusal

__all__ = ["ANSWER_FEATURES", "answer_features"]

ANSWER_FEATURES: tuple[str, ...] = (
    *("question length", "question lines", "question sentences", "question numbers"),
    *("question largest number", "question numbers in last sentence", "question long words"),
    *("question capitals", "question quantities", "question times", "question ifs"),
    *("length", "length beside question", "lines", "longest line", "first line"),
    *("words that differ", "shared words", "question words used", "long words"),
    *("numbers", "new numbers", "question numbers used", "question numbers left out"),
    *("largest number", "long decimals", "outgrows the question"),
    *("sums that are right", "sums that are wrong", "some sum is right", "some sum is wrong"),
    *("equals", "plus", "minus", "times", "divided", "percent", "dollars", "brackets", "marked"),
    *("hedges", "steps", "refusal", "corrections", "ends openly", "code", "list", "braces"),
    *("formulas", "beyond ascii", "question mark", "cut off", "empty"),
    *("says its answer", "answer is a number", "answer is a choice", "choice", "answer is broken"),
    *("answer is negative", "answer size", "answer in question", "answer repeated"),
    *("answer is the last sum", "answer ends in 0 or 5"),
)
"""Names of the features, in their order."""

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_QUANTITY = re.compile(
    r"\b(half|twice|third|quarter|double|triple|times|percent|each|every|more|less|fewer|than|"
    r"remaining|left|total|average|per|altogether|rest|ratio)\b"
)
_TIME = re.compile(r"\b(hour|day|week|month|year|minute|second|age|old)s?\b")
_HEDGE = re.compile(
    r"\b(maybe|perhaps|assum\w+|however|not (?:specified|given|clear|enough|sure)|cannot|can't|"
    r"approximately|about|roughly|probably|possibly|likely|might|could|would|should|seems?|unclear)\b"
)
_STEP = re.compile(r"\b(so|therefore|thus|hence|then|first|next|finally|because|since)\b")
_CORRECTION = re.compile(r"\b(wait|mistake|error|correction|actually|apologi[sz]e|sorry|instead)\b")
_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?]+(?:\s|$)")
_MOST_CHARS = 6_000


def answer_features(question: str, answer: str, *, cut_off: bool) -> Floats:
    """Features of an answer, ``[len(ANSWER_FEATURES)]`` float32."""
    asked, said = _clipped(question), _clipped(answer)
    numbers, given = _numbers(said), _numbers(asked)
    words, asked_words = _WORD.findall(said.lower()), _WORD.findall(asked.lower())
    values = [
        *_of_question(asked, asked_words, given),
        *_of_shape(question, answer, words, set(asked_words)),
        *_of_numbers(numbers, given, said),
        *_of_sums(said),
        *_of_manner(said, cut_off=cut_off),
        *_of_result(said, numbers, set(given)),
    ]
    return np.array(values, dtype=np.float32)


def _of_question(text: str, words: list[str], numbers: list[float]) -> list[float]:
    lowered = text.lower()
    sentences = _SENTENCE.split(text.strip())
    return [
        log1p(len(text)),
        log1p(text.count("\n")),
        log1p(len(sentences)),
        log1p(len(numbers)),
        log1p(max(numbers, default=0.0)),
        len(_NUMBER.findall(next((s for s in reversed(sentences) if s.strip()), ""))),
        sum(len(word) > 8 for word in words) / max(1, len(words)),
        sum(map(str.isupper, text)) / max(1, len(text)),
        log1p(len(_QUANTITY.findall(lowered))),
        log1p(len(_TIME.findall(lowered))),
        words.count("if"),
    ]


def _of_shape(question: str, answer: str, words: list[str], asked: set[str]) -> list[float]:
    lines = answer.split("\n")
    distinct = set(words)
    return [
        log1p(len(answer)),
        log1p(len(answer)) - log1p(len(question)),
        log1p(len(lines)),
        log1p(max(map(len, lines))),
        log1p(len(lines[0])),
        len(distinct) / max(1, len(words)),
        sum(word in asked for word in words) / max(1, len(words)),
        len(asked & distinct) / max(1, len(asked)),
        sum(len(word) > 8 for word in words) / max(1, len(words)),
    ]


def _of_numbers(numbers: list[float], given: list[float], text: str) -> list[float]:
    used, known = set(numbers), set(given)
    largest = max(numbers, default=0.0)
    return [
        log1p(len(numbers)),
        log1p(len(used - known)),
        len(known & used) / max(1, len(known)),
        log1p(len(known - used)),
        log1p(largest),
        log1p(len(re.findall(r"\d\.\d{3,}", text))),
        largest > 10.0 * max(given, default=1.0),
    ]


def _of_sums(text: str) -> list[float]:
    right, wrong = checked_sums(text).counts
    signs = (
        ("=",),
        ("+",),
        (" - ",),
        ("*", " x ", "\u00d7"),
        ("/", "\u00f7"),
        ("%",),
        ("$",),
        ("(",),
    )
    return [
        log1p(right),
        log1p(wrong),
        right > 0,
        wrong > 0,
        *(log1p(sum(map(text.count, sign))) for sign in signs),
        log1p(text.count("<<") + text.count("**")),
    ]


def _of_manner(text: str, *, cut_off: bool) -> list[float]:
    lowered = text.lower()
    return [
        log1p(len(_HEDGE.findall(lowered))),
        log1p(len(_STEP.findall(lowered))),
        is_refusal(text),
        log1p(len(_CORRECTION.findall(lowered))),
        not text.rstrip().endswith((".", "!", ")", "}", "]", '"', "`", "$", "*")),
        "```" in text,
        log1p(len(_LIST.findall(text))),
        text.count("{") != text.count("}"),
        log1p(text.count("\\")),
        0.0 if text.isascii() else sum(letter > "\x7f" for letter in text) / len(text),
        log1p(text.count("?")),
        cut_off,
        not text.strip(),
    ]


def _of_result(text: str, numbers: list[float], given: set[float]) -> list[float]:
    said = final_answer(text)
    result = number_of(said) if said else None
    last = numbers[-1] if numbers else 0.0
    size = last if result is None else result
    last_sum = checked_sums(text).last
    return [
        said is not None,
        result is not None,
        said is not None and len(said) == 1 and said.isalpha(),
        ord(said) - ord("A") if said is not None and len(said) == 1 and said.isalpha() else -1.0,
        size != round(size) if abs(size) < 1e12 else False,
        size < 0.0,
        log1p(abs(size)),
        size in given,
        log1p(numbers.count(size)),
        last_sum == size,
        size % 5 == 0.0,
    ]


def _clipped(text: str) -> str:
    """The head and the tail of a text too long to look at whole."""
    half = _MOST_CHARS // 2
    return text if len(text) <= _MOST_CHARS else f"{text[:half]}\n{text[-half:]}"


def _numbers(text: str) -> list[float]:
    found = [number_of(number) for number in _NUMBER.findall(text)]
    return [number for number in found if number is not None]
