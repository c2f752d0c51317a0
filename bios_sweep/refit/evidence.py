"""What one study says of a model's best learning rate: between which tested rates it lies. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bios_sweep.decision.bracket import bracket_of
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.pooled import pooled_error
from bios_sweep.decision.quantiles import normal_quantile
from bios_sweep.decision.table import Outcome, ResultTable, complete_blocks
from bios_sweep.errors import InputError
from bios_sweep.study.scenario import Metric

ALPHA = 0.05  # docs/statistics.md, item 5: the level of every bound
DRAWS = 4000  # of the chance to be best; within 0.016 (2 standard errors at worst)
RARE = 0.01  # chances below are dropped (chosen, not measured)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the numbers of one study say of its best learning rate.

    low, high: the rates between which the best one lies; 0 and infinity where the grid leaves an end open.
    places: the same in finer words, (low, high, chance) per rate that may be the best of those tested:
    between its tested neighbours. Empty: the bracket is all that is known.
    rates: those that trained, ascending. gains: percent over the best of them (0 for it, the others below),
    empty where only the bracket is known. wall: the lowest rate above the best that diverged, else infinity.
    """

    low: float
    high: float
    places: tuple[tuple[float, float, float], ...] = ()
    rates: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    wall: float = math.inf

    def diverges_at(self, rate: float) -> bool:
        """Whether the rate is at or above one that diverged."""
        return rate >= self.wall

    def regret(self, rate: float) -> float:
        """Percent of the loss given away by training at `rate` instead of at the best tested one.

        Between rates a monotone cubic over the logarithm (Fritsch & Carlson 1980), which never rises above
        what was tested and so favours the rules whose values were tested: the old one. Beyond the outermost
        trained rate its own regret, and the worst tested one where the rate diverges: at least that much.
        Only where there are gains.
        """
        from scipy import interpolate  # a third of a second; every report loads this module for its readers

        if self.diverges_at(rate):
            return -min(self.gains)
        if len(self.rates) < 2:
            return -self.gains[0]
        curve = interpolate.PchipInterpolator(np.log(self.rates), self.gains)
        inside = min(max(rate, self.rates[0]), self.rates[-1])
        return max(0.0, -float(curve(math.log(inside))))


@dataclass(frozen=True, kw_only=True)
class RateStudy(Reading):
    """One study of one model: learning rates in steps, everything else fixed; a ladder, in words.

    facts: what was fixed and may move the best rate: `lora_rank`, `batch_size`, `max_steps`, and `alpha`, the
    adapter's own at its rank, where known.
    data: what was trained on, where known; a model on one data is a cell.
    trials: keys of the trials behind it, where its source tells; a shared trial is no independent evidence.
    """

    name: str
    model: str
    family: str
    hidden_size: int
    method: str = "lora"
    facts: Mapping[str, float] = field(default_factory=dict)
    data: str = ""
    trials: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.hidden_size < 1:
            raise InputError(
                f"{self.name}: hidden size {self.hidden_size} is not allowed; it must be above 0"
            )
        if not 0 <= self.low < self.high:
            raise InputError(
                f"{self.name}: the best rate cannot lie between {self.low:g} and {self.high:g}; low < high"
            )


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The studies found, and what was left out with its reason, in words.

    elsewhere: studies of another alpha or alpha rule than the rule's, which tell of the terms alone.
    alphas: which methods had which alpha and alpha rule, (method, name, value), of what was left out too.
    """

    studies: tuple[RateStudy, ...] = ()
    elsewhere: tuple[RateStudy, ...] = ()
    left_out: tuple[str, ...] = ()
    alphas: frozenset[tuple[str, str, str]] = frozenset()

    @classmethod
    def of(cls, parts: Sequence[Collected]) -> Collected:
        """Several as one."""
        return cls(
            studies=tuple(study for part in parts for study in part.studies),
            elsewhere=tuple(study for part in parts for study in part.elsewhere),
            left_out=tuple(told for part in parts for told in part.left_out),
            alphas=frozenset().union(*(part.alphas for part in parts)),
        )


def read_seeds(outcomes: Mapping[tuple[float, int], Outcome], metric: Metric) -> Reading:
    """From one outcome per (rate, seed).

    The bracket is Tukey's (docs/statistics.md, item 9): the tested rates next outside all that are not
    significantly worse than the best. A rate that diverged at any seed is worse than any. Gains are percent
    over the best.

    Raises:
        InputError: fewer than three rates, two seeds that all rates have, or two rates that trained.
    """
    rates = sorted({rate for rate, _ in outcomes})
    middle = float(np.mean(np.log(rates)))
    table = ResultTable(
        arms=tuple(repr(rate) for rate in sorted(rates, key=lambda rate: abs(math.log(rate) - middle))),
        seeds=tuple(sorted({seed for _, seed in outcomes})),
        outcomes={(repr(rate), seed): outcome for (rate, seed), outcome in outcomes.items()},
        metric=metric,
    )
    blocks = complete_blocks(table)
    _require_three(rates, blocks.arms)
    if len(blocks.seeds) < 2:
        raise InputError("a bracket needs at least two seeds that every rate has")
    contrasts = Contrasts(blocks=blocks, alpha=ALPHA, tried=len(rates) - 1)
    found = bracket_of({rate: repr(rate) for rate in rates}, contrasts)
    gains = dict(zip(map(float, blocks.arms), (0.0, *blocks.gains().mean(axis=1)), strict=True))
    percent = 100.0 * blocks.values / abs(float(blocks.values[0].mean()))
    error = pooled_error(percent) / math.sqrt(2)  # of one mean: seed effects are common to all rates
    freedom = (len(blocks.arms) - 1) * (len(blocks.seeds) - 1)
    return _reading(rates, gains, dict.fromkeys(gains, error), freedom, found)


def read_errors(
    gains: Mapping[float, float], errors: Mapping[float, float], diverged: Sequence[float] = ()
) -> Reading:
    """The same from a mean gain (percent, positive is better) and its standard error per rate.

    Errors count as independent and known (normal), each pair of rates at ALPHA shared over all pairs
    (Bonferroni): wider than the bracket of paired seeds.

    Raises:
        InputError: fewer than three rates with the diverged ones, or fewer than two that trained.
    """
    rates = sorted({*gains, *diverged})
    _require_three(rates, list(gains))
    width = normal_quantile(1 - ALPHA / (len(rates) * (len(rates) - 1)))
    best = max(gains, key=lambda rate: gains[rate])
    kept = [
        rate
        for rate, gain in gains.items()
        if rate == best or gain + width * math.hypot(errors[rate], errors[best]) >= gains[best]
    ]
    return _reading(rates, gains, errors, None, (_next(rates, min(kept), -1), _next(rates, max(kept), 1)))


def _require_three(rates: Sequence[float], trained: Sequence[object]) -> None:
    if len(rates) < 3 or len(trained) < 2:
        raise InputError("a learning-rate ladder needs three rates, two of which train")


def _reading(
    rates: Sequence[float],
    gains: Mapping[float, float],
    errors: Mapping[float, float],
    freedom: int | None,
    bracket: tuple[float | None, float | None] | None,
) -> Reading:
    low, high = bracket or (None, None)
    best = max(gains, key=lambda rate: gains[rate])
    below = {rate: float(gains[rate] - gains[best]) for rate in sorted(gains)}
    chances = _chances(below, errors, freedom)
    return Reading(
        low=0.0 if low is None else low,
        high=math.inf if high is None else high,
        places=tuple(
            (_next(rates, rate, -1) or 0.0, _next(rates, rate, 1) or math.inf, chance)
            for rate, chance in chances.items()
        ),
        rates=tuple(below),
        gains=tuple(below.values()),
        wall=min((rate for rate in rates if rate > best and rate not in gains), default=math.inf),
    )


def _chances(
    gains: Mapping[float, float], errors: Mapping[float, float], freedom: int | None
) -> dict[float, float]:
    """The chance of each rate that it is the best of those tested, its true gain having a flat prior.

    By DRAWS fixed draws; `freedom` makes them Student's, with one scale for all rates. Chances below RARE are
    dropped.
    """
    rng = np.random.default_rng(0)
    size = (DRAWS, len(gains))
    scale = 1.0 if freedom is None else np.sqrt(freedom / rng.chisquare(freedom, (DRAWS, 1)))
    drawn = np.array(list(gains.values())) + rng.standard_normal(size) * scale * [
        errors[one] for one in gains
    ]
    shares = np.bincount(drawn.argmax(axis=1), minlength=len(gains)) / DRAWS
    kept = {rate: float(share) for rate, share in zip(gains, shares, strict=True) if share >= RARE}
    return {rate: share / sum(kept.values()) for rate, share in kept.items()}


def _next(rates: Sequence[float], rate: float, way: int) -> float | None:
    """The tested rate next below (-1) or above (1); None at the end of the grid."""
    beyond = [one for one in rates if (one - rate) * way > 0]
    return min(beyond, key=lambda one: abs(one - rate)) if beyond else None
