"""What ``pickllm demo`` does.

pool ──► session (live) ──► each arm alone ──► tables ──► figures ──► report.html
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import numpy as np
from rich.console import Console

from langchain_pickllm.pool_file import PoolFile, load_pool
from pickllm.cascading import ThresholdCascade
from pickllm.cascading.fitted import FittedCascade
from pickllm.demo.cascade import FITTED_ON, cascade_summary, fit_cascade
from pickllm.demo.models import no_bars
from pickllm.demo.pool import demo_pool
from pickllm.demo.report import Report
from pickllm.demo.session import LiveSession, ask_every_arm, failures, run_session
from pickllm.demo.tasks import Task, make_tasks
from pickllm.errors import ConfigError, MissingExtra
from pickllm.evaluation import (
    OutcomeTable,
    Summary,
    always,
    oracle,
    random_mixture,
    replay_many,
    sessions_summary,
)
from pickllm.evaluation.plots import convergence_figure, session_figure, weights_figure
from pickllm.policies import LearningAutomaton, policy_of
from pickllm.rewards import WeightedReward
from pickllm.router import Router
from pickllm.types import Anchors, Weights

__all__ = ["DemoSettings", "run_demo"]

Ran: TypeAlias = tuple[FittedCascade, Summary]
"""A cascade, and what it came to in the session."""

_SESSIONS = 20
"""Sessions replayed for each learning rate and for each setting of the weights."""

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
    _check(settings)
    report = Report(console=console)
    with _pool_path(settings, console) as path:
        session, table, cascade = _run(settings, report, path)
    _tell(settings, report, session, table, cascade)
    if table is not None:
        _tell_learning_rates(settings, report, table)
        _tell_weights(settings, report, table)
    written = settings.out / "report.html"
    report.page.write(written)
    console.print(f"\nAll of this on one page: {written}", style="bold", soft_wrap=True)
    return written


def _check(settings: DemoSettings) -> None:
    """Find now what would otherwise be found when all models have been trained and asked."""
    needed = ["matplotlib"] if settings.pool else ["matplotlib", "torch", "langchain_openai"]
    if not all(find_spec(module) for module in needed):
        raise MissingExtra("the demo", extra="demo")
    policy_of(settings.policy)
    for rate in settings.learning_rates:
        LearningAutomaton(step=rate)
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {settings.out}: {error.strerror}") from error


def _pool_path(settings: DemoSettings, console: Console) -> AbstractContextManager[Path]:
    if settings.pool is not None:
        return nullcontext(settings.pool)
    return demo_pool(console, cache=settings.cache)


def _run(
    settings: DemoSettings, report: Report, path: Path
) -> tuple[LiveSession, OutcomeTable | None, Ran | None]:
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
        return session, None, None
    with report.progress("each arm alone", len(tasks), live=False) as on_task:
        table = ask_every_arm(pool, tasks, on_task=on_task)
    return session, table, _run_cascade(settings, report, pool, tasks)


def _run_cascade(
    settings: DemoSettings, report: Report, pool: PoolFile, tasks: list[Task]
) -> Ran | None:
    """The cascade is the demo's own pool's: others may ask for money by the prompt."""
    if settings.pool is not None:
        return None
    with report.progress("answers to fit a cascade on", FITTED_ON, live=False) as on_task:
        fitted = fit_cascade(pool, tasks, settings.seed, on_task=on_task)
    if fitted is None:
        return None
    with report.progress("the cascade", len(tasks), live=False) as on_task:
        return fitted, cascade_summary(pool, tasks, fitted, on_task=on_task)


def _tell(
    settings: DemoSettings,
    report: Report,
    session: LiveSession,
    table: OutcomeTable | None,
    cascade: Ran | None,
) -> None:
    router = session.model.router
    beside: list[Summary] = []
    costs = {"router": session.costs_usd}
    if table is not None:
        beside = [*(always(table, arm) for arm in table.arms), random_mixture(table), oracle(table)]
        costs |= {f"always {arm}": table.cost_usd[:, i] for i, arm in enumerate(table.arms)}
        costs["random"] = table.cost_usd.mean(axis=1)
    if cascade is not None:
        beside.insert(0, cascade[1])
    title = f"{len(session.scores)} prompts"
    if settings.pool is None:
        title += " that no model was trained on"
    report.summaries(title, [session.summary, *beside])
    report.line(_setting(settings))
    if table is not None:
        report.line(_saving(session.summary, [always(table, arm) for arm in table.arms]))
    if cascade is not None:
        report.line(_of_cascade(cascade[0]))
    report.line(_rest(router))
    for words in failures(router):
        report.line(f"In the session {words}.")
    last = router.last_decision
    assert last is not None
    report.listing("Why the last prompt went where it went", str(router.explain(last.id)))
    figure = settings.out / "session.png"
    session_figure(
        figure,
        arms=list(session.model.models),
        probabilities=session.probabilities,
        rewards=session.rewards,
        name_to_costs_usd={name: cost for name, cost in costs.items() if not np.isnan(cost).any()},
    )
    report.figure("The session", figure)


def _setting(settings: DemoSettings) -> str:
    """What this session can be repeated by."""
    weights = ", ".join(f"{name} {weight:g}" for name, weight in settings.weights.by_name.items())
    return f"Policy {settings.policy}, seed {settings.seed}; weights: {weights}."


def _saving(router: Summary, alone: Sequence[Summary]) -> str:
    """The router beside the dearest arm, both sides of it: what is saved and what is lost."""
    costs = [summary.cost_usd for summary in (router, *alone)]
    if any(math.isnan(cost) for cost in costs):
        return "Not every price is known, so nothing can be said of what was saved."
    dearest = max(alone, key=lambda summary: summary.cost_usd)
    if dearest.cost_usd == 0.0:
        return "These arms cost nothing, so there was nothing to save."
    change = router.cost_usd / dearest.cost_usd - 1.0
    points = (router.accuracy - dearest.accuracy) * 100.0
    return (
        f"Beside {dearest.name}: {abs(change):.0%} {'less' if change < 0.0 else 'more'} cost, "
        f"{round(points, 1) + 0.0:+.1f} points of accuracy."
    )


def _of_cascade(fitted: FittedCascade) -> str:
    """How it was found, and what was promised of it."""
    found = fitted.confirmed
    if not found.is_cascade:
        return (
            f"No cascade was confirmed on {FITTED_ON} other prompts, so the one above is "
            f"{found.best_single} alone."
        )
    return (
        f"The cascade, fitted on {FITTED_ON} other prompts, asks {' > '.join(_order(fitted))}: at "
        f"most {found.epsilon:.0%} less accurate than {found.best_single} with probability "
        f"{1.0 - found.delta:.0%}."
    )


def _order(fitted: FittedCascade) -> Sequence[str]:
    cascade = fitted.cascade
    return cascade.order if isinstance(cascade, ThresholdCascade) else ()


def _rest(router: Router) -> str:
    """Whether the session came to rest, in words."""
    found = router.convergence()
    if found.since is None:
        return "No arm has been the likeliest one for long enough to call it settled."
    return f"Since prompt {found.since + 1} the likeliest arm has been {found.arm}."


def _tell_learning_rates(settings: DemoSettings, report: Report, table: OutcomeTable) -> None:
    if not settings.learning_rates:
        return
    reward = WeightedReward(weights=settings.weights)
    rate_to_sessions = {
        rate: replay_many(
            LearningAutomaton(step=rate),
            table,
            sessions=_SESSIONS,
            reward=reward,
            seed=settings.seed,
        )
        for rate in settings.learning_rates
    }
    figure = settings.out / "learning_rates.png"
    convergence_figure(figure, rate_to_sessions)
    report.figure(
        f"Learning rates of the automaton, replayed: means of {_SESSIONS} sessions", figure
    )
    for rate, sessions in rate_to_sessions.items():
        came_to = sessions_summary(f"b = {rate:g}", sessions)
        report.line(
            f"b = {rate:g}: mean reward {came_to.reward.mean:.3f}; in the end the likeliest arm "
            f"has a probability of {came_to.lead:.2f}."
        )


def _tell_weights(settings: DemoSettings, report: Report, table: OutcomeTable) -> None:
    label_to_summary = {
        label: sessions_summary(
            label,
            replay_many(
                settings.policy,
                table,
                sessions=_SESSIONS,
                reward=WeightedReward(weights=weights),
                seed=settings.seed,
            ),
        ).means
        for label, weights in (settings.label_to_weights or SWEEP).items()
    }
    title = f"Other weights, replayed: means of {_SESSIONS} sessions"
    report.summaries(title, list(label_to_summary.values()))
    anchors = Anchors()
    report.line(
        f"In a reward, latencies up to {anchors.latency_lo_s * 1e3:g} ms are equally good, and so "
        f"are costs up to ${anchors.cost_lo_usd:f} a prompt."
    )
    figure = settings.out / "weights.png"
    weights_figure(figure, label_to_summary)
    report.figure("What the weights come to", figure)
