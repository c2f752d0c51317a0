"""What earlier studies of a question leave a later one to serve. Pure."""

from __future__ import annotations

import dataclasses

from bios_sweep.decision.finding import Finding
from bios_sweep.decision.question import Question
from bios_sweep.procedure.questions import WINNER
from bios_sweep.procedure.served import serves, stands_for
from bios_sweep.procedure.state import State
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.history import AskedBefore
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Word

CHANGED_AFTER = Kind("{keys} changed after the results were seen; nothing is served until fresh seeds agree")
STANDS = Kind("no trial is new: the word of {sweep} stands, {word}")


def obeyed(plan: Plan, state: State) -> State:
    """A finished state that serves nothing which an earlier study of its questions forbids."""
    history = plan.study.history
    if history is None:
        return state
    for question, finding in state.findings.items():
        known = history.of(question.factor)
        if known is None:
            continue
        other = _other_word(plan, question, finding, known)
        if other is not None:
            state = _without(state, question, other, Word.INCONCLUSIVE)
        elif known.changed and serves(question, finding):
            state = _without(state, question, changed_after(known), finding.state)
    if history.changed and WINNER in state.findings:
        changed = CHANGED_AFTER(keys=", ".join(change.key for change in history.changed))
        state = _without(dataclasses.replace(state, served={}), WINNER, changed, state.findings[WINNER].state)
    return state


def changed_after(known: AskedBefore) -> Reason:
    """That a rule was changed once results were seen."""
    return CHANGED_AFTER(keys=", ".join(change.key for change in known.changed))


def _other_word(plan: Plan, question: Question, finding: Finding, known: AskedBefore) -> Reason | None:
    """The word that stands, where the same trials are now said to say another."""
    asked = (question.claim.name, question.cell)
    for standing in known.stands:
        if (standing.claim, standing.cell) == asked:
            value = stands_for(plan, question, finding) if serves(question, finding) else None
            same = (standing.word, standing.value) == (finding.state, value)
            return None if same else STANDS(sweep=standing.sweep, word=standing.word)
    return None


def _without(state: State, question: Question, reason: Reason, word: str) -> State:
    finding = state.findings[question]
    told = dataclasses.replace(finding, state=word, reasons=(*finding.reasons, reason))
    served, profiles = dict(state.served), {goal: dict(values) for goal, values in state.profiles.items()}
    if question.claim.for_everyone:
        served.pop(question.factor, None)
    if question.claim.goal is not None and question.claim.goal in profiles:
        profiles[question.claim.goal].pop(question.factor, None)
    return dataclasses.replace(
        state,
        findings={**state.findings, question: told},
        served=served,
        profiles={goal: values for goal, values in profiles.items() if values},
        withheld={**state.withheld, question: reason},
    )
