"""`run`: runs, resumes or extends a sweep; ends with its verdicts."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from bios_sweep.cli.answer import add_step_summary, invocation_of, print_result
from bios_sweep.defaults import FILE_NAME
from bios_sweep.driver.changed import resumed
from bios_sweep.driver.invocation import Invocation, workspace_of
from bios_sweep.driver.next_study import following
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.driver.session import Outcome, run_sweep
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.launch.behind import Ended, announcing, detached, go_behind, new_log
from bios_sweep.ports import PreflightLine
from bios_sweep.report.content.recorded import REPORT, recorded
from bios_sweep.report.text.listener import ConsoleListener

TRACKING_FAILED = 4


def run(args: Namespace) -> int:
    """Run what was asked for, or with `--next` what follows the latest sweep; with `--detach` behind."""
    asked = invocation_of(args)
    if args.detach:
        return _behind(args, workspace_of(asked.composed()).root)
    console = Console(stderr=args.json)
    listener = JsonListener(console) if args.json else ConsoleListener(console)
    outcome = run_sweep(_prepared(args, asked), announcing(listener))
    places = recorded(outcome.summary, outcome.sweep.folder, _link(outcome))
    if args.json:
        _print_json(outcome)
    else:
        print_result(args, outcome.summary, console, places)
    add_step_summary(outcome.summary, places)
    return _exit_code(outcome)


def _prepared(args: Namespace, asked: Invocation) -> Prepared:
    """What to run, told of what changed since a sweep of the same question was interrupted."""
    if args.next and args.resume is not None:
        raise InputError("--next and --resume: give one of them")
    if args.resume is not None:
        return resumed(asked, args.resume)
    return prepare(following(asked) if args.next else asked)


def _behind(args: Namespace, workspace: Path) -> int:
    """Leave the run to a process of its own; what refuses it is told here, with its exit code."""
    folder = () if args.config_dir is None else ("--config-dir", str(args.config_dir))
    switches = [flag for flag, on in (("--next", args.next), ("--full", args.full)) if on]
    switches += [] if args.resume is None else ["--resume", args.resume]
    switches += ["--json"] if args.json else []
    log = new_log(workspace)
    values = log.with_suffix(".json") if args.json else None
    came = go_behind(["run", *args.overrides, *folder, *switches], log, values)
    if isinstance(came, Ended):
        return _told(came, log, values)
    answer = detached(came, log, workspace)
    if args.json:
        print(json.dumps(to_json(answer), indent=1))
        return 0
    print(f"{answer.sweep_id} runs behind, in process {answer.pid}; closing this terminal does not end it")
    for what, command in (("watch", answer.watch), ("stop", answer.stop), ("log", answer.follow)):
        print(f"{what}: {command}")
    return 0


def _told(ended: Ended, log: Path, values: Path | None) -> int:
    """Say here what a run said that ended before its trials began; its exit code. values: its answer."""
    said = sys.stderr if ended.code or values else sys.stdout
    print(log.read_text(encoding="utf-8"), end="", file=said)
    log.unlink()
    if values is not None:
        print(values.read_text(encoding="utf-8"), end="")
        values.unlink()
    if ended.killed:
        print(
            f"bios-sweep: the run was ended by {ended.killed} before its trials began; give the same command "
            "again",
            file=sys.stderr,
        )
    return ended.code


class JsonListener(ConsoleListener):
    """The answer of a run that a preflight ends is that preflight."""

    def preflight(self, lines: tuple[PreflightLine, ...]) -> None:
        """The table on standard error; where a line is red, the lines as JSON too."""
        super().preflight(lines)
        if any(line.red for line in lines):
            print(json.dumps({"preflight": to_json(lines)}, indent=1))


def _print_json(outcome: Outcome) -> None:
    result = {**to_json(outcome.summary), "warnings": list(outcome.warnings)}
    if outcome.preflight:
        result["preflight"] = to_json(outcome.preflight)
    files = {"defaults": _file(outcome, FILE_NAME), "report": _file(outcome, REPORT)}
    print(json.dumps({**result, "files": files, "link": _link(outcome)}, indent=1))


def _file(outcome: Outcome, name: str) -> str | None:
    path = outcome.sweep.folder / name
    return str(path) if path.is_file() else None


def _link(outcome: Outcome) -> str:
    return outcome.tracking.link(outcome.sweep.plan.sweep_id)


def _exit_code(outcome: Outcome) -> int:
    """The exit code, with what it means on standard error."""
    if outcome.signal is not None and not outcome.summary.final:
        print("bios-sweep: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + outcome.signal
    if outcome.summary.broken is not None:
        print(f"bios-sweep: {outcome.summary.broken}", file=sys.stderr)
    if outcome.behind:
        print(f"bios-sweep: {outcome.behind}", file=sys.stderr)
        return TRACKING_FAILED
    return outcome.summary.exit_code
