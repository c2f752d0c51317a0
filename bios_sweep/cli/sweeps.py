"""`status`, `sync` and `ui`: about a sweep that is there, also while a driver runs it."""

from __future__ import annotations

import signal
from argparse import Namespace
from dataclasses import replace
from types import FrameType

from rich.console import Console

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.driver.stopping import hangup
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.driver.view import choose, open_sweep, status_of
from bios_sweep.driver.watching import Watched
from bios_sweep.errors import InputError, TrackingError
from bios_sweep.mirror.mlflow.server import serve_ui
from bios_sweep.mirror.mlflow.tracker import MlflowTracker, is_web
from bios_sweep.records.lock import live_owner
from bios_sweep.report.text.listener import ConsoleListener
from bios_sweep.report.text.terminal import print_status


def status(args: Namespace) -> int:
    """Print how far a sweep is, from its journal, and go on with that while somebody drives it."""
    config, workspace, view = choose(invocation_of(args), args.sweep)
    if args.watch:
        if args.json:
            raise InputError("--watch goes on until the sweep ends, and --json is one answer; leave one out")
        Watched(workspace, view).follow(ConsoleListener(Console()))
        view = open_sweep(workspace, view.sweep_id)
    found = status_of(workspace, view, live_owner(workspace))
    tracking, driven = tracking_of(config, workspace), found.driver is not None
    lacking = tracking.lacking(view.plan, view.journal.seq, driven=driven)
    print_answer(args, replace(found, lacking=lacking or None), print_status)
    return 0


def sync(args: Namespace) -> int:
    """Bring over what the tracker lacks of a sweep's journal, whatever the cursor says."""
    config, workspace, view = choose(invocation_of(args), args.sweep)
    tracking = tracking_of(config, workspace)
    experiment = view.plan.study.scenario.name
    tracking.required(experiment).recorder(view.sweep_id, experiment).sync()
    trials = len(view.journal.trials)
    answer = {"sweep_id": view.sweep_id, "tracking": tracking.shown, "trials": trials}
    text = f"{view.sweep_id}: {trials} trials are in {tracking.shown}"
    print_answer(args, answer, lambda *_: print(text, tracking.link(view.sweep_id), sep="\n"))
    return 0


def ui(args: Namespace) -> int:
    """Serve MLflow on 127.0.0.1 until interrupted; of a server that is up already only print the link."""
    config, workspace, view = choose(invocation_of(args), args.sweep)
    tracking = tracking_of(config, workspace)
    tracker = tracking.required()
    if not isinstance(tracker, MlflowTracker):
        print(tracking.link(view.sweep_id), flush=True)
        return 0
    if is_web(tracker.uri):
        print(tracker.page(tracking.shown, view.sweep_id), flush=True)
        return 0
    for number in (signal.SIGTERM, *hangup()):
        signal.signal(number, _end)
    with serve_ui(workspace, tracker.uri, args.port) as server:
        print(f"sweep {view.sweep_id}: {tracker.page(server.url, view.sweep_id)}", flush=True)
        print("stop with Ctrl-C", flush=True)
        try:
            code = server.wait()
        except KeyboardInterrupt:
            return 0
    raise TrackingError(f"the MLflow server ended with status {code}; see {workspace.root / 'ui.log'}")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
