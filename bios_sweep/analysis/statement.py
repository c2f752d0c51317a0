"""A verdict as it is told: the contract's fields, and one sentence that claims no more than was shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bios_sweep.analysis.bounds import Bound
from bios_sweep.analysis.verdicts import (
    CANDIDATE,
    CONFIRM,
    INCONCLUSIVE,
    REFINE,
    SCREENING_ONLY,
    UNCONFIRMED,
    FactorLevels,
    Finding,
    Margin,
)

LOSS_ONLY = {
    "batch_size": "judged on loss at equal {hold}; time is not weighed against it",
    "max_steps": "judged on loss alone; more steps cost more",
    "lora_rank": "judged on loss alone; a larger rank costs memory and time",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a study says of one default. `to_dict` is the contract of `report --json`.

    effect_percent, lower, upper, margin: percent of the baseline's metric, positive = better than the
    default; bounds are one-sided at `confidence`. margin_absolute: the metric's own unit.
    seeds: those the effect was measured on. arms: everything that was compared.
    levels: one record per variation from the shared seeds.
    """

    factor: str
    role: str
    claim: str
    verdict: str
    default: Any
    best_level: Any
    effect_percent: float | None
    lower: float | None
    upper: float | None
    margin: float | None
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    hold: str
    reasons: tuple[str, ...]
    sentence: str
    scope: str
    confidence: float
    margin_absolute: float | None = None
    stage: str = "screening"
    served: Any = None
    levels: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def make_verdict(
    levels: FactorLevels,
    screening: Finding,
    final: Finding,
    margin: Margin | None,
    *,
    role: str,
    claim: str,
    arms: Sequence[str],
    hold: str,
    scope: str,
    alpha: float,
    looks: int,
    served: Any = None,
) -> Verdict:
    """Put one factor's findings into the contract's form.

    final: the finding that counts (the confirmation's where there was one). alpha: of the whole rule;
    the screening's bounds are at alpha / looks.
    """
    confirmed_on_fresh = final is not screening and final.state != UNCONFIRMED
    stage = "confirmation" if confirmed_on_fresh else "screening"
    confidence = 1.0 - (alpha if stage == "confirmation" else alpha / looks)
    word = final.state
    reasons = final.reasons
    if word == CANDIDATE:
        word, reasons = INCONCLUSIVE, (*reasons, "a better level was found; its confirmation has not run yet")
    if word in (CONFIRM, REFINE, UNCONFIRMED) and levels.name in LOSS_ONLY:
        reasons = (*reasons, LOSS_ONLY[levels.name].format(hold=hold))
    if final.diverged:
        reasons = (*reasons, f"diverged: {', '.join(final.diverged)}")
    bound = final.bound
    best = levels.default if word == CONFIRM or final.best is None else levels.level(final.best)
    return Verdict(
        factor=levels.name,
        role=role,
        claim=claim,
        verdict=word,
        default=levels.default,
        best_level=best,
        effect_percent=_rounded(bound.gain) if bound else None,
        lower=_rounded(bound.lower) if bound else None,
        upper=_rounded(bound.upper) if bound else None,
        margin=_rounded(margin.percent) if margin else None,
        margin_absolute=_rounded(margin.absolute) if margin else None,
        seeds=final.seeds,
        arms=tuple(arms),
        hold=hold,
        reasons=reasons,
        sentence=_sentence(word, levels, final, margin, confidence),
        scope=scope,
        confidence=confidence,
        stage=stage,
        served=served,
        levels=tuple(_level(levels, arm, screening) for arm in levels.arms),
    )


def _sentence(
    word: str, levels: FactorLevels, finding: Finding, margin: Margin | None, confidence: float
) -> str:
    bound = finding.bound
    if bound is None or margin is None:
        return "; ".join(finding.reasons)
    level = confidence_text(confidence)
    seeds = len(finding.seeds)
    best = levels.label(bound.arm)
    if word == CONFIRM:
        return (
            f"no tested alternative ({_tested(levels)}; {seeds} paired seeds) improves on the default by "
            f"{margin.percent:.2f} % or more; largest upper {level} bound {bound.upper:+.2f} % (at {best})"
        )
    if word == REFINE:
        return (
            f"use {_value(levels.level(bound.arm))} instead of {_value(levels.default)}: better by "
            f"{bound.gain:.2f} % ({level} lower bound {bound.lower:+.2f} %), on {seeds} fresh seeds not "
            "used to choose it"
        )
    if word == UNCONFIRMED:
        return (
            f"{best} looks better by {bound.gain:.2f} % ({level} lower bound {bound.lower:+.2f} %) on the "
            f"{seeds} seeds that chose it; not confirmed on fresh ones"
        )
    if word == SCREENING_ONLY:
        return f"one seed: {best} is ahead by {bound.gain:+.2f} %, which shows nothing yet"
    return _undecided(levels, finding, bound)


def _undecided(levels: FactorLevels, finding: Finding, bound: Bound) -> str:
    reason = "; ".join(finding.reasons) or "a better level was found; its confirmation has not run yet"
    if reason.startswith("gain between"):
        return reason
    where = levels.label(bound.arm)
    return f"{reason} ({where}: {bound.gain:+.2f} %, between {bound.lower:+.2f} % and {bound.upper:+.2f} %)"


def confidence_text(confidence: float) -> str:
    """`95 %`, or one decimal where looks divide alpha."""
    percent = 100.0 * confidence
    return f"{percent:.0f} %" if abs(percent - round(percent)) < 0.05 else f"{percent:.1f} %"


def _tested(levels: FactorLevels) -> str:
    return ", ".join(levels.labels)


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _level(levels: FactorLevels, arm: str, screening: Finding) -> dict[str, Any]:
    bound = next((bound for bound in screening.bounds if bound.arm == arm), None)
    record: dict[str, Any] = {
        "arm": arm,
        "level": levels.level(arm),
        "label": levels.label(arm),
        "status": "diverged" if arm in screening.diverged else "compared" if bound else "not compared",
    }
    if bound:
        record |= {
            "gain": _rounded(bound.gain),
            "lower": _rounded(bound.lower),
            "upper": _rounded(bound.upper),
            "pooled": bound.pooled,
        }
    return record


def _rounded(value: float) -> float | None:
    """Six significant digits: enough for any reader, short in a table; None for an infinite bound."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
