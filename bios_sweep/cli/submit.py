"""`submit`: this study as an sbatch file, a KubeRay RayJob or a `ray job submit`; sent only when told.

The default writes the file and says the command, since a job costs a quota or money and every cluster has
a house rule or two: the file is there to be read, kept and changed. `--send` submits it as well.
"""

from __future__ import annotations

import json
import shlex
import sys
from argparse import Namespace
from typing import Any

from bios_sweep.cli.answer import invocation_of
from bios_sweep.driver.planned import planned
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.submission import asked_of_job, submission
from bios_sweep.errors import InputError

SHARED = (
    "the workspace {workspace} must be on storage that every node sees under that path; so must the model "
    "and the data"
)


def run(args: Namespace) -> int:
    """Check the study as `plan` does, then write, print or send."""
    if args.dry_run and (args.send or args.file):
        raise InputError("--dry-run writes and sends nothing; leave out --send and --file, or leave it out")
    prepared = prepare(asked_of_job(invocation_of(args), args.to))
    summary = planned(prepared).summary
    job = submission(prepared, to=args.to, file=args.file, sent=args.send)
    if not args.dry_run:
        job.write()
    answer = {
        "to": args.to,
        "sweep_id": job.command.sweep_id,
        "entrypoint": job.command.shell,
        "workspace": job.command.workspace,
        "file": None if args.dry_run else str(job.file),
        "submit_with": shlex.join(job.words),
        "submitted": None,
        "trials": summary.trials,
        "to_run": summary.to_run,
        "notes": [SHARED.format(workspace=job.command.workspace), *summary.notes],
        "warnings": [*summary.warnings, *job.warnings],
        "content": job.text,
    }
    if not args.json:
        _tell(args, answer)
    if args.send:
        answer["submitted"] = job.send()
    if args.json or args.send:
        print(json.dumps(answer, indent=1) if args.json else answer["submitted"])
    return 0


def _tell(args: Namespace, answer: dict[str, Any]) -> None:
    for warning in answer["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)  # standard output may be the file itself
    if args.dry_run:
        print(answer["content"], end="")
        return
    print(f"{answer['to_run']} trials to run of sweep {answer['sweep_id']}")
    for note in answer["notes"]:
        print(f"note: {note}")
    print(f"wrote {answer['file']}", flush=True)  # before the lines of a job that is followed
    if not args.send:
        print(f"submit it with: {answer['submit_with']}")
