"""PickLLM for LangChain: a chat model over a pool of chat models that learns which one to ask.

chat_model.py   RoutedChatModel: what goes into a chain
callbacks.py    RewardCallbackHandler: scores chain runs, and settles the decisions inside

turn.py         one call, read into the core's request     port.py    the arms, called for the core
runs.py         the router's run in the trace              events.py  content-block streams
reading.py      prompt, needs and usage of messages        stamp.py   the decision in a message
arms.py         prices and capabilities of models
"""

from langchain_pickllm.callbacks import FinishedRun, RewardCallbackHandler
from langchain_pickllm.chat_model import RoutedChatModel
from pickllm import __version__

__all__ = ["FinishedRun", "RewardCallbackHandler", "RoutedChatModel", "__version__"]
