"""What a decision is made of and what it finds: levels, margin, findings, the test on fresh seeds. Values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.rows import RateRow
from bios_sweep.jsonable import LEFT_OUT
from bios_sweep.reasons import Kind, Reason
from bios_sweep.units import Scale, Told

EDGE = Kind("edge: the best level {level} ends the grid")
LARGER_ONLY = Kind("confirmed against larger only")
SMALLER_ONLY = Kind("confirmed against smaller only")
CONFOUNDED = Kind("confounded with {others}, which moves with {main}: no effect belongs to one of them")
UNPAIRED = Kind(
    "unpaired seeds: no variation shares a seed with the default, so each arm's own spread counts"
)
BELOW_MARGIN = Kind("better than the default, but a gain of {margin:.2f}, which would matter, is not shown")
NO_NOISE = Kind("the differences are the same at every seed, so that they have no error estimate")
NO_SEEDS = Kind("without seeds the repeats of a setting cannot be paired, so their means decide nothing")

SUPERIOR = "superior"  # lower bound above 0 and the gain at least the margin
NOT_WORSE = "not worse"  # lower bound above -limit
BELOW = "below"  # upper bound below the limit
SHARE = "share"  # lower bound of the share of the default's gain above the limit

AS_LONG = "{} trained as long"  # what a gain at the same cost is over (`Bound.how`)


def share_of(share: float) -> str:
    """What the bound of a share of the default's gain is over (`Bound.how`): above 0 it is reached."""
    return f"{share:.0%} of the gain of {{}}"


@dataclass(frozen=True, kw_only=True)
class FreshTest:
    """What fresh seeds must show before a value is served: the gain of `arm` over `over`, and its test.

    value: the level that is served if it passes. limit: percent, or the share, that the kind compares
    with. duration: the default is trained for this multiple of its steps and takes the place of `over`
    (a level's gain over the default at the same cost).
    """

    arm: str
    over: str
    kind: str
    value: Any
    limit: float = 0.0
    duration: float | None = None


@dataclass(frozen=True, kw_only=True)
class FactorLevels:
    """A factor as the decision rule sees it: its arms with their levels, and the default's level.

    ordered: whether levels are numbers, so that "each side of the default" has a meaning. ends: values
    beyond which nothing can be tested (`study.factors.natural_ends`).
    """

    name: str
    default: Any
    arms: tuple[str, ...]
    levels: tuple[Any, ...]
    labels: tuple[str, ...]
    ends: tuple[float, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether every level and the default are numbers."""
        return all(map(is_number, (self.default, *self.levels)))

    def level(self, arm: str) -> Any:
        """The factor's value in an arm."""
        return self.levels[self.arms.index(arm)]

    def label(self, arm: str) -> str:
        """How the level is written."""
        return self.labels[self.arms.index(arm)]

    def ends_grid(self, level: Any) -> bool:
        """Whether a level is the outermost tested, and one beyond it could have been.

        A diverged level beyond it closes the grid, as does the end of what there is: rank 1, all the data.
        """
        tested = (self.default, *self.levels)
        return self.ordered and level not in self.ends and level in (min(tested), max(tested))

    def one_sided(self, arms: Sequence[str]) -> tuple[Reason, ...]:
        """A confirmation needs a finite arm on each side of the default, else it says which side it has.

        A default at the end of what there is has one side only.
        """
        if not self.ordered or self.default in self.ends:
            return ()
        tested = [self.level(arm) for arm in arms]
        if not any(level < self.default for level in tested):
            return (LARGER_ONLY(),)
        if not any(level > self.default for level in tested):
            return (SMALLER_ONLY(),)
        return ()


@dataclass(frozen=True, kw_only=True)
class Margin:
    """The smallest effect that matters, in percent of the baseline's metric and in its own unit.

    gained: percent by which training improved on the untouched model; None when that is unknown. plain: the
    percent before a share of the gain was taken, None where that is the same. scale: how gains are told.
    """

    percent: float
    absolute: float
    gained: float | None = field(metadata=LEFT_OUT)
    plain: float | None = field(default=None, metadata=LEFT_OUT)
    scale: Scale = field(default_factory=Scale, metadata=LEFT_OUT)

    def told(self, percent: float) -> Told:
        """A gain as it is written: in percent, of a score in points."""
        return self.scale.told(percent)

    @property
    def level(self) -> float:
        """What gains are percents of, in the metric's own unit: the size of the baseline's mean."""
        return 100.0 * self.absolute / self.percent


def told_in(margin: Margin | None) -> Scale:
    """How gains are told beside a margin; in percent where there is none."""
    return margin.scale if margin else Scale()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one stage found about one factor.

    state: a verdict word, or CANDIDATE / UNDECIDED. best: the arm the finding is about, with its bound.
    bounds: every finite variation of the factor. diverged: arms that diverged at some seed. test: what a
    candidate must pass on fresh seeds. value: the level that a confirmed or refined claim stands for,
    None where it is the default (confirm) or the best arm's (refine). cost: of the level the finding is
    about, against the default. iso: that level's gain over the default trained for the same cost. by_rate:
    of a nuisance-aware factor, per level the gain at the baseline's and at the best nuisance value. bracket:
    the levels between which the best lies, None at an open end. fresh: whether it rests on seeds that chose
    nothing; every other finding, a confirmed one too, is of the shared seeds. excluded: arms whose bounds are
    of an earlier look, after which they ran no more. rival: of an arm that leads, what another may gain over
    it at most, the default among them; it pays for picking the leading arm by looking.
    paired: whether the seeds pair its arms; those of a
    script that gives another value at the same seed do not.
    """

    factor: str
    state: str
    best: str | None = None
    bound: Bound | None = None
    bounds: tuple[Bound, ...] = ()
    diverged: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    seeds: tuple[int, ...] = ()
    test: FreshTest | None = None
    value: Any = None
    cost: CostRatio | None = None
    iso: Bound | None = None
    by_rate: tuple[RateRow, ...] = ()
    bracket: tuple[Any, Any] | None = None
    fresh: bool = False
    excluded: tuple[str, ...] = ()
    rival: Bound | None = None
    paired: bool = True
