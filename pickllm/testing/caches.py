"""What every cache of answers must do; ``check_cache(lambda: MyCache())`` runs yours through it."""

import time
from collections.abc import Callable
from dataclasses import replace

from pickllm.protocols import Cache
from pickllm.types import Hold, Kept, Request, Said

__all__ = ["check_cache", "kept_answer", "plain_request"]

_UNFIT = ("length", "max_tokens", "content_filter", "safety", "tool_calls", "tool_use")


def plain_request(
    text: str = "What is the capital of France?",
    *,
    tenant: str = "",
    system: str = "Be brief.",
    earlier: tuple[Said, ...] = (),
    call_digest: str = "temperature=0",
    only: tuple[str, ...] | None = None,
) -> Request:
    """A request as adapters make it: a system message, what was said, and a question."""
    turns = (Said(role="system", text=system), *earlier, Said(role="user", text=text))
    return Request(text=text, turns=turns, tenant=tenant, call_digest=call_digest, only=only)


def kept_answer(
    text: str = "Paris.",
    *,
    arm: str = "small",
    decision_id: str = "",
    finish_reason: str | None = "stop",
    score: float | None = 0.9,
    time_s: float = 0.0,
) -> Kept:
    """An answer that is fit to be given again, unless told otherwise."""
    return Kept(
        text=text,
        arm=arm,
        decision_id=decision_id or Request(text="").id,
        policy="test",
        finish_reason=finish_reason,
        score=score,
        time_s=time_s,
    )


def check_cache(make_cache: Callable[[], Cache]) -> None:
    """Every promise of `pickllm.protocols.Cache`, on caches that ``make_cache`` opens empty."""
    _check_an_answer_comes_back(make_cache())
    _check_walls_hold(make_cache())
    _check_what_hangs_on_more_than_text_is_left_alone(make_cache())
    _check_unfit_answers_are_not_kept(make_cache())
    _check_who_may_answer_counts(make_cache())
    _check_verdicts_are_heard(make_cache())


def _check_an_answer_comes_back(cache: Cache) -> None:
    assert cache.recall(plain_request()) is None, "nothing is recalled before something is kept"
    kept = kept_answer(time_s=time.time())
    cache.keep(plain_request(), kept)
    found = cache.recall(plain_request())
    assert found == kept, "what is recalled is what was kept, to the last field"
    other = plain_request("What is the capital of Germany?")
    assert cache.recall(other) is None, "another question has another answer"
    cache.keep(plain_request(), replace(kept, text="Paris, still."))
    found = cache.recall(plain_request())
    assert found is not None, "an answer may be kept anew"
    assert found.text == "Paris, still.", "and the newest counts"


def _check_walls_hold(cache: Cache) -> None:
    said = (Said(role="user", text="Hello"), Said(role="assistant", text="Hi."))
    cache.keep(plain_request(tenant="ab", call_digest="c", earlier=said), kept_answer())
    turned = (Said(role="assistant", text="Hello"), Said(role="user", text="Hi."))
    joined = (Said(role="user", text="HelloHi."),)
    for request, wall in (
        (plain_request(tenant="b", call_digest="c", earlier=said), "another tenant"),
        (plain_request(tenant="a", call_digest="bc", earlier=said), "parts strung together"),
        (plain_request(tenant="", call_digest="abc", earlier=said), "parts strung together"),
        (plain_request(tenant="ab", call_digest="d", earlier=said), "other tools or sampling"),
        (plain_request(tenant="ab", call_digest="c"), "another conversation"),
        (plain_request(tenant="ab", call_digest="c", earlier=said[:1]), "a shorter conversation"),
        (plain_request(tenant="ab", call_digest="c", earlier=turned), "other speakers"),
        (plain_request(tenant="ab", call_digest="c", earlier=joined), "turns strung together"),
        (plain_request(tenant="ab", call_digest="c", earlier=said, system="Rhyme."), "a system"),
    ):
        assert cache.recall(request) is None, f"kept apart: {wall}"
    same = plain_request(tenant="ab", call_digest="c", earlier=said)
    assert cache.recall(same) is not None, "and the same is the same"


def _check_what_hangs_on_more_than_text_is_left_alone(cache: Cache) -> None:
    picture = Said(role="user", text="What is this?", plain=False)
    result = Said(role="tool", text="It rains.")
    asked = plain_request()
    for request, what in (
        (replace(asked, call_digest=""), "a caller who does not say what shapes answers"),
        (replace(asked, turns=(picture,)), "a turn with a picture"),
        (replace(asked, turns=(picture, *asked.turns)), "a picture earlier on"),
        (replace(asked, turns=(*asked.turns, result)), "the result of a tool"),
        (
            replace(asked, turns=(*asked.turns, Said(role="assistant", text="It"))),
            "a prefilled turn",
        ),
        (replace(asked, needs=frozenset({"tools"})), "a request that offers tools"),
        (plain_request("  \n "), "an empty question"),
    ):
        cache.keep(request, kept_answer())
        assert cache.recall(request) is None, f"left alone: {what}"


def _check_unfit_answers_are_not_kept(cache: Cache) -> None:
    unfit = [kept_answer(finish_reason=reason) for reason in _UNFIT]
    for kept in (*unfit, kept_answer(""), kept_answer(" \n"), kept_answer(score=0.0)):
        cache.keep(plain_request(), kept)
        assert cache.recall(plain_request()) is None, "not kept: cut off, withheld, empty or bad"


def _check_who_may_answer_counts(cache: Cache) -> None:
    cache.keep(plain_request(), kept_answer(arm="small"))
    assert cache.recall(plain_request(only=("large",))) is None, "another arm was asked for"
    assert cache.recall(plain_request(only=("large", "small"))) is not None, "its own is allowed"
    held = replace(plain_request(), hold=Hold(arm="large", reason="tool loop"))
    assert cache.recall(held) is None, "a request stays with its arm"


def _check_verdicts_are_heard(cache: Cache) -> None:
    cache.judged("never seen", 0.0)
    cache.keep(plain_request(), kept_answer(decision_id="first"))
    cache.judged("first", 1.0)
    assert cache.recall(plain_request()) is not None, "praise lets nothing go"
    cache.judged("first", 0.0)
    assert cache.recall(plain_request()) is None, "a bad answer goes, by the decision it came from"
    cache.keep(plain_request(), kept_answer(decision_id="second"))
    served = plain_request()
    assert cache.recall(served) is not None, "a better one may come in its place"
    cache.judged(served.id, 0.0)
    assert cache.recall(plain_request()) is None, "or by the request that it was recalled for"
