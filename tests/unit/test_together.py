"""What several threads bring at once is done in one go."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pickllm.booking.together import Together


class Slow:
    """Doubles numbers; the first go waits until it is let on."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []
        self.began, self.let_on = threading.Event(), threading.Event()

    def __call__(self, numbers: list[int]) -> list[int]:
        self.goes.append(numbers)
        if len(self.goes) == 1:
            self.began.set()
            assert self.let_on.wait(10.0)
        if any(number < 0 for number in numbers):
            raise ValueError("below zero")
        return [2 * number for number in numbers]


def line_up(slow: Slow, numbers: list[int], most: int) -> list[int | type[Exception]]:
    """0 goes first, and meanwhile all the others come; what each of them gets."""
    double = Together(slow, most=most)

    def call(number: int) -> int | type[Exception]:
        try:
            return double(number)
        except ValueError as error:
            return type(error)

    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        first = pool.submit(call, 0)
        assert slow.began.wait(10.0)
        others = [pool.submit(call, number) for number in numbers]
        while len(double._line) <= len(numbers):  # until all of them wait
            pass
        slow.let_on.set()
        assert 0 == first.result()
        return [other.result() for other in others]


def test_those_who_wait_go_together() -> None:
    """Each gets its own result."""
    slow = Slow()

    assert [2, 4, 6, 8] == line_up(slow, [1, 2, 3, 4], most=10)
    assert [[0], [1, 2, 3, 4]] == [slow.goes[0], sorted(slow.goes[1])]


def test_no_more_go_at_once_than_allowed() -> None:
    """The rest goes next."""
    slow = Slow()

    assert [2, 4, 6, 8, 10] == line_up(slow, [1, 2, 3, 4, 5], most=2)
    assert [1, 2, 2, 1] == [len(go) for go in slow.goes]


def test_an_error_reaches_all_whom_it_was_for() -> None:
    """And nobody after them."""
    slow = Slow()

    assert [ValueError, ValueError] == line_up(slow, [1, -1], most=10)
    assert 14 == Together(slow, most=10)(7)


def test_an_interrupt_leaves_the_others_in_the_line() -> None:
    """Whoever comes next does it."""
    goes: list[list[int]] = []

    def double(numbers: list[int]) -> list[int]:
        goes.append(numbers)
        if len(goes) == 1:
            raise KeyboardInterrupt
        return [2 * number for number in numbers]

    together = Together(double, most=10)
    with pytest.raises(KeyboardInterrupt):
        together(1)

    assert 4 == together(2)
    assert [[1], [1, 2]] == goes
