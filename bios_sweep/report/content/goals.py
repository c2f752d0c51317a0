"""What each goal is to use, as the tuned file gives it; what was settled and is not served, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.decision.statement import Verdict
from bios_sweep.defaults.tuned import PROFILES, settings_for
from bios_sweep.procedure import UNFINISHED, State, own_cell, questions
from bios_sweep.report.content.lines import titles, verdict_line
from bios_sweep.report.content.summary import NotServed, Summary
from bios_sweep.report.content.wording import number
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Stage


def settings_of(plan: Plan, state: State, goal: str) -> TrainingSettings:
    """The study's baseline with what is served to a goal in place, as `TunedDefaults.settings` has it."""
    base, own = plan.study.baseline, own_cell(plan)
    sizes = own is not None and any(question.factor == "batch_size" for question in questions(own))
    return settings_for(
        base,
        state.served,
        state.profiles.get(goal, {}),
        measured_batch=base.batch_size,
        measured_steps=base.max_steps,
        holds_steps=sizes and plan.study.budget.hold == "steps",
    )


def recommended(plan: Plan, state: State) -> dict[str, dict[str, Any]]:
    """Goal -> setting -> value, of every setting that was asked about or that moves with one.

    Whatever is still open stays at the study's default. Empty before the sweep is done, and where no question
    is about the study's own values.
    """
    own = own_cell(plan)
    if own is None or state.stage != Stage.DONE:
        return {}
    asked = [question.factor for question in questions(own) if question.factor != REPEAT]
    found = {goal: settings_of(plan, state, goal).by_name() for goal in PROFILES} if asked else {}
    start = plan.study.baseline.by_name()
    moved = {name for values in found.values() for name in values if values[name] != start.get(name)}
    names = [name for name in plan.study.baseline.names if name in {*asked, *moved}]
    return {goal: {name: values.get(name) for name in names} for goal, values in found.items()}


def profiles(plan: Plan, state: State) -> dict[str, dict[str, Any]]:
    """What is served, for whoever wants quality, balance or speed; {} where nothing differs."""
    if not state.profiles:
        return {}
    goals = recommended(plan, state)
    told = {name for values in (state.served, *state.profiles.values()) for name in values}
    moved = {name for name in next(iter(goals.values()), {}) if len({v[name] for v in goals.values()}) > 1}
    return {
        goal: {name: value for name, value in values.items() if name in told | moved}
        for goal, values in goals.items()
    }


def not_served(verdicts: Sequence[Verdict]) -> tuple[NotServed, ...]:
    """What verdicts settled and no goal gets."""
    return tuple(
        NotServed(title=title, value=verdict.best_level, why=verdict.withheld)
        for title, verdict in zip(titles(verdicts), verdicts, strict=True)
        if verdict.withheld
    )


def headline(summary: Summary) -> str:
    """The sweep in one line: the verdicts, then what of them is served to nobody."""
    return " · ".join(filter(None, (verdict_line(summary), first_line(summary))))


def first_line(summary: Summary) -> str:
    """What a report says before all else: what it found and does not serve. Empty where it serves all."""
    groups: dict[str, list[str]] = {}
    for one in summary.not_served:
        if one.why.kind != UNFINISHED:
            groups.setdefault(str(one.why), []).append(f"{one.title} {number(one.value)}")
    told = [f"not served: {', '.join(names)} ({why})" for why, names in groups.items()]
    if summary.no_file and (summary.verdicts or summary.no_file.kind != UNFINISHED):
        told.insert(0, f"no tuned defaults: {summary.no_file}")
    return "; ".join(told)


def tuned_line(summary: Summary, file: Path) -> str:
    """Where a sweep's tuned defaults lie, or why there are none; nothing where none are due yet."""
    if not summary.final:
        again = "they are written again once those have ended"
        return f"tuned defaults: {file}, as of before trials ran again; {again}" if file.is_file() else ""
    if summary.no_file:
        return f"tuned defaults: none, {summary.no_file}"
    if not file.is_file():
        return f"tuned defaults: none, {file} is gone; the same command writes it again"
    values = summary.served or summary.profiles
    return f"tuned defaults: {file}" + ("" if values else " (no value yet: every question is open)")
