"""From a plan, its state and its results to the summary that a reader is told. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bios_sweep.procedure.decidable import undecided_lines
from bios_sweep.procedure.pairing import pairing_lines
from bios_sweep.procedure.served import no_file
from bios_sweep.procedure.state import Results, State
from bios_sweep.procedure.suggestion import settling
from bios_sweep.report.content.arm_rows import arm_row, arms_of, curves_of
from bios_sweep.report.content.asked_before import changed_lines
from bios_sweep.report.content.by_hand import stopped_lines
from bios_sweep.report.content.evaluation import evaluated_lines
from bios_sweep.report.content.expense import spent_on
from bios_sweep.report.content.failure_rows import failure_rows
from bios_sweep.report.content.held import held_rows, read_lines, seen_lines
from bios_sweep.report.content.lines import headline
from bios_sweep.report.content.movement import movement_rows
from bios_sweep.report.content.parts import (
    frontier_points,
    moderator_rows,
    search_row,
    sign_rows,
    unjudged_lines,
)
from bios_sweep.report.content.scope import caveats, truncation
from bios_sweep.report.content.summary import Counts, Summary, metric_row
from bios_sweep.report.content.takes import takes_rows
from bios_sweep.report.content.verdict_rows import Ways, not_served, profiles, recommended, verdicts_of
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Status


def summarise(plan: Plan, state: State, results: Results, ways: Ways) -> Summary:
    """Everything a reader of the sweep is told."""
    study, arms = plan.study, arms_of(plan, state)
    verdicts = verdicts_of(plan, state, results, ways)
    summary = Summary(
        sweep=study.name,
        sweep_id=plan.sweep_id,
        question=study.question,
        scenario=study.scenario.name,
        stage=state.stage,
        metric=metric_row(study.metric),
        judged_on=study.metric.words,
        margin=state.margin,
        counts=count_trials(state, results),
        verdicts=verdicts,
        baseline=study.scenario.engine_settings(study.baseline.by_name()),
        origins=study.origins,
        arms=tuple(arm_row(plan, state, arm, results) for arm in arms),
        curves={arm.name: curves_of(plan, state, arm, results) for arm in arms},
        served=state.served,
        profiles=profiles(plan, state),
        recommended=recommended(plan, state),
        not_served=not_served(verdicts),
        no_file=no_file(plan, state),
        frontier=frontier_points(plan, state),
        importance=state.search.importance if state.search else {},
        search=search_row(state),
        moderators=moderator_rows(plan, state, results),
        movements=movement_rows(plan, state, results) or None,
        takes=takes_rows(plan, state, results) or None,
        signs=sign_rows(plan, state, results),
        truncation=truncation(study.scenario.data),
        failures=failure_rows(state, results),
        held=held_rows(plan, state),
        beside=state.beside or None,
        caveats=(
            *undecided_lines(plan),
            *caveats(plan),
            *changed_lines(plan, state),
            *seen_lines(plan, state),
            *read_lines(plan, state, results),
            *pairing_lines(plan, results),
            *stopped_lines(state, results),
            *unjudged_lines(plan, state, results),
        ),
        notes=(*plan.notes, *plan.study.scenario.data.told, *evaluated_lines(results.values())),
        command=ways.command,
        spent=spent_on(state, results, ways.tariff),
        asked_next=_asked_next(plan, state, results),
        following=ways.following,
    )
    return replace(summary, headline=headline(summary))


def _asked_next(plan: Plan, state: State, results: Results) -> tuple[str, ...]:
    study = settling(plan, state, results).study
    return () if study is None else tuple(factor.name for factor in study.factors)


def count_trials(state: State, results: Results) -> Counts:
    """The trials that are needed so far, by how they ended."""
    ended = Counter(results[trial.key].status for trial in state.needed if trial.key in results)
    return Counts(
        planned=len(state.needed),
        completed=ended[Status.COMPLETED],
        diverged=ended[Status.DIVERGED],
        failed=ended[Status.FAILED],
        waiting=len(state.needed) - sum(ended.values()),
    )
