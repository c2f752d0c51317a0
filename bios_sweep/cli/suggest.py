"""`suggest`: the smallest next study that would settle what a sweep left open, written as a sweep file."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from rich.console import Console

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.next_study import NextStudy, next_study, suggestion_of
from bios_sweep.driver.planned import planned
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.sweeps import choose
from bios_sweep.report.text.suggestion import print_suggestion


def run(args: Namespace) -> int:
    """Write the next sweep's file and print what it would settle, and its trials."""
    asked = invocation_of(args)
    _, workspace, view = choose(asked, args.sweep)
    found = suggestion_of(view, workspace)
    metric = view.plan.study.metric
    answer: dict[str, Any] = {
        "sweep_id": view.sweep_id,
        "judged_on": metric.words,
        "why": list(found.why),
        "open": list(found.open),
        "warnings": [metric.doubt] * bool(metric.doubt),
    }
    if found.study is not None:
        answer |= _described(next_study(view, workspace, found, asked))
    if args.json:
        print(json.dumps(answer, indent=1))
    else:
        print_suggestion(answer, Console())
    return 0


def _described(following: NextStudy) -> dict[str, Any]:
    prepared = prepare(following.invocation)
    plan = planned(prepared).summary
    return {
        "name": following.name,
        "file": str(following.file),
        "command": prepared.command,
        "seeds": plan["seeds"],
        "arms": [arm["arm"] for arm in plan["arms"]],
        **{key: plan[key] for key in ("trials", "to_run", "reused", "most_trials")},
    }
