"""The published similarity-weighted ranking, spelt out: a logistic regression for each prompt.

Run it to write the golden numbers anew: ``python -m tests.ranking.published``. It is made from the
paper's formula and the conventions of RouteLLM's code, which are: every battle twice, a win as two
wins, a tie as one of each; ten tiers for models; a row of +ln 10 and -ln 10 for the two of a
battle, in this order, so that the second takes the place of the first where both are of one
tier; no penalty. Its own solver stops early; here it goes on until nothing moves.
"""

import json
from pathlib import Path

import numpy as np

from pickllm.arrays import Floats, Integers
from pickllm.data import PreferenceTable
from pickllm.ranking.contract import Prompts
from tests.ranking.battles import made_battles

GOLDEN = Path(__file__).parent / "golden_similarity.json"
QUERIES = 8

__all__ = ["GOLDEN", "QUERIES", "published_tiers", "published_win_rates"]


def design(first: Integers, second: Integers, players: int) -> Floats:
    """A row for each battle; the second assignment wins where both are of the same player."""
    rows = np.zeros((len(first), players))
    rows[np.arange(len(first)), first] = np.log(10.0)
    rows[np.arange(len(first)), second] = -np.log(10.0)
    return rows


def logistic(rows: Floats, won: Floats, weight: Floats) -> Floats:
    """Unpenalised weighted logistic regression to its end, by Newton with a pseudo-inverse."""
    found = np.zeros(rows.shape[1])
    for _ in range(60):
        chance = 1.0 / (1.0 + np.exp(-rows @ found))
        slope = rows.T @ (weight * (won - chance))
        curve = (rows * (weight * chance * (1.0 - chance))[:, None]).T @ rows
        step = np.linalg.pinv(curve, rcond=1e-12) @ slope
        found = found + step
        if np.abs(step).max() < 1e-13:
            break
    return found


def twice(table: PreferenceTable) -> tuple[Integers, Floats]:
    """Each battle's place twice, with a win as two wins and a tie as one of each."""
    places = np.tile(np.arange(len(table)), 2)
    won = np.concatenate((np.ceil(table.won), np.floor(table.won)))
    return places, won


def published_tiers(table: PreferenceTable, tiers: int) -> Integers:
    """Tiers by trying every cut, which is slow and plain."""
    places, won = twice(table)
    rows = design(table.first[places], table.second[places], len(table.arms))
    ratings = 400.0 * logistic(rows, won, np.ones(len(places)))
    order = np.argsort(ratings)
    values = ratings[order]
    count = len(values)
    least = np.full((tiers + 1, count + 1), np.inf)
    begin = np.zeros((tiers + 1, count + 1), dtype=int)
    least[0, 0] = 0.0
    for tier in range(1, tiers + 1):
        for end in range(1, count + 1):
            for start in range(end):
                cost = least[tier - 1, start] + np.var(values[start:end])
                if cost < least[tier, end] - 1e-12:
                    least[tier, end], begin[tier, end] = cost, start
    found = np.empty(count, dtype=np.intp)
    end = count
    for tier in range(tiers, 0, -1):
        found[order[begin[tier, end] : end]] = tier - 1
        end = begin[tier, end]
    return found


def published_win_rates(
    table: PreferenceTable,
    prompts: Prompts,
    queries: Floats,
    pair: tuple[str, str],
    *,
    tiers: int = 10,
) -> list[float]:
    """Win rate of the pair's first arm over its second for each query."""
    tier = published_tiers(table, tiers)
    places, won = twice(table)
    rows = design(tier[table.first[places]], tier[table.second[places]], tiers)
    vectors = prompts.vectors.astype(np.float64)[table.prompt[places]]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    strong, weak = (tier[table.arms.index(arm)] for arm in pair)
    found = []
    for query in queries.astype(np.float64):
        similarity = vectors @ query / np.linalg.norm(query)
        ratings = logistic(rows, won, 10.0 * 10.0 ** (similarity / similarity.max()))
        elo = 400.0 * ratings
        found.append(float(1.0 / (1.0 + 10.0 ** ((elo[weak] - elo[strong]) / 400.0))))
    return found


def main() -> None:
    """Write the golden numbers."""
    table, prompts = made_battles(400, arms=24)
    _, queries = made_battles(QUERIES, seed=1)
    rates = published_win_rates(table, prompts, queries.vectors, ("arm 23", "arm 04"))
    tiers = published_tiers(table, 10).tolist()
    GOLDEN.write_text(json.dumps({"tiers": tiers, "win_rates": rates}, indent=1) + "\n")


if __name__ == "__main__":
    main()
