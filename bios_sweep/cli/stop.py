"""`stop`: ask the driver of a workspace to end at the next checkpoints."""

from __future__ import annotations

import json
from argparse import Namespace

from bios_sweep.cli.prepare import composed, workspace_of
from bios_sweep.errors import InputError
from bios_sweep.records.lock import live_owner


def run(args: Namespace) -> int:
    """Leave the request where the driver looks for it."""
    workspace = workspace_of(composed(args))
    owner = live_owner(workspace)
    if owner is None:
        raise InputError(f"workspace {workspace.root}: no sweep is running there")
    workspace.request_stop()
    if args.json:
        print(json.dumps({"stopping": owner}, indent=1))
    else:
        print(
            f"asked process {owner['pid']} (sweep {owner['sweep_id']}) to stop at its next checkpoints; "
            "`bios-sweep status` shows when it has"
        )
    return 0
