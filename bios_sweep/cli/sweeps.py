"""Finding the sweep that a reading verb is about."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.cli.prepare import composed, workspace_of
from bios_sweep.config.compose import Config
from bios_sweep.records.workspace import Workspace
from bios_sweep.view import SweepView, open_sweep


def choose(args: Namespace) -> tuple[Config, Workspace, SweepView]:
    """`--sweep NAME`, else sweeps=NAME, else the latest of the workspace."""
    config = composed(args)
    workspace = workspace_of(config)
    return config, workspace, open_sweep(workspace, args.sweep or config.sweep)
