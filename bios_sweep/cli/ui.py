"""`ui`: MLflow on 127.0.0.1, with the link to the sweep."""

from __future__ import annotations

import signal
from argparse import Namespace
from types import FrameType

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.stopping import hangup
from bios_sweep.driver.sweeps import choose
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.errors import TrackingError
from bios_sweep.mirror.cursor import read_cursor
from bios_sweep.mirror.mlflow.server import serve_ui
from bios_sweep.mirror.mlflow.tracker import MlflowTracker, is_web, ui_link


def run(args: Namespace) -> int:
    """Serve until interrupted; for a tracking server that is up already only print the link."""
    config, workspace, view = choose(invocation_of(args), args.sweep)
    tracking = tracking_of(config, workspace)
    tracker = tracking.required()
    if not isinstance(tracker, MlflowTracker):
        print(tracking.link(view.sweep_id), flush=True)
        return 0
    experiment = str(read_cursor(workspace, view.sweep_id, tracker.uri).get("experiment_id", ""))
    if is_web(tracker.uri):
        print(ui_link(tracking.shown, experiment, view=view.sweep_id), flush=True)
        return 0
    for number in (signal.SIGTERM, *hangup()):
        signal.signal(number, _end)
    with serve_ui(workspace, tracker.uri, args.port) as server:
        print(f"sweep {view.sweep_id}: {ui_link(server.url, experiment, view=view.sweep_id)}", flush=True)
        print("stop with Ctrl-C", flush=True)
        try:
            status = server.wait()
        except KeyboardInterrupt:
            return 0
    raise TrackingError(f"the MLflow server ended with status {status}; see {workspace.root / 'ui.log'}")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
