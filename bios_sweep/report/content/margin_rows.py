"""What a margin means and what it takes to decide by it: half of the chosen one, it, and twice it. Pure.

docs/statistics.md, item 14.
"""

from __future__ import annotations

import itertools
import math
import shlex
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bios_sweep.procedure.coarser import margin_words, times_as_coarse
from bios_sweep.procedure.state import Results
from bios_sweep.rehearsal.noise import EARLIER, Noise
from bios_sweep.rehearsal.quick import Chances, Design, chances_of
from bios_sweep.report.content.scope import too_few_clusters
from bios_sweep.report.content.sections import Section, section
from bios_sweep.report.content.summary import MetricRow
from bios_sweep.report.content.wording import NONE, duration, number, times
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.margins import MARGINS, scale_of
from bios_sweep.study.metric_names import is_share, is_signed
from bios_sweep.study.plan import Plan
from bios_sweep.units import OWN, POINTS, Scale, with_unit
from bios_sweep.vocabulary import Status

TIMES = (0.5, 1.0, 2.0)  # of the chosen margin
LIKELY = 0.8  # chosen: a chance below it asks for a lever
MORE_LOOKS = 1.5  # times the seeds of the last look: what more seeds are tried as
RATE, STEPS = "learning_rate", "max_steps"


@dataclass(frozen=True, kw_only=True)
class MarginRow:
    """One margin. chosen: whether it is the study's own.

    percent: of the metric; absolute: in its own unit, points: of a share; each None where the default's level
    is not known yet. learning_rate_factor: the change of learning rate that costs as much; time_share: the
    share of longer training that gains as much; each from the trials of this study that are there, None where
    they do not tell. trials: of screening, where nothing differs; hours: theirs. confirms: the chance that a
    default that nothing beats is confirmed; finds: that a gain of twice the margin is found and refined.
    """

    chosen: bool
    percent: float
    absolute: float | None = None
    points: float | None = None
    learning_rate_factor: float | None = None
    time_share: float | None = None
    trials: float | None = None
    hours: float | None = None
    confirms: float | None = None
    finds: float | None = None


@dataclass(frozen=True, kw_only=True)
class MarginTable:
    """Three margins, what their chances rest on, and the cheapest lever; empty where none is needed.

    noise_percent: of one trial; noise_source: earlier sweeps, or a guess.
    """

    rows: tuple[MarginRow, ...]
    noise_percent: float | None
    noise_source: str
    lever: str


def margin_table(
    plan: Plan, results: Results, noise: Noise, pace: float | None, command: str = ""
) -> MarginTable:
    """pace: seconds per training example, all workers together; None where no trial was timed.

    command: how the study is asked for.
    """
    rule, share = plan.study.decision, is_share(plan.study.metric.name)
    own = is_signed(plan.study.metric.name) and rule.margin_percent is None  # told in its own unit
    level, means = _level(plan, results), _means(plan, results)
    told = not (share or own) or noise.source == EARLIER  # no noise is typical of these
    gained = noise.gained if noise.gained_known else None
    rows = []
    for factor in TIMES:
        scaled = _scaled(rule, factor)
        percent = scaled.margin(noise.level if level is None and share else level, gained)
        chances = _study_chances(plan, scaled, percent, noise.percent) if told else None
        rows.append(
            MarginRow(
                chosen=factor == 1.0,
                percent=_short(percent),
                absolute=scaled.margin_absolute
                if own
                else _short(percent * abs(level) / 100.0)
                if level
                else None,
                points=_points(plan, scaled, percent, level) if share else None,
                learning_rate_factor=_rate_factor(plan, means, percent),
                time_share=_time_share(plan, means, percent),
                trials=None if chances is None else chances.trials,
                hours=None if chances is None or pace is None else _hours(plan, chances.trials, pace),
                confirms=None if chances is None else chances.confirms,
                finds=None if chances is None else chances.finds,
            )
        )
    return MarginTable(
        rows=tuple(rows),
        noise_percent=_short(noise.percent) if told else None,
        noise_source=noise.source if told else "",
        lever=_lever(plan, rows, noise.percent, command) if told else "",
    )


@dataclass(frozen=True, kw_only=True)
class _Study:
    """All factors together: the least likely answer, and the trials of all."""

    confirms: float
    finds: float
    trials: float


def _study_chances(plan: Plan, rule: DecisionRule, percent: float, noise: float) -> _Study | None:
    """None where one seed decides nothing. Data that forbid a verdict leave no chance of one."""
    if rule.looks[0] < 2:
        return None
    barred = too_few_clusters(plan)
    cells = plan.cells or (plan,)
    sizes = [len(cell.arms_of(factor.name)) for cell in cells for factor in plan.study.factors]
    tried = max(1, sum(len(cell.arms) - 1 for cell in cells))
    found: list[Chances] = [
        chances_of(
            Design(
                levels=size,
                tried=tried,
                looks=rule.looks,
                fresh=rule.confirmation_seeds,
                alpha=rule.alpha,
                noise=noise,
                margin=percent,
            )
        )
        for size in sizes
        if size
    ]
    if not found:
        return None
    default = max(one.seeds for one in found) * len(cells)
    return _Study(
        confirms=0.0 if barred else min(one.confirmed for one in found),
        finds=0.0 if barred else min(one.found for one in found),
        trials=round(default + sum(one.level_trials for one in found), 1),
    )


def _lever(plan: Plan, rows: list[MarginRow], noise: float, command: str) -> str:
    """The cheapest way to a likely answer, where the chosen margin gives none."""
    _, own, double = rows
    if own.confirms is None or own.confirms >= LIKELY:
        return ""
    if too_few_clusters(plan):
        return (
            "data of more clusters, or decision.scope=evaluation for answers about this evaluation set alone"
        )
    rule = plan.study.decision
    last = math.ceil(MORE_LOOKS * rule.looks[-1])
    longer = _study_chances(plan, replace(rule, looks=(*rule.looks, last)), own.percent, noise)
    ways = []
    if double.confirms is not None and double.confirms >= LIKELY and double.trials is not None:
        words = " ".join(map(shlex.quote, margin_words(plan.study, times_as_coarse(rule, 2.0), command)))
        coarse = f"a margin twice as coarse ({words}) confirms a right default in {double.confirms:.0%}"
        ways.append((double.trials, coarse))
    if longer is not None and longer.confirms >= LIKELY:
        ways.append((longer.trials, f"{_longer(plan, last, command)} does in {longer.confirms:.0%}"))
    if not ways:
        return "neither half as many seeds more nor a margin twice as coarse makes an answer likely"
    trials, what = min(ways)
    return f"{what}, with about {trials:.0f} trials"


def _longer(plan: Plan, last: int, command: str) -> str:
    """The overrides that add a look; seeds that the command gives decide how many there are."""
    study = plan.study
    looks = f"decision.looks=[{','.join(map(str, (*study.decision.looks, last)))}]"
    if "seeds=" not in command:
        return looks
    free = (seed for seed in itertools.count() if seed not in study.seeds)
    seeds = (*study.seeds, *itertools.islice(free, last - len(study.seeds)))
    return f"seeds=[{','.join(map(str, seeds))}] {looks}"


def _scaled(rule: DecisionRule, times: float) -> DecisionRule:
    own: dict[str, Any] = {
        name: times * value for name in MARGINS if (value := getattr(rule, name)) is not None
    }
    return replace(rule, **own)


def _hours(plan: Plan, trials: float, pace: float) -> float:
    return _short(trials * plan.baseline.examples() * pace / 3600.0)


def _means(plan: Plan, results: Results) -> dict[str, float]:
    """Arm -> its mean final metric, of arms with a completed trial at a seed of the study."""
    metric, found = plan.study.metric.name, {}
    for arm in plan.arms:
        values = [
            results[trial.key].final.get(metric, math.nan)
            for trial in plan.trials
            if trial.arm == arm.name and trial.key in results
            if results[trial.key].status == Status.COMPLETED
        ]
        if values and all(map(math.isfinite, values)):
            found[arm.name] = statistics.fmean(values)
    return found


def _level(plan: Plan, results: Results) -> float | None:
    return _means(plan, results).get(plan.baseline.name)


def _points(plan: Plan, rule: DecisionRule, percent: float, level: float | None) -> float | None:
    if not level:
        return rule.margin_points
    return _short(scale_of(plan.study.metric.name, level, points=True).number(percent))


def _losses(plan: Plan, means: Mapping[str, float], setting: str) -> list[tuple[float, float]]:
    """log2 of a level over the default's, and what it loses, percent; of the arms of one setting."""
    own, default = getattr(plan.study.baseline, setting), means.get(BASELINE)
    if not default or not own:
        return []
    sign, points = plan.study.metric.sign, [(0.0, 0.0)]
    for arm in plan.arms_of(setting):
        if arm.name in means and isinstance(arm.level, int | float) and arm.level > 0:
            lost = 100.0 * sign * (default - means[arm.name]) / abs(default)
            points.append((math.log2(arm.level / own), lost))
    return points


def _rate_factor(plan: Plan, means: Mapping[str, float], percent: float) -> float | None:
    """By a parabola through the tested learning rates: how far from its best a rate costs the margin."""
    points = _losses(plan, means, RATE)
    if len(points) < 4:
        return None
    away, lost = np.array(points).T
    bend = float(np.polyfit(away, lost, 2)[0])
    return _short(2.0 ** math.sqrt(percent / bend)) if bend > 0 else None


def _time_share(plan: Plan, means: Mapping[str, float], percent: float) -> float | None:
    """By the default's own shorter and longer trainings: how much longer gains the margin."""
    points = _losses(plan, means, STEPS)
    longer = [lost / doublings for doublings, lost in points if doublings > 0]
    if not longer or longer[0] >= 0:
        return None
    return _short(2.0 ** (percent / -longer[0]) - 1.0)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def margins_section(table: MarginTable, metric: MetricRow) -> Section:
    """The table for people. A margin of a share is told in points."""
    rows, points = table.rows, any(row.points is not None for row in table.rows)
    own = is_signed(metric.name) and all(row.absolute is not None for row in rows)
    unit = "points" if points else metric.unit or metric.name
    columns: dict[str, Callable[[MarginRow], str]] = {
        "margin": lambda row: _margin_words(row, own) + (" (chosen)" if row.chosen else ""),
        **({} if points or own else {f"in {unit}": lambda row: number(row.absolute)}),
        "learning rate": lambda row: times(row.learning_rate_factor),
        "training time": lambda row: NONE if row.time_share is None else f"+{100 * row.time_share:.0f} %",
        "confirms": lambda row: _chance(row.confirms),
        "finds": lambda row: _chance(row.finds),
        "trials": lambda row: NONE if row.trials is None else f"{row.trials:.0f}",
        "time": lambda row: NONE if row.hours is None else duration(3600.0 * row.hours),
    }
    shown = {name: cell for name, cell in columns.items() if any(cell(row) != NONE for row in rows)}
    return section(
        "margins",
        "What matters, and what it takes",
        rows,
        shown,
        lines=_legend(table, own),
        numeric=[*shown][1:],
    )


def _margin_words(row: MarginRow, own: bool) -> str:
    """own: in the metric's own unit."""
    if own:
        return number(row.absolute)
    if row.points is not None:
        return with_unit(number(row.points), POINTS)
    return f"{number(row.percent)} %"


def _chance(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %"


def _noise_words(table: MarginTable, signed: bool) -> str:
    """In the unit of the margins beside it."""
    own = table.rows[1]
    scale = Scale() if own.points is None else Scale(own.points / own.percent, POINTS)
    if signed and own.absolute is not None:
        scale = Scale(own.absolute / own.percent, OWN)
    return f"{scale.told(table.noise_percent or 0.0):.4g}"


def _legend(table: MarginTable, signed: bool) -> list[str]:
    told = []
    if table.noise_percent is None:
        told.append(
            f"how often each gives an answer depends on a noise of the {'metric' if signed else 'score'} "
            "that no trial has shown yet"
        )
    else:
        known = "of earlier sweeps" if table.noise_source == EARLIER else "taken as typical, none was seen"
        told.append(
            "confirms: a default that nothing beats; finds: a gain of twice the margin, also on fresh seeds; "
            f"at a noise of {_noise_words(table, signed)} per trial, {known}"
        )
    row = table.rows[0]
    if row.learning_rate_factor is None and row.time_share is None:
        told.append("what a margin equals in learning rate and in training time the sweep's trials will tell")
    else:
        told.append("learning rate, training time: what costs or gains as much, by the trials of this study")
    return [*told, *([f"cheapest lever: {table.lever}"] if table.lever else [])]
