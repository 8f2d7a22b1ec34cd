"""Why a decision fell as it did: who could answer, what was expected, what came of it."""

from dataclasses import dataclass

from pickllm.booking.ledger import Record
from pickllm.pool import Pool
from pickllm.types import Attempt, Decision, Forecast

__all__ = ["ArmView", "Explanation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmView:
    """One arm, as it stood when the decision was made."""

    arm: str
    probability: float
    value: float | None
    """What the policy expected of it; None where it knew nothing."""
    forecast: Forecast | None = None
    """Quality, cost and latency that this is made of, where the policy predicts them."""
    price: str
    why_not: str
    """Why it could not be chosen; empty where it could."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One decision, laid open. ``str()`` of it is a page to read."""

    decision: Decision
    status: str
    arms: tuple[ArmView, ...]
    """Eligible arms first, likeliest first."""
    attempts: tuple[Attempt, ...]
    source_to_score: dict[str, float]

    @classmethod
    def of(cls, record: Record, pool: Pool) -> "Explanation":
        """The explanation of a record."""
        decision = record.decision
        unknown = (None,) * len(decision.arms)
        columns = (
            decision.arms,
            decision.probabilities,
            decision.values or unknown,
            decision.forecasts or unknown,
        )
        able = [
            ArmView(
                arm=arm,
                probability=probability,
                value=value,
                forecast=forecast,
                price=_price(pool, arm),
                why_not="",
            )
            for arm, probability, value, forecast in zip(*columns, strict=True)
        ]
        unable = [
            ArmView(arm=arm, probability=0.0, value=None, price=_price(pool, arm), why_not=reason)
            for arm, reason in decision.ineligible.items()
        ]
        return cls(
            decision=decision,
            status=record.status,
            arms=(*sorted(able, key=lambda view: -view.probability), *unable),
            attempts=record.outcome.attempts if record.outcome else (),
            source_to_score={
                source: feedback.value for source, feedback in record.source_to_feedback.items()
            },
        )

    @property
    def reason(self) -> str:
        """In one sentence, why this arm, and what would have changed it."""
        chosen, likeliest = self.decision.arm, self.arms[0]
        if self.decision.held:
            return f"{chosen} was not chosen anew but held: {self.decision.held.reason}"
        if len(self.decision.arms) == 1:
            return f"{chosen} was the only arm that could answer"
        if self.decision.propensity >= 1.0:
            return f"{self.decision.policy.partition('(')[0]} was sure of {chosen}"
        if self.decision.propensity < likeliest.probability:
            return (
                f"{chosen} was drawn to explore ({self.decision.propensity:.1%}); "
                f"{likeliest.arm} was likelier ({likeliest.probability:.1%})"
            )
        return (
            f"{chosen} was the likeliest arm ({self.decision.propensity:.1%}); with "
            f"{1.0 - self.decision.propensity:.1%} another would have been drawn"
        )

    def __str__(self) -> str:
        """The whole of it, a line for each arm, attempt and judgement."""
        lines = [
            f"decision {self.decision.id}: {self.decision.arm}{self._answered()} ({self.status})",
            f"  {self.reason}",
            f"  policy {self.decision.policy}",
            *(f"  {_arm_line(view)}" for view in self.arms),
            *(f"  {_attempt_line(attempt)}" for attempt in self.attempts),
            *(f"  scored {score:.2f} by {who!r}" for who, score in self.source_to_score.items()),
        ]
        return "\n".join(lines)

    def _answered(self) -> str:
        """Who answered, where that is another than the arm chosen: a fallback, or a cascade."""
        last = self.attempts[-1].arm if self.attempts else self.decision.arm
        other = last != self.decision.arm and self.status == "ok"
        return f", answered by {last}" if other else ""


def _arm_line(view: ArmView) -> str:
    if view.why_not:
        return f"arm {view.arm}: not eligible, {view.why_not}"
    value = "not known yet" if view.value is None else f"{view.value:.3f}"
    told = _forecast_words(view.forecast) if view.forecast else ""
    return f"arm {view.arm}: probability {view.probability:.3f}, value {value}{told}, {view.price}"


def _forecast_words(forecast: Forecast) -> str:
    quality = "unknown" if forecast.quality is None else f"{forecast.quality:.2f}"
    cost = "unknown" if forecast.cost_usd is None else f"${forecast.cost_usd:.2g}"
    latency = "unknown" if forecast.latency_s is None else f"{forecast.latency_s:.2g} s"
    return f" (quality {quality} ± {forecast.spread:.2f}, cost {cost}, latency {latency})"


def _attempt_line(attempt: Attempt) -> str:
    cost = "unknown" if attempt.cost_usd is None else f"${attempt.cost_usd:.2g}"
    first = "" if attempt.first_piece_s is None else f", first piece {attempt.first_piece_s:.3f} s"
    error = f" ({attempt.error})" if attempt.error else ""
    cached = "" if attempt.called else ", from the cache"
    score = "" if attempt.score is None else f", scored {attempt.score:.2f} by the cascade"
    return (
        f"asked {attempt.arm}: {attempt.status}{error}, {attempt.latency_s:.3f} s{first}, "
        f"cost {cost}{cached}{score}"
    )


def _price(pool: Pool, name: str) -> str:
    if name not in pool:
        return "not in this pool"
    arm = pool[name]
    if arm.usd_per_hour is not None:
        return f"${arm.usd_per_hour:g} an hour"
    if arm.usd_per_mtok_in is not None:
        return f"${arm.usd_per_mtok_in:g} in, ${arm.usd_per_mtok_out:g} out per million tokens"
    if arm.model is not None:
        return f"price of {arm.model} as in the price table, where it is there"
    return "price unknown"
