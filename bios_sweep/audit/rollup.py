"""Many scenarios, one default: how often it was right, and what another level brings on average. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bios_sweep.claims import claim_named
from bios_sweep.decision.quantiles import beta_quantile
from bios_sweep.decision.statement import Verdict
from bios_sweep.decision.student import student_quantile
from bios_sweep.jsonable import OPTIONAL
from bios_sweep.units import PERCENT, common_unit
from bios_sweep.vocabulary import Word

FEWEST_FOR_A_MEAN = 2  # two scenarios are the least between which effects can differ


@dataclass(frozen=True, kw_only=True)
class Share:
    """`successes` of `trials` with the exact (Clopper & Pearson 1934) two-sided interval, as fractions."""

    successes: int
    trials: int
    lower: float
    upper: float


@dataclass(frozen=True, kw_only=True)
class PooledEffect:
    """The mean effect over scenarios that differ, in the effects' own unit, with a two-sided interval.

    spread: standard deviation of the true effects between scenarios (tau), in the same unit.
    """

    mean: float
    lower: float
    upper: float
    spread: float
    scenarios: int


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Share:
    """The exact interval of a share: it covers the truth at least as often as it says.

    Raises:
        ValueError: no trials, or successes outside 0..trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no share")
    tail = (1.0 - confidence) / 2.0
    lower = beta_quantile(tail, successes, trials - successes + 1) if successes else 0.0
    upper = beta_quantile(1.0 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return Share(successes=successes, trials=trials, lower=float(lower), upper=float(upper))


def random_effects(
    effects: Sequence[float], errors: Sequence[float], confidence: float = 0.95
) -> PooledEffect | None:
    """The random-effects mean of per-scenario effects with standard errors, all in one unit.

    Between-scenario variance by DerSimonian & Laird (1986); the interval by Hartung & Knapp (2001), a
    Student interval that stays honest with few scenarios, never narrower than the scenarios' own errors
    allow (Roever, Knapp & Friede 2015). An error of 0 weighs like the smallest above it. None with fewer
    than two scenarios.
    """
    if len(effects) < FEWEST_FOR_A_MEAN:
        return None
    values, variances = np.asarray(effects, dtype=np.float64), np.asarray(errors, dtype=np.float64) ** 2
    positive = variances[variances > 0]
    variances = np.where(variances > 0, variances, positive.min() if positive.size else 1.0)
    between = _between(values, variances)
    weights = 1.0 / (variances + between)
    mean = float((weights * values).sum() / weights.sum())
    freedom = len(values) - 1
    scatter = float((weights * (values - mean) ** 2).sum()) / freedom
    error = float(np.sqrt(max(1.0, scatter) / weights.sum()))
    width = student_quantile(0.5 + confidence / 2.0, freedom) * error
    return PooledEffect(
        mean=mean,
        lower=mean - width,
        upper=mean + width,
        spread=float(np.sqrt(between)),
        scenarios=len(values),
    )


def _between(values: np.ndarray, variances: np.ndarray) -> float:
    """DerSimonian & Laird's tau squared: what the effects vary beyond their own errors, never below 0."""
    weights = 1.0 / variances
    fixed = (weights * values).sum() / weights.sum()
    excess = float((weights * (values - fixed) ** 2).sum()) - (len(values) - 1)
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(0.0, excess / scale)


def share_sentence(share: Share) -> str:
    """`within the margin in 37 of 42 scenarios, 95 % interval 74-96 %`."""
    scenarios = "scenario" if share.trials == 1 else "scenarios"
    return (
        f"within the margin in {share.successes} of {share.trials} {scenarios}, "
        f"95 % interval {100 * share.lower:.0f}-{100 * share.upper:.0f} %"
    )


@dataclass(frozen=True, kw_only=True)
class RollUpRow:
    """In how many scenarios a claim, or one level of it, is within the margin. lower, upper: of that share.

    mean and its bounds: gained on average, in `unit` (None: percent); None where it takes more scenarios.
    """

    factor: str
    within: int
    scenarios: int
    lower: float
    upper: float
    mean: float | None
    mean_lower: float | None
    mean_upper: float | None
    sentence: str
    unit: str | None = field(default=None, metadata=OPTIONAL)

    @property
    def told_in(self) -> str:
        """The unit as it is written behind a number."""
        return PERCENT if self.unit is None else self.unit


def roll_up(verdicts: Sequence[Verdict]) -> list[RollUpRow]:
    """Verdicts of one per scenario, claim and factor as a table.

    First a row per claim: in how many scenarios the default is within the margin (confirmed), with the
    exact interval. Then one per level that several scenarios tested: in how many it is shown not to beat the
    default by the margin, and its random-effects mean gain.
    """
    claims: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        claims.setdefault((verdict.factor, verdict.claim), []).append(verdict)
    table: list[RollUpRow] = []
    for (factor, claim), group in claims.items():
        confirmed = sum(verdict.verdict == Word.CONFIRM for verdict in group)
        share = clopper_pearson(confirmed, len(group))
        name = factor if claim_named(claim).plain else f"{factor} ({claim})"
        unit = common_unit(verdict.scale for verdict in group)
        table.append(_row(name, share, None, f"{name}: the default is {share_sentence(share)}", unit))
        table += _levels(name, group)
    return table


def _levels(name: str, verdicts: Sequence[Verdict]) -> Iterator[RollUpRow]:
    labels = dict.fromkeys(level.label for verdict in verdicts for level in verdict.levels)
    unit = common_unit(verdict.scale for verdict in verdicts)
    for label in labels:
        found = [
            (scale.number(gain), scale.number(error), _below(level.estimate.upper, verdict.margin))
            for verdict in verdicts
            if (scale := verdict.scale).unit == unit
            for level in verdict.levels
            if level.label == label and level.estimate is not None
            if (gain := level.estimate.gain) is not None
            if (error := level.estimate.standard_error) is not None
        ]
        if len(found) < FEWEST_FOR_A_MEAN:
            continue
        pooled = random_effects([gain for gain, _, _ in found], [error for _, error, _ in found])
        within = sum(below for _, _, below in found)
        yield _row(f"{name} at {label}", clopper_pearson(within, len(found)), pooled, "", unit)


def _below(bound: float | None, limit: float | None) -> bool:
    return bound is not None and limit is not None and bound < limit


def _row(name: str, share: Share, pooled: PooledEffect | None, sentence: str, unit: str) -> RollUpRow:
    return RollUpRow(
        factor=name,
        within=share.successes,
        scenarios=share.trials,
        lower=share.lower,
        upper=share.upper,
        mean=None if pooled is None else pooled.mean,
        mean_lower=None if pooled is None else pooled.lower,
        mean_upper=None if pooled is None else pooled.upper,
        sentence=sentence,
        unit=None if unit == PERCENT else unit,
    )
