"""Log-probabilities of an answer's tokens, as LangChain's messages carry them.

    scorer = LogProbabilities(read=token_log_probabilities)
    models = {"small": ChatOpenAI(model="gpt-4o-mini", logprobs=True), …}

They stand in ``response_metadata["logprobs"]``: a list under "content" with a "logprob" for each
token (OpenAI and those like it), or a list of numbers under "token_logprobs".
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["first_token_log_probabilities", "token_log_probabilities"]


def token_log_probabilities(message: Any) -> list[float] | None:
    """The log-probability of each token; None where the message has none."""
    found = _found(message)
    numbers = found.get("token_logprobs")
    if numbers:
        return [float(each) for each in numbers if each is not None] or None
    content = _content(found)
    return [float(token["logprob"]) for token in content] or None


def first_token_log_probabilities(message: Any) -> dict[str, float] | None:
    """The likeliest first tokens and their log-probabilities, for `PTrue`; None where unknown."""
    content = _content(_found(message))
    if not content:
        return None
    first = content[0]
    likeliest = [*(first.get("top_logprobs") or ()), first]
    return {str(token["token"]): float(token["logprob"]) for token in likeliest}


def _found(message: Any) -> Mapping[str, Any]:
    metadata = getattr(message, "response_metadata", None) or {}
    found = metadata.get("logprobs")
    return found if isinstance(found, Mapping) else {}


def _content(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = found.get("content") or ()
    return [token for token in content if isinstance(token, Mapping) and "logprob" in token]
