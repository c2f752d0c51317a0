"""`logs`: what a trial wrote down, also while it runs."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from rich.console import Console

from bios_sweep.checks import whole
from bios_sweep.cli.answer import invocation_of, name_among, print_answer
from bios_sweep.driver.invocation import workspace_of
from bios_sweep.driver.logs import Found, all_logs, find_trial, followed, logs_told
from bios_sweep.errors import InputError
from bios_sweep.records.sweep_state import PLANNED, RUNNING
from bios_sweep.records.trial_logs import LogFile, last_lines
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.answers import LogText, SweepLogs, TrialLogs
from bios_sweep.report.text.logs import log_table, readable
from bios_sweep.vocabulary import Status


def logs(args: Namespace) -> int:
    """List the trials of a sweep, or print what one wrote, attempt by attempt."""
    words = name_among(args)
    config = invocation_of(args).composed()
    workspace, sweep = workspace_of(config), args.sweep or config.sweep
    if not words:
        if args.follow:
            raise InputError("--follow: of which trial? `bios-sweep logs` lists them")
        print_answer(args, all_logs(workspace, sweep), _print_list)
        return 0
    found = find_trial(workspace, words, sweep)
    if not args.follow:
        told = _last_of(logs_told(workspace, found, texts=True), args.lines)
        if not told.logs and not args.json:
            raise InputError(f"trial {found}: there is no log{_why_none(told)}")
        print_answer(args, told, _print_all)
        return 0
    if args.json:
        raise InputError(
            "--follow prints lines as they come, and --json one answer; leave one of the two out"
        )
    _follow(workspace, found, args.lines)
    return 0


def _follow(workspace: Workspace, found: Found, lines: int | None) -> None:
    count = None if lines is None else whole("--lines", lines, error=InputError)
    shown: LogFile | None = None
    for log, text in followed(workspace, found, lines=count):
        if shown is None or (log.attempt, log.name) != (shown.attempt, shown.name):
            print(_head(log), flush=True)
        print(readable(text), end="", flush=True)
        shown = log
    if shown is None:
        raise InputError(f"trial {found}: there is no log, and nothing runs that would write one")


def _why_none(told: TrialLogs) -> str:
    if told.status == PLANNED:
        return "; it has not started"
    if told.status == RUNNING:
        return " here yet; on a cluster with cluster.storage it comes when the trial measures or ends"
    if told.status in (Status.COMPLETED, Status.DIVERGED):
        return "; it ended in another workspace, or before logs were kept"
    return ""


def _head(log: LogFile | LogText) -> str:
    return f"==> {log.name}, attempt {log.attempt} <=="


def _last_of(told: TrialLogs, lines: int | None) -> TrialLogs:
    """With the last lines of each file alone, where so many are asked for."""
    if lines is None:
        return told
    count = whole("--lines", lines, error=InputError)
    ends = (last_lines(log.text or "", count) for log in told.logs)
    cut = (replace(log, text=end) for log, end in zip(told.logs, ends, strict=True))
    return replace(told, logs=tuple(cut))


def _print_all(told: TrialLogs, _console: Console) -> None:
    for log in told.logs:
        print(_head(log))
        print(readable(log.text or "").rstrip("\n"), end="\n\n")


def _print_list(told: SweepLogs, console: Console) -> None:
    console.print(log_table(told))
