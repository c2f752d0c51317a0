"""Whether a crossed study's best level moves with what it is crossed with, as it is told. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bios_sweep.checks import is_positive
from bios_sweep.decision.drift import Drift, LadderCell, Place, drift_of, why_not
from bios_sweep.decision.gates import margin_of
from bios_sweep.procedure.state import Results, State
from bios_sweep.procedure.tables import table_of
from bios_sweep.report.content.wording import gain, number, times
from bios_sweep.settings import KNOWN
from bios_sweep.study.factors import Cross, Factor
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage, Word


@dataclass(frozen=True, kw_only=True)
class PlaceRow:
    """Where the best level lies in one cell: between two tested ones, None at an open end.

    at: the crossed setting there. loss: percent that another level gains over the common one at most.
    """

    at: float
    low: float | None
    high: float | None
    best: float
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class MovementRow:
    """Whether the best level of a factor moves with a crossed setting.

    held: the other crossed settings, empty where there are none. verdict: confirm (one level serves all
    cells), refine (the best one moves, and none is shown to serve all), inconclusive. lower, upper: by what
    the best level is multiplied where the setting doubles; None at an open end. level, loss: of the level
    that gives away least at worst, percent. cells, seeds: none where a cell cannot be judged; the sentence
    says which, and why.
    """

    factor: str
    moderator: str
    held: str
    verdict: str
    lower: float | None
    upper: float | None
    level: float | None
    loss: float | None
    cells: tuple[PlaceRow, ...]
    seeds: int
    confidence: float
    sentence: str


def movement_rows(plan: Plan, state: State, results: Results) -> tuple[MovementRow, ...]:
    """Per factor and crossed setting that both span powers of two or ten, at each value of the others."""
    if not plan.cells or state.stage != Stage.DONE:
        return ()
    rule = plan.study.decision
    asked = [
        (factor, cross, held, cells)
        for cross in plan.study.cross
        if _spans(cross.setting, cross.values)
        for held, cells in _groups(plan, cross)
        for factor in plan.factors
        if factor.nuisance is None
    ]
    alpha = rule.alpha / len(rule.looks) / max(1, len(asked))
    rows = []
    for factor, cross, held, cells in asked:
        ladders = [_ladder(cell, factor, cross, state, results) for cell in cells]
        known = [one for one in ladders if one]
        if len(known) < len(ladders):
            continue
        found, confidence = drift_of(known, alpha), 1 - rule.alpha / len(rule.looks)
        if found:
            rows.append(_row(factor.name, cross.setting, held, found, confidence))
        elif open_cells := {cell.at: why for cell in known if (why := why_not(cell))}:
            rows.append(_untold(factor.name, cross.setting, held, open_cells, confidence))
    return tuple(rows)


def _spans(setting: str, values: Sequence[object]) -> bool:
    return setting in KNOWN and KNOWN[setting].scaled and all(map(is_positive, values))


def _groups(plan: Plan, cross: Cross) -> Iterator[tuple[str, list[Plan]]]:
    """The cells that differ in one crossed setting alone, with the values of the others in words."""
    others = [one for one in plan.study.cross if one is not cross]
    for values in itertools.product(*(one.values for one in others)):
        held = {one.setting: value for one, value in zip(others, values, strict=True)}
        mine = [cell for cell in plan.cells if _has(cell, held)]
        yield ", ".join(f"{name}={value}" for name, value in held.items()), mine


def _has(cell: Plan, held: Mapping[str, object]) -> bool:
    base = cell.study.baseline
    return all(getattr(base, name) == KNOWN[name].meant(value) for name, value in held.items())


def _ladder(cell: Plan, factor: Factor, cross: Cross, state: State, results: Results) -> LadderCell | None:
    arms = {arm.level: arm.name for arm in cell.levels_of(factor.name)}
    levels = {getattr(cell.study.baseline, factor.name, None): cell.baseline.name, **arms}
    if not _spans(factor.name, list(levels)):
        return None
    margin = margin_of(table_of(cell, cell.trials, results), cell.study.decision)
    table = table_of(cell, _together(cell, set(levels.values()), state), results)
    at = float(getattr(cell.study.baseline, cross.setting))
    return LadderCell(at=at, levels=levels, table=table, margin=margin.percent if margin else None)


def _together(cell: Plan, arms: Collection[str], state: State) -> list[TrialSpec]:
    """The trials of the seeds at which every level was to run: one that a look sets aside runs no more."""
    wanted = {trial.key for trial in state.needed}
    mine = [trial for trial in cell.trials if trial.arm in arms]
    apart = {trial.seed for trial in mine if trial.key not in wanted}
    return [trial for trial in mine if trial.seed not in apart]


def _untold(
    factor: str, moderator: str, held: str, cells: Mapping[float, str], confidence: float
) -> MovementRow:
    """The row of a question that some cells cannot answer: at -> why."""
    where = "; ".join(f"at {moderator} {number(at)} {why}" for at, why in cells.items())
    told = f"whether the best {factor} moves with {moderator} is not told" + (f" at {held}" if held else "")
    return MovementRow(
        factor=factor,
        moderator=moderator,
        held=held,
        verdict=Word.INCONCLUSIVE,
        lower=None,
        upper=None,
        level=None,
        loss=None,
        cells=(),
        seeds=0,
        confidence=confidence,
        sentence=f"{Word.INCONCLUSIVE}: {told}: {where}",
    )


def _row(factor: str, moderator: str, held: str, found: Drift, confidence: float) -> MovementRow:
    lower, upper = found.per_doubling
    return MovementRow(
        factor=factor,
        moderator=moderator,
        held=held,
        verdict=found.word,
        lower=lower,
        upper=upper,
        level=found.level,
        loss=found.loss,
        cells=tuple(_place(place, found.level) for place in found.places),
        seeds=found.seeds,
        confidence=confidence,
        sentence=_sentence(factor, moderator, held, found, confidence),
    )


def _place(place: Place, level: float | None) -> PlaceRow:
    loss = None if level is None else place.losses[level]
    return PlaceRow(at=place.at, low=place.low, high=place.high, best=place.best, loss=loss)


def _sentence(factor: str, moderator: str, held: str, found: Drift, confidence: float) -> str:
    """What was shown: whether one level serves all cells, and how fast the best one may move."""
    ends = f"{moderator} {number(found.places[0].at)} to {number(found.places[-1].at)}"
    where = f"{ends}, {held}" if held else ends
    serves = {
        Word.CONFIRM: f"one {factor} serves {where}",
        Word.REFINE: f"the best {factor} moves over {where}",
    }.get(found.word, f"the best {factor} is not shown to move over {where}, nor that one serves all of it")
    parts = [f"{found.word}: {serves}", _given_away(moderator, found), _speed(moderator, found)]
    told = "; ".join(part for part in parts if part)
    return f"{told} ({100 * confidence:.3g} % over all cells and levels, {found.seeds} seeds)"


def _given_away(moderator: str, found: Drift) -> str:
    if found.level is None or found.loss is None or found.where is None:
        return "no tested level trained in every cell"
    most = f"at most {gain(found.loss).lstrip('+')} %" if math.isfinite(found.loss) else "an unknown share"
    return f"{number(found.level)} gives away {most}, at {moderator} {number(found.where)}"


def _speed(moderator: str, found: Drift) -> str:
    lower, upper = found.per_doubling
    if found.bent:
        return "no power law passes through all brackets"
    if lower is None and upper is None:
        return "its movement is not bounded: the grids end before the brackets do"
    ends = (
        f"at most {times(upper)}" if lower is None
        else f"at least {times(lower)}" if upper is None
        else f"{times(lower)} to {times(upper)}"
    )  # fmt: skip
    also = ", the brackets of some cells having no level in common" if found.moves else ""
    return f"per doubling of {moderator} the best one is multiplied by {ends}{also}"
