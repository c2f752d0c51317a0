"""`report`: the verdicts of a sweep, judged again from its journal, as far as they are reached.

With `--all` one table over every scenario that a workspace has finished sweeps of, with `--from-csv` or
`--from-mlflow` an audit of runs that were made elsewhere. Each loads its own half: a foreign table needs no
Hydra, a sweep no audit.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.cli.verbs import FOREIGN
from bios_sweep.decision.statement import Verdict
from bios_sweep.defaults import FILE_NAME
from bios_sweep.errors import InputError
from bios_sweep.report.content.goals import tuned_line
from bios_sweep.report.content.sections import roll_up as roll_up_section
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.text.layout import QUIET, line
from bios_sweep.report.text.terminal import print_section, print_verdicts
from bios_sweep.study.trials import short_hash
from bios_sweep.vocabulary import Word

if TYPE_CHECKING:
    from bios_sweep.driver.view import SweepView

JUDGED = (Word.CONFIRM, Word.REFINE, Word.INCONCLUSIVE)


def run(args: Namespace) -> int:
    """Print what is known."""
    if args.from_csv is not None or args.from_mlflow is not None:
        from bios_sweep.cli import audit

        return audit.run(args)
    flags = (*FOREIGN, "--tracking-uri")
    unused = [flag for flag in flags if getattr(args, flag.lstrip("-").replace("-", "_")) is not None]
    if unused:
        raise InputError(
            f"{unused[0]}: belongs to --from-csv FILE or --from-mlflow EXPERIMENT; add one of them"
        )
    return _over_all(args) if args.all else _of_sweep(args)


def _of_sweep(args: Namespace) -> int:
    """The summary of a sweep of the workspace."""
    from bios_sweep.driver.view import choose

    _, workspace, view = choose(invocation_of(args), args.sweep)

    def show(summary: Summary, console: Console) -> None:
        print_verdicts(summary, console, workspace.trials)
        if served := tuned_line(summary, view.folder / FILE_NAME):
            console.print(served, markup=False, soft_wrap=True)

    print_answer(args, view.summary, show)
    return view.summary.exit_code


def _over_all(args: Namespace) -> int:
    """Where several sweeps asked the same of a scenario, the latest counts."""
    from bios_sweep.audit.rollup import roll_up
    from bios_sweep.driver.invocation import workspace_of
    from bios_sweep.driver.view import open_sweep

    workspace = workspace_of(invocation_of(args).composed())
    latest: dict[tuple[str, ...], Verdict] = {}
    judged: dict[tuple[str, ...], str] = {}
    for sweep_id in workspace.sweeps():  # the latest first
        view = open_sweep(workspace, sweep_id)
        for key, verdict in _verdicts(view):
            latest.setdefault(key, verdict)
            judged.setdefault(key, view.plan.study.metric.words)
    if not latest:
        raise InputError(f"workspace {workspace.root}: no sweep has reached its verdicts yet")

    def show(answer: dict[str, Any], console: Console) -> None:
        if section := roll_up_section(answer["roll_up"]):
            print_section(section, console)
            line(console, f"judged on {'; '.join(answer['judged_on'])}", QUIET)

    table = roll_up(list(latest.values()))
    print_answer(args, {"roll_up": table, "judged_on": sorted(set(judged.values()))}, show)
    return 0


def _verdicts(view: SweepView) -> Iterator[tuple[tuple[str, ...], Verdict]]:
    """A finished sweep's verdicts by scenario, cell, factor and claim."""
    if view.summary.final:
        scenario = short_hash(view.plan.study.scenario.identity())
        for verdict in view.verdicts:
            if verdict.verdict in JUDGED:
                yield (scenario, verdict.cell, verdict.factor, verdict.claim), verdict
