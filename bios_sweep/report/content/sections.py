"""The parts of a report that only some sweeps have: tables that terminal, Markdown and HTML share. Pure.

Every key is optional: a sweep without a timing probe has no frontier, one without a nuisance setting
no effects by rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.report.content.wording import (
    NONE,
    cell,
    clean,
    count,
    gain,
    interval,
    number,
    plural,
    times,
    times_interval,
    titles,
)
from bios_sweep.study.arms import BASELINE

GOALS = ("quality", "balanced", "speed")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A titled table. told: sentences above it; header, rows: cells as text; numeric: columns set right."""

    key: str
    title: str
    told: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    numeric: tuple[str, ...] = ()


def sections(summary: Mapping[str, Any]) -> tuple[Section, ...]:
    """What this sweep has beyond its verdicts, in reading order."""
    found = (
        *by_rate(summary["verdicts"]),
        frontier(summary.get("frontier") or ()),
        profiles(summary.get("profiles") or {}),
        *moderators(summary.get("moderators") or ()),
        roll_up(summary.get("roll_up") or ()),
        search(summary.get("search") or {}),
        importance(summary.get("importance") or {}),
        signs(summary.get("signs") or ()),
    )
    return tuple(section for section in found if section is not None)


def by_rate(verdicts: Sequence[Mapping[str, Any]]) -> Iterable[Section]:
    """Per nuisance-aware factor: the effect of each level at the baseline's learning rate and at its best."""
    for name, verdict in zip(titles(verdicts), verdicts, strict=True):
        levels = verdict.get("by_rate") or ()
        if not levels:
            continue
        differ = [clean(level.get("label") or number(level["level"])) for level in levels if level["differs"]]
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
            rows=tuple(_rate_row(level) for level in levels),
            numeric=header[1:4],
        )


def _rate_row(level: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        _level(level),
        gain(level.get("gain_same_rate")),
        gain(level.get("gain_best_rate")),
        number(level.get("best_rate")),
        "yes" if level.get("differs") else "no",
    )


def _level(level: Mapping[str, Any]) -> str:
    value, label = number(level["level"]), clean(level.get("label") or "")
    return value if label in ("", value) else f"{value} ({label})"


def frontier(points: Sequence[Mapping[str, Any]]) -> Section | None:
    """Quality against time, and beside the time the pair that no hardware changes."""
    if not points:
        return None
    header = ("arm", "gain, %", "time", "sequential steps", "examples", "frontier")
    efficient = [clean(point["arm"]) for point in points if point.get("on_frontier")]
    told = ["time of a whole training over the baseline's; steps and examples hold on any hardware"]
    if efficient:
        told.append(f"no arm is both better and faster than: {', '.join(efficient)}")
    return Section(
        key="frontier",
        title="Quality against time",
        told=tuple(told),
        header=header,
        rows=tuple(_frontier_row(point) for point in points),
        numeric=header[1:5],
    )


def _frontier_row(point: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        clean(point["arm"]),
        f"{gain(point.get('gain'))} {_bounds(interval, point.get('lower'), point.get('upper'))}".strip(),
        f"{times(point.get('cost_ratio'))} "
        f"{_bounds(times_interval, point.get('cost_lower'), point.get('cost_upper'))}".strip(),
        count(point.get("steps")),
        count(point.get("examples")),
        "yes" if point.get("on_frontier") else "no",
    )


def _bounds(write: Callable[[Any, Any], str], lower: float | None, upper: float | None) -> str:
    """The baseline against itself is known exactly: nothing to bound."""
    return "" if lower == upper else write(lower, upper)


def profiles(values: Mapping[str, Mapping[str, Any]]) -> Section | None:
    """The settings to use, by what one wants."""
    goals = [goal for goal in GOALS if goal in values] + sorted(set(values) - set(GOALS))
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


def moderators(found: Sequence[Mapping[str, Any]]) -> Iterable[Section]:
    """Per crossed factor: the effect in each cell, and whether it differs between them."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in found:
        groups.setdefault((clean(one["factor"]), clean(one["moderator"])), []).append(one)
    for (factor, moderator), ones in groups.items():
        cells = [(one, each) for one in ones for each in one.get("cells") or ()]
        columns = {
            "variation": [clean(str(one.get("arm") or "").partition(" @ ")[0]) for one, _ in cells],
            "cell": [cell(each["cell"]) for _, each in cells],
            "verdict": [clean(each.get("verdict") or "") for _, each in cells],
            "gain, %": [
                f"{gain(each.get('gain'))} {interval(each.get('lower'), each.get('upper'))}".strip()
                for _, each in cells
            ],
        }
        known = {name: values for name, values in columns.items() if any(values)}
        yield Section(
            key="moderators",
            title=f"Does {factor} depend on {moderator}?",
            told=tuple(filter(None, map(_difference, ones))),
            header=tuple(known),
            rows=tuple(zip(*known.values(), strict=True)),
            numeric=("gain, %",),
        )


def _difference(one: Mapping[str, Any]) -> str:
    """The moderator's own sentence; without one, the numbers."""
    if one.get("sentence"):
        return clean(one["sentence"])
    if one.get("difference") is None:
        return ""
    bounds = interval(one.get("lower"), one.get("upper"))
    return f"difference between the cells: {gain(one['difference'])} % {bounds}".rstrip()


def roll_up(found: Sequence[Mapping[str, Any]]) -> Section | None:
    """Over scenarios: in how many of them the default is within the margin. Shares are between 0 and 1."""
    if not found:
        return None
    header = ("factor", "within the margin", "share, 95 % interval", "mean gain, %")
    return Section(
        key="roll-up",
        title="Over all scenarios",
        told=tuple(clean(one["sentence"]) for one in found if one.get("sentence")),
        header=header,
        rows=tuple(_roll_up_row(one) for one in found),
        numeric=header[1:],
    )


def _roll_up_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    bounds = [bound for bound in (one.get("lower"), one.get("upper")) if bound is not None]
    share = " to ".join(f"{100 * bound:.0f} %" for bound in bounds) if len(bounds) == 2 else NONE
    return (
        clean(one["factor"]),
        f"{count(one.get('within'))} of {count(one.get('scenarios'))}",
        share,
        f"{gain(one.get('mean'))} {interval(one.get('mean_lower'), one.get('mean_upper'))}".strip(),
    )


def search(found: Mapping[str, Any]) -> Section | None:
    """What the joint search found, as it looked and as fresh seeds saw it."""
    if not found:
        return None
    seen, confirmed = found.get("screening_gain"), found.get("confirmed_gain")
    told = f"{plural(found.get('trials') or 0, 'trial')}; the winner looked better by {gain(seen)} %"
    fresh = (
        "fresh seeds were not asked"
        if confirmed is None
        else f"fresh seeds, which did not choose it, say {gain(confirmed)} %{_at_least(found)}"
    )
    return Section(
        key="search",
        title="Joint search",
        told=(f"{told}; {fresh}",),
        header=("setting", "winner"),
        rows=tuple((clean(name), number(value)) for name, value in (found.get("best") or {}).items()),
        numeric=("winner",),
    )


def _at_least(found: Mapping[str, Any]) -> str:
    lower = found.get("confirmed_lower")
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


def signs(found: Sequence[Mapping[str, Any]]) -> Section | None:
    """What the curves show: one row per sign, told of the first arm that has it; the baseline comes first.

    Advice is for the baseline, whose settings are the ones in question; a variation's sign is told alone.
    """
    if not found:
        return None
    first: dict[str, Mapping[str, Any]] = {}
    arms: dict[str, list[str]] = {}
    for one in found:
        first.setdefault(one["sign"], one)
        arms.setdefault(one["sign"], []).append(clean(one["arm"]))
    return Section(
        key="signs",
        title="Signs in the curves",
        told=("rules over the curves, no verdicts",),
        header=("sign", "arm", "seen, and the guide's advice"),
        rows=tuple((clean(name), _few(arms[name]), _seen(one)) for name, one in first.items()),
    )


def _seen(one: Mapping[str, Any]) -> str:
    told = clean(one["seen"])
    return f"{told}: {clean(one['advice'])}" if one["arm"] == BASELINE else told


def _few(names: Sequence[str]) -> str:
    """The first arm, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
