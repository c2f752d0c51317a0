"""`defaults ACTION`: what each action is done by. Light, for `--help` reads it."""

from __future__ import annotations

import importlib
from argparse import Namespace

# action: the module whose `run(args) -> exit code` does it
ACTIONS = {
    "show": "bios_sweep.cli.defaults_show",
    "diff": "bios_sweep.cli.defaults_diff",
    "export": "bios_sweep.cli.defaults_export",
    "merge": "bios_sweep.cli.defaults_merge",
    "refit": "bios_sweep.cli.defaults_refit",
}


def run(args: Namespace) -> int:
    """Do the action."""
    return int(importlib.import_module(ACTIONS[args.action]).run(args))
