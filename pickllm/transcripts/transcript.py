"""One answered request in words, and as bytes: versioned JSON, never pickle.

>>> from pickllm.types import Said
>>> asked = (Said(role="user", text="2 + 2 ="),)
>>> said = Transcript(decision_id="d1", turns=asked, answer="4", arm="large", time_s=99.0)
>>> decode(encode(said)) == said
True
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean

from pickllm.errors import StateConflict
from pickllm.plain import from_plain, to_plain
from pickllm.transcripts.redaction import Redact
from pickllm.types import Routed, Said

__all__ = ["Transcript", "decode", "encode", "redacted", "transcript_of"]

_FORMAT = 1
_MARK = "pickllm_transcript"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """One answered request, in words."""

    decision_id: str
    turns: tuple[Said, ...] = field(repr=False)
    """The conversation that was answered."""
    answer: str = field(repr=False)
    arm: str
    """Who answered."""
    time_s: float
    """When it was decided, in seconds since the epoch."""
    tenant: str = ""
    session: str = ""
    finish_reason: str | None = None
    source_to_score: Mapping[str, float] = field(default_factory=dict)
    """What each source says of the answer, in [0, 1]."""

    def score(self, sources: Collection[str] = ()) -> float | None:
        """Mean of what these sources say, all by default; None where none of them has spoken."""
        said = [
            value
            for source, value in self.source_to_score.items()
            if source in sources or not sources
        ]
        return fmean(said) if said else None


def transcript_of(
    routed: Routed, source_to_score: Mapping[str, float] | None = None
) -> Transcript | None:
    """What came of a request, in words; None where nobody could learn from it.

    That is an answer of a cache, one cut short, a call of tools, an empty one, and whatever is more
    than text on either side: images, tools that might have been called, a shape that was asked for.
    """
    reply, decision = routed.reply, routed.decision
    turns = routed.request.turns or (Said(role="user", text=routed.request.text),)
    textual = reply.plain and not reply.calls_tools and all(turn.plain for turn in turns)
    if not (textual and reply.called and not reply.partial and reply.text.strip()):
        return None
    if routed.request.needs:
        return None
    scores = {} if routed.score is None else {"scorer": routed.score}
    return Transcript(
        decision_id=decision.id,
        turns=tuple(replace(turn, at=None) for turn in turns),
        answer=reply.text,
        arm=reply.arm or decision.arm,
        time_s=decision.time_s,
        tenant=decision.tenant,
        session=decision.session,
        finish_reason=reply.finish_reason,
        source_to_score={**scores, **(source_to_score or {})},
    )


def redacted(transcript: Transcript, redact: Redact) -> Transcript:
    """The same with every text put through ``redact``."""
    turns = tuple(replace(turn, text=redact(turn.text)) for turn in transcript.turns)
    return replace(transcript, turns=turns, answer=redact(transcript.answer))


def encode(transcript: Transcript) -> bytes:
    """As one line of JSON; `ValueError` or `TypeError` where it has none."""
    return json.dumps({_MARK: _FORMAT, **to_plain(transcript)}, allow_nan=False).encode()


def decode(value: bytes) -> Transcript:
    """The transcript, or `StateConflict` where these bytes are none of this format."""
    try:
        document = json.loads(value)
        if document[_MARK] != _FORMAT:
            raise StateConflict(f"a transcript of another format than {_FORMAT}")
        return from_plain(Transcript, document)
    except (ValueError, TypeError, KeyError) as error:
        raise StateConflict("these bytes are no transcript of PickLLM") from error
