"""From trials' results to the tables that decisions are made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.costs import CostRatio, Timing, cost_ratios
from bios_sweep.decision.fresh import Guard
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.procedure.pairing import copied_seeds
from bios_sweep.procedure.state import Known, Results
from bios_sweep.study.companions import Companion
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import TrialResult, TrialSpec, evaluation_file
from bios_sweep.vocabulary import Status


def table_of(
    plan: Plan, trials: Sequence[TrialSpec], results: Results, keeps: Companion | None = None
) -> ResultTable:
    """The given trials' outcomes as a table, the baseline's arm first.

    keeps: the metric that must not lose which it is of; by default it is of the one that decides.
    """
    metric = plan.study.metric if keeps is None else keeps.metric
    points = (plan.study.decision if keeps is None else keeps).margin_points
    ended = [(trial, results[trial.key]) for trial in trials if trial.key in results]
    own = [(trial, result) for trial, result in ended if trial.arm == plan.baseline.name]
    return ResultTable(
        arms=tuple(dict.fromkeys([plan.baseline.name, *(trial.arm for trial in trials)])),
        seeds=tuple(dict.fromkeys(trial.seed for trial in trials)),
        outcomes={(trial.arm, trial.seed): _outcome(result, metric.name) for trial, result in ended},
        metric=metric,
        untouched=_untouched([result for _, result in own], metric.name),
        hardware=tuple(sorted({str(r.provenance["device"]) for _, r in ended if "device" in r.provenance})),
        flaw=copied_seeds(plan, trials, results, plan.study.metric.name),
        points=points is not None,
    )


def guards_of(plan: Plan, trials: Sequence[TrialSpec], results: Results, known: Known) -> tuple[Guard, ...]:
    """The metrics that a refined level must not lose, on the given trials."""
    return tuple(
        Guard(
            keeps=one,
            table=table_of(plan, trials, results, one),
            sums=sums_of(plan, trials, results, known, one.metric),
        )
        for one in plan.study.decision.must_not_lose(plan.study.metric)
    )


def sums_of(
    plan: Plan, trials: Sequence[TrialSpec], results: Results, known: Known, metric: Metric | None = None
) -> dict[tuple[str, int], ClusterSums]:
    """(arm, seed) -> evaluation by cluster of the completed trials; {} where one's is not known.

    With `decision.scope=evaluation`, or a metric that is a mean over neither tokens nor scored answers, none
    is wanted. metric: the study's by default.
    """
    file = evaluation_file((metric or plan.study.metric).name, plan.study.scenario.data.score)
    if plan.study.decision.scope == "evaluation" or file is None:
        return {}
    sums: dict[tuple[str, int], ClusterSums] = {}
    for trial in trials:
        if trial.key in results and results[trial.key].status == Status.COMPLETED:
            found = known.clusters(trial.key, file)
            if found is None:
                return {}
            sums[trial.arm, trial.seed] = found
    return sums


def costs_of(plan: Plan, timing: Timing | None) -> Mapping[str, CostRatio]:
    """Arm -> time over the baseline's: by the probe where it was timed, by steps where only they differ."""
    base = plan.baseline.settings
    by_steps = {
        arm.name: arm.settings.max_steps / base.max_steps
        for arm in plan.arms
        if arm.factor == "max_steps" or arm.duration is not None
    }
    costs = {
        name: CostRatio(arm=name, ratio=ratio, lower=ratio, upper=ratio) for name, ratio in by_steps.items()
    }
    timed = [arm for arm in plan.timed_arms if timing is not None and arm.name in timing.arms]
    if timing is None or plan.baseline not in timed:
        return costs
    ratios = cost_ratios(
        {arm.name: timing.of(arm.name) for arm in timed},
        {arm.name: arm.settings.max_steps for arm in timed},
        plan.study.decision.alpha,
        timing.hardware,
    )
    return costs | ratios


def _outcome(result: TrialResult, metric: str) -> Outcome:
    return Outcome(status=result.status, value=result.final.get(metric, float("nan")))


def _untouched(results: Sequence[TrialResult], metric: str) -> float | None:
    """The metric before any training, where the baseline's curves measure it."""
    starts = [r.curve[0].value(metric) for r in results if r.curve and r.curve[0].step == 0]
    return next((start for start in starts if start is not None), None)
