"""Choose, for every prompt, which model of a pool answers it, and learn from what came of it.

This package is the core and imports no framework; see `langchain_pickllm.RoutedChatModel` and
`llamaindex_pickllm.RoutedLLM` for the models that applications use.
"""

from typing import TYPE_CHECKING

from pickllm.lazy import lazily

if TYPE_CHECKING:
    from pickllm.booking import Verdict
    from pickllm.budget import Budget
    from pickllm.convergence import Convergence
    from pickllm.errors import (
        Abstained,
        ArmError,
        ArmRefused,
        ArmTimeout,
        BudgetExceeded,
        ConfigError,
        MissingExtra,
        NoEligibleArm,
        PickLLMError,
        StateConflict,
        StoreUnavailable,
        UnknownDecision,
    )
    from pickllm.explanation import Explanation
    from pickllm.explorers import Bounded, EpsilonGreedy, Softmax, SquareCB, Thompson, UpperBound
    from pickllm.features import Combined, HashedText, Surface
    from pickllm.health import Breaker
    from pickllm.policies import (
        Contextual,
        Drift,
        Fixed,
        FunctionPolicy,
        Guarded,
        LearningAutomaton,
        Random,
        ValuePolicy,
        Watched,
    )
    from pickllm.policies.recipes import (
        beta_thompson,
        contextual,
        discounted_ucb,
        epsilon_greedy,
        lin_thompson,
        lin_ucb,
        logistic,
        q_learning,
        softmax,
        square_cb,
        ucb1,
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
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "booking": "Verdict",
            "budget": "Budget",
            "convergence": "Convergence",
            "errors": "Abstained ArmError ArmRefused ArmTimeout BudgetExceeded ConfigError "
            "MissingExtra NoEligibleArm PickLLMError StateConflict StoreUnavailable "
            "UnknownDecision",
            "explanation": "Explanation",
            "explorers": "Bounded EpsilonGreedy Softmax SquareCB Thompson UpperBound",
            "features": "Combined HashedText Surface",
            "health": "Breaker",
            "policies": "Contextual Drift Fixed FunctionPolicy Guarded LearningAutomaton Random "
            "ValuePolicy Watched",
            "policies.recipes": "beta_thompson contextual discounted_ucb epsilon_greedy "
            "lin_thompson lin_ucb logistic q_learning softmax square_cb ucb1",
            "pool": "Pool",
            "rewards": "PaperReward WeightedReward",
            "router": "Router",
            "scoring": "exact_match",
            "types": "Anchors Arm Decision Feedback Outcome Reply Request Routed Usage Weights",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "Abstained",
    "Anchors",
    "Arm",
    "ArmError",
    "ArmRefused",
    "ArmTimeout",
    "Bounded",
    "Breaker",
    "Budget",
    "BudgetExceeded",
    "Combined",
    "ConfigError",
    "Contextual",
    "Convergence",
    "Decision",
    "Drift",
    "EpsilonGreedy",
    "Explanation",
    "Feedback",
    "Fixed",
    "FunctionPolicy",
    "Guarded",
    "HashedText",
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
    "Softmax",
    "SquareCB",
    "StateConflict",
    "StoreUnavailable",
    "Surface",
    "Thompson",
    "UnknownDecision",
    "UpperBound",
    "Usage",
    "ValuePolicy",
    "Verdict",
    "Watched",
    "WeightedReward",
    "Weights",
    "__version__",
    "beta_thompson",
    "contextual",
    "discounted_ucb",
    "epsilon_greedy",
    "exact_match",
    "lin_thompson",
    "lin_ucb",
    "logistic",
    "q_learning",
    "softmax",
    "square_cb",
    "ucb1",
]
