"""The choice under a verdict: the value to use now, what that may give away, the cheapest way to know more.

Pure. See docs/statistics.md, item 17. Every verdict has one, for whoever cannot wait has to use some value:
the default, unless another is shown to be better, be that settled or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import BELOW_MARGIN, CONFOUNDED, EDGE, SHARE, SUPERIOR, FactorLevels, Finding
from bios_sweep.decision.fresh import SIZE_OPEN
from bios_sweep.decision.gates import BASELINE_DIVERGED
from bios_sweep.jsonable import OPTIONAL
from bios_sweep.reasons import Reason, is_any
from bios_sweep.vocabulary import Word


class Ground(StrEnum):
    """Why this value is the one to use now."""

    SETTLED = "settled"
    WITHHELD = "settled, and what it stands for is not served"
    BETTER = "shown to be better, and not settled"
    COSTS = "another is shown to be better, and not to keep what must not be lost"
    NOTHING_BETTER = "nothing is shown to be better"
    UNKNOWN = "nothing is known of the others"
    DIVERGED = "the default diverged"


class Step(StrEnum):
    """What would settle an open question."""

    SEEDS = "fresh seeds"
    SEVERAL = "several seeds instead of one"
    CONFIRMATION = "a confirmation on fresh seeds"
    LEVEL = "one level beyond the end of the grid"
    RUNG = "one rung beyond the end of the ladder"
    NEARER = "levels nearer to the default"
    WORSE = "a level that must be worse"
    AGAIN = "the failed trials again"
    TAKEN_UP = "the arm that was stopped by hand"
    RATE = "a lower learning rate"
    MARGIN = "a coarser margin"
    EVALUATION = "more evaluation data"
    NARROWER = "an answer about this evaluation set alone"


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """The cheapest step that would settle a question.

    seeds: fresh ones, of each of `levels` and the default. trials: those that are not there yet; None where
    the step itself has to find out. hours: of training, one trial after the other, None while no trial was
    timed; money: what they cost at `cluster.price_per_gpu_hour`. margin: percent, of a coarser one. clusters:
    of the evaluation, how many would do. command: what can be typed; empty where no command line does it.
    """

    kind: Step
    trials: int | None = None
    seeds: int | None = None
    levels: tuple[Any, ...] = ()
    margin: float | None = None
    clusters: int | None = None
    hours: float | None = None
    money: float | None = None
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Most:
    """The most that a tested alternative may gain over the value in use: percent, an upper bound.

    level: of that alternative. same_time: over the default trained for the same time.
    """

    gain: float
    level: Any
    same_time: bool = False


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to use now, and why. default: what stands without the study.

    value: where a level is better and not settled, that level, unless another answer of the study serves one.
    served: what the tuned file gives, None where the verdict is about no file.
    most: None where no bound is known. gain, lower: of the value over the default where it is better and not
    settled, or would be the one to use but for the metrics in `costs`, which it is not shown to keep.
    confidence: of `most` and `lower`, over all looks. open: why it is not settled, None where it is.
    """

    value: Any
    ground: Ground
    default: Any
    served: Any
    confidence: float
    most: Most | None = None
    gain: float | None = None
    lower: float | None = None
    open: Reason | None = None
    step: NextStep | None = field(default=None, metadata=OPTIONAL)
    costs: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)


def choice_of(
    claim: Claim,
    word: str,
    levels: FactorLevels,
    screening: Finding,
    final: Finding,
    *,
    settled: Any,
    recommended: Any,
    withheld: Reason | None,
    alpha: float,
    costs: Sequence[str] = (),
) -> Choice:
    """The choice under one verdict.

    word: the verdict. settled: the level that it stands for. recommended: what the tuned file gives its goal,
    None where it is about no file. alpha: of the whole rule. costs: metrics that must not lose, and that the
    level which the finding is about is not shown to keep.
    """
    default = levels.default
    served = default if recommended is None else recommended
    value, ground, why = served, Ground.NOTHING_BETTER, next(iter(final.reasons), None)
    bound = final.bound if final.iso is None else final.iso
    if word in (Word.CONFIRM, Word.REFINE):
        why = None
        if withheld is None or recommended in (None, settled):
            value, ground = settled, Ground.SETTLED
        else:
            ground = Ground.WITHHELD
    elif is_any(final.reasons, BASELINE_DIVERGED):
        ground = Ground.DIVERGED
    elif bound is not None and bound.lower > 0 and _better(word, final):
        ground = Ground.COSTS if costs else Ground.BETTER
        value = served if costs or served != default else settled
    # what moved together gained together, so no bound is of one value
    most = None if is_any(final.reasons, CONFOUNDED) else _most(claim, levels, screening, final, value)
    if ground == Ground.NOTHING_BETTER and most is None:
        ground = Ground.UNKNOWN
    better = ground in (Ground.BETTER, Ground.COSTS) and bound is not None
    return Choice(
        value=value,
        ground=ground,
        default=default,
        served=recommended,
        confidence=1.0 - alpha,
        most=most,
        gain=_short(bound.gain) if better and bound is not None else None,
        lower=_short(bound.lower) if better and bound is not None else None,
        open=why,
        costs=tuple(costs) if ground == Ground.COSTS else None,
    )


def _better(word: str, final: Finding) -> bool:
    """Whether the level that a finding is about is better than the default, though nothing is settled.

    The lower bound of screening pays for choosing among all that was tried; that of fresh seeds need not.
    """
    if word == Word.UNCONFIRMED:
        return final.test is None or final.test.kind == SUPERIOR
    first = next(iter(final.reasons), None)
    return first is not None and first.kind in (EDGE, SIZE_OPEN, BELOW_MARGIN)


def _most(claim: Claim, levels: FactorLevels, screening: Finding, final: Finding, value: Any) -> Most | None:
    if final.test is not None and final.test.kind == SHARE:
        return None
    if value != levels.default:
        rival = screening.rival
        same = rival is not None and rival.over in levels.arms and levels.level(rival.over) == value
        return _of(rival, levels) if rival is not None and same else None
    if screening.iso is not None and screening.iso.over == "":
        nearest = None if _ahead(screening) else screening.iso
        return None if nearest is None else _of(nearest, levels, same_time=True)
    if screening.by_rate:
        return None if _ahead(screening) or screening.bound is None else _of(screening.bound, levels)
    bounds = {bound.arm: bound for bound in screening.bounds}
    if final.fresh and final.bound is not None and not (final.bound.over or final.bound.how):
        bounds[final.bound.arm] = final.bound  # of seeds that did not choose it
    worst = max(bounds.values(), key=lambda bound: bound.upper, default=None)
    return None if worst is None else _of(worst, levels)


def _ahead(screening: Finding) -> bool:
    """Whether the finding is about the level that leads, and not about the one with the largest bound."""
    return screening.state == Word.CANDIDATE or is_any(screening.reasons, EDGE)


def _of(bound: Bound, levels: FactorLevels, *, same_time: bool = False) -> Most | None:
    if not math.isfinite(bound.upper):
        return None
    level = levels.level(bound.arm) if bound.arm in levels.arms else bound.arm
    return Most(gain=_short(bound.upper), level=level, same_time=same_time)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
