"""PickLLM for LlamaIndex: an LLM over a pool of LLMs that learns which one to ask.

What a user meets:

    llm.py           RoutedLLM: what takes the place of one LLM
    rewards.py       RewardTracker: scores queries, chats and agents, and settles what is inside
    evaluators.py    EvaluatorScore: LlamaIndex's evaluators as scores
    embeddings.py    embeddings as features of prompts
    local.py         LocalLLM: a HuggingFace model in this process

What it is made of:

    entry_points.py  every way in            asked.py      one call as a value
    turn.py          the core's request      driving.py    the four ways to wait
    port.py          the arms, called for the core
    reading.py       prompt, needs, usage    stamp.py      the decision in a response
    arms.py          what LLMs say of themselves            metadata.py   the pool as one LLM
    conversations.py which arm a conversation stays with
    tracing.py       spans around a decision                hearing.py    tokens told in events
    units.py         what a unit asks and answers           streams.py    read below their query
    threads.py       blocking arms under async              local_turns.py turns for chat templates
"""

from llamaindex_pickllm.evaluators import EvaluatorScore, score_of
from llamaindex_pickllm.llm import RoutedLLM
from llamaindex_pickllm.local import LocalLLM
from llamaindex_pickllm.rewards import RewardTracker
from llamaindex_pickllm.units import FinishedUnit
from pickllm import __version__

__all__ = [
    "EvaluatorScore",
    "FinishedUnit",
    "LocalLLM",
    "RewardTracker",
    "RoutedLLM",
    "__version__",
    "score_of",
]
