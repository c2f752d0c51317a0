"""`suggest`: the smallest next study that would settle what a sweep left open, written as a sweep file."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bios_sweep.atomic import write_atomically
from bios_sweep.cli.plan import plan_summary
from bios_sweep.config.build import build_metric
from bios_sweep.config.compose import compose_config
from bios_sweep.config.sweep_file import changed_values, differing, next_name, sweep_text, without
from bios_sweep.driver.command_line import CommandLine
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.sweeps import choose
from bios_sweep.driver.view import SweepView
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.procedure import DONE, Suggestion, suggest
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.suggestion import NextStudy, SuggestionSummary
from bios_sweep.report.text.suggestion import print_suggestion

NEXT = "next"  # the folder of the workspace that holds suggested sweeps where no --config-dir was given


def run(args: Namespace) -> int:
    """Write the next sweep's file and print what it would settle, and its trials."""
    _, workspace, view = choose(args)
    found = _suggested(view, workspace)
    metric = view.plan.study.metric
    answer = SuggestionSummary(
        sweep_id=view.sweep_id,
        judged_on=metric.words,
        why=tuple(found.why),
        open=tuple(found.open),
        warnings=(metric.doubt,) if metric.doubt else (),
        study=None if found.study is None else _next_study(args, view, workspace, found),
    )
    if args.json:
        print(json.dumps(to_json(answer), indent=1))
    else:
        print_suggestion(answer, Console())
    return 0


def _next_study(args: Namespace, view: SweepView, workspace: Workspace, found: Suggestion) -> NextStudy:
    """Write the suggested study down, and plan it."""
    _require_direction(view, args)
    name, command = write_next(view, workspace, found)
    prepared = prepare(_again(command, _but_the_sweep(args)))
    plan = plan_summary(prepared)
    return NextStudy(
        name=name,
        file=str(_folder(command) / f"{name}.yaml"),
        command=str(prepared.command),
        seeds=plan.seeds,
        arms=tuple(arm.arm for arm in plan.arms),
        trials=plan.trials,
        to_run=plan.to_run,
        reused=plan.reused,
        most_trials=plan.most_trials,
    )


def next_arguments(args: Namespace) -> Namespace:
    """The arguments of `run` for what follows the sweep: its own end, where it is not done, else the next.

    Raises:
        InputError: nothing is open, or nothing that a study would settle.
    """
    _, workspace, view = choose(Namespace(**{**vars(args), "sweep": None}))
    args = _but_the_sweep(args)
    if view.state.stage != DONE:
        return _again(view.command, args)
    found = _suggested(view, workspace)
    if found.study is None:
        told = "; ".join(found.open) or "its questions are settled"
        raise InputError(f"--next: no study follows {view.sweep_id}: {told}")
    _require_direction(view, args)
    _, command = write_next(view, workspace, found)
    return _again(command, args)


def _require_direction(view: SweepView, args: Namespace) -> None:
    """Ask before a file is written: the sweep may be of a version that guessed what no name tells."""
    again = _again(view.command, _but_the_sweep(args))
    build_metric(compose_config(again.overrides, again.config_dir).values["method"])


def _suggested(view: SweepView, workspace: Workspace) -> Suggestion:
    return suggest(view.plan, view.state, view.journal.results, asked_elsewhere(view, workspace))


def asked_elsewhere(view: SweepView, workspace: Workspace) -> set[str]:
    """Settings that other sweeps of the workspace asked about, for the same model, data and method."""
    here = _scenario(view.plan.study.to_dict())
    plans = [workspace.read_plan(sweep_id) for sweep_id in workspace.sweeps() if sweep_id != view.sweep_id]
    studies = [plan["study"] for plan in plans if _scenario(plan.get("study", {})) == here]
    return {factor["name"] for study in studies for factor in study["factors"]}


def _scenario(study: Mapping[str, Any]) -> list[Any]:
    scenario = study.get("scenario", {})
    facts = [scenario.get(part, {}).get("fingerprint") for part in ("model", "data")]
    return [*facts, scenario.get("method")]


def write_next(view: SweepView, workspace: Workspace, found: Suggestion) -> tuple[str, CommandLine]:
    """Write the suggested study's file; the same suggestion again writes the same file.

    What the earlier sweep's file had set beside its question (a budget, a batch size) is written too, so
    that the new file and the command alone make the study. A file that says something else is left alone:
    the next free number is taken.
    """
    assert found.study is not None  # the caller looks
    study, old = found.study, view.command
    values = changed_values(view.plan.study, study)
    set_by_file = {key: value for key, value in _set_by_file(old) if key not in values}
    comments = [f"Suggested after {view.sweep_id}:", *(f"- {why}" for why in found.why)]
    text = sweep_text(study, {**set_by_file, **values}, comments)
    config_dir = old.config_dir or workspace.root / NEXT
    name = next_name(study.name)
    file = config_dir / "sweeps" / f"{name}.yaml"
    while file.exists() and file.read_text(encoding="utf-8") != text:
        name = next_name(name)
        file = file.with_name(f"{name}.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text)
    kept = without(old.overrides, ["sweeps", *values])
    return name, CommandLine(overrides=(f"sweeps={name}", *kept), config_dir=config_dir)


def _set_by_file(command: CommandLine) -> Sequence[tuple[str, Any]]:
    """What the sweep's file sets outside `sweeps`: the configuration with it, against that without."""
    chosen = compose_config(command.overrides, command.config_dir).values
    bare = compose_config(command.without(["sweeps"]).overrides, command.config_dir).values
    return [(key, value) for key, value in differing(bare, _beside_sweeps(chosen))]


def _beside_sweeps(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("sweeps", "seeds")}


def _but_the_sweep(args: Namespace) -> Namespace:
    """What was typed, but for the choice of the sweep: that named the earlier one."""
    return Namespace(**{**vars(args), "overrides": without(args.overrides, ["sweeps"])})


def _again(command: CommandLine, args: Namespace) -> Namespace:
    """The arguments of a verb, with a sweep's overrides; those typed now replace the same keys."""
    overrides = list(command.replaced(args.overrides).overrides)
    return Namespace(**{**vars(args), "overrides": overrides, "config_dir": command.config_dir})


def _folder(command: CommandLine) -> Path:
    assert command.config_dir is not None  # write_next gives one
    return command.config_dir / "sweeps"
