"""`stop`, `pause` and `resume`: what is asked of a running sweep, and of its arms also when none runs."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.cli.answer import invocation_of, name_among, print_answer
from bios_sweep.driver.by_hand import ArmAnswer, ask_arm
from bios_sweep.driver.invocation import workspace_of
from bios_sweep.driver.view import choose
from bios_sweep.errors import InputError
from bios_sweep.records.lock import live_owner
from bios_sweep.records.requests import end_pause, pause_requested, request_pause
from bios_sweep.records.workspace import Owner, Workspace


def stop(args: Namespace) -> int:
    """Leave the request to end where the driver looks for it; of one arm, write it down for good."""
    if arm := name_among(args):
        if args.now:
            raise InputError("--now: an arm ends at its trials' next measurements; leave --now out")
        return _arm(args, arm, stopped=True)
    if args.sweep:
        raise InputError("--sweep: goes with an arm; without one the sweep that runs is stopped")
    workspace, owner = _driven(args)
    workspace.request_stop(now=args.now)
    when = "at once" if args.now else "at its next checkpoints"
    text = f"asked {owner} to stop {when}; `bios-sweep status` shows when it has"
    print_answer(args, {"stopping": owner, "now": args.now}, lambda *_: print(text))
    return 0


def pause(args: Namespace) -> int:
    """Hold the sweep that runs: its driver lives on and keeps its workers."""
    workspace, owner = _driven(args)
    request_pause(workspace)
    text = f"asked {owner} to hold: trials that run end, none is started until `bios-sweep resume`"
    print_answer(args, {"pausing": owner}, lambda *_: print(text))
    return 0


def resume(args: Namespace) -> int:
    """Let the sweep that is held go on, or take an arm up again."""
    if arm := name_among(args):
        return _arm(args, arm, stopped=False)
    if args.sweep:
        raise InputError("--sweep: goes with an arm; without one the sweep that is held goes on")
    workspace, owner = _driven(args)
    if not pause_requested(workspace):
        raise InputError(f"workspace {workspace.root}: {owner} is not paused")
    end_pause(workspace)
    print_answer(args, {"resuming": owner}, lambda *_: print(f"asked {owner} to go on"))
    return 0


def _driven(args: Namespace) -> tuple[Workspace, Owner]:
    workspace = workspace_of(invocation_of(args).composed())
    owner = live_owner(workspace)
    if owner is None or not owner.sweep_id:
        raise InputError(f"workspace {workspace.root}: no sweep is running there")
    return workspace, owner


def _arm(args: Namespace, words: str, *, stopped: bool) -> int:
    """About an arm of the sweep that is named, else of the one that runs, else of the latest."""
    invocation = invocation_of(args)
    owner = live_owner(workspace_of(invocation.composed()))
    _, workspace, view = choose(invocation, args.sweep or (owner.sweep_id if owner else None) or None)
    answer = ask_arm(workspace, view, words, stopped=stopped)
    print_answer(args, answer, lambda *_: print(_told(answer)))
    return 0


def _told(answer: ArmAnswer) -> str:
    if answer.driver is not None:
        what = "stop" if answer.stopped else "take up again"
        end = "; its trials end at their next measurements" if answer.stopped else ""
        return f"asked {answer.driver} to {what} {answer.arm}{end}"
    if answer.stopped:
        open_now = "unless a look has excluded it its factor stays open"
        return f"{answer.arm} of {answer.sweep_id} is stopped and runs no more; {open_now}"
    return f"{answer.arm} of {answer.sweep_id} is wanted again; it trains by: {answer.command}"
