"""The decision as the small mapping that an answer carries in its metadata.

Under which key of which metadata is the framework's; what stands there is the same everywhere.
"""

from collections.abc import Mapping
from typing import Any

from pickllm.types import Call

__all__ = ["KEY", "stamp_of"]

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
        stamp["took_over_from"] = call.decision.arm
    if KEY in metadata:  # the arm is a router itself
        stamp["inner"] = metadata[KEY]
    return stamp
