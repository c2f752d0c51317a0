"""`status`, `suggest`, `sync` and `ui`: about a sweep that is there, also while a driver runs it."""

from __future__ import annotations

import signal
from argparse import Namespace
from types import FrameType

from rich.console import Console

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.driver.next_study import WrittenStudy, next_study, suggestion_of
from bios_sweep.driver.planned import planned
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.stopping import hangup
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.driver.view import choose, open_sweep, status_of
from bios_sweep.driver.watching import Watched
from bios_sweep.errors import InputError, TrackingError
from bios_sweep.mirror.cursor import read_cursor
from bios_sweep.mirror.mlflow.server import serve_ui
from bios_sweep.mirror.mlflow.tracker import MlflowTracker, is_web, ui_link
from bios_sweep.records.lock import live_owner
from bios_sweep.report.content.answers import NextStudy, SuggestionSummary
from bios_sweep.report.text.glance import print_suggestion
from bios_sweep.report.text.listener import ConsoleListener
from bios_sweep.report.text.terminal import print_status


def status(args: Namespace) -> int:
    """Print how far a sweep is, from its journal, and go on with that while somebody drives it."""
    _, workspace, view = choose(invocation_of(args), args.sweep)
    if args.watch:
        if args.json:
            raise InputError("--watch goes on until the sweep ends, and --json is one answer; leave one out")
        Watched(workspace, view).follow(ConsoleListener(Console()))
        view = open_sweep(workspace, view.sweep_id)
    print_answer(args, status_of(workspace, view, live_owner(workspace)), print_status)
    return 0


def suggest(args: Namespace) -> int:
    """Write the sweep file of the smallest next study, and print what it would settle and its trials."""
    asked = invocation_of(args)
    _, workspace, view = choose(asked, args.sweep)
    suggestion = suggestion_of(view, workspace)
    metric = view.plan.study.metric
    written = None if suggestion.study is None else next_study(view, workspace, suggestion, asked)
    answer = SuggestionSummary(
        sweep_id=view.sweep_id,
        judged_on=metric.words,
        why=tuple(suggestion.why),
        open=tuple(suggestion.open),
        warnings=(metric.doubt,) if metric.doubt else (),
        study=None if written is None else _described(written),
    )
    print_answer(args, answer, print_suggestion)
    return 0


def _described(written: WrittenStudy) -> NextStudy:
    prepared = prepare(written.invocation)
    plan = planned(prepared).summary
    return NextStudy(
        name=written.name,
        file=str(written.file),
        command=prepared.invocation.command,
        seeds=plan.seeds,
        arms=tuple(arm.arm for arm in plan.arms),
        trials=plan.trials,
        to_run=plan.to_run,
        reused=plan.reused,
        most_trials=plan.most_trials,
    )


def sync(args: Namespace) -> int:
    """Bring over what the tracker lacks of a sweep's journal, whatever the cursor says."""
    config, workspace, view = choose(invocation_of(args), args.sweep)
    tracking = tracking_of(config, workspace)
    tracking.required().recorder(view.sweep_id, view.plan.study.scenario.name).sync()
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
            code = server.wait()
        except KeyboardInterrupt:
            return 0
    raise TrackingError(f"the MLflow server ended with status {code}; see {workspace.root / 'ui.log'}")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
