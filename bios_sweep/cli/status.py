"""`status`: how far a sweep is, from its journal; safe while a driver runs."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.view import choose, status_of
from bios_sweep.jsonable import to_json
from bios_sweep.report.text.terminal import print_status


def run(args: Namespace) -> int:
    """Print the counts."""
    _, workspace, view = choose(invocation_of(args), args.sweep)
    status = status_of(workspace, view)
    if args.json:
        print(json.dumps(to_json(status), indent=1))
    else:
        print_status(status, Console())
    return 0
