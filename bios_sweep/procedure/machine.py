"""The stage machine: what to run next, given the results so far.

screening (at each planned look) -> refinement, where a joint search is wanted -> confirmation of the
candidates on fresh seeds -> done. A pure function of plan, results and what else is known, so that a driver
that died, a driver that lives and a reader of the journal all see the same state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bios_sweep.decision.finding import SUPERIOR, Finding
from bios_sweep.decision.question import Question
from bios_sweep.procedure.beside import beside_of
from bios_sweep.procedure.budgets import all_budgets
from bios_sweep.procedure.cell import Cell, joined
from bios_sweep.procedure.confirmation import confirmed, foreseen, unconfirmed
from bios_sweep.procedure.pairing import with_twin
from bios_sweep.procedure.questions import WINNER
from bios_sweep.procedure.refinement import search_of, search_trials, winner_finding
from bios_sweep.procedure.rule_before import under_the_rule_before
from bios_sweep.procedure.screening import screened
from bios_sweep.procedure.served import done, of_other_cells, own_cell, settled
from bios_sweep.procedure.standing import obeyed
from bios_sweep.procedure.state import Known, Results, Search, State
from bios_sweep.procedure.tables import costs_of
from bios_sweep.procedure.together import for_everyone
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Stage, Word

NOTHING = Known()


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What the results of a plan came to.

    cells: the state of each cell, of which `state` is made. before: what the rule of before says, where it
    was changed after results were seen.
    """

    plan: Plan
    cells: tuple[State, ...]
    state: State
    before: Decided | None


def state_of(plan: Plan, results: Results, known: Known = NOTHING) -> State:
    """The sweep's state; `results` maps trial keys to terminal records, failed ones included."""
    return decided(plan, results, known).state


def decided(plan: Plan, results: Results, known: Known = NOTHING, last: Decided | None = None) -> Decided:
    """The sweep's state and what it was made of.

    last: of fewer results, nothing else being different: a cell stands as it stood then until all that it
    waited for has come in.
    """
    plans = plan.cells or (plan,)
    tried = sum(len(one.arms) - 1 for one in plans)
    cells = [Cell(plan=one, results=results, known=known, tried=tried) for one in plans]
    states = tuple(map(_judged, cells) if last is None else map(_since, cells, last.cells))
    state = _merged(states, plan) if plan.cells else states[0]
    before = _under_the_rule_before(plan, results, known, last)
    findings = before.state.findings if before else {}
    state = with_twin(plan, results, dataclasses.replace(state, before=findings))
    return Decided(plan=plan, cells=states, state=state, before=before)


def _under_the_rule_before(
    plan: Plan, results: Results, known: Known, last: Decided | None
) -> Decided | None:
    if last is not None:
        return None if last.before is None else decided(last.before.plan, results, known, last.before)
    earlier = under_the_rule_before(plan)
    return None if earlier is None else decided(earlier, results, known)


def _since(cell: Cell, old: State) -> State:
    missing = cell.missing(old.missing)
    if old.missing and not missing:
        return _judged(cell)
    ahead = cell.missing(old.ahead)
    if (len(missing), len(ahead)) == (len(old.missing), len(old.ahead)):
        return old
    return dataclasses.replace(old, missing=missing, ahead=ahead)


def _judged(cell: Cell) -> State:
    state = _ended(cell, _state_of_cell(cell))
    seen = all_budgets(cell.plan, state.findings, state.needed, cell.results)
    return dataclasses.replace(state, costs=costs_of(cell.plan, cell.known.timing), seen=seen)


def _ended(cell: Cell, state: State) -> State:
    if state.stage != Stage.DONE:
        return state
    return dataclasses.replace(obeyed(cell.plan, settled(cell, state)), beside=beside_of(cell, state))


def _state_of_cell(cell: Cell) -> State:
    """One stage after the other, as far as there are results."""
    state = screened(cell)
    if state.missing:
        return foreseen(cell, state, _candidates(state))
    if state.margin is None or not _candidates(state):
        return done(cell, state, state.findings)
    if cell.rule.refine:
        state = _refined(cell, state)
    if state.stage == Stage.REFINEMENT:
        return state
    if not cell.rule.confirmation_seeds:
        return unconfirmed(cell, state, _candidates(state))
    assert state.margin is not None  # refining keeps it
    return confirmed(cell, state, _candidates(state), state.margin)


def _candidates(state: State) -> dict[Question, Finding]:
    return {
        question: finding
        for question, finding in state.findings.items()
        if finding.state == Word.CANDIDATE and finding.test
    }


def _refined(cell: Cell, state: State) -> State:
    """The joint search while it lasts, then screening's state with its winner among the candidates."""
    search = _search(cell, _candidates(state))
    if search is None:
        return state
    trials = search_trials(cell.plan, search)
    missing = cell.missing(trials)
    state = dataclasses.replace(state, needed=joined(state.needed, trials), search=search)
    if missing or search.wanted:
        return dataclasses.replace(state, stage=Stage.REFINEMENT, missing=missing, extra_arms=search.arms)
    found = winner_finding(search, cell.plan.baseline.name, cell.plan.study.seeds[0])
    if found is None:
        return state
    findings = {**state.findings, WINNER: found}
    margins = {**state.margins, WINNER: state.margin} if state.margin else state.margins
    return dataclasses.replace(state, findings=findings, screening=findings, margins=margins)


def _search(cell: Cell, candidates: Mapping[Question, Finding]) -> Search | None:
    """Settings that moved because they lower the loss; what moved for its cost is not searched."""
    moved = {
        question: finding
        for question, finding in for_everyone(candidates).items()
        if finding.test is not None and finding.test.kind == SUPERIOR and finding.test.duration is None
        if question.factor != "max_steps"
    }
    return search_of(cell.plan, moved, cell.results, cell.known)


def _merged(states: Sequence[State], plan: Plan) -> State:
    """A crossed study stands where its slowest cell stands; it serves what the study's own cell found."""
    order = (Stage.SCREENING, Stage.REFINEMENT, Stage.CONFIRMATION, Stage.DONE)
    own = states[0] if own_cell(plan) else None
    rest = 1 if own else 0
    others = of_other_cells(plan.cells[rest:], states[rest:])
    needed = {trial.key: trial for state in states for trial in state.needed}
    missing = {trial.key: trial for state in states for trial in state.missing}
    return State(
        stage=min((state.stage for state in states), key=order.index),
        needed=tuple(needed.values()),
        missing=tuple(missing.values()),
        findings={asked: finding for state in states for asked, finding in state.findings.items()},
        screening={asked: finding for state in states for asked, finding in state.screening.items()},
        margin=states[0].margin,
        margins={asked: margin for state in states for asked, margin in state.margins.items()},
        combination=own.combination if own else None,
        extra_arms=tuple(arm for state in states for arm in state.extra_arms),
        served=own.served if own else {},
        profiles=own.profiles if own else {},
        withheld={**others, **(own.withheld if own else {})},
        costs={arm: cost for state in states for arm, cost in state.costs.items()},
        seen={asked: seen for state in states for asked, seen in state.seen.items()},
        untested={arm: how for state in states for arm, how in state.untested.items()},
        halted=frozenset().union(*(state.halted for state in states)),
        beside=tuple(row for state in states for row in state.beside),
        ahead=tuple({t.key: t for state in states for t in state.ahead if t.key not in missing}.values()),
        waits=tuple(frozenset(trial.key for trial in state.missing) for state in states),
    )
