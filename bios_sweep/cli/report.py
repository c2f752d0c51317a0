"""`report`: the verdicts of a sweep, judged again from its journal, as far as they are reached.

With `--from-csv` or `--from-mlflow` it audits runs that were made elsewhere.
"""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from bios_sweep.defaults import FILE_NAME
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.report.content.lines import tuned_line
from bios_sweep.report.text.terminal import print_verdicts

FOREIGN = ("arm", "seed", "value", "baseline", "direction", "tracking-uri")  # flags of foreign tables


def run(args: Namespace) -> int:
    """Print what is known. A foreign table needs no Hydra, a sweep no audit: each loads its own half."""
    if args.from_csv is not None or args.from_mlflow is not None:
        from bios_sweep.cli import audit

        return audit.run(args)
    unused = [f"--{name}" for name in FOREIGN if getattr(args, name.replace("-", "_")) is not None]
    if unused:
        raise InputError(
            f"{unused[0]}: belongs to --from-csv FILE or --from-mlflow EXPERIMENT; add one of them"
        )
    if args.all:
        from bios_sweep.cli import rollup

        return rollup.run(args)
    return _of_sweep(args)


def _of_sweep(args: Namespace) -> int:
    """The summary of a sweep of the workspace."""
    from bios_sweep.cli.invocation import invocation_of
    from bios_sweep.driver.sweeps import choose

    _, workspace, view = choose(invocation_of(args), args.sweep)
    if args.json:
        print(json.dumps(to_json(view.summary), indent=1))
    else:
        console, file = Console(), view.folder / FILE_NAME
        print_verdicts(view.summary, console, workspace.trials)
        if told := tuned_line(view.summary, file):
            console.print(told, markup=False, soft_wrap=True)
    return view.summary.exit_code
