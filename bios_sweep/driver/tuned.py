"""The tuned-defaults file of a finished sweep, and the arm that it recommends."""

from __future__ import annotations

from datetime import datetime

from bios_sweep import defaults
from bios_sweep.decision.question import Question
from bios_sweep.decision.statement import Verdict
from bios_sweep.driver.sweep import Sweep
from bios_sweep.jsonable import to_json
from bios_sweep.procedure import State, own_cell, serves_search
from bios_sweep.report.content.summary import Summary
from bios_sweep.settings import LORA
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.version import __version__
from bios_sweep.vocabulary import Word


def recommended_arm(plan: Plan, state: State) -> Arm:
    """The arm whose settings the verdicts recommend: the baseline unless something was refined."""
    if state.search is not None and state.search.winner is not None and serves_search(state):
        return state.search.winner
    refined = [
        plan.arm(finding.best)
        for question, finding in state.findings.items()
        if finding.state == Word.REFINE and finding.best and _for_everyone(plan, state, question)
    ]
    if len(refined) > 1 and state.combination is not None:
        return state.combination
    return refined[0] if refined else plan.baseline


def _for_everyone(plan: Plan, state: State, question: Question) -> bool:
    """Whether a question's answer is what the study's own cell serves to everyone."""
    own = own_cell(plan)
    here = own is not None and question.cell == own.cell
    return here and question.claim.for_everyone and question.factor in state.served


def recommended_trials(plan: Plan, state: State) -> list[str]:
    """Keys of the recommended arm's trials."""
    name = recommended_arm(plan, state).name
    return [trial.key for trial in state.needed if trial.arm == name]


def own_verdicts(plan: Plan, summary: Summary) -> list[Verdict]:
    """The verdicts about the study's own settings; other cells of a crossed study are of other scenarios."""
    own = own_cell(plan)
    return [verdict for verdict in summary.verdicts if own is not None and verdict.cell == own.cell]


def tuned_defaults(sweep: Sweep, state: State, summary: Summary, ended: datetime) -> defaults.TunedDefaults:
    """The content of `bios_defaults.json`. ended: when the evidence was complete."""
    study = sweep.plan.study
    scenario, baseline = study.scenario, study.baseline
    tokens = scenario.data.tokens_per_example
    return defaults.build_tuned(
        key=defaults.TunedKey(
            family=scenario.model.family,
            hidden_size=scenario.model.hidden_size,
            parameters=scenario.model.parameters,
            method=scenario.method.trains or LORA,
            objective=str(scenario.method.objective),
            runner=str(scenario.method.runner) if scenario.method.scripted else None,
            alpha_rule=baseline.alpha_rule,
            max_steps=baseline.max_steps,
            batch_size=baseline.batch_size,
            tokens_per_step=None if tokens is None else round(tokens * baseline.batch_size, 1),
        ),
        verdicts=to_json(own_verdicts(sweep.plan, summary)),
        baseline=baseline,
        provenance=defaults.Provenance(
            versions={"bios_sweep": __version__, **scenario.software},
            data_fingerprint=scenario.data.fingerprint,
            tracking_url=sweep.tracking_url,
            date=ended.isoformat(timespec="seconds"),
            model=scenario.model.name,
            data=scenario.data.name,
            sweep=sweep.plan.sweep_id,
        ),
        served=state.served,
        profiles=state.profiles,
        told=scenario.carried,
        metric=defaults.TunedMetric(
            name=study.metric.name,
            direction=study.metric.direction,
            words=study.metric.words,
            doubt=study.metric.doubt,
        ),
    )
