"""What keeps answers apart, whatever is deemed similar: the hard walls inside a cache.

    partition = H( namespace, context, embedder, tenant, call digest, system and earlier turns )
    key       = H( partition, last user turn )

Who asks is the partition, what is asked is the similarity: nothing of the former is ever compared
by likeness. Each part is written with its length before it, so no two lists of parts read the same
when strung together; with a secret, the digests can not be guessed from a prompt either.

>>> from pickllm.types import Request, Said
>>> asked = (Said(role="system", text="Be brief."), Said(role="user", text="2 + 2 ="))
>>> mine = Request(text="2 + 2 =", tenant="me", turns=asked, call_digest="t=0")
>>> yours = Request(text="2 + 2 =", tenant="you", turns=asked, call_digest="t=0")
>>> digest("ab", "c") == digest("a", "bc"), partition_of(mine) == partition_of(yours)
(False, False)
"""

import hmac
from collections.abc import Iterator, Sequence
from hashlib import sha256

from pickllm.cache.exact import settled
from pickllm.types import Request, Said

__all__ = ["circle_of", "digest", "key_of", "partition_of", "question_of"]


def digest(*parts: str, secret: bytes = b"") -> str:
    """SHA-256 of a list of texts, 64 hexadecimal digits; an HMAC where there is a secret."""
    hashed = hmac.new(secret, digestmod=sha256) if secret else sha256()
    hashed.update(len(parts).to_bytes(8, "big"))
    for part in parts:
        data = part.encode(errors="surrogatepass")
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.hexdigest()


def question_of(request: Request) -> str | None:
    """The last user turn, settled; None where its answer hangs on what no cache can compare.

    That is: a caller who does not say what else shapes answers, or whose call has effects; tools,
    images and whatever else is more than text; and where the last word is not the user's.
    """
    turns = request.turns or (Said(role="user", text=request.text),)
    by_more = request.once or request.needs - {"structured_output"}
    if not request.call_digest or by_more or turns[-1].role != "user":
        return None
    if not all(turn.plain and turn.role != "tool" for turn in turns):
        return None
    return settled(turns[-1].text) or None


def partition_of(request: Request, *walls: str, secret: bytes = b"") -> str:
    """Digest of all that two requests must share before their questions are compared.

    ``walls`` are those of the cache itself: its namespace, its context, its embedder.
    """
    return digest("partition", *walls, *_of(request), *_said(request.turns[:-1]), secret=secret)


def circle_of(request: Request, *walls: str, secret: bytes = b"") -> str:
    """The same without what was said before: whose requests these are, and of what sort."""
    system = tuple(turn for turn in request.turns[:-1] if turn.role == "system")
    return digest("circle", *walls, *_of(request), *_said(system), secret=secret)


def key_of(partition: str, *question: str, secret: bytes = b"") -> str:
    """Where the answer to a question stands; a question is one text, or the words that it reads."""
    return digest("key", partition, *question, secret=secret)


def _of(request: Request) -> tuple[str, ...]:
    return request.tenant, request.call_digest


def _said(turns: Sequence[Said]) -> Iterator[str]:
    """All turns, each with its role."""
    for turn in turns:
        yield turn.role
        yield settled(turn.text)
