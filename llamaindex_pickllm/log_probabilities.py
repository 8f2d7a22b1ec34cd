"""Log-probabilities of an answer's tokens, as LlamaIndex's responses carry them.

    scorer = LogProbabilities(read=token_log_probabilities)
    llms = {"small": OpenAI(model="gpt-4o-mini", logprobs=True), …}

A response has a list for each token: the likeliest tokens at its place, the one that was written
among them. Where they are several, the likeliest is taken for it.
"""

from typing import Any

__all__ = ["first_token_log_probabilities", "token_log_probabilities"]


def token_log_probabilities(message: Any) -> list[float] | None:
    """The log-probability of each token; None where the response has none."""
    places = getattr(message, "logprobs", None) or ()
    return [max(float(each.logprob) for each in place) for place in places if place] or None


def first_token_log_probabilities(message: Any) -> dict[str, float] | None:
    """The likeliest first tokens and their log-probabilities, for `PTrue`; None where unknown."""
    places = [place for place in getattr(message, "logprobs", None) or () if place]
    return {str(each.token): float(each.logprob) for each in places[0]} if places else None
