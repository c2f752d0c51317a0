"""Finding the sweep that a reading verb is about."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.config.build import seconds
from bios_sweep.config.compose import Config
from bios_sweep.driver.invocation import Invocation, workspace_of
from bios_sweep.driver.view import SweepView, open_sweep
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.design import WISHES


def choose(invocation: Invocation, name: str | None = None) -> tuple[Config, Workspace, SweepView]:
    """The sweep of that name or id, else sweeps=NAME, else the latest of the workspace.

    A target or deadline that is given now counts instead of the plan's own: no verdict depends on it.
    """
    config = invocation.composed()
    workspace = workspace_of(config)
    view = open_sweep(workspace, name or config.sweep)
    return config, workspace, _with_wishes(view, config)


def _with_wishes(view: SweepView, config: Config) -> SweepView:
    given = {name: config.values["decision"].get(name) for name in WISHES}
    given["deadline"] = seconds("decision.deadline", given["deadline"])
    wishes = {name: value for name, value in given.items() if value is not None}
    if not wishes:
        return view
    study = view.plan.study
    decision = replace(study.decision, **wishes)
    return replace(view, plan=replace(view.plan, study=replace(study, decision=decision)))
