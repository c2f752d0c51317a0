"""The learning-rate law of a family, from studies of several models: exponent, level, rank, batch size. Pure.

`rate = level * (2000 / hidden_size)^exponent`, times a factor per doubling of rank, batch size and steps
where the studies tell these apart. Intervals are profile-likelihood intervals: a grid gives brackets, not
points, and all laws that pass through every bracket are nearly alike in likelihood, so that a Wald interval
would have no meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bios_sweep.decision.student import student_quantile
from bios_sweep.decision.table import Floats
from bios_sweep.defaults.rules import family_of, setting_heuristic
from bios_sweep.errors import DefaultsError
from bios_sweep.refit.design import HIDDEN, REFERENCE_SIZE, Design, Names, design_of
from bios_sweep.refit.evidence import RateStudy
from bios_sweep.refit.likelihood import Likelihood

LEVEL = 0.95  # two-sided, of every interval
FARTHEST = 8.0  # log units or exponent: beyond it an interval counts as open (chosen, not measured)
PRECISION = 5e-3  # of an interval's ends, in the same units


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval; None for an end that the studies leave open."""

    value: float
    lower: float | None
    upper: float | None

    def holds(self, number: float) -> bool:
        """Whether the interval holds the number."""
        above = self.lower is None or self.lower <= number
        return above and (self.upper is None or number <= self.upper)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`rate = level * (2000 / hidden_size)^exponent`; exponent 0 is a flat value."""

    level: float
    exponent: float

    def rate(self, hidden_size: int) -> float:
        """The learning rate at a hidden size."""
        return float(self.level * (REFERENCE_SIZE / hidden_size) ** self.exponent)


def served_rule(family: str, method: str) -> Rule:
    """The rule that is served now; the fallback's exponent where the family has none.

    Raises:
        DefaultsError: a method without a rule.
    """
    rule = setting_heuristic("learning_rate")["rule"]
    if method not in rule["multipliers"]:
        raise DefaultsError(f"method: {method!r} has no rule; there are {', '.join(rule['multipliers'])}")
    facts = rule["families"].get(family_of(family), rule["fallback"])
    level = rule["base"] * rule["multipliers"][method] * facts.get("level", 1.0)
    return Rule(level=level, exponent=facts["exponent"])


@dataclass(frozen=True, kw_only=True)
class Law:
    """What the studies of one family say. `rule` is None, and `refusal` says why, where they say nothing.

    level: learning rate at hidden size 2000, with rank, batch size and steps at their defaults where they
    have a column, else as they were in the studies. effects: factor in words -> what a doubling multiplies
    the rate by. unknown: the other factors, with the reason. together: those that move together, by name.
    models, studies: how many.
    """

    models: int
    studies: int
    rule: Rule | None = None
    exponent: Estimate | None = None
    level: Estimate | None = None
    effects: Mapping[str, Estimate] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    together: tuple[Names, ...] = ()
    refusal: str = ""


def fit_law(studies: Sequence[RateStudy]) -> Law:
    """The law with its intervals, all studies being of one family and method.

    A profile interval holds every value whose best log likelihood is within
    `M/2 log(1 + t^2 / spare)` of the maximum, M models, t Student's 97.5 % point at the models to spare: the
    exact interval of a regression over M models where brackets are narrow, wider where they are not.
    """
    design = design_of(studies)
    counted = Law(
        models=design.models,
        studies=len(studies),
        unknown=design.unknown,
        together=design.together,
        refusal=design.refusal,
    )
    if design.refusal:
        return counted
    likelihood = likelihood_of(design, studies)
    top, least = likelihood.best(likelihood.start())
    names = ("level", *design.columns)
    found = {name: interval_of(likelihood, top, least, place) for place, name in enumerate(names)}
    return replace(
        counted,
        rule=Rule(level=math.exp(top[0]), exponent=float(top[1])),
        exponent=found[HIDDEN],
        level=as_factor(found["level"]),
        effects={name: as_factor(found[name]) for name in design.columns[1:] if name not in design.unknown},
    )


def fit_rule(studies: Sequence[RateStudy], *, flat: bool = False) -> Rule | str:
    """The most likely rule alone, or why there is none. flat: one value for all sizes."""
    design = design_of(studies, flat=flat)
    if design.refusal:
        return design.refusal
    likelihood = likelihood_of(design, studies)
    top, _ = likelihood.best(likelihood.start())
    return Rule(level=math.exp(top[0]), exponent=0.0 if flat else float(top[1]))


def likelihood_of(design: Design, studies: Sequence[RateStudy]) -> Likelihood:
    """What the studies say of a design's coefficients."""
    places = [study.places or ((study.low, study.high, 1.0),) for study in studies]
    most = max(map(len, places))
    padded = [[*some, *[(some[0][0], some[0][1], 0.0)] * (most - len(some))] for some in places]
    table = np.array(padded, dtype=np.float64)
    with np.errstate(divide="ignore"):
        low, high = np.log(table[:, :, 0]), np.log(table[:, :, 1])
    return Likelihood(design=design, low=low, high=high, chances=table[:, :, 2])


def interval_of(likelihood: Likelihood, top: Floats, least: float, place: int) -> Estimate:
    """The profile interval of one coefficient. top, least: the most likely ones, and what they come to."""
    design = likelihood.design
    t = student_quantile(0.5 + LEVEL / 2, design.spare)
    allowed = design.models / 2 * math.log1p(t**2 / design.spare)
    ends = []
    for side in (-1.0, 1.0):
        last = top  # every fit starts from the one before it

        def excess(distance: float, side: float = side) -> float:
            nonlocal last
            last, value = likelihood.best(last, (place, float(top[place]) + side * distance))
            return value - least - allowed

        distance = _crossing(excess)
        ends.append(None if distance is None else float(top[place]) + side * distance)
    return Estimate(value=float(top[place]), lower=ends[0], upper=ends[1])


def _crossing(excess: Callable[[float], float]) -> float | None:
    """The distance at which a rising function passes 0; None beyond FARTHEST."""
    inner, outer = 0.0, 0.1
    while excess(outer) < 0:
        inner, outer = outer, outer * 2
        if outer > FARTHEST:
            return None
    while outer - inner > PRECISION:
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if excess(middle) >= 0 else (middle, outer)
    return outer


def as_factor(one: Estimate) -> Estimate:
    """A number in logarithms as what it multiplies by."""
    ends = [None if end is None else math.exp(end) for end in (one.lower, one.upper)]
    return Estimate(value=math.exp(one.value), lower=ends[0], upper=ends[1])
