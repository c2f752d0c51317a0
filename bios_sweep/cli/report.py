"""`report`: the verdicts of a sweep, judged again from its journal, as far as they are reached."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from bios_sweep.cli.sweeps import choose
from bios_sweep.report.summary import exit_code
from bios_sweep.report.terminal import print_verdicts


def run(args: Namespace) -> int:
    """Print the summary."""
    _, workspace, view = choose(args)
    if args.json:
        print(json.dumps(view.summary, indent=1))
    else:
        print_verdicts(view.summary, Console(), workspace.trials)
    return exit_code(view.summary["counts"])
