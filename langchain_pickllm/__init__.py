"""PickLLM for LangChain: a chat model over a pool of chat models that learns which one to ask.

What a user meets:

    chat_model.py   RoutedChatModel: what goes into a chain
    callbacks.py    RewardCallbackHandler: scores chain runs, and settles the decisions inside
    langsmith.py    feedback that was given in LangSmith
    middleware.py   one decision for each run of an agent whose model someone else sets
    cache.py        CachedAnswers: kept answers behind LangChain's own cache interface
    embeddings.py   embeddings as features of prompts, and the reverse
    local.py        ChatLocal: a HuggingFace model in this process
    pool_file.py    load_pool: a pool written down in TOML
    asking.py       ask_of: a model that a scorer asks

What it is made of:

    entry_points.py every way in           turn.py        one call, read into the core's request
    runs.py         the router's run       port.py        the arms, called for the core
    events.py       content-block streams  event_port.py  arms asked for those
    reading.py      prompt, needs, usage   stamp.py       the decision in a message
    arms.py         what models say of themselves         wrappers.py    models inside wrappers
    arguments.py    whose argument is what                opening.py     models opened by name
    configured.py   the router's cache and output version, handed on     counting.py  token counts
    stickiness.py   which arm a conversation stays with   structured.py  whether an answer parsed
    watching.py     tokens watched inside an invoke       text_models.py completion models as arms
    held_runs.py    what watchers may not see yet         threads.py     arms that block
    local_turns.py  turns for chat templates              batches.py     what generate gives
    tool_binding.py tools, as each arm binds them
"""

from langchain_pickllm.asking import ask_of
from langchain_pickllm.callbacks import FinishedRun, RewardCallbackHandler
from langchain_pickllm.chat_model import RoutedChatModel
from langchain_pickllm.langsmith import book_langsmith_feedback
from langchain_pickllm.local import ChatLocal
from langchain_pickllm.pool_file import PoolFile, load_pool
from pickllm import __version__

__all__ = [
    "ChatLocal",
    "FinishedRun",
    "PoolFile",
    "RewardCallbackHandler",
    "RoutedChatModel",
    "__version__",
    "ask_of",
    "book_langsmith_feedback",
    "load_pool",
]
