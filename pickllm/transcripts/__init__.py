"""Prompts and answers, kept where you ask for it: for audits, and to teach a smaller model.

    router = Router(…, transcripts=Transcripts("sqlite:///kept.db", tenants={"acme"},
                                               redact=redact_pii))
    router.transcripts.forget_tenant("acme")

Of what a router writes as it goes, only these and the answers of a cache (`AnswerCache(store=…)`)
hold what was said.

transcript.py   what is kept: one answered request, in words, and its bytes
keeping.py      whose, how long, and how many
deleting.py     where it stands in a store, and how it is taken out for good
redaction.py    what is taken out of a text before it is kept
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily

if TYPE_CHECKING:
    from pickllm.transcripts.keeping import Transcripts
    from pickllm.transcripts.redaction import Redact, redact_pii
    from pickllm.transcripts.transcript import Transcript
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "keeping": "Transcripts",
            "redaction": "Redact redact_pii",
            "transcript": "Transcript",
        },
    )

__all__ = ["Redact", "Transcript", "Transcripts", "redact_pii"]
