"""Draws: equal on every machine, even, and never of an arm that cannot be drawn."""

from collections import Counter

import pytest

from pickllm.rng import Rng, fresh_seed


def test_draws_are_the_same_everywhere() -> None:
    """The numbers of seed 7, decision 3 are these: a golden value, for replays across machines."""
    rng = Rng(seed=7, number=3)
    assert [0.06696354434012508, 0.14526876945254685] == [rng.uniform(), rng.uniform()]


def test_equal_seed_and_number_give_equal_draws() -> None:
    """Seed and number are all that a draw depends on."""
    first, second = Rng(seed=1, number=2), Rng(seed=1, number=2)
    assert [first.uniform() for _ in range(5)] == [second.uniform() for _ in range(5)]
    assert first.generator.integers(1 << 40) == second.generator.integers(1 << 40)
    assert first.generator is first.generator


def test_other_seeds_and_numbers_give_other_draws() -> None:
    """No two decisions share their draws, not even where the digits of seed and number run on."""
    draws = {Rng(seed=s, number=n).uniform() for s in range(30) for n in range(30)}
    assert 900 == len(draws)


def test_draws_are_even() -> None:
    """Over 20,000 decisions each tenth gets its tenth, within five standard deviations."""
    counts = Counter(int(Rng(seed=5, number=n).uniform() * 10) for n in range(20_000))
    assert set(range(10)) == set(counts)
    assert all(abs(count - 2000) < 5 * 1800**0.5 for count in counts.values())


def test_successive_draws_are_even_too() -> None:
    """So are the draws within one decision."""
    rng = Rng(seed=5, number=1)
    counts = Counter(int(rng.uniform() * 10) for _ in range(20_000))
    assert all(abs(count - 2000) < 5 * 1800**0.5 for count in counts.values())


@pytest.mark.parametrize("probabilities", [(0.0, 1.0, 0.0), (1.0, 0.0), (0.0, 0.0, 1.0)])
def test_what_is_impossible_is_never_drawn(probabilities: tuple[float, ...]) -> None:
    """An index with probability 0 does not come up, at either end or between."""
    drawn = {Rng(seed=9, number=n).index(probabilities) for n in range(500)}
    assert {probabilities.index(1.0)} == drawn


def test_rounding_at_the_end_does_not_fall_off() -> None:
    """Probabilities that sum to a little less than one still leave every draw an index."""
    probabilities = (0.1,) * 9 + (0.0999999,)
    assert set(range(10)) == {Rng(seed=9, number=n).index(probabilities) for n in range(500)}


@pytest.mark.parametrize("mark", [0.0, 1.0])
def test_extreme_draws_stay_possible(mark: float) -> None:
    """Not even a draw at the very edge, or rounded beyond it, gives an arm that cannot be drawn."""

    class Edge(Rng):
        def uniform(self) -> float:
            return mark

    assert Edge(seed=1, number=1).index((0.0, 0.5, 0.5, 0.0)) in {1, 2}


def test_fresh_seeds_differ() -> None:
    """Routers without a seed do not repeat each other."""
    assert fresh_seed() != fresh_seed()
