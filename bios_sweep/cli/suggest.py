"""`suggest`: the smallest next study that would settle what a sweep left open, written as a sweep file."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.driver.next_study import WrittenStudy, next_study, suggestion_of
from bios_sweep.driver.planned import planned
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.view import choose
from bios_sweep.report.content.answers import NextStudy, SuggestionSummary
from bios_sweep.report.text.glance import print_suggestion


def run(args: Namespace) -> int:
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
