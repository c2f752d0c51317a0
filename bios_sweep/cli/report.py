"""`report`: the verdicts of a sweep, judged again from its journal, as far as they are reached.

With `--all` one table over every scenario that a workspace has finished sweeps of, with `--from-csv` or
`--from-mlflow` an audit of runs that were made elsewhere, which needs no Hydra.
"""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from bios_sweep.cli.answer import invocation_of, print_answer, print_markdown, print_result
from bios_sweep.cli.verbs import FOREIGN
from bios_sweep.errors import InputError
from bios_sweep.report.content.recorded import recorded


def run(args: Namespace) -> int:
    """Print what is known."""
    if args.from_csv is not None or args.from_mlflow is not None:
        from bios_sweep.cli.audit import of_runs  # loads what reads tables, which a sweep needs not

        return of_runs(args)
    flags = (*FOREIGN, "--tracking-uri")
    unused = [flag for flag in flags if getattr(args, flag.lstrip("-").replace("-", "_")) is not None]
    if unused:
        raise InputError(
            f"{unused[0]}: belongs to --from-csv FILE or --from-mlflow EXPERIMENT; add one of them"
        )
    return _over_all(args) if args.all else _of_sweep(args)


def _of_sweep(args: Namespace) -> int:
    """The summary of a sweep of the workspace."""
    from bios_sweep.driver.tracking import tracking_of
    from bios_sweep.driver.view import choose

    config, workspace, view = choose(invocation_of(args), args.sweep)
    link = tracking_of(config, workspace).followed(view.sweep_id, view.journal.seq)
    places = recorded(view.summary, view.folder, link)
    if args.markdown:
        if args.json:
            raise InputError("--markdown and --json: give one of them")
        print_markdown(view.summary, places)
        return view.summary.exit_code
    print_answer(args, view.summary, lambda summary, console: print_result(args, summary, console, places))
    return view.summary.exit_code


def _over_all(args: Namespace) -> int:
    """Every study is told; of those that asked one question, the one that judged all trials counts."""
    from bios_sweep.audit.rollup import roll_up
    from bios_sweep.driver.all_studies import all_studies
    from bios_sweep.driver.invocation import workspace_of
    from bios_sweep.report.content.sections import roll_up as roll_up_section
    from bios_sweep.report.content.sections import studies as studies_section
    from bios_sweep.report.text.layout import QUIET, line
    from bios_sweep.report.text.terminal import print_section

    workspace = workspace_of(invocation_of(args).composed())
    found = all_studies(workspace)
    if not found.studies:
        raise InputError(f"workspace {workspace.root}: no sweep has reached its verdicts yet")

    def show(answer: dict[str, Any], console: Console) -> None:
        for section in (roll_up_section(answer["roll_up"]), studies_section(found.studies)):
            if section:
                print_section(section, console)
        line(console, f"judged on {'; '.join(found.judged_on)}", QUIET)

    table = roll_up(found.verdicts)
    print_answer(args, {"roll_up": table, "studies": found.studies, "judged_on": found.judged_on}, show)
    return 0
