"""What a cache found for a request, and why it serves or does not."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pickllm.types import Kept

__all__ = ["Finding", "Kind"]

Kind: TypeAlias = Literal["", "exact", "same", "added", "replaced"]
"""How near a question is that was answered before: equal; reading alike; or near, with words added
or with others in their place. Empty where they ask something else, or there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """An answer that may serve, or what stood against it."""

    kept: Kept | None = field(default=None, repr=False)
    """The answer, where one may serve."""
    kind: Kind = ""
    """How near the question is that it was given to."""
    refused: str = ""
    """What refused an answer that was found: "gate", "age", "arm", "score", "acceptance", or
    "chance", which has a model asked all the same."""
    reason: str = field(default="", repr=False)
    """In a few words; it may quote one of the question's."""
    similarity: float | None = None
    """Cosine to the near question; None where none was compared."""
    key: str = ""
    """Where the answer stands, or would."""
    partition: str = ""
    """Digest of what keeps it apart from others."""
    circle: str = ""
    """Digest of whose verified pairs are counted together: a partition less its earlier turns."""

    @property
    def is_lesson(self) -> bool:
        """Whether a reader's verdict tells if the question was near enough.

        Only where the answer was known to be good for its own question: a bad one is bad for both.
        """
        near = self.kind in ("added", "replaced")
        return near and self.kept is not None and self.kept.score is not None
