"""Several adaptations, one after another, and other ones for other arms.

    Router(adaptations=Trimmed(budget_tokens=4_000))                   for every arm
    Router(adaptations=[Trimmed(...), Compressed()])                   one after another
    Router(adaptations={"small": [Rewritten(...), Selected(...)],      each arm its own,
                        "*": Trimmed(...)})                            and all others this

Whatever they do, and whoever wrote them: what they return is held against what none may do to a
conversation (`pickllm.prompting.conversation.breach`), and raised where it fails.

>>> from pickllm.prompting import Compressed, Trimmed
>>> both = adaptations_of({"small": [Trimmed(most_exchanges=2), Compressed()], "*": []})
>>> both.adaptation_of("small").name[:7], both.adaptation_of("large")
('trimmed', None)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pickllm.errors import ConfigError
from pickllm.prompting.conversation import breach
from pickllm.protocols import Adaptation
from pickllm.types import Arm, Request, Said

__all__ = ["AdaptationsLike", "Composed", "PerArm", "adaptations_of"]

_OTHERS = "*"

AdaptationsLike: TypeAlias = (
    Adaptation | Sequence[Adaptation] | Mapping[str, Adaptation | Sequence[Adaptation]]
)
"""What a user may give: one, several in order, or either for each arm, with "*" for the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """An `Adaptation`: several, each on what the one before has left."""

    parts: tuple[Adaptation, ...]

    @property
    def name(self) -> str:
        """Their names in one line."""
        return " | ".join(part.name for part in self.parts)

    @property
    def stable(self) -> bool:
        """Whether all of them do the same to every prompt."""
        return all(bool(getattr(part, "stable", False)) for part in self.parts)

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation as the last of them leaves it."""
        turns = request.turns
        for part in self.parts:
            asked = request if turns is request.turns else replace(request, turns=turns)
            turns = tuple(part.adapted(asked, arm))  # read once: it may be a generator
            if turns is not asked.turns and (wrong := breach(request.turns, turns)):
                raise ConfigError(f"{type(part).__name__} breaks a conversation: {wrong}")
        return turns


@dataclass(frozen=True, kw_only=True, slots=True)
class PerArm:
    """An `Adaptation`: for each arm its own."""

    arm_to_adaptation: Mapping[str, Adaptation]
    others: Adaptation | None = None
    """For arms that are not named; None leaves them the conversation as it is."""

    @property
    def name(self) -> str:
        """All of them in one line."""
        named = dict(self.arm_to_adaptation)
        if self.others is not None:
            named[_OTHERS] = self.others
        return "; ".join(f"{arm}: {named[arm].name}" for arm in sorted(named))

    def adaptation_of(self, arm: str) -> Adaptation | None:
        """The one for that arm; None where it reads the conversation as it is."""
        return self.arm_to_adaptation.get(arm, self.others)

    def adapted(self, request: Request, arm: Arm) -> Sequence[Said]:
        """The conversation as this arm's own adaptation leaves it."""
        adaptation = self.adaptation_of(arm.name)
        return request.turns if adaptation is None else adaptation.adapted(request, arm)


def adaptations_of(given: AdaptationsLike, *, arms: Sequence[str] | None = None) -> PerArm:
    """What ``given`` stands for, or `ConfigError`.

    Args:
        given: As `AdaptationsLike` says.
        arms: Names of the pool's arms; None is not known, and not checked.
    """
    if not isinstance(given, Mapping):
        return PerArm(arm_to_adaptation={}, others=_composed(given))
    unknown = sorted(set(given) - {_OTHERS, *(given if arms is None else arms)})
    if unknown:
        raise ConfigError(f"adaptations name no arms of the pool: {unknown}; it has {arms}")
    composed = {arm: _composed(one) for arm, one in given.items()}
    others = composed.pop(_OTHERS, None)
    named = {arm: each or Composed(parts=()) for arm, each in composed.items()}
    return PerArm(arm_to_adaptation=named, others=others)


def _composed(given: Adaptation | Sequence[Adaptation]) -> Composed | None:
    parts = tuple(given) if isinstance(given, Sequence) else (given,)
    for part in parts:
        if isinstance(part, type) or not hasattr(part, "adapted") or not hasattr(part, "name"):
            kind = part.__name__ if isinstance(part, type) else type(part).__name__
            raise ConfigError(
                f"an adaptation needs a name and a method adapted(request, arm); this is {kind}"
            )
    return Composed(parts=parts) if parts else None
