"""`report --all`: one table over every scenario that a workspace has finished sweeps of."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from bios_sweep.audit.rollup import roll_up
from bios_sweep.cli.invocation import invocation_of
from bios_sweep.decision.statement import Verdict
from bios_sweep.driver.invocation import workspace_of
from bios_sweep.driver.view import SweepView, open_sweep
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.report.content.sections import roll_up as roll_up_section
from bios_sweep.report.text.layout import QUIET, line
from bios_sweep.report.text.terminal import print_section
from bios_sweep.study.trials import short_hash
from bios_sweep.vocabulary import Word

JUDGED = (Word.CONFIRM, Word.REFINE, Word.INCONCLUSIVE)


def run(args: Namespace) -> int:
    """Print the roll-up. Where several sweeps asked the same of a scenario, the latest counts.

    Raises:
        InputError: no sweep of the workspace has reached its verdicts.
    """
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
    table = roll_up(list(latest.values()))
    if args.json:
        print(json.dumps({"roll_up": to_json(table), "judged_on": sorted(set(judged.values()))}, indent=1))
    else:
        section = roll_up_section(table)
        if section is not None:
            console = Console()
            print_section(section, console)
            line(console, f"judged on {'; '.join(sorted(set(judged.values())))}", QUIET)
    return 0


def _verdicts(view: SweepView) -> list[tuple[tuple[str, ...], Verdict]]:
    """A finished sweep's verdicts by scenario, cell, factor and claim."""
    if not view.summary.final:
        return []
    scenario = short_hash(view.plan.study.scenario.identity())
    return [
        ((scenario, verdict.cell, verdict.factor, verdict.claim), verdict)
        for verdict in view.verdicts
        if verdict.verdict in JUDGED
    ]
