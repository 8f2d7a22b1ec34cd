"""The decision as the small mapping that an answer carries in its metadata.

Under which key of which metadata is the framework's; what stands there is the same everywhere.
"""

from collections.abc import Mapping
from typing import Any

from pickllm.steps import Call
from pickllm.types import Decision

__all__ = ["KEY", "recital_stamp", "stamp_of"]

KEY = "pickllm"
"""Where an answer's metadata holds the decision."""


def stamp_of(call: Call, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Which arm gave an answer and by which decision; ``metadata`` is what the arm's own says."""
    stamp = {
        "decision_id": call.decision.id,
        "arm": call.arm,
        "propensity": call.decision.propensity,
        "policy": call.decision.policy,
    }
    if call.arm != call.decision.arm:
        by = "took_over_from" if call.hold_back_chars is None else "asked_after"
        stamp[by] = call.decision.arm
    if KEY in metadata:  # the arm is a router itself
        stamp["inner"] = metadata[KEY]
    return stamp


def recital_stamp(decision: Decision) -> dict[str, Any]:
    """The same for an answer that was given before: whose it was, and by which decision."""
    return {
        "decision_id": decision.id,
        "arm": decision.arm,
        "propensity": decision.propensity,
        "policy": decision.policy,
        "recites": decision.held.recites if decision.held else "",
    }
