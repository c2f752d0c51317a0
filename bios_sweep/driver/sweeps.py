"""Finding the sweep that a reading verb is about."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from bios_sweep.config.build import seconds
from bios_sweep.config.compose import Config
from bios_sweep.driver.prepare import composed, workspace_of
from bios_sweep.driver.view import SweepView, open_sweep
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.decision import WISHES


def choose(args: Namespace) -> tuple[Config, Workspace, SweepView]:
    """`--sweep NAME`, else sweeps=NAME, else the latest of the workspace.

    A target or deadline that is given now counts instead of the plan's own: no verdict depends on it.
    """
    config = composed(args)
    workspace = workspace_of(config)
    view = open_sweep(workspace, args.sweep or config.sweep)
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
