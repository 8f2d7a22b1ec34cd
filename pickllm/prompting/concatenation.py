r"""Query concatenation: several short questions in one call, so that what they share is paid once.

    shared prompt            paid once instead of n times
    <digest>-1 question 1    each behind a mark that no question knows
    <digest>-2 question 2
    → an answer behind each mark → read strictly → what is missing or in doubt is asked alone

Each question gets exactly one answer, whatever the model replies. An answer counts only where its
mark stands once, in the order asked, and the reply was not cut off behind it; in JSON, where its
key stands once and holds a text. Questions that are long, or that hold a mark, are asked alone, and
so are all of a call that failed. Questions of two tenants never stand in one prompt: a question can
tell a model to change the answers beside it, and no mark can hinder that.

How many at once is a matter of the model: five were found to save four fifths of the tokens at
similar quality, thirty-two to cost a good deal of it, the more the later a question stands. So
``most`` is 5 unless you have measured; ``seed`` draws the order.

Sources: Cheng, Kasai and Yu, Batch Prompting (2023), arXiv 2301.08721; Lin et al., BatchPrompt
(2023), arXiv 2309.00384.

>>> def model(prompt):                             # answers the marks it sees
...     marks = re.findall(r"^\[(\S+)\] (\d) \+ (\d)", prompt, re.MULTILINE)
...     return "\n".join(f"[{mark}] {int(a) + int(b)}" for mark, a, b in marks) or "asked alone"
>>> done = answer_together(model, ["1 + 1", "2 + 3"], shared_prompt="Add these.")
>>> done.texts, done.calls
(['2', '5'], 1)
"""

import json
import random
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, TypeAlias

from pickllm.drive import rounds
from pickllm.errors import ConfigError
from pickllm.scoring.asking import Ask
from pickllm.types import Reply

__all__ = [
    "AnsweredTogether",
    "Concatenation",
    "OneAnswer",
    "Prompt",
    "Rounds",
    "answer_together",
    "asking_together",
]

Rounds: TypeAlias = Generator[
    "list[Prompt]", "Sequence[str | Reply | Exception]", "AnsweredTogether"
]
"""Yields prompts that may all be asked at once; wants their answers, or what went wrong."""

_AS_LINES = """\
Below are {count} questions, each behind a mark in square brackets. Answer each on its own, as if \
it had been asked alone. Write nothing but the answers, in the same order, each behind the \
mark of its question, like this:
[{digest}-N] the answer to question N"""
_AS_JSON = """\
Below are {count} questions, each behind a mark in square brackets. Answer each on its own, as if \
it had been asked alone. Write nothing but one JSON object, whose keys are the marks and whose \
values are the answers, as strings, like this:
{{"{digest}-N": "the answer to question N"}}"""
_FENCED = re.compile(r"```(?:json)?\s*\n(?P<inside>.*)\n\s*```", re.DOTALL | re.IGNORECASE)
_CUT_OFF = frozenset({"length", "max_tokens", "MAX_TOKENS"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Concatenation:
    """How questions are put together."""

    most: int = 5
    """Questions in a call, at least 1."""
    longest_chars: int = 600
    """A longer question is asked alone."""
    form: Literal["lines", "json"] = "lines"
    """How the answers are wanted."""
    seed: int | None = None
    """Draws the order of the questions; None leaves it."""

    def __post_init__(self) -> None:
        if self.most < 1 or self.longest_chars < 1:
            raise ConfigError("most and longest_chars must be at least 1")
        if self.form not in ("lines", "json"):
            raise ConfigError(f"form must be 'lines' or 'json', not {self.form!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OneAnswer:
    """One question's answer."""

    text: str | None = field(repr=False)
    """None where the model failed even when asked for this one alone."""
    reply: Reply | None = field(default=None, repr=False)
    """The call that brought it: under its message's metadata stands the decision."""
    shared_by: int = 1
    """How many questions that call was about."""
    error: Exception | None = field(default=None, repr=False)
    """Why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredTogether:
    """Answers to all questions, ``[questions]``, in their order."""

    answers: tuple[OneAnswer, ...]
    calls: int
    """How often a model was asked."""
    asked_again: int
    """Questions whose answer could not be read out of a shared one."""

    @property
    def texts(self) -> list[str]:
        """The answers; raises the error of the first that has none."""
        for answer in self.answers:
            if answer.error is not None:
                raise answer.error
        return [answer.text or "" for answer in self.answers]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a model is to be asked."""

    text: str = field(repr=False)
    tenant: str
    """Whose questions are in it."""
    places: tuple[int, ...]
    """Which of the questions."""
    marks: tuple[str, ...] = ()
    """Behind which their answers are wanted; none for one that is asked alone."""


def answer_together(
    ask: Ask,
    questions: Sequence[str],
    *,
    shared_prompt: str,
    how: Concatenation | None = None,
    tenants: Sequence[str] = (),
) -> AnsweredTogether:
    """Ask a model several questions under one prompt, one call after another.

    Args:
        ask: The model. A failure is kept in the answers that it was to bring.
        questions: Short and of one kind.
        shared_prompt: What they share: instructions, a document, examples.
        how: How many at once, and in what form.
        tenants: Whose each question is, ``[questions]``; empty where all are of one.
    """
    if not callable(ask):
        raise ConfigError(
            f"ask must be a function from a prompt to its answer; it is {type(ask).__name__}: for "
            "models see langchain_pickllm.prompting and llamaindex_pickllm.prompting"
        )
    asking = asking_together(questions, shared_prompt=shared_prompt, how=how, tenants=tenants)
    return rounds(asking, lambda prompts: [_tried(ask, each.text) for each in prompts])


def asking_together(
    questions: Sequence[str],
    *,
    shared_prompt: str,
    how: Concatenation | None = None,
    tenants: Sequence[str] = (),
) -> Rounds:
    """The same without asking anybody: yields prompts, and is sent their answers."""
    how = how or Concatenation()
    if tenants and len(tenants) != len(questions):
        raise ConfigError(f"{len(tenants)} tenants for {len(questions)} questions")
    owners = tenants or ("",) * len(questions)
    shared = _shared(questions, shared_prompt, how, owners)
    found: dict[int, OneAnswer] = {}
    calls = again = 0
    if shared:
        for prompt, answer in zip(shared, (yield shared), strict=True):
            read = _read(prompt, answer, how)
            found.update(read)
            again += len(prompt.places) - len(read)
        calls = len(shared)
    left = [
        Prompt(text=f"{shared_prompt}\n\n{question}".strip(), tenant=owner, places=(place,))
        for place, (question, owner) in enumerate(zip(questions, owners, strict=True))
        if place not in found
    ]
    if left:
        for prompt, answer in zip(left, (yield left), strict=True):
            found[prompt.places[0]] = _alone(answer)
        calls += len(left)
    answers = tuple(found[place] for place in range(len(questions)))
    return AnsweredTogether(answers=answers, calls=calls, asked_again=again)


def _shared(
    questions: Sequence[str], shared_prompt: str, how: Concatenation, tenants: Sequence[str]
) -> list[Prompt]:
    """Questions of one tenant, at most so many together; what would be alone is left out."""
    order = list(range(len(questions)))
    if how.seed is not None:
        random.Random(how.seed).shuffle(order)  # noqa: S311  # an order, no secret
    nonce = blake2b(repr((shared_prompt, questions, tenants)).encode(errors="surrogatepass"))
    digest = nonce.hexdigest()[:8]
    tenant_to_places: dict[str, list[int]] = {}
    for place in order:
        if len(questions[place]) <= how.longest_chars and digest not in questions[place]:
            tenant_to_places.setdefault(tenants[place], []).append(place)
    wanted = {"lines": _AS_LINES, "json": _AS_JSON}[how.form]
    prompts = []
    for tenant, places in tenant_to_places.items():
        for start in range(0, len(places), how.most):
            some = tuple(places[start : start + how.most])
            if len(some) > 1:
                text, marks = _worded(some, questions, shared_prompt, wanted, digest)
                prompts.append(Prompt(text=text, tenant=tenant, places=some, marks=marks))
    return prompts


def _worded(
    places: tuple[int, ...], questions: Sequence[str], shared_prompt: str, wanted: str, digest: str
) -> tuple[str, tuple[str, ...]]:
    """The text of a shared prompt, and the marks in it."""
    marks = tuple(f"{digest}-{number}" for number in range(1, len(places) + 1))
    asked = [f"[{mark}] {questions[place]}" for mark, place in zip(marks, places, strict=True)]
    told = wanted.format(count=len(places), digest=digest)
    return "\n\n".join([shared_prompt, told, "\n".join(asked)]).strip(), marks


def _read(
    prompt: Prompt, answer: str | Reply | Exception, how: Concatenation
) -> dict[int, OneAnswer]:
    """Places to answers, of those that can be read without doubt."""
    if isinstance(answer, Exception):
        return {}
    reply = Reply(text=answer) if isinstance(answer, str) else answer
    read = _of_json(reply, prompt.marks) if how.form == "json" else _of_lines(reply, prompt.marks)
    return {
        place: OneAnswer(text=read[mark], reply=reply, shared_by=len(prompt.places))
        for place, mark in zip(prompt.places, prompt.marks, strict=True)
        if read.get(mark)
    }


def _of_lines(reply: Reply, marks: Sequence[str]) -> dict[str, str]:
    """Marks to answers: those whose mark opens a line once, behind all those asked before it."""
    seek = re.compile(rf"^[ \t*>-]*\[({'|'.join(map(re.escape, marks))})\]:?", re.MULTILINE)
    found = list(seek.finditer(reply.text))
    seen = [match[1] for match in found]
    read: dict[str, str] = {}
    highest = -1
    for number, match in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(reply.text)
        rank = marks.index(match[1])
        whole = number + 1 < len(found) or reply.finish_reason not in _CUT_OFF
        if seen.count(match[1]) == 1 and rank > highest and whole:
            text = reply.text[match.end() : end].strip()
            if not any(mark in text for mark in marks):
                read[match[1]] = text
        highest = max(highest, rank)
    return read


def _of_json(reply: Reply, marks: Sequence[str]) -> dict[str, str]:
    """Marks to answers: keys that stand once in an object that can be read, and hold a text."""
    fenced = _FENCED.search(reply.text)
    try:
        pairs: list[tuple[str, object]] = json.loads(
            fenced["inside"] if fenced else reply.text, object_pairs_hook=list
        )
    except (ValueError, RecursionError):
        return {}
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return {}
    keys = [key for key, _ in pairs]
    texts = {key: _plain_text(value) for key, value in pairs if keys.count(key) == 1}
    return {mark: texts[mark] for mark in marks if mark in texts}


def _plain_text(value: object) -> str:
    """A text or a number as text; nothing for the rest."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def _alone(answer: str | Reply | Exception) -> OneAnswer:
    if isinstance(answer, Exception):
        return OneAnswer(text=None, error=answer)
    reply = Reply(text=answer) if isinstance(answer, str) else answer
    return OneAnswer(text=reply.text, reply=reply)


def _tried(ask: Callable[[str], str | Reply], prompt: str) -> str | Reply | Exception:
    try:
        return ask(prompt)
    except Exception as error:  # told in the answers; others' answers are paid for already
        return error
