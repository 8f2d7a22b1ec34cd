"""Choose, for every prompt, which model of a pool answers it, and learn from what came of it.

This package is the core and imports no framework; see `langchain_pickllm.RoutedChatModel` and
`llamaindex_pickllm.RoutedLLM` for the models that applications use.
"""

from pickllm.books import Verdict
from pickllm.convergence import Convergence
from pickllm.errors import (
    ArmError,
    ArmRefused,
    ArmTimeout,
    ConfigError,
    MissingExtra,
    NoEligibleArm,
    PickLLMError,
    StateConflict,
    UnknownDecision,
)
from pickllm.explanation import Explanation
from pickllm.health import Breaker
from pickllm.policies import (
    EpsilonGreedy,
    Fixed,
    FunctionPolicy,
    LearningAutomaton,
    Random,
    ValuePolicy,
    epsilon_greedy,
    q_learning,
)
from pickllm.pool import Pool
from pickllm.rewards import PaperReward, WeightedReward
from pickllm.router import Router
from pickllm.scoring import exact_match
from pickllm.types import (
    Anchors,
    Arm,
    Decision,
    Feedback,
    Outcome,
    Reply,
    Request,
    Routed,
    Usage,
    Weights,
)

__version__ = "0.1.0"

__all__ = [
    "Anchors",
    "Arm",
    "ArmError",
    "ArmRefused",
    "ArmTimeout",
    "Breaker",
    "ConfigError",
    "Convergence",
    "Decision",
    "EpsilonGreedy",
    "Explanation",
    "Feedback",
    "Fixed",
    "FunctionPolicy",
    "LearningAutomaton",
    "MissingExtra",
    "NoEligibleArm",
    "Outcome",
    "PaperReward",
    "PickLLMError",
    "Pool",
    "Random",
    "Reply",
    "Request",
    "Routed",
    "Router",
    "StateConflict",
    "UnknownDecision",
    "Usage",
    "ValuePolicy",
    "Verdict",
    "WeightedReward",
    "Weights",
    "__version__",
    "epsilon_greedy",
    "exact_match",
    "q_learning",
]
