"""`stop`: ask the driver of a workspace to end, at the next measurements or at once."""

from __future__ import annotations

import json
from argparse import Namespace

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.invocation import workspace_of
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.records.lock import live_owner


def run(args: Namespace) -> int:
    """Leave the request where the driver looks for it."""
    workspace = workspace_of(invocation_of(args).composed())
    owner = live_owner(workspace)
    if owner is None:
        raise InputError(f"workspace {workspace.root}: no sweep is running there")
    workspace.request_stop(now=args.now)
    if args.json:
        print(json.dumps({"stopping": to_json(owner), "now": args.now}, indent=1))
    else:
        when = "at once" if args.now else "at its next checkpoints"
        print(f"asked {owner} to stop {when}; `bios-sweep status` shows when it has")
    return 0
