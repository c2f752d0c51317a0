"""What else moves the best learning rate, inside a cell (a model on one data): rank, alpha, method. Pure.

Every cell has a level of its own, so that nothing of a model or its data is in a term, and one model is
enough. The served rule has no such term: they are evidence about it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bios_sweep.decision.table import Floats
from bios_sweep.refit.design import FACTORS, REFERENCES, Design, Names, together_in, untangled
from bios_sweep.refit.evidence import RateStudy
from bios_sweep.refit.law import Estimate, as_factor, interval_of, likelihood_of
from bios_sweep.settings import BY_RANK, BY_SQRT_RANK, FULL, GROWTH, LORA

RANK, ALPHA = FACTORS["lora_rank"], "alpha"
NAMES = {**FACTORS, "alpha": ALPHA}  # fact -> its name in words
STANDS_AT = {**REFERENCES, "alpha": 32.0}  # where a doubling is counted from: the defaults
METHOD = "method "
ADAPTERS = ("lora_rank", "alpha")  # what full fine-tuning has not, and counts as the default of


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What multiplies the best rate, each with its 95 % interval.

    cells: with two ladders or more; studies: their ladders. doublings: factor in words -> per doubling of it,
    all else equal: of the rank, with alpha as it is. by_rule: the other alpha rules -> per doubling of the
    rank, alpha growing by that rule. methods: method -> its best rate over that of `reference`, at rank and
    alpha 32. unknown: what is not told, with the reason in words. together: what moves together, by name.
    """

    cells: int
    studies: int
    reference: str
    doublings: Mapping[str, Estimate] = field(default_factory=dict)
    by_rule: Mapping[str, Estimate] = field(default_factory=dict)
    methods: Mapping[str, Estimate] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    together: tuple[Names, ...] = ()


def terms_of(studies: Sequence[RateStudy]) -> Terms | None:
    """The terms that the studies identify; None where no cell has two ladders.

    A regression of the best rate with an effect per cell, every study saying between which tested rates it
    lies. Ladders of one cell with the same numbers (a rank at which two alpha rules agree) count once.
    """
    mine = _once(studies)
    sizes = Counter((one.model, one.data) for one in mine)
    mine = [one for one in mine if sizes[one.model, one.data] > 1]
    if not mine:
        return None
    methods = [*dict.fromkeys(one.method for one in mine)]
    reference = LORA if LORA in methods else methods[0]
    columns, unknown = _columns(mine, [one for one in methods if one != reference])
    unknown |= {
        name: f"{name} does not vary inside a model on one data: its effect is not identified"
        for name, column in columns.items()
        if np.ptp(column) == 0
    }
    columns = {name: column for name, column in columns.items() if name not in unknown}
    found, lost = _estimates(mine, columns, list(columns))
    return Terms(
        cells=len({(one.model, one.data) for one in mine}),
        studies=len(mine),
        reference=reference,
        doublings={name: one for name, one in found.items() if name in NAMES.values()},
        by_rule=_by_rule(mine, columns),
        methods={name.removeprefix(METHOD): one for name, one in found.items() if name.startswith(METHOD)},
        unknown={**unknown, **lost},
        together=together_in(columns),
    )


def _once(studies: Sequence[RateStudy]) -> list[RateStudy]:
    same = {
        (
            one.model,
            one.data,
            one.method,
            tuple(sorted(one.facts.items())),
            one.rates,
            one.gains,
            one.low,
        ): one
        for one in reversed(studies)
    }
    return [*same.values()][::-1]


def _columns(
    studies: Sequence[RateStudy], methods: Sequence[str]
) -> tuple[dict[str, Floats], dict[str, str]]:
    """What may move the rate, each as its distance from the mean of its cell; and what is not known."""
    columns: dict[str, Floats] = {}
    unknown: dict[str, str] = {}
    for fact, name in NAMES.items():
        known = [_doublings(one, fact) for one in studies]
        if None in known:
            unknown[name] = f"{name} is not known in every ladder: its effect is not identified"
        else:
            columns[name] = _inside([value or 0.0 for value in known], studies)
    for method in methods:
        columns[METHOD + method] = _inside([float(one.method == method) for one in studies], studies)
    return columns, unknown


def _doublings(study: RateStudy, fact: str) -> float | None:
    """A fact in doublings from where it stands by default; full fine-tuning counts as standing there."""
    if study.method == FULL and fact in ADAPTERS:
        return 0.0
    value = study.facts.get(fact)
    return None if value is None else math.log2(value / STANDS_AT[fact])


def _inside(values: Sequence[float], studies: Sequence[RateStudy]) -> Floats:
    own, cells = np.array(values, dtype=np.float64), np.array(_cells(studies))
    means = np.array([own[cells == cell].mean() for cell in cells])
    return np.asarray(np.round(own - means, 12), dtype=np.float64)


def _cells(studies: Sequence[RateStudy]) -> list[int]:
    names = [*dict.fromkeys((one.model, one.data) for one in studies)]
    return [names.index((one.model, one.data)) for one in studies]


def _estimates(
    studies: Sequence[RateStudy], columns: Mapping[str, Floats], wanted: Sequence[str]
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The wanted effects as far as they are told apart, and why the others are not."""
    _, kept, unknown = untangled(dict(columns), {})
    cells = np.array(_cells(studies))
    levels = [np.asarray(cells == cell, dtype=np.float64) for cell in range(cells.max() + 1)]
    spare = len(studies) - len(levels) - len(kept)
    if spare < 1:
        few = f"{len(studies)} ladders are too few for {' and '.join(kept)}: not identified"
        return {}, {**dict.fromkeys(kept, few), **unknown}
    design = Design(
        matrix=np.column_stack([*levels, *kept.values()]),
        columns=tuple(kept),
        groups=tuple(range(len(studies))),
        spare=spare,
        unknown=unknown,
    )
    likelihood = likelihood_of(design, studies)
    top, least = likelihood.best(likelihood.start())
    places = {name: len(levels) + place for place, name in enumerate(kept)}
    told = [name for name in places if name in wanted and name not in unknown]
    return {n: as_factor(interval_of(likelihood, top, least, places[n])) for n in told}, unknown


def _by_rule(studies: Sequence[RateStudy], columns: Mapping[str, Floats]) -> dict[str, Estimate]:
    """Per alpha rule but the constant one, what a doubling of the rank does where alpha follows the rule.

    It is the coefficient of the rank once alpha counts from where the rule has it, so that studies under
    that rule alone identify it.
    """
    if RANK not in columns:
        return {}
    found = {}
    for rule in (BY_SQRT_RANK, BY_RANK):
        alpha = columns.get(ALPHA, np.zeros(len(studies))) - GROWTH[rule] * columns[RANK]
        turned = {**columns, ALPHA: np.asarray(np.round(alpha, 12), dtype=np.float64)}
        varying = {name: column for name, column in turned.items() if np.ptp(column) > 0}
        told, _ = _estimates(studies, varying, [RANK])
        if RANK in told:
            found[rule] = told[RANK]
    return found
