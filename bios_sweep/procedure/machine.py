"""The stage machine: what to run next, given the results so far.

screening (at each planned look) -> refinement, where a joint search is wanted -> confirmation of the
candidates on fresh seeds -> done. A pure function of plan, results and what else is known, so that a driver
that died, a driver that lives and a reader of the journal all see the same state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.analysis.finding import (
    CANDIDATE,
    CONFIRM,
    INCONCLUSIVE,
    REFINE,
    SUPERIOR,
    UNCONFIRMED,
    UNDECIDED,
    Finding,
    Margin,
)
from bios_sweep.analysis.fresh import combination_holds, judge_fresh
from bios_sweep.analysis.gates import margin_of
from bios_sweep.analysis.verdicts import Asked, screen_claims
from bios_sweep.procedure.pairing import with_twin
from bios_sweep.procedure.questions import Question, ladder_of, levels_of, questions
from bios_sweep.procedure.refinement import SEARCH, search_of, search_trials, winner_finding
from bios_sweep.procedure.state import DONE, Known, Results, Search, State
from bios_sweep.procedure.tables import costs_of, guard_tables, sums_of, table_of
from bios_sweep.study.arms import BASELINE, Arm, combine
from bios_sweep.study.claims import BALANCED, FOR_ALL, QUALITY, REPEAT, SPEED, claimed_level
from bios_sweep.study.durations import duration_arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import confirmation_trials
from bios_sweep.study.trials import CONFIRMATION, REFINEMENT, SCREENING, TrialSpec

NOTHING = Known()


def state_of(plan: Plan, results: Results, known: Known = NOTHING) -> State:
    """The sweep's state; `results` maps trial keys to terminal records, failed ones included."""
    tried = sum(len(cell.arms) - 1 for cell in plan.cells or (plan,))
    states = [_Cell(cell, results, known, tried).state() for cell in plan.cells or (plan,)]
    costs = {
        name: cost for cell in plan.cells or (plan,) for name, cost in costs_of(cell, known.timing).items()
    }
    state = _merged(states, plan) if plan.cells else states[0]
    return with_twin(plan, results, dataclasses.replace(state, costs=costs))


def _merged(states: Sequence[State], plan: Plan) -> State:
    """A crossed study stands where its slowest cell stands; it serves what the study's own cell found."""
    order = (SCREENING, REFINEMENT, CONFIRMATION, DONE)
    own = states[0] if plan.cells[0].baseline.name == BASELINE else None
    needed = {trial.key: trial for state in states for trial in state.needed}
    missing = {trial.key: trial for state in states for trial in state.missing}
    return State(
        stage=min((state.stage for state in states), key=order.index),
        needed=tuple(needed.values()),
        missing=tuple(missing.values()),
        findings={name: finding for state in states for name, finding in state.findings.items()},
        screening={name: finding for state in states for name, finding in state.screening.items()},
        margin=states[0].margin,
        margins={name: margin for state in states for name, margin in state.margins.items()},
        combination=own.combination if own else None,
        extra_arms=tuple(arm for state in states for arm in state.extra_arms),
        served=own.served if own else {},
        profiles=own.profiles if own else {},
    )


class _Cell:
    """The decision on one plan without cells; tried: variations of the whole study, for the corrections."""

    def __init__(self, plan: Plan, results: Results, known: Known, tried: int) -> None:
        self.plan, self.results, self.known, self.tried = plan, results, known, tried
        self.rule = plan.study.decision
        self.asked = {question.name: question for question in questions(plan)}
        self.suffix = plan.baseline.name.removeprefix(BASELINE)

    def state(self) -> State:
        """Look after look, then what the last look leaves to do."""
        needed: list[TrialSpec] = []
        findings: dict[str, Finding] = {}
        open_questions = list(self.asked.values())
        margin = None
        for look in self.rule.looks:
            trials = self._screening_trials(open_questions, look)
            needed += [trial for trial in trials if trial not in needed]
            missing = tuple(trial for trial in trials if trial.key not in self.results)
            if missing:
                return State(
                    stage=SCREENING,
                    needed=tuple(needed),
                    missing=missing,
                    findings=findings,
                    screening=findings,
                )
            table = table_of(self.plan, trials, self.results)
            margin = margin_of(table, self.rule)
            findings |= screen_claims(
                table,
                [self._as_asked(question) for question in open_questions],
                self.rule,
                costs=costs_of(self.plan, self.known.timing),
                durations=self.plan.durations,
                variations=self.tried,
                sums=sums_of(self.plan, trials, self.results, self.known),
            )
            open_questions = [q for q in open_questions if findings[q.name].state == UNDECIDED]
            if not open_questions:
                break
        for question in open_questions:
            findings[question.name] = dataclasses.replace(findings[question.name], state=INCONCLUSIVE)
        return self._after_screening(tuple(needed), findings, margin)

    def _screening_trials(self, open_questions: Sequence[Question], look: int) -> list[TrialSpec]:
        """The trials that the open questions need at a look; what was decided runs no more seeds."""
        arms = {self.plan.baseline.name}
        for question in open_questions:
            arms |= {arm.name for arm in self.plan.arms_of(question.factor.name)}
            if question.claim == BALANCED:
                arms |= set(self.plan.durations.values())
            for ladder in self.plan.ladders.get(question.factor.name, {}).values():
                arms |= set(ladder)
        seeds = self.plan.study.seeds[:look]
        return [trial for trial in self.plan.trials if trial.seed in seeds and trial.arm in arms]

    def _as_asked(self, question: Question) -> Asked:
        levels = levels_of(self.plan, question.factor.name)
        ladder = ladder_of(self.plan, question.factor)
        return Asked(name=question.name, claim=question.claim, levels=levels, ladder=ladder)

    def _after_screening(
        self, needed: tuple[TrialSpec, ...], findings: Mapping[str, Finding], margin: Margin | None
    ) -> State:
        candidates = {
            name: finding for name, finding in findings.items() if finding.state == CANDIDATE and finding.test
        }
        if not candidates or margin is None:
            return self._done(needed, findings, findings, margin)
        search = self._search(candidates) if self.rule.refine else None
        if search is not None:
            trials = search_trials(self.plan, search)
            needed = _joined(needed, trials)
            missing = tuple(trial for trial in trials if trial.key not in self.results)
            if missing or search.wanted:
                return State(
                    stage=REFINEMENT,
                    needed=needed,
                    missing=missing,
                    findings=findings,
                    screening=findings,
                    margin=margin,
                    margins=dict.fromkeys(findings, margin),
                    extra_arms=search.arms,
                    search=search,
                )
            found = winner_finding(search, self.plan.baseline.name, self.plan.study.seeds[0])
            if found is not None:
                findings = {**findings, SEARCH: found}
                candidates = {**candidates, SEARCH: found}
        state = self._judged(needed, findings, candidates, margin, search)
        return dataclasses.replace(state, search=search)

    def _search(self, candidates: Mapping[str, Finding]) -> Search | None:
        """Settings that moved because they lower the loss; what moved for its cost is not searched."""
        moved = {
            name: (self.asked[name], finding)
            for name, finding in self._tunable(candidates).items()
            if finding.test is not None and finding.test.kind == SUPERIOR and finding.test.duration is None
            if self.asked[name].factor.name != "max_steps"
        }
        return search_of(self.plan, moved, self.results, self.known)

    def _judged(
        self,
        needed: tuple[TrialSpec, ...],
        findings: Mapping[str, Finding],
        candidates: Mapping[str, Finding],
        margin: Margin,
        search: Search | None,
    ) -> State:
        """Candidates are confirmed on fresh seeds, or said to be unconfirmed where none are planned."""
        if not self.rule.confirmation_seeds:
            reasons = ("no confirmation seeds: no value is served",)
            unconfirmed = {
                name: dataclasses.replace(finding, state=UNCONFIRMED, reasons=reasons)
                for name, finding in candidates.items()
            }
            return self._done(needed, {**findings, **unconfirmed}, findings, margin)
        return self._confirmation(needed, findings, candidates, margin, search)

    def _confirmation(
        self,
        needed: tuple[TrialSpec, ...],
        findings: Mapping[str, Finding],
        candidates: Mapping[str, Finding],
        margin: Margin,
        search: Search | None,
    ) -> State:
        arms, tests = {self.plan.baseline.name: self.plan.baseline}, {}
        winner = search.winner if search else None
        for name, finding in candidates.items():
            assert finding.test is not None  # chosen so
            rival = self._rival(finding)
            arm = winner if winner and name == SEARCH else self.plan.arm(finding.test.arm)
            arms |= {arm.name: arm, rival.name: rival}
            tests[name] = dataclasses.replace(finding.test, over=rival.name)
        together = winner or self._together(candidates)
        if together is not None:
            arms[together.name] = together
        trials = confirmation_trials(self.plan.study, tuple(arms.values()))
        state = State(
            stage=CONFIRMATION,
            needed=_joined(needed, trials),
            missing=tuple(trial for trial in trials if trial.key not in self.results),
            findings=findings,
            screening=findings,
            margin=margin,
            margins=dict.fromkeys(findings, margin),
            combination=together,
            extra_arms=(
                *(search.arms if search else ()),
                *(arm for arm in arms.values() if arm not in self.plan.arms and arm != winner),
            ),
        )
        if state.missing:
            return state
        table = table_of(self.plan, trials, self.results)
        guards = guard_tables(self.plan, trials, self.results)
        sums = sums_of(self.plan, trials, self.results, self.known)
        final = dict(findings)
        for name, test in tests.items():
            final[name] = judge_fresh(candidates[name], test, table, margin, self.rule.alpha, guards, sums)
            if self._retuned(final[name]):
                reason = f"it holds together with the settings of {test.arm}, so it is not served alone"
                final[name] = dataclasses.replace(final[name], reasons=(*final[name].reasons, reason))
        done = self._done(state.needed, final, findings, margin)
        done = self._held_together(done, candidates, together, trials, margin)
        return dataclasses.replace(done, combination=together, extra_arms=state.extra_arms)

    def _rival(self, finding: Finding) -> Arm:
        """What a candidate is held against: an arm of the plan, or the default trained for the same cost."""
        assert finding.test is not None  # the caller looks
        if finding.test.duration is None:
            return self.plan.arm(finding.test.over)
        over = self.plan.arm(finding.test.over)
        longer = duration_arm(self.plan.study, finding.test.duration, over)
        longer = dataclasses.replace(longer, name=longer.name + self.suffix)
        same = [arm for arm in self.plan.arms if arm.settings == longer.settings and not arm.repeat]
        return same[0] if same else longer

    def _together(self, candidates: Mapping[str, Finding]) -> Arm | None:
        """The candidates' combination, unless it is one of them again: no trial counts for two arms."""
        tunable = [
            self.plan.arm(finding.test.arm) for finding in self._tunable(candidates).values() if finding.test
        ]
        if len(tunable) < 2:
            return None
        together = combine(self.plan.study, tunable)
        return None if any(arm.settings == together.settings for arm in tunable) else together

    def _tunable(self, findings: Mapping[str, Finding]) -> dict[str, Finding]:
        """Findings whose level would be served to everyone: those that have to hold together."""
        return {
            name: finding
            for name, finding in findings.items()
            if name != SEARCH and self.asked[name].claim in FOR_ALL and self.asked[name].factor.name != REPEAT
        }

    def _held_together(
        self,
        state: State,
        candidates: Mapping[str, Finding],
        together: Arm | None,
        trials: Sequence[TrialSpec],
        margin: Margin,
    ) -> State:
        tunable = self._tunable(candidates)
        refined = [name for name in tunable if state.findings[name].state == REFINE]
        arms = [finding.test.arm for name, finding in tunable.items() if name in refined and finding.test]
        table = table_of(self.plan, trials, self.results)
        guards = guard_tables(self.plan, trials, self.results)
        sums = sums_of(self.plan, trials, self.results, self.known)
        joint = state.findings.get(SEARCH)
        if joint is not None and joint.state != REFINE:
            together = None  # a searched winner that did not replicate holds nothing together
        holds = (
            together is not None
            and (joint is not None or len(refined) == len(tunable))
            and combination_holds(table, together.name, arms, margin, self.rule.alpha, guards, sums)
        )
        if joint is not None and joint.state == REFINE and (holds or not refined):
            return dataclasses.replace(state, served={**state.served, **joint.value})
        if len(refined) < 2 or holds:
            return state
        return self._serve_best_single(state, refined)

    def _serve_best_single(self, state: State, refined: Sequence[str]) -> State:
        """Refined factors that do not hold together: only the best of them is served."""
        gains = {name: _gain(state.findings[name]) for name in refined}
        best = max(gains, key=lambda name: gains[name])
        dropped = {self.asked[name].factor.name for name in refined if name != best}
        served = {name: value for name, value in state.served.items() if name not in dropped}
        reason = f"together with the other refined settings it does not hold; only {best} is served"
        findings = {
            name: dataclasses.replace(finding, reasons=(*finding.reasons, reason))
            if name in gains
            else finding
            for name, finding in state.findings.items()
        }
        return dataclasses.replace(state, served=served, findings=findings)

    def _done(
        self,
        needed: tuple[TrialSpec, ...],
        findings: Mapping[str, Finding],
        screening: Mapping[str, Finding],
        margin: Margin | None,
    ) -> State:
        served: dict[str, Any] = {}
        profiles: dict[str, dict[str, Any]] = {}
        for name, finding in findings.items():
            if name == SEARCH:
                continue  # served only where it holds against the best single level
            question = self.asked[name]
            factor = question.factor.name
            if finding.state not in (CONFIRM, REFINE) or factor == REPEAT:
                continue
            if self._retuned(finding):
                continue
            value = self._value(question, finding)
            if question.claim in FOR_ALL:
                served[factor] = value
            elif question.claim in (QUALITY, SPEED):
                profiles.setdefault(question.claim, {})[factor] = value
        return State(
            stage=DONE,
            needed=needed,
            missing=(),
            findings=findings,
            screening=screening,
            margin=margin,
            margins=dict.fromkeys(findings, margin) if margin else {},
            served=served,
            profiles=_differing(profiles, served),
        )

    def _retuned(self, finding: Finding) -> bool:
        """Whether a refined level was tested with a learning rate of its own: alone it may not be served."""
        return finding.state == REFINE and finding.test is not None and self._rung(finding.test.arm) != 1.0

    def _rung(self, name: str) -> float:
        return next((arm.rung for arm in self.plan.arms if arm.name == name), 1.0)

    def _value(self, question: Question, finding: Finding) -> Any:
        """The level that a confirmed or refined claim stands for."""
        if finding.value is not None:
            return finding.value
        if finding.state == CONFIRM or finding.best is None:
            default = getattr(self.plan.study.baseline, question.factor.name)
            claimed = claimed_level(question.claim, default)
            return default if claimed is None else claimed
        return self.plan.arm(finding.best).level


def _joined(needed: Sequence[TrialSpec], trials: Sequence[TrialSpec]) -> tuple[TrialSpec, ...]:
    """One trial may be wanted by two arms of equal settings; it runs, and counts, once."""
    return tuple({trial.key: trial for trial in (*trials, *needed)}[key] for key in _keys(needed, trials))


def _keys(*groups: Sequence[TrialSpec]) -> dict[str, None]:
    return dict.fromkeys(trial.key for group in groups for trial in group)


def _differing(
    profiles: Mapping[str, Mapping[str, Any]], served: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """A profile lists only what it wants otherwise than everyone."""
    kept = {
        profile: {name: value for name, value in values.items() if served.get(name) != value}
        for profile, values in profiles.items()
    }
    return {profile: values for profile, values in kept.items() if values}


def _gain(finding: Finding) -> float:
    return finding.bound.gain if finding.bound else float("-inf")
