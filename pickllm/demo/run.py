"""What ``pickllm demo`` does.

pool ──► session (live) ──► each arm alone ──► tables ──► figures ──► report.html
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from langchain_pickllm.pool_file import load_pool
from pickllm.demo.models import no_bars
from pickllm.demo.pool import demo_pool
from pickllm.demo.report import Report
from pickllm.demo.session import LiveSession, ask_every_arm, run_session
from pickllm.demo.tasks import make_tasks
from pickllm.evaluation import (
    OutcomeTable,
    Summary,
    always,
    oracle,
    random_mixture,
    replay,
)
from pickllm.evaluation.plots import convergence_figure, session_figure, weights_figure
from pickllm.policies import LearningAutomaton
from pickllm.rewards import WeightedReward, Weights

__all__ = ["DemoSettings", "run_demo"]

_SESSIONS = 20
"""Sessions replayed for each learning rate."""

SWEEP: Mapping[str, Weights] = {
    "quality alone": Weights(quality=1.0, cost=0.0, latency=0.0),
    "the default": Weights(),
    "cost matters more": Weights(quality=0.5, cost=0.5, latency=0.0),
    "latency matters more": Weights(quality=0.5, cost=0.0, latency=0.5),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """The options of the command."""

    pool: Path | None = None
    """A pool file; None trains and serves the demo's own models."""
    prompts: int = 300
    policy: str = "epsilon_greedy"
    seed: int = 0
    learning_rates: Sequence[float] = (0.01, 0.05, 0.2)
    label_to_weights: Mapping[str, Weights] | None = None
    """Weights to set side by side, the session's own first; None is the default and ``SWEEP``."""
    baselines: bool = True
    """Ask each arm alone too, which the comparison and the figures below it need."""
    out: Path = Path("pickllm-demo")
    cache: Path | None = None

    @property
    def weights(self) -> Weights:
        """Those of the session."""
        return next(iter((self.label_to_weights or {"": Weights()}).values()))


def run_demo(settings: DemoSettings, console: Console) -> Path:
    """Run it all; returns the page written."""
    report = Report(console=console)
    with _pool_path(settings, console) as path:
        session, table = _run(settings, report, path)
    _tell(settings, report, session, table)
    if table is not None:
        _tell_learning_rates(settings, report, table)
        _tell_weights(settings, report, table)
    written = settings.out / "report.html"
    report.page.write(written)
    console.print(f"\nAll of this on one page: {written}", style="bold", soft_wrap=True)
    return written


def _pool_path(settings: DemoSettings, console: Console) -> AbstractContextManager[Path]:
    if settings.pool is not None:
        return nullcontext(settings.pool)
    return demo_pool(console, cache=settings.cache)


def _run(
    settings: DemoSettings, report: Report, path: Path
) -> tuple[LiveSession, OutcomeTable | None]:
    with no_bars():
        pool = load_pool(path)
    tasks = make_tasks(settings.prompts, settings.seed)
    with report.progress("routing", len(tasks), live=True) as on_task:
        session = run_session(
            pool,
            tasks,
            policy=settings.policy,
            weights=settings.weights,
            seed=settings.seed,
            on_task=on_task,
        )
    if not settings.baselines:
        return session, None
    with report.progress("each arm alone", len(tasks), live=False) as on_task:
        return session, ask_every_arm(pool, tasks, on_task=on_task)


def _tell(
    settings: DemoSettings, report: Report, session: LiveSession, table: OutcomeTable | None
) -> None:
    router = session.model.router
    beside: list[Summary] = []
    costs = {"router": session.costs_usd}
    if table is not None:
        beside = [*(always(table, arm) for arm in table.arms), random_mixture(table), oracle(table)]
        costs |= {f"always {arm}": table.cost_usd[:, i] for i, arm in enumerate(table.arms)}
        costs["random"] = table.cost_usd.mean(axis=1)
    title = f"{len(session.scores)} prompts that no model was trained on"
    report.summaries(title, [session.summary, *beside])
    if table is not None:
        report.line(_saving(session.summary, [always(table, arm) for arm in table.arms]))
    found = router.convergence()
    report.line(
        f"The session came to rest on {found.arm} at prompt {found.since}."
        if found.converged
        else "The session has not come to rest on one arm."
    )
    last = router.last_decision
    assert last is not None
    report.listing("Why the last prompt went where it went", str(router.explain(last.id)))
    figure = settings.out / "session.png"
    session_figure(
        figure,
        arms=list(session.model.models),
        probabilities=session.probabilities,
        rewards=session.rewards,
        name_to_costs_usd=costs,
    )
    report.figure("The session", figure)


def _saving(router: Summary, alone: Sequence[Summary]) -> str:
    """The router beside the dearest arm, both sides of it: what is saved and what is lost."""
    dearest = max(alone, key=lambda summary: np.nan_to_num(summary.cost_usd, nan=-1.0))
    if not dearest.cost_usd > 0.0:
        return "No price is known for these arms, so nothing can be said of what was saved."
    saved = 1.0 - router.cost_usd / dearest.cost_usd
    points = (router.accuracy - dearest.accuracy) * 100.0
    return f"Beside {dearest.name}: {saved:.0%} less cost, {points:+.1f} points of accuracy."


def _tell_learning_rates(settings: DemoSettings, report: Report, table: OutcomeTable) -> None:
    if not settings.learning_rates:
        return
    reward = WeightedReward(weights=settings.weights)
    rate_to_sessions = {
        rate: [
            replay(LearningAutomaton(step=rate), table, reward=reward, seed=settings.seed + number)
            for number in range(_SESSIONS)
        ]
        for rate in settings.learning_rates
    }
    for rate, sessions in rate_to_sessions.items():
        settled = sum(session.convergence.converged for session in sessions)
        mean = np.mean([session.rewards.mean() for session in sessions])
        report.line(
            f"Learning rate {rate:g}: {settled} of {_SESSIONS} sessions came to rest on one arm; "
            f"mean reward {mean:.3f}."
        )
    figure = settings.out / "learning_rates.png"
    convergence_figure(figure, rate_to_sessions)
    report.figure("The learning automaton at several learning rates, replayed", figure)


def _tell_weights(settings: DemoSettings, report: Report, table: OutcomeTable) -> None:
    sweep = settings.label_to_weights or SWEEP
    label_to_summary = {
        label: replay(
            settings.policy,
            table,
            reward=WeightedReward(weights=weights),
            seed=settings.seed,
            name=label,
        ).summary
        for label, weights in sweep.items()
    }
    report.summaries("Other weights, replayed on the same answers", list(label_to_summary.values()))
    figure = settings.out / "weights.png"
    weights_figure(figure, label_to_summary)
    report.figure("Weights", figure)
