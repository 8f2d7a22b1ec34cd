"""A port whose arms follow a script, and builders for the values that policies see."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pickllm.steps import Call
from pickllm.types import (
    NO_FEATURES,
    Arm,
    Decision,
    Experience,
    Kept,
    Piece,
    Reply,
    Request,
    Situation,
    Usage,
    Vector,
)

__all__ = ["Script", "ScriptedPort", "decision", "experience", "situation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What an arm does when it is asked."""

    pieces: tuple[str, ...] = ("yes",)
    """Its answer; a stream gives it piece by piece, and an empty piece is an invisible one."""
    error: Exception | None = None
    """Raised after ``error_after`` pieces."""
    error_after: int = 0
    wait_s: float = 0.0
    """Real seconds before the first piece."""
    usage: Usage | None = None


class ScriptedPort:
    """A port for tests: no framework, no model. ``asked`` lists the arms called, in order."""

    def __init__(self, arm_to_script: Mapping[str, Script]) -> None:
        self.arm_to_script = arm_to_script
        self.asked: list[str] = []
        self.closed: list[str] = []
        """Arms whose stream was closed or ran to its end."""
        self.released: list[str] = []
        """What was shown of each answer that had been held back when it was released."""

    def call(self, call: Call) -> Reply:
        """The whole script."""
        return self.join(call, list(self.stream(call)))

    async def acall(self, call: Call) -> Reply:
        """The whole script."""
        return self.join(call, [piece async for piece in self.astream(call)])

    def stream(self, call: Call) -> Iterator[Piece]:
        """The script, piece by piece."""
        script = self._begin(call)
        time.sleep(script.wait_s)
        yield from self._play(call.arm, script)

    async def astream(self, call: Call) -> AsyncIterator[Piece]:
        """The script, piece by piece."""
        script = self._begin(call)
        await asyncio.sleep(script.wait_s)
        for piece in self._play(call.arm, script):
            yield piece

    def join(self, call: Call, pieces: Sequence[Piece]) -> Reply:
        """Pieces are strings and add up."""
        text = "".join(piece.payload for piece in pieces)
        return Reply(text=text, message=text, usage=self.arm_to_script[call.arm].usage)

    def release(self, decision: Decision, reply: Reply) -> None:  # the protocol's
        """Note what is shown."""
        self.released.append(reply.text)

    async def arelease(self, decision: Decision, reply: Reply) -> None:
        """The same."""
        self.release(decision, reply)

    def recited(self, decision: Decision, kept: Kept) -> Reply:  # the protocol's
        """The text that was kept."""
        return Reply(text=kept.text, message=kept.text, usage=kept.usage, called=False)

    def recited_pieces(
        self,
        decision: Decision,  # the protocol's
        kept: Kept,
    ) -> Iterator[Piece]:
        """The text that was kept, in one piece."""
        yield Piece(payload=kept.text, visible=bool(kept.text), chars=len(kept.text))

    def _begin(self, call: Call) -> Script:
        self.asked.append(call.arm)
        return self.arm_to_script[call.arm]

    def _play(self, arm: str, script: Script) -> Iterator[Piece]:
        try:
            for index, text in enumerate(script.pieces):
                if script.error is not None and index == script.error_after:
                    raise script.error
                yield Piece(payload=text, visible=bool(text), chars=len(text))
            if script.error is not None and script.error_after >= len(script.pieces):
                raise script.error
        finally:
            self.closed.append(arm)


def situation(
    *arms: str, text: str = "2 + 2 =", features: Vector = NO_FEATURES, time_s: float = 0.0
) -> Situation:
    """A request that these arms may answer; of no arm is anything known but its name."""
    return Situation(
        arms=arms,
        request=Request(text=text),
        features=features,
        cards=tuple(Arm(name=arm) for arm in arms),
        time_s=time_s,
    )


def decision(
    arm: str = "a",
    *,
    arms: Sequence[str] = (),
    id: str = "",  # noqa: A002  # as in Decision
    features: Vector = NO_FEATURES,
    time_s: float = 0.0,
) -> Decision:
    """A decision for ``arm``, uniform over ``arms``."""
    eligible = tuple(arms) or (arm,)
    return Decision(
        id=id or Request(text="").id,
        time_s=time_s,
        arm=arm,
        propensity=1.0 / len(eligible),
        arms=eligible,
        probabilities=(1.0 / len(eligible),) * len(eligible),
        policy="test",
        features=features,
    )


def experience(
    arm: str,
    *,
    reward: float,
    arms: Sequence[str] = (),
    cost_usd: float | None = 0.001,
    latency_s: float = 0.5,
    features: Vector = NO_FEATURES,
    time_s: float = 0.0,
) -> Experience:
    """An arm earned a reward, where ``arms`` were eligible."""
    return Experience(
        decision=decision(arm, arms=arms, features=features, time_s=time_s),
        arm=arm,
        reward=reward,
        score=reward,
        cost_usd=cost_usd,
        latency_s=latency_s,
    )
