"""The parts of a report that only some sweeps have: tables that terminal, Markdown and HTML share. Pure.

A sweep without a timing probe has no frontier, one without a nuisance setting no effects by rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from bios_sweep.audit.rollup import RollUpRow
from bios_sweep.decision.frontier import FrontierPoint
from bios_sweep.decision.rows import BesideRow, RateRow
from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content.lines import titled
from bios_sweep.report.content.movement import MovementRow, PlaceRow
from bios_sweep.report.content.parts import CellRow, ModeratorRow, SearchRow, SignRow
from bios_sweep.report.content.studies import StudyRow
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.takes import TakesRow
from bios_sweep.report.content.wording import (
    NONE,
    bounded,
    clean,
    count,
    gain,
    number,
    plural,
    size,
    times,
    told,
)
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.metric_names import BETTER
from bios_sweep.units import Scale, headed, in_unit
from bios_sweep.vocabulary import Goal, Stage

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled table. lines: above it; header, rows: cells as text; numeric: columns set right."""

    key: str
    title: str
    lines: tuple[str, ...] = ()
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[str, ...]


def section(
    key: str,
    title: str,
    items: Iterable[Item],
    columns: Mapping[str, Callable[[Item], str]],
    *,
    lines: Sequence[str] = (),
    numeric: Sequence[str] = (),
) -> Section:
    """A table with a row per item. columns: the name of each -> its cell for an item."""
    return Section(
        key=key,
        title=title,
        lines=tuple(map(clean, lines)),
        header=tuple(map(clean, columns)),
        rows=tuple(tuple(clean(write(item)) for write in columns.values()) for item in items),
        numeric=tuple(map(clean, numeric)),
    )


def sections(summary: Summary) -> tuple[Section, ...]:
    """What this sweep has beyond its verdicts, in reading order."""
    found = (
        *beside(summary.beside or ()),
        *by_rate(summary.verdicts),
        frontier(summary.frontier, summary.scale),
        takes(summary.takes or ()),
        profiles(summary.profiles),
        *movements(summary.movements or ()),
        *moderators(summary.moderators),
        search(summary.search, summary.scale),
        importance(summary.importance),
        signs(summary.signs),
    )
    return tuple(part for part in found if part is not None)


def beside(rows: Sequence[BesideRow]) -> Iterable[Section]:
    """Per metric that does not decide: what each variation does to it, and whether it keeps it."""
    columns: dict[str, Callable[[BesideRow], str]] = {
        "arm": lambda row: row.arm,
        "seeds": lambda row: f"{row.seeds} {'fresh' if row.stage == Stage.CONFIRMATION else 'shared'}",
        "gain": lambda row: bounded(row.gain, row.lower, row.upper, _writer(row)),
        "kept": _kept,
    }
    for name in dict.fromkeys(row.metric for row in rows):
        own = [row for row in rows if row.metric == name]
        unit = f" {own[0].unit}".rstrip()
        lose = f"it may lose {own[0].may_lose:g}{unit} where another level is served"
        clusters = max(row.clusters for row in own)
        error = f"; the error of {clusters} clusters is in the bounds" if clusters else ""
        line = f"{BETTER[own[0].direction]}; {lose}; a confirmed default does not depend on it{error}"
        heading = f"{name}{f', in{unit}' if unit else ''}: must not lose"
        yield section("beside", heading, own, columns, lines=[line], numeric=["gain"])


def _kept(row: BesideRow) -> str:
    """Whether the loss that is allowed is excluded, shown, or neither."""
    if row.gain is None:
        return "not measured"
    lost = row.upper is not None and row.upper < -row.may_lose
    return "yes" if row.kept else "no" if lost else "open"


def _writer(row: BesideRow) -> Callable[[float | None], str]:
    """Percent and points as gains are written everywhere; a metric's own unit in three digits."""
    return gain if row.unit else lambda value: NONE if value is None else f"{value:+.3g}"


def by_rate(verdicts: Sequence[Verdict]) -> Iterable[Section]:
    """Per nuisance-aware factor: the effect of each level at the baseline's learning rate and at its best."""
    for title, verdict in titled(verdicts):
        if not verdict.by_rate:
            continue
        differ = ", ".join(row.label for row in verdict.by_rate if row.differs)
        line = "the conclusion is the same at the baseline's learning rate and at each level's best"
        if differ:
            line = f"the conclusion changes with the learning rate at: {differ}"
        heading = f"{title}: is it the level or the learning rate?"
        columns = _rate_columns(verdict.scale)
        yield section("by-rate", heading, verdict.by_rate, columns, lines=[line], numeric=[*columns][1:4])


def _rate_columns(scale: Scale) -> dict[str, Callable[[RateRow], str]]:
    return {
        "level": _level,
        headed("gain at the baseline's rate", scale.unit): lambda row: gain(scale.known(row.gain_same_rate)),
        headed("gain at its best rate", scale.unit): lambda row: gain(scale.known(row.gain_best_rate)),
        "best rate": lambda row: number(row.best_rate),
        "differs": lambda row: "yes" if row.differs else "no",
    }


def _level(row: RateRow) -> str:
    value, label = number(row.level), clean(row.label)
    return value if label in ("", value) else f"{value} ({label})"


def frontier(points: Sequence[FrontierPoint], scale: Scale) -> Section | None:
    """Quality against time, and beside the time the pair that no hardware changes."""
    if not points:
        return None
    lines = ["time of a whole training over the baseline's; steps and examples hold on any hardware"]
    if efficient := ", ".join(point.arm for point in points if point.on_frontier):
        lines.append(f"no arm is both better and faster than: {efficient}")
    columns: dict[str, Callable[[FrontierPoint], str]] = {
        "arm": lambda point: point.arm,
        headed("gain", scale.unit): lambda point: bounded(
            scale.number(point.gain), *_bounds(scale.known(point.lower), scale.known(point.upper))
        ),
        "time": lambda point: bounded(point.cost_ratio, *_bounds(point.cost_lower, point.cost_upper), times),
        "sequential steps": lambda point: count(point.steps),
        "examples": lambda point: count(point.examples),
        "frontier": lambda point: "yes" if point.on_frontier else "no",
    }
    return section("frontier", "Quality against time", points, columns, lines=lines, numeric=[*columns][1:5])


def takes(rows: Sequence[TakesRow]) -> Section | None:
    """What each thing that learns takes beside what it gains."""
    if not rows:
        return None
    measured = any(row.measured for row in rows)
    how = "measured on the device" if measured else "reckoned by the model of bytes, as batches were cut"
    line = f"time of a whole training over the baseline's, timed alone; memory of a trial at most, {how}"
    columns: dict[str, Callable[[TakesRow], str]] = {
        "arm": lambda row: row.arm,
        "time": lambda row: bounded(row.cost_ratio, *_bounds(row.cost_lower, row.cost_upper), times),
        "memory": lambda row: size(row.bytes),
    }
    return section("takes", "Time and memory", rows, columns, lines=[line], numeric=["time", "memory"])


def _bounds(lower: float | None, upper: float | None) -> tuple[float | None, float | None]:
    """The baseline against itself is known exactly: nothing to bound."""
    return (None, None) if lower == upper else (lower, upper)


def profiles(values: Mapping[str, Mapping[str, Any]]) -> Section | None:
    """The settings to use, by what one wants."""
    goals = [goal for goal in Goal if goal in values]
    names = dict.fromkeys(name for goal in goals for name in values[goal])
    if not names:
        return None
    return Section(
        key="profiles",
        title="Settings by goal",
        header=("setting", *goals),
        rows=tuple((clean(name), *(number(values[goal].get(name)) for goal in goals)) for name in names),
        numeric=tuple(goals),
    )


def _in(unit: str, value: float | None) -> float | None:
    """A number of a unit, as it is written."""
    return None if value is None else in_unit(value, unit)


def _of_cell(unit: str, pair: tuple[str, CellRow]) -> str:
    row = pair[1]
    return bounded(_in(unit, row.gain), _in(unit, row.lower), _in(unit, row.upper))


def _mean(one: RollUpRow) -> str:
    unit = one.told_in
    return bounded(_in(unit, one.mean), _in(unit, one.mean_lower), _in(unit, one.mean_upper))


def moderators(found: Sequence[ModeratorRow]) -> Iterable[Section]:
    """Per crossed factor: the effect in each cell, and whether it differs between them."""
    groups: dict[tuple[str | None, str], list[ModeratorRow]] = {}
    for one in found:
        groups.setdefault((one.factor, one.moderator), []).append(one)
    for (factor, moderator), ones in groups.items():
        unit = ones[0].told_in
        gains = headed("gain", unit)
        yield section(
            "moderators",
            f"Does {clean(factor)} depend on {clean(moderator)}?",
            [(one.variation, cell) for one in ones for cell in one.cells],
            {
                "variation": lambda pair: pair[0],
                "cell": lambda pair: pair[1].cell,
                gains: partial(_of_cell, unit),
            },
            lines=[one.sentence for one in ones],
            numeric=[gains],
        )


def movements(found: Sequence[MovementRow]) -> Iterable[Section]:
    """Per crossed factor: where its best level lies in each cell, and whether it moves."""
    for one in found:
        columns: dict[str, Callable[[PlaceRow], str]] = {
            one.moderator: lambda row: number(row.at),
            "best between": lambda row: f"{_end(row.low)} and {_end(row.high)}",
            "best mean at": lambda row: number(row.best),
        }
        if one.level is not None:
            columns[f"{number(one.level)} gives away at most, %"] = lambda row: gain(row.loss).lstrip("+")
        held = f" at {one.held}" if one.held else ""
        title = f"Does the best {clean(one.factor)} move with {clean(one.moderator)}{clean(held)}?"
        yield section("movements", title, one.cells, columns, lines=[one.sentence], numeric=[*columns])


def _end(level: float | None) -> str:
    return "beyond what was tested" if level is None else number(level)


def roll_up(found: Sequence[RollUpRow]) -> Section | None:
    """Over scenarios: in how many of them the default is within the margin. Shares are between 0 and 1."""
    if not found:
        return None
    columns: dict[str, Callable[[RollUpRow], str]] = {
        "factor": lambda one: one.factor,
        "within the margin": lambda one: f"{count(one.within)} of {count(one.scenarios)}",
        "share, 95 % interval": lambda one: f"{100 * one.lower:.0f} % to {100 * one.upper:.0f} %",
        headed("mean gain", found[0].told_in): _mean,
    }
    lines = [one.sentence for one in found if one.sentence]
    return section("roll-up", "Over all scenarios", found, columns, lines=lines, numeric=[*columns][1:])


def studies(found: Sequence[StudyRow]) -> Section | None:
    """Every study with its words, and which of them count."""
    columns: dict[str, Callable[[StudyRow], str]] = {
        "study": lambda one: one.sweep,
        "factor": lambda one: ", ".join(filter(None, (f"{one.factor} ({one.claim})", one.cell))),
        "verdict": lambda one: one.verdict,
        "seeds": lambda one: count(one.seeds),
        "counts": lambda one: "yes" if one.stands else "",
    }
    lines = ["of several studies of one question, the one that judged all trials together counts"]
    return section("studies", "Every study", found, columns, lines=lines, numeric=["seeds"])


def search(found: SearchRow | None, scale: Scale) -> Section | None:
    """What the joint search found, as it looked and as fresh seeds saw it."""
    if found is None:
        return None
    fresh = "fresh seeds were not asked"
    if found.confirmed_gain is not None:
        fresh = f"fresh seeds, which did not choose it, say {told(found.confirmed_gain, scale)}"
        if found.confirmed_lower is not None:
            fresh += f" (lower bound {told(found.confirmed_lower, scale)})"
    looked = f"the winner looked better by {told(found.screening_gain, scale)}"
    return section(
        "search",
        "Joint search",
        (found.best or {}).items(),
        {"setting": lambda item: item[0], "winner": lambda item: number(item[1])},
        lines=[f"{plural(found.trials, 'trial')}; {looked}; {fresh}"],
        numeric=["winner"],
    )


def importance(shares: Mapping[str, float]) -> Section | None:
    """Which setting moved the search's outcome, out of 100 %; the largest first. No shares of variance."""
    if not shares:
        return None
    return section(
        "importance",
        "Which setting mattered in the search",
        sorted(shares.items(), key=lambda item: (-item[1], item[0])),
        {"setting": lambda item: item[0], "importance": lambda item: f"{100 * item[1]:.0f} %"},
        numeric=["importance"],
    )


def signs(found: Sequence[SignRow]) -> Section | None:
    """What the curves show: a row per sign, as the first arm that has it shows it; the baseline comes first.

    Advice is for the baseline, whose settings are the ones in question; a variation has its sign alone.
    """
    if not found:
        return None
    groups: dict[str, list[SignRow]] = {}
    for one in found:
        groups.setdefault(one.sign, []).append(one)
    columns: dict[str, Callable[[list[SignRow]], str]] = {
        "sign": lambda ones: ones[0].sign,
        "arm": lambda ones: ones[0].arm + (f" and {len(ones) - 1} more" if ones[1:] else ""),
        "seen, and the guide's advice": lambda ones: _seen(ones[0]),
    }
    lines = ["rules over the curves, no verdicts"]
    return section("signs", "Signs in the curves", groups.values(), columns, lines=lines)


def _seen(one: SignRow) -> str:
    return f"{one.seen}: {one.advice}" if one.arm == BASELINE else one.seen
