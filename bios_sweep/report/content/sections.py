"""The parts of a report that only some sweeps have: tables that terminal, Markdown and HTML share. Pure.

A sweep without a timing probe has no frontier, one without a nuisance setting no effects by rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.audit.rollup import RollUpRow
from bios_sweep.decision.rows import RateRow
from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content.frontier_rows import FrontierRow
from bios_sweep.report.content.lines import titles
from bios_sweep.report.content.moderator_rows import ModeratorRow
from bios_sweep.report.content.search_row import SearchRow
from bios_sweep.report.content.sign_rows import SignRow
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import (
    clean,
    count,
    gain,
    interval,
    number,
    plural,
    times,
    times_interval,
)
from bios_sweep.study.arms import BASELINE
from bios_sweep.vocabulary import Goal


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled table. told: sentences above it; header, rows: cells as text; numeric: columns set right."""

    key: str
    title: str
    told: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    numeric: tuple[str, ...] = ()


def sections(summary: Summary) -> tuple[Section, ...]:
    """What this sweep has beyond its verdicts, in reading order."""
    found = (
        *by_rate(summary.verdicts),
        frontier(summary.frontier),
        profiles(summary.profiles),
        *moderators(summary.moderators),
        search(summary.search),
        importance(summary.importance),
        signs(summary.signs),
    )
    return tuple(section for section in found if section is not None)


def by_rate(verdicts: Sequence[Verdict]) -> Iterable[Section]:
    """Per nuisance-aware factor: the effect of each level at the baseline's learning rate and at its best."""
    for name, verdict in zip(titles(verdicts), verdicts, strict=True):
        if not verdict.by_rate:
            continue
        differ = [clean(row.label) for row in verdict.by_rate if row.differs]
        told = (
            f"the conclusion changes with the learning rate at: {', '.join(differ)}"
            if differ
            else "the conclusion is the same at the baseline's learning rate and at each level's best"
        )
        header = (
            "level",
            "gain at the baseline's rate, %",
            "gain at its best rate, %",
            "best rate",
            "differs",
        )
        yield Section(
            key="by-rate",
            title=f"{name}: is it the level or the learning rate?",
            told=(told,),
            header=header,
            rows=tuple(map(_rate_row, verdict.by_rate)),
            numeric=header[1:4],
        )


def _rate_row(row: RateRow) -> tuple[str, ...]:
    return (
        _level(row),
        gain(row.gain_same_rate),
        gain(row.gain_best_rate),
        number(row.best_rate),
        "yes" if row.differs else "no",
    )


def _level(row: RateRow) -> str:
    value, label = number(row.level), clean(row.label)
    return value if label in ("", value) else f"{value} ({label})"


def frontier(points: Sequence[FrontierRow]) -> Section | None:
    """Quality against time, and beside the time the pair that no hardware changes."""
    if not points:
        return None
    header = ("arm", "gain, %", "time", "sequential steps", "examples", "frontier")
    efficient = [clean(point.arm) for point in points if point.on_frontier]
    told = ["time of a whole training over the baseline's; steps and examples hold on any hardware"]
    if efficient:
        told.append(f"no arm is both better and faster than: {', '.join(efficient)}")
    return Section(
        key="frontier",
        title="Quality against time",
        told=tuple(told),
        header=header,
        rows=tuple(map(_frontier_row, points)),
        numeric=header[1:5],
    )


def _frontier_row(point: FrontierRow) -> tuple[str, ...]:
    cost = _bounds(times_interval, point.cost_lower, point.cost_upper)
    return (
        clean(point.arm),
        f"{gain(point.gain)} {_bounds(interval, point.lower, point.upper)}".strip(),
        f"{times(point.cost_ratio)} {cost}".strip(),
        count(point.steps),
        count(point.examples),
        "yes" if point.on_frontier else "no",
    )


def _bounds(write: Callable[[Any, Any], str], lower: float | None, upper: float | None) -> str:
    """The baseline against itself is known exactly: nothing to bound."""
    return "" if lower == upper else write(lower, upper)


def profiles(values: Mapping[str, Mapping[str, Any]]) -> Section | None:
    """The settings to use, by what one wants."""
    goals = [goal for goal in Goal if goal in values] + sorted(set(values) - set(Goal))
    names = list(dict.fromkeys(name for goal in goals for name in values[goal]))
    if not names:
        return None
    return Section(
        key="profiles",
        title="Settings by goal",
        header=("setting", *map(clean, goals)),
        rows=tuple((clean(name), *(number(values[goal].get(name)) for goal in goals)) for name in names),
        numeric=tuple(map(clean, goals)),
    )


def moderators(found: Sequence[ModeratorRow]) -> Iterable[Section]:
    """Per crossed factor: the effect in each cell, and whether it differs between them."""
    groups: dict[tuple[str, str], list[ModeratorRow]] = {}
    for one in found:
        groups.setdefault((clean(one.factor), clean(one.moderator)), []).append(one)
    for (factor, moderator), ones in groups.items():
        cells = [(one, each) for one in ones for each in one.cells]
        columns = {
            "variation": [clean(one.variation) for one, _ in cells],
            "cell": [clean(each.cell) for _, each in cells],
            "verdict": [clean(each.verdict) for _, each in cells],
            "gain, %": [f"{gain(each.gain)} {interval(each.lower, each.upper)}".strip() for _, each in cells],
        }
        known = {name: values for name, values in columns.items() if any(values)}
        yield Section(
            key="moderators",
            title=f"Does {factor} depend on {moderator}?",
            told=tuple(clean(one.sentence) for one in ones),
            header=tuple(known),
            rows=tuple(zip(*known.values(), strict=True)),
            numeric=("gain, %",),
        )


def roll_up(found: Sequence[RollUpRow]) -> Section | None:
    """Over scenarios: in how many of them the default is within the margin. Shares are between 0 and 1."""
    if not found:
        return None
    header = ("factor", "within the margin", "share, 95 % interval", "mean gain, %")
    return Section(
        key="roll-up",
        title="Over all scenarios",
        told=tuple(clean(one.sentence) for one in found if one.sentence),
        header=header,
        rows=tuple(map(_roll_up_row, found)),
        numeric=header[1:],
    )


def _roll_up_row(one: RollUpRow) -> tuple[str, ...]:
    return (
        clean(one.factor),
        f"{count(one.within)} of {count(one.scenarios)}",
        f"{100 * one.lower:.0f} % to {100 * one.upper:.0f} %",
        f"{gain(one.mean)} {interval(one.mean_lower, one.mean_upper)}".strip(),
    )


def search(found: SearchRow | None) -> Section | None:
    """What the joint search found, as it looked and as fresh seeds saw it."""
    if found is None:
        return None
    told = f"{plural(found.trials, 'trial')}; the winner looked better by {gain(found.screening_gain)} %"
    fresh = (
        "fresh seeds were not asked"
        if found.confirmed_gain is None
        else f"fresh seeds, which did not choose it, say {gain(found.confirmed_gain)} %{_at_least(found)}"
    )
    return Section(
        key="search",
        title="Joint search",
        told=(f"{told}; {fresh}",),
        header=("setting", "winner"),
        rows=tuple((clean(name), number(value)) for name, value in (found.best or {}).items()),
        numeric=("winner",),
    )


def _at_least(found: SearchRow) -> str:
    lower = found.confirmed_lower
    return "" if lower is None else f" (lower bound {gain(lower)} %)"


def importance(shares: Mapping[str, float]) -> Section | None:
    """Which setting moved the search's outcome, out of 100 %; the largest first. No shares of variance."""
    if not shares:
        return None
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return Section(
        key="importance",
        title="Which setting mattered in the search",
        header=("setting", "importance"),
        rows=tuple((clean(name), f"{100 * share:.0f} %") for name, share in ordered),
        numeric=("importance",),
    )


def signs(found: Sequence[SignRow]) -> Section | None:
    """What the curves show: one row per sign, told of the first arm that has it; the baseline comes first.

    Advice is for the baseline, whose settings are the ones in question; a variation's sign is told alone.
    """
    if not found:
        return None
    first: dict[str, SignRow] = {}
    arms: dict[str, list[str]] = {}
    for one in found:
        first.setdefault(one.sign, one)
        arms.setdefault(one.sign, []).append(clean(one.arm))
    return Section(
        key="signs",
        title="Signs in the curves",
        told=("rules over the curves, no verdicts",),
        header=("sign", "arm", "seen, and the guide's advice"),
        rows=tuple((clean(name), _few(arms[name]), _seen(one)) for name, one in first.items()),
    )


def _seen(one: SignRow) -> str:
    told = clean(one.seen)
    return f"{told}: {clean(one.advice)}" if one.arm == BASELINE else told


def _few(names: Sequence[str]) -> str:
    """The first arm, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
