"""The stage machine: what to run next, given the results so far.

screening (at each planned look) -> confirmation of the candidates on fresh seeds -> done.
A pure function of plan and results, so that a driver that died, a driver that lives and a reader
of the journal all see the same state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.analysis.table import Outcome, ResultTable
from bios_sweep.analysis.verdicts import (
    CANDIDATE,
    INCONCLUSIVE,
    REFINE,
    UNCONFIRMED,
    UNDECIDED,
    FactorLevels,
    Finding,
    Margin,
    combination_holds,
    confirm_candidate,
    margin_of,
    screen,
)
from bios_sweep.study.design import REPEAT
from bios_sweep.study.plan import Arm, Plan, combine, confirmation_trials
from bios_sweep.study.trials import CONFIRMATION, SCREENING, TrialResult, TrialSpec

DONE = "done"

Results = Mapping[str, TrialResult]


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a sweep stands.

    stage: screening, confirmation or done. needed: all trials the sweep needs as far as is known
    now, in the order to run them. missing: those without a result. findings: per factor, as far
    as it is decided. screening: the findings of the shared seeds alone. served: factor -> value that may be
    served as a default (confirmed or refined).
    """

    stage: str
    needed: tuple[TrialSpec, ...]
    missing: tuple[TrialSpec, ...]
    findings: Mapping[str, Finding] = field(default_factory=dict)
    screening: Mapping[str, Finding] = field(default_factory=dict)
    margin: Margin | None = None
    combination: Arm | None = None
    served: Mapping[str, Any] = field(default_factory=dict)


def state_of(plan: Plan, results: Results) -> State:
    """The sweep's state; `results` maps trial keys to terminal records, failed ones included."""
    needed: list[TrialSpec] = []
    findings: dict[str, Finding] = {}
    undecided = factor_names(plan)
    margin = None
    for look in plan.study.decision.looks:
        names = {plan.baseline.name} | {arm.name for f in undecided for arm in plan.arms_of(f)}
        seeds = plan.study.seeds[:look]
        trials = [t for t in plan.trials if t.seed in seeds and t.arm in names]
        needed += [t for t in trials if t not in needed]
        missing = tuple(t for t in trials if t.key not in results)
        if missing:
            return State(
                stage=SCREENING, needed=tuple(needed), missing=missing, findings=findings, screening=findings
            )
        table = table_of(plan, trials, results)
        margin = margin_of(table, plan.study.decision)
        factors = [levels_of(plan, name) for name in undecided]
        findings |= screen(table, factors, plan.study.decision, variations=len(plan.arms) - 1)
        undecided = [name for name in undecided if findings[name].state == UNDECIDED]
        if not undecided:
            break
    findings |= {name: dataclasses.replace(findings[name], state=INCONCLUSIVE) for name in undecided}
    return _after_screening(plan, results, tuple(needed), findings, margin)


def _after_screening(
    plan: Plan,
    results: Results,
    needed: tuple[TrialSpec, ...],
    findings: Mapping[str, Finding],
    margin: Margin | None,
) -> State:
    candidates = [plan.arm(f.best) for f in findings.values() if f.state == CANDIDATE and f.best]
    if not candidates or margin is None:
        return _done(plan, needed, findings, findings, margin)
    if not plan.study.decision.confirmation_seeds:
        final = {
            name: dataclasses.replace(
                f, state=UNCONFIRMED, reasons=("no confirmation seeds: no value is served",)
            )
            if f.state == CANDIDATE
            else f
            for name, f in findings.items()
        }
        return _done(plan, needed, final, findings, margin)
    together = _together(plan, candidates)
    arms = (plan.baseline, *candidates, *([together] if together else []))
    trials = confirmation_trials(plan.study, arms)
    needed = (*needed, *trials)
    missing = tuple(t for t in trials if t.key not in results)
    if missing:
        return State(
            stage=CONFIRMATION,
            needed=needed,
            missing=missing,
            findings=findings,
            screening=findings,
            margin=margin,
            combination=together,
        )
    table = table_of(plan, trials, results)
    alpha = plan.study.decision.alpha
    final = dict(findings)
    for arm in candidates:
        assert arm.factor is not None  # variations have a factor; only baseline and combination do not
        final[arm.factor] = confirm_candidate(table, arm.name, arm.factor, margin, alpha)
    state = _done(plan, needed, final, findings, margin)
    tunable = [arm for arm in candidates if arm.factor != REPEAT]
    refined = [arm for arm in tunable if arm.factor and final[arm.factor].state == REFINE]
    holds = (
        together is not None
        and len(refined) == len(tunable)
        and combination_holds(table, together.name, [arm.name for arm in refined], margin, alpha)
    )
    if len(refined) > 1 and not holds:
        state = _serve_best_single(state, refined)
    return dataclasses.replace(state, combination=together)


def _together(plan: Plan, candidates: Sequence[Arm]) -> Arm | None:
    """The candidates' combination, unless it is one of them again: no trial counts for two arms."""
    tunable = [arm for arm in candidates if arm.factor != REPEAT]
    if len(tunable) < 2:
        return None
    together = combine(plan, tunable)
    return None if any(arm.settings == together.settings for arm in tunable) else together


def _done(
    plan: Plan,
    needed: tuple[TrialSpec, ...],
    findings: Mapping[str, Finding],
    screening: Mapping[str, Finding],
    margin: Margin | None,
) -> State:
    served: dict[str, Any] = {}
    for name, finding in findings.items():
        if name == REPEAT:
            continue
        if finding.state == "confirm":
            served[name] = getattr(plan.study.baseline, name)
        elif finding.state == REFINE and finding.best:
            served[name] = plan.arm(finding.best).level
    return State(
        stage=DONE,
        needed=needed,
        missing=(),
        findings=findings,
        screening=screening,
        margin=margin,
        served=served,
    )


def _serve_best_single(state: State, refined: Sequence[Arm]) -> State:
    """Refined factors that do not hold together: only the best of them is served."""
    gains = {arm.factor: _gain(state.findings[arm.factor]) for arm in refined if arm.factor}
    best = max(gains, key=lambda name: gains[name])
    served = {name: value for name, value in state.served.items() if name == best or name not in gains}
    reason = f"together with the other refined settings it does not hold; only {best} is served"
    findings = {
        name: dataclasses.replace(f, reasons=(*f.reasons, reason)) if name in gains else f
        for name, f in state.findings.items()
    }
    return dataclasses.replace(state, served=served, findings=findings)


def _gain(finding: Finding) -> float:
    return finding.bound.gain if finding.bound else float("-inf")


def factor_names(plan: Plan) -> list[str]:
    """Factors that have a variation left after merging, in the order of the study."""
    return [factor.name for factor in plan.factors if plan.arms_of(factor.name)]


def levels_of(plan: Plan, name: str) -> FactorLevels:
    """A factor of the plan as the decision rule sees it."""
    arms = plan.levels_of(name)
    return FactorLevels(
        name=name,
        default=0 if name == REPEAT else getattr(plan.study.baseline, name),
        arms=tuple(arm.name for arm in arms),
        levels=tuple(str(arm.level) if name == REPEAT else arm.level for arm in arms),
        labels=tuple(arm.label for arm in arms),
    )


def table_of(plan: Plan, trials: Sequence[TrialSpec], results: Results) -> ResultTable:
    """The given trials' outcomes as a table, the baseline's arm first."""
    metric = plan.study.metric
    ended = [(trial, results[trial.key]) for trial in trials if trial.key in results]
    return ResultTable(
        arms=tuple(dict.fromkeys([plan.baseline.name, *(trial.arm for trial in trials)])),
        seeds=tuple(dict.fromkeys(trial.seed for trial in trials)),
        outcomes={(trial.arm, trial.seed): _outcome(result, metric.name) for trial, result in ended},
        metric=metric,
        untouched=_untouched([r for trial, r in ended if trial.arm == plan.baseline.name], metric.name),
        hardware=tuple(sorted({str(r.provenance["device"]) for _, r in ended if "device" in r.provenance})),
    )


def _outcome(result: TrialResult, metric: str) -> Outcome:
    return Outcome(status=result.status, value=result.final.get(metric, float("nan")))


def _untouched(results: Sequence[TrialResult], metric: str) -> float | None:
    """The metric before any training, where the baseline's curves measure it."""
    starts = [getattr(r.curve[0], metric, None) for r in results if r.curve and r.curve[0].step == 0]
    return next((start for start in starts if start is not None), None)


def recall(plan: Plan, lookup: Callable[[str], TrialResult | None]) -> tuple[State, dict[str, TrialResult]]:
    """The state by what earlier runs finished, stage after stage; `lookup` gives a trial's result by key."""
    results: dict[str, TrialResult] = {}
    while True:
        state = state_of(plan, results)
        found = [lookup(trial.key) for trial in state.missing]
        finished = {result.key: result for result in found if result is not None and result.finished}
        if not finished:
            return state, results
        results |= finished


class ProcedureSource:
    """A `ports.TrialSource`: hands out what the procedure needs and grows as results come in."""

    def __init__(self, plan: Plan, should_stop: Callable[[], bool] = lambda: False) -> None:
        """should_stop: asked whenever a trial could start."""
        self._plan = plan
        self._results: dict[str, TrialResult] = {}
        self._taken: set[str] = set()
        self._state = state_of(plan, self._results)
        self._should_stop = should_stop

    @property
    def stopping(self) -> bool:
        """Whether the user asked to stop."""
        return self._should_stop()

    @property
    def state(self) -> State:
        """The sweep's state by all results so far."""
        return self._state

    @property
    def results(self) -> Results:
        """All results so far, by trial key."""
        return self._results

    @property
    def closed(self) -> bool:
        """Whether the sweep is done."""
        return self._state.stage == DONE

    def take(self) -> TrialSpec | None:
        """The next trial that nobody has taken yet."""
        for trial in () if self.stopping else self._state.missing:
            if trial.key not in self._taken:
                self._taken.add(trial.key)
                return trial
        return None

    def add(self, result: TrialResult) -> bool:
        """Take a terminal record in; True when that opened a new stage or look."""
        self._results[result.key] = result
        before = self._state
        missing = tuple(trial for trial in before.missing if trial.key != result.key)
        if missing and len(missing) < len(before.missing):
            self._state = dataclasses.replace(before, missing=missing)  # nothing is decided halfway
            return False
        self._state = state_of(self._plan, self._results)
        return (before.stage, len(before.needed)) != (self._state.stage, len(self._state.needed))
