"""Tables of earlier sweeps of the same scenario, from their journals: how large the noise is there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.records.earlier import names_model
from bios_sweep.records.journal import read_state
from bios_sweep.records.sweep_state import SweepState, TrialState
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status


def earlier_tables(workspace: Workspace, plan: Plan) -> dict[str, list[ResultTable]]:
    """Sweep id -> tables of the trials that it ran itself, of sweeps of the plan's scenario, latest first.

    A trial that several sweeps share counts once, where it ran.
    """
    tables = {}
    for sweep_id in workspace.sweeps():
        path = workspace.journal_file(sweep_id)
        if not path.exists() or not names_model(path, plan.study.scenario.model.fingerprint):
            continue
        state = read_state(path)
        if _same_scenario(state.facts, plan):
            tables[sweep_id] = _tables(state, plan.study.metric)
    return tables


def _same_scenario(facts: Mapping[str, Any], plan: Plan) -> bool:
    scenario, data = plan.study.scenario, facts.get("data", {})
    return (
        facts.get("scenario") == scenario.name
        and facts.get("metric") == plan.study.metric.name
        and facts.get("model", {}).get("fingerprint") == scenario.model.fingerprint
        and data.get("fingerprint") == scenario.data.fingerprint
        and data.get("evaluation_fingerprint") == scenario.data.evaluation_fingerprint
    )


def _tables(state: SweepState, metric: Metric) -> list[ResultTable]:
    stages: dict[str, list[TrialState]] = {}
    for trial in state.trials.values():
        if trial.result is not None and not trial.reused:
            stages.setdefault(trial.spec.stage, []).append(trial)
    return [_table(trials, metric) for trials in stages.values()]


def _table(trials: list[TrialState], metric: Metric) -> ResultTable:
    """Of the arms with the most seeds: looks stop at different numbers, and a missing seed is a gap."""
    seeds = {
        arm: {t.spec.seed for t in trials if t.spec.arm == arm}
        for arm in dict.fromkeys(t.spec.arm for t in trials)
    }
    full = max(map(len, seeds.values()))
    arms = tuple(arm for arm, own in seeds.items() if len(own) == full)
    kept = [trial for trial in trials if trial.spec.arm in arms]
    curves = [t.result.curve for t in kept if t.spec.arm == arms[0] and t.result and t.result.curve]
    starts = [getattr(curve[0], metric.name, None) for curve in curves if curve[0].step == 0]
    return ResultTable(
        arms=arms,
        seeds=tuple(dict.fromkeys(trial.spec.seed for trial in kept)),
        outcomes={(t.spec.arm, t.spec.seed): _outcome(t, metric) for t in kept},
        metric=metric,
        untouched=next((start for start in starts if start is not None), None),
    )


def _outcome(trial: TrialState, metric: Metric) -> Outcome:
    if trial.result is None:
        return Outcome(status=Status.FAILED)
    return Outcome(status=trial.result.status, value=trial.result.final.get(metric.name, math.nan))
