"""How to choose among estimates: these in, probabilities out. One rule, one file.

epsilon_greedy.py    the best arm, and now and then any
upper_bound.py       the arm that could be the best: UCB1, LinUCB
thompson.py          each arm as often as it is likely to be the best
softmax.py           the better an arm, the likelier
square_cb.py         inverse gap weighting
bounded.py           a floor and a ceiling around any of them
ties.py              equal bests share
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily

if TYPE_CHECKING:
    from pickllm.explorers.bounded import Bounded
    from pickllm.explorers.epsilon_greedy import EpsilonGreedy
    from pickllm.explorers.softmax import Softmax
    from pickllm.explorers.square_cb import SquareCB
    from pickllm.explorers.thompson import Thompson
    from pickllm.explorers.ties import optimistic, shared_by_best
    from pickllm.explorers.upper_bound import UpperBound
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "bounded": "Bounded",
            "epsilon_greedy": "EpsilonGreedy",
            "softmax": "Softmax",
            "square_cb": "SquareCB",
            "thompson": "Thompson",
            "ties": "optimistic shared_by_best",
            "upper_bound": "UpperBound",
        },
    )

__all__ = [
    "Bounded",
    "EpsilonGreedy",
    "Softmax",
    "SquareCB",
    "Thompson",
    "UpperBound",
    "optimistic",
    "shared_by_best",
]
