"""A sweep as plain values: what `report --json` prints and what every other form is drawn from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.procedure import DONE, Results, State, no_file, pairing_lines
from bios_sweep.report.content.arm_rows import arm_row, arms_of, curves_of
from bios_sweep.report.content.frontier_rows import frontier_rows
from bios_sweep.report.content.goals import headline, not_served, profiles, recommended
from bios_sweep.report.content.moderator_rows import moderator_rows
from bios_sweep.report.content.scope import caveats
from bios_sweep.report.content.search_row import search_row
from bios_sweep.report.content.sign_rows import sign_rows, unjudged_lines
from bios_sweep.report.content.truncation import truncation
from bios_sweep.report.content.verdict_rows import told_verdict, verdicts_of
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import COMPLETED, DIVERGED, FAILED


def summarise(plan: Plan, state: State, results: Results, command: str) -> dict[str, Any]:
    """Everything a reader of the sweep is told. `command` reproduces it.

    Keys: `sweep`, `sweep_id`, `question`, `scenario`, `stage`, `metric`, `judged_on` (it in words), `margin`,
    `counts`, `verdicts` (see `Verdict`), `baseline` (setting -> value), `origins`, `arms` (one record
    per arm with its mean and per-seed finals), `curves` (arm -> list of per-seed curves), `served`,
    `recommended` (goal -> setting -> value: what the tuned file gives each goal), `not_served` (what verdicts
    settled and nobody gets, and why), `no_file` (why there is no tuned file; empty where there is one),
    `headline` (the sweep in one line), `signs` (see `sign_rows`), `truncation` (see there), `failures`,
    `caveats`, `notes`, `command`.
    """
    study = plan.study
    verdicts = [told_verdict(plan, verdict, command) for verdict in verdicts_of(plan, state)]
    summary = {
        "sweep": study.name,
        "sweep_id": plan.sweep_id,
        "question": study.question,
        "scenario": study.scenario.name,
        "stage": state.stage,
        "metric": {"name": study.metric.name, "unit": study.metric.unit, "direction": study.metric.direction},
        "judged_on": study.metric.words,
        "margin": {"percent": state.margin.percent, "absolute": state.margin.absolute}
        if state.margin
        else None,
        "counts": count_trials(state, results),
        "verdicts": verdicts,
        "baseline": study.scenario.told(study.baseline.to_dict()),
        "origins": {name: dict(origin) for name, origin in study.origins.items()},
        "arms": [arm_row(plan, state, arm, results) for arm in arms_of(plan, state)],
        "curves": {arm.name: curves_of(plan, state, arm, results) for arm in arms_of(plan, state)},
        "served": dict(state.served),
        "profiles": profiles(plan, state),
        "recommended": recommended(plan, state),
        "not_served": not_served(verdicts),
        "no_file": no_file(plan, state),
        "frontier": frontier_rows(plan, state),
        "importance": dict(state.search.importance) if state.search else {},
        "search": search_row(state),
        "moderators": moderator_rows(plan, state, results),
        "signs": sign_rows(plan, state, results),
        "truncation": truncation(study.scenario.data),
        "failures": _failures(state, results),
        "caveats": [*caveats(plan), *pairing_lines(plan, results), *unjudged_lines(plan, state, results)],
        "notes": list(plan.notes),
        "command": command,
    }
    return {"headline": headline(summary), **summary}


def count_trials(state: State, results: Results) -> dict[str, int]:
    """Planned = completed + diverged + failed once the sweep is done; `waiting` is what has no result yet."""
    ended = Counter(results[trial.key].status for trial in state.needed if trial.key in results)
    return {
        "planned": len(state.needed),
        "completed": ended[COMPLETED],
        "diverged": ended[DIVERGED],
        "failed": ended[FAILED],
        "waiting": len(state.needed) - sum(ended.values()),
    }


def _failures(state: State, results: Results) -> list[dict[str, Any]]:
    return [
        {
            "arm": trial.arm,
            "seed": trial.seed,
            "key": trial.key,
            "status": result.status,
            "failure": result.failure,
            "cause": result.cause,
        }
        for trial in state.needed
        if (result := results.get(trial.key)) is not None and result.status != COMPLETED
    ]


def is_final(summary: Mapping[str, Any]) -> bool:
    """Whether the sweep has reached its verdicts."""
    return bool(summary["stage"] == DONE)


def exit_code(counts: Mapping[str, int]) -> int:
    """0, or 3 when trials failed: the verdicts stand on what is left."""
    return 3 if counts["failed"] else 0


def worst_first(failures: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Failed trials before diverged ones: the first need repair, the second are outcomes."""
    return sorted(failures, key=lambda failure: failure["status"] != FAILED)
