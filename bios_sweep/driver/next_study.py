"""The smallest next study that would settle what a sweep left open, as a sweep file and its command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.config.build import build_metric
from bios_sweep.config.sweep_file import changed_values, differing, next_name, sweep_text, without
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.view import SweepView, choose
from bios_sweep.errors import InputError
from bios_sweep.method import Method
from bios_sweep.procedure.another_baseline import Suggestion
from bios_sweep.procedure.suggestion import suggest
from bios_sweep.records.workspace import Workspace
from bios_sweep.vocabulary import Stage

NEXT = "next"  # the folder of the workspace that holds suggested sweeps where no --config-dir was given


@dataclass(frozen=True, kw_only=True)
class WrittenStudy:
    """A suggested study that was written down. file: the sweep's; invocation: runs it."""

    name: str
    file: Path
    invocation: Invocation


def following(asked: Invocation) -> Invocation:
    """What follows the latest sweep: its own end, where it is not done, else the study that it suggests.

    Raises:
        InputError: nothing is open, or nothing that a study would settle.
    """
    _, workspace, view = choose(asked)
    if view.state.stage != Stage.DONE:
        return _with(view.invocation, asked)
    suggestion = suggestion_of(view, workspace)
    if suggestion.study is None:
        why = "; ".join(suggestion.open) or "its questions are settled"
        raise InputError(f"--next: no study follows {view.sweep_id}: {why}")
    return next_study(view, workspace, suggestion, asked).invocation


def suggestion_of(view: SweepView, workspace: Workspace) -> Suggestion:
    """What would settle what the sweep left open."""
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
    return [*facts, Method.from_dict(scenario).name if "method" in scenario else None]


def next_study(view: SweepView, workspace: Workspace, found: Suggestion, asked: Invocation) -> WrittenStudy:
    """Write the suggested study's file; the same suggestion again writes the same file.

    What the earlier sweep's file had set beside its question (a budget, a batch size) is written too, so
    that the new file and the command alone make the study. A file that says something else is left alone:
    the next free number is taken.

    Raises:
        InputError: it is not known which way the metric is better; asked before a file is written, for the
            sweep may be of a version that guessed what no name tells.
    """
    assert found.study is not None  # the caller looks
    study, old = found.study, view.invocation
    build_metric(_with(old, asked).composed().values["method"])
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
    write_atomically(file, text)
    overrides = (f"sweeps={name}", *without(old.overrides, ["sweeps", *values]))
    command = Invocation(overrides=overrides, config_dir=config_dir)
    return WrittenStudy(name=name, file=file, invocation=_with(command, asked))


def _with(command: Invocation, asked: Invocation) -> Invocation:
    """A sweep's command; what is asked now replaces the same keys, but for the choice of the sweep."""
    return replace(command.replaced(asked.without(["sweeps"]).overrides), verb=asked.verb)


def _set_by_file(command: Invocation) -> Iterator[tuple[str, Any]]:
    """What the sweep's file sets outside `sweeps`: the configuration with it, against that without."""
    values = command.composed().values.items()
    beside = {key: value for key, value in values if key not in ("sweeps", "seeds")}
    return differing(command.without(["sweeps"]).composed().values, beside)
