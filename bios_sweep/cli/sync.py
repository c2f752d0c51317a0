"""`sync`: compare a sweep's journal with the tracker and bring over what is missing."""

from __future__ import annotations

import json
from argparse import Namespace

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.driver.view import choose


def run(args: Namespace) -> int:
    """Reconcile, whatever the cursor says."""
    config, workspace, view = choose(invocation_of(args), args.sweep)
    tracking = tracking_of(config, workspace)
    tracking.required().recorder(view.sweep_id, view.plan.study.scenario.name).sync()
    trials = len(view.journal.trials)
    if args.json:
        print(json.dumps({"sweep_id": view.sweep_id, "tracking": tracking.shown, "trials": trials}, indent=1))
    else:
        print(f"{view.sweep_id}: {trials} trials are in {tracking.shown}")
        print(tracking.link(view.sweep_id))
    return 0
