"""Writes mabwiser.json: what MABWiser 2.7.4 expects of each arm after the same rewards.

Run by hand, in an environment of its own: ``pip install mabwiser==2.7.4``, then this file.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

ARMS = ["small", "large", "other"]
DIM, ROUNDS = 5, 60


def main() -> None:
    """Feed it with a log, and note the expectations at four contexts."""
    from mabwiser.mab import MAB, LearningPolicy  # type: ignore[import-not-found]  # not a dependency

    rng = np.random.default_rng(20240607)
    contexts = rng.normal(size=(ROUNDS, DIM)).round(3)
    arms = [ARMS[int(index)] for index in rng.integers(len(ARMS), size=ROUNDS)]
    rewards = rng.random(ROUNDS).round(3).tolist()
    asked = rng.normal(size=(4, DIM)).round(3)
    document: dict[str, Any] = {
        "made_by": "make_mabwiser.py with mabwiser 2.7.4",
        "arms": arms,
        "contexts": contexts.tolist(),
        "rewards": rewards,
        "asked": asked.tolist(),
    }
    for alpha in (0.0, 0.7):
        bandit = MAB(ARMS, LearningPolicy.LinUCB(alpha=alpha, l2_lambda=1.0))
        bandit.fit(arms, rewards, contexts)
        document[f"lin_ucb_{alpha}"] = [bandit.predict_expectations([x]) for x in asked]
    means = MAB(ARMS, LearningPolicy.EpsilonGreedy(epsilon=0.0))
    means.fit(arms, rewards)
    document["means"] = means.predict_expectations()
    ucb1 = MAB(ARMS, LearningPolicy.UCB1(alpha=1.0))
    ucb1.fit(arms, rewards)
    document["ucb1"] = ucb1.predict_expectations()
    path = Path(__file__).with_name("mabwiser.json")
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
