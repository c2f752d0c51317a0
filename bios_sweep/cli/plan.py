"""`plan`: what would run. Launches nothing and loads nothing heavy."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.planned import planned_here
from bios_sweep.driver.prepare import prepare
from bios_sweep.jsonable import to_json
from bios_sweep.report.text.terminal import print_plan


def run(args: Namespace) -> int:
    """Print the plan."""
    summary = planned_here(prepare(invocation_of(args))).summary
    if args.json:
        print(json.dumps(to_json(summary), indent=1))
    else:
        print_plan(summary, Console())
    return 0
