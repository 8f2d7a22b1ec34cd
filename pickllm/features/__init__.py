"""A prompt as a vector. One way, one file.

hashed.py        words and runs of characters, hashed: the default, and needs nothing
surface.py       length, digits, code, capitals, lines
conversation.py  the last turn of a conversation with what it hangs on, for any of them
combined.py      several of them in one vector

Any embedding of LangChain's is one too; see `langchain_pickllm.embeddings`.
"""

from pickllm.features.combined import Combined, checked_featurizer, featurizer_name
from pickllm.features.conversation import Conversation, ConversationFeatures, features_of
from pickllm.features.hashed import HashedText
from pickllm.features.surface import Surface
from pickllm.protocols import Featurizer

__all__ = [
    "Combined",
    "Conversation",
    "ConversationFeatures",
    "HashedText",
    "Surface",
    "checked_featurizer",
    "default_features",
    "features_of",
    "featurizer_name",
]


def default_features() -> Featurizer:
    """What a router looks at where it was given no featurizer: the surface first, then words.

    On graded answers of 27 models the surface alone told more from 200 prompts than hashed words
    did, and both together most from 1,300; so the words are there, with half the length.
    """
    return Combined(parts=(Surface(), HashedText(length=0.5)))
