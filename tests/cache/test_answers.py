"""`AnswerCache`: what it gives again and what not, what it learns, and what it says of it."""

import copy
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pickllm import ConfigError
from pickllm.cache import Acceptance, AnswerCache, ShelfLike, shelf_of
from pickllm.cache.acceptance import BANDS, pair_name
from pickllm.cache.sqlite import SqliteShelf
from pickllm.embedding import HashingEmbedder
from pickllm.testing import kept_answer, plain_request
from pickllm.types import Kept, Request
from tests.cache.pairs import NARROWED, OPPOSITE, PARAPHRASED
from tests.unit.doubles import FakeClock

ASKED, OTHERWISE = "What's the capital of France?", "please tell me the capital of france"
NARROW, WIDE = "Why do hungry stray cats purr so loudly?", "Why do stray cats purr so loudly?"


def semantic(**settings: Any) -> AnswerCache:
    """One that verifies nothing by chance, unless told to."""
    return AnswerCache(semantic=True, **{"verified_share": 0.0, "seed": 1, **settings})


def ask(cache: AnswerCache, text: str, **said: Any) -> str | None:
    """What is recalled for a question."""
    kept = cache.recall(plain_request(text, **said))
    return None if kept is None else kept.text


def test_equal_questions_share_an_answer() -> None:
    """By default those alone, whatever composed form and blanks around them."""
    cache = AnswerCache()
    cache.keep(plain_request("Where is the café?"), kept_answer("There."))

    assert "There." == ask(cache, "  Where is the cafe\u0301?\r\n")
    assert ask(cache, "where is the café?") is None
    assert {"kept": 1, "hits exact": 1, "misses": 1} == cache.stats()


def test_questions_that_read_alike_share_an_answer() -> None:
    """Where it is semantic; and it says how it came to a hit."""
    cache = semantic()
    cache.keep(plain_request(ASKED), kept_answer("Paris."))
    request = plain_request(OTHERWISE)

    assert cache.recall(request)
    assert "same" == cache.explain(request.id).kind
    assert "reads alike" in cache.explain(request.id).reason
    assert {"kept": 1, "hits same": 1} == cache.stats()


@pytest.mark.parametrize("kind", OPPOSITE)
def test_no_answer_to_an_opposite(kind: str) -> None:
    """Whichever of the two was asked first: not one false hit, even with everything learnt open."""
    for pair in OPPOSITE[kind]:
        for first, second in (pair, pair[::-1]):
            cache = opened()
            cache.keep(plain_request(first), kept_answer("yes"))
            assert ask(cache, second) is None, (first, second)


@pytest.mark.parametrize("kind", PARAPHRASED)
def test_answers_to_what_is_put_otherwise(kind: str) -> None:
    """Whichever of the two was asked first."""
    cache = semantic()
    for number, (first, second) in enumerate(PARAPHRASED[kind]):
        cache.keep(plain_request(first, tenant=str(number)), kept_answer("yes"))
        assert "yes" == ask(cache, second, tenant=str(number)), (first, second)


def test_special_cases_have_answers_of_their_own() -> None:
    """Before anything is learnt, no question with words added is near enough."""
    for pair in NARROWED:
        for first, second in (pair, pair[::-1]):
            cache = semantic()
            cache.keep(plain_request(first), kept_answer("yes"))
            assert ask(cache, second) is None, (first, second)


def opened(shelf: ShelfLike = "memory://") -> AnswerCache:
    """As if a thousand pairs of each band had been right."""
    shelf = shelf_of(shelf, namespace="default")
    for band in BANDS:
        shelf.add("pairs/", {pair_name("added", band, right=True): 1000.0})
    return semantic(store=shelf)


def test_near_questions_share_an_answer_once_that_was_learnt() -> None:
    """Every answer to a near question, whether it would have served or not, is a lesson."""
    cache = semantic(acceptance=Acceptance(most_wrong=0.2), clock=FakeClock(1000.0))
    for number in range(60):
        tenant = f"t{number}"
        cache.keep(plain_request(WIDE, tenant=tenant), kept_answer("They are content."))
        request = plain_request(NARROW, tenant=tenant)
        if cache.recall(request):
            break
        assert "acceptance" == cache.explain(request.id).refused
        cache.keep(request, kept_answer("they are content"))

    assert "added" == cache.explain(request.id).kind
    assert 15 < number < 60
    assert number == cache.stats()["verified right"]


def test_wrong_answers_keep_near_questions_out() -> None:
    """Where a model answers otherwise, nothing opens."""
    cache = semantic(acceptance=Acceptance(most_wrong=0.2), clock=FakeClock(1000.0))
    for number in range(60):
        tenant = f"t{number}"
        cache.keep(plain_request(WIDE, tenant=tenant), kept_answer("They are content."))
        request = plain_request(NARROW, tenant=tenant)
        assert cache.recall(request) is None
        cache.keep(request, kept_answer("It is about food."))

    assert 60 == cache.stats()["verified wrong"]


def test_a_share_of_hits_is_verified() -> None:
    """They are asked of a model all the same; equal questions never are."""
    cache = semantic(verified_share=0.5)
    cache.keep(plain_request(ASKED), kept_answer())

    served = [cache.recall(plain_request(OTHERWISE)) is not None for _ in range(200)]
    equal = [cache.recall(plain_request(ASKED)) is not None for _ in range(50)]

    assert 70 < sum(served) < 130
    assert all(equal)
    assert 200 - sum(served) == cache.stats()["refused by chance"]


def test_answers_that_cannot_be_compared_teach_nothing() -> None:
    """And the cache goes on: it is no outage of the store."""

    def agrees(_: str, __: str) -> bool:
        raise RuntimeError

    cache = semantic(verified_share=1.0, agrees=agrees)
    cache.keep(plain_request(ASKED), kept_answer("Paris."))
    request = plain_request(OTHERWISE)
    assert cache.recall(request) is None
    cache.keep(request, kept_answer("Paris, in France."))

    assert "Paris, in France." == ask(cache, OTHERWISE)
    counted = {"kept": 2, "refused by chance": 1, "comparison failures": 1, "hits exact": 1}
    assert counted == cache.stats()


def test_the_same_seed_verifies_the_same() -> None:
    """So that a run can be repeated."""
    runs = []
    for _ in range(2):
        cache = semantic(verified_share=0.5)
        cache.keep(plain_request(ASKED), kept_answer())
        runs.append([cache.recall(plain_request(OTHERWISE)) is None for _ in range(50)])

    assert runs[0] == runs[1]


def test_what_reads_alike_is_shut_where_it_proves_wrong() -> None:
    """Then equal questions alone share an answer."""
    clock = FakeClock(1000.0)
    cache = semantic(verified_share=1.0, clock=clock)
    cache.keep(plain_request(ASKED), kept_answer("Paris."))
    for number in range(8):
        request = plain_request(OTHERWISE)
        assert cache.recall(request) is None
        cache.keep(request, kept_answer(f"It is {number}."))
        cache.keep(plain_request(ASKED), kept_answer("Paris."))
        clock.now_s += 60.0

    request = plain_request(OTHERWISE)
    assert cache.recall(request) is None
    assert "acceptance" == cache.explain(request.id).refused
    assert "Paris." == ask(cache, ASKED)


def test_feedback_on_a_near_hit_is_a_pair() -> None:
    """A thumb says whether the answer was right for this question, too."""
    cache = opened()
    cache.keep(plain_request(WIDE), kept_answer())
    liked, disliked = plain_request(NARROW), plain_request(NARROW)
    assert cache.recall(liked)
    cache.judged(liked.id, 1.0)
    assert cache.recall(disliked)
    cache.judged(disliked.id, 0.2)

    assert (1, 1) == (cache.stats()["verified right"], cache.stats()["verified wrong"])
    assert ask(cache, WIDE) is None


def test_a_decision_makes_one_pair() -> None:
    """However often it is judged; the last verdict is the one that counts."""
    cache = opened()
    cache.keep(plain_request(WIDE), kept_answer())
    request = plain_request(NARROW)
    assert cache.recall(request)
    for value in (1.0, 1.0, 0.9):
        cache.judged(request.id, value)
    assert 1 == cache.stats()["verified right"]

    for value in (0.1, 0.0):
        cache.judged(request.id, value)
    assert (0, 1) == (cache.stats()["verified right"], cache.stats()["verified wrong"])


def test_feedback_on_an_unscored_answer_is_no_pair() -> None:
    """It may have been bad for its own question already; it goes, and nothing is learnt."""
    cache = opened()
    cache.keep(plain_request(WIDE), kept_answer(score=None))
    disliked = plain_request(NARROW)
    assert cache.recall(disliked)
    cache.judged(disliked.id, 0.0)

    assert "verified wrong" not in cache.stats()
    assert ask(cache, WIDE) is None


def test_answers_grow_old() -> None:
    """Counted from when they were given, by the cache's own clock."""
    clock = FakeClock(1000.0)
    cache = AnswerCache(ttl_s=60.0, clock=clock)
    cache.keep(plain_request(), kept_answer(time_s=990.0))

    clock.now_s = 1049.0
    assert ask(cache, plain_request().text)
    clock.now_s = 1050.0
    assert ask(cache, plain_request().text) is None
    assert 1 == cache.stats()["refused by age"]
    forever = AnswerCache(ttl_s=None, clock=clock)
    forever.keep(plain_request(), kept_answer(time_s=1.0))
    assert ask(forever, plain_request().text)


def test_a_shorter_life_counts_for_old_answers_too(tmp_path: Path) -> None:
    """What a cache with a longer one has kept is not given."""
    address, clock = f"sqlite:///{tmp_path / 'a.db'}", FakeClock(1000.0)
    AnswerCache(store=address, ttl_s=None, clock=clock).keep(plain_request(), kept_answer())
    clock.now_s += 120.0

    assert ask(AnswerCache(store=address, ttl_s=60.0, clock=clock), plain_request().text) is None


def test_scores_have_a_floor() -> None:
    """0.5 unless stated; where it is stated, an answer without a score will not do."""
    for settings, served in (
        ({}, [False, True, True, True]),
        ({"min_score": 0.8}, [False, False, True, False]),
        ({"min_score": 0.8, "unscored": True}, [False, False, True, True]),
        ({"unscored": False}, [False, True, True, False]),
    ):
        found = []
        for score in (0.4, 0.6, 0.9, None):
            cache = AnswerCache(**settings)
            cache.keep(plain_request(), kept_answer(score=score))
            found.append(ask(cache, plain_request().text) is not None)
        assert served == found


def test_a_floor_counts_for_what_others_kept(tmp_path: Path) -> None:
    """A cache with higher standards does not give what one with lower ones has kept."""
    address = f"sqlite:///{tmp_path / 'a.db'}"
    AnswerCache(store=address).keep(plain_request(), kept_answer(score=0.6))
    strict = AnswerCache(store=address, min_score=0.8)

    assert ask(strict, plain_request().text) is None
    assert {"refused by score": 1} == strict.stats()


def test_an_arm_is_forgotten() -> None:
    """All of its answers go, and no other's."""
    cache = AnswerCache()
    for number, arm in enumerate(("small", "large", "small")):
        cache.keep(plain_request(f"What is {number}?"), kept_answer(arm=arm))

    cache.forget("small")

    assert [None, "Paris.", None] == [ask(cache, f"What is {number}?") for number in range(3)]
    assert 2 == cache.stats()["evicted"]
    cache.clear()
    assert 0 == cache.size()


def test_what_was_used_last_stays() -> None:
    """Beyond the bound the least recently used go."""
    clock = FakeClock(1.0)
    cache = AnswerCache(max_entries=3, clock=clock)
    for number in range(3):
        clock.now_s += 1.0
        cache.keep(plain_request(str(number)), kept_answer())
    clock.now_s += 1.0
    assert ask(cache, "0")
    clock.now_s += 1.0
    cache.keep(plain_request("3"), kept_answer())

    assert ["0", "2", "3"] == [text for text in "0123" if ask(cache, text)]


def test_another_context_is_another_world() -> None:
    """A new version of a corpus, or another namespace, sees none of the old answers."""
    shelf = SqliteShelf(":memory:")
    for settings in ({"context": "corpus 1"}, {"context": "corpus 2"}, {"secret": "s"}):
        cache = AnswerCache(store=shelf, **settings)  # type: ignore[arg-type]  # each its own type
        assert ask(cache, ASKED) is None
        cache.keep(plain_request(ASKED), kept_answer())
        assert ask(cache, ASKED)


def test_workers_share_a_store(tmp_path: Path) -> None:
    """What one keeps another gives, near ones too; what one lets go is gone for all."""
    address = f"sqlite:///{tmp_path / 'a.db'}"
    one, other = opened(address), semantic(store=address)
    one.keep(plain_request(WIDE), kept_answer(decision_id="d"))

    assert "Paris." == ask(other, WIDE)
    assert "Paris." == ask(other, NARROW)
    one.judged("d", 0.0)
    assert [None, None] == [ask(other, WIDE), ask(other, NARROW)]


class Failing:
    """A shelf whose server is away."""

    asked = 0

    def get(self, key: str, *, now_s: float) -> bytes | None:
        self.asked += 1
        raise ConnectionError("the secret prompt was 42")

    put = since = get

    def drop(self, **_: str) -> int:
        self.asked += 1
        raise ConnectionError("the secret prompt was 42")


def test_a_store_that_fails_is_a_miss(caplog: pytest.LogCaptureFixture) -> None:
    """Counted, logged without a prompt, and left alone for a while."""
    shelf, clock = Failing(), FakeClock(100.0)
    cache = AnswerCache(store=shelf, clock=clock)  # type: ignore[arg-type]  # enough of one

    with caplog.at_level(logging.WARNING):
        assert ask(cache, ASKED) is None
        cache.keep(plain_request(), kept_answer())
        cache.judged("d", 0.0)

    assert 1 == shelf.asked
    assert {"errors": 1, "misses": 1, "left alone": 2} == cache.stats()
    assert "ConnectionError" in caplog.text
    assert "42" not in caplog.text
    clock.now_s += 6.0
    ask(cache, ASKED)
    assert 2 == shelf.asked


@pytest.mark.parametrize("given", [None, np.full(8, np.nan), np.ones(7), "a vector"])
def test_an_embedder_that_fails_leaves_equal_questions(given: object) -> None:
    """Nothing near is found, no more; and what it gives may be no vector of its length."""

    class Broken(HashingEmbedder):
        def features(self, text: str) -> Any:
            if given is None:
                raise RuntimeError
            return given

    cache = AnswerCache(semantic=Broken(size=8))
    cache.keep(plain_request(), kept_answer())

    assert "Paris." == ask(cache, plain_request().text)
    assert ask(cache, WIDE) is None
    assert 1 == cache.stats()["embedder failures"]
    assert "errors" not in cache.stats()


def test_a_verdict_outlasts_an_outage() -> None:
    """What is disliked while the store is away is let go of before anything is given again."""

    class Away(SqliteShelf):
        away = False

        def drop(self, *, key: str = "", decision_id: str = "", arm: str = "") -> int:
            if self.away:
                raise ConnectionError
            return super().drop(key=key, decision_id=decision_id, arm=arm)

    shelf, clock = Away(":memory:"), FakeClock(100.0)
    cache = AnswerCache(store=shelf, clock=clock)
    cache.keep(plain_request(ASKED), kept_answer(decision_id="d"))
    shelf.away = True
    cache.judged("d", 0.0)
    for _ in range(2):
        assert ask(cache, ASKED) is None
        clock.now_s += 6.0

    shelf.away = False
    clock.now_s += 6.0
    assert ask(cache, ASKED) is None
    assert 1 == cache.stats()["evicted"]
    assert 0 == cache.size()


def test_threads_may_share_it() -> None:
    """No answer is lost, and none is another tenant's."""
    cache = semantic()

    def work(number: int) -> list[str | None]:
        tenant = str(number % 8)
        cache.keep(plain_request(ASKED, tenant=tenant), kept_answer(f"for {tenant}"))
        cache.keep(plain_request(f"What is {number}?", tenant=tenant), kept_answer())
        return [ask(cache, OTHERWISE, tenant=tenant), ask(cache, WIDE, tenant=tenant)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(work, range(200)))

    assert [[f"for {number % 8}", None] for number in range(200)] == found
    assert 208 == cache.size()
    assert "errors" not in cache.stats()


def test_verdicts_come_from_many_threads() -> None:
    """Each is heard, and none stands in another's way."""
    cache = AnswerCache()
    for number in range(400):
        cache.keep(plain_request(str(number)), kept_answer(decision_id=str(number)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: cache.judged(str(number % 400), 0.0), range(800)))

    assert 0 == cache.size()
    assert {"kept": 400, "evicted": 400} == cache.stats()


def test_copies_share_their_answers() -> None:
    """A copy of a router gives what the first one has kept."""
    cache = AnswerCache()

    assert cache is copy.deepcopy(cache)


def test_what_is_shown_of_it_tells_nothing() -> None:
    """Neither an address nor a secret."""
    cache = AnswerCache(store="redis://:hunter2@cache", secret="hunter3", semantic=True)

    assert "AnswerCache(semantic by hashing(size=256), namespace='default')" == repr(cache)


def test_a_request_that_was_never_seen_is_explained_so() -> None:
    """Without an error."""
    assert "not seen" in AnswerCache().explain("nothing").reason


@pytest.mark.parametrize(
    "settings",
    [
        {"ttl_s": 0.0},
        {"max_entries": 0},
        {"max_chars": 0},
        {"min_score": 1.1},
        {"evict_below": -0.1},
        {"verified_share": 2.0},
        {"semantic": HashingEmbedder},
        {"semantic": "minilm"},
        {"store": "http://cache"},
        {"secret": ""},
        {"secret": b""},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    """When it is built."""
    with pytest.raises(ConfigError):
        AnswerCache(**settings)


def test_looking_leaves_no_trace() -> None:
    """`look` says what would serve; nothing is counted."""
    cache = semantic()
    cache.keep(plain_request(), kept_answer())

    assert isinstance(cache.look(plain_request()).kept, Kept)
    assert {"kept": 1} == cache.stats()


def test_a_request_without_turns_is_its_text() -> None:
    """A caller of the core may give a text alone."""
    cache = AnswerCache()
    asked = Request(text="2 + 2 =", call_digest="x")
    cache.keep(asked, kept_answer("4"))

    found = cache.recall(replace(asked, id="another"))
    assert found
    assert "4" == found.text
