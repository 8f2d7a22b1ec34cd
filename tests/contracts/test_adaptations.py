"""The contract of adaptations, held by each of ours."""

import pytest

from pickllm.prompting import (
    Compressed,
    Example,
    Extractive,
    Gated,
    PrefixDiscount,
    Rewriting,
    Rewritten,
    Selected,
    Trimmed,
    adaptations_of,
)
from pickllm.protocols import Adaptation
from pickllm.testing import check_adaptation

SUMS = [Example(question=f"{n} + {n} =", answer=str(2 * n)) for n in range(20)]
SHORTER = Rewriting(
    original="Be brief.",
    text="Brief!",
    arm="small",
    author="large",
    rows=100,
    score_before=0.5,
    score_after=0.9,
    change_low=0.3,
    confidence=0.95,
    least_change=0.0,
)
FREE = {"small": PrefixDiscount()}

ADAPTATIONS: dict[str, Adaptation] = {
    "trimmed to a length": Trimmed(budget_tokens=300),
    "trimmed to turns": Trimmed(most_exchanges=2, step_exchanges=2, keep_first=1),
    "selected": Selected(examples=SUMS, budget_tokens=60),
    "selected among marked": Selected(marked="Example:", most=2),
    "compressed": Compressed(least_tokens=50),
    "compressed on all sides": Compressed(
        compressor=Extractive(rate=0.1), roles=("user", "assistant"), least_tokens=1
    ),
    "rewritten": Rewritten(rewriting=SHORTER),
    "gated": Gated(adaptation=Compressed(least_tokens=50), proofs=None, discounts=FREE),
    "one after another": adaptations_of(
        [Rewritten(rewriting=SHORTER), Trimmed(budget_tokens=900), Selected(examples=SUMS)]
    ),
    "for each arm": adaptations_of({"small": Compressed(), "*": Trimmed(most_exchanges=1)}),
}


@pytest.mark.parametrize("adaptation", ADAPTATIONS.values(), ids=ADAPTATIONS)
def test_an_adaptation_keeps_its_promises(adaptation: Adaptation) -> None:
    """Nothing is torn apart, changed or dropped that must stay, on any kind of conversation."""
    check_adaptation(adaptation)
