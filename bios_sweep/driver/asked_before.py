"""Where earlier studies of a question are found: a workspace's ledger, and sweeps that it lacks.

A workspace of before has no ledger, and an interrupted study no entry: what a sweep of the workspace has seen
counts all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.view import open_sweep, plan_of
from bios_sweep.errors import InputError, StorageError, WorkspaceBusyError
from bios_sweep.procedure.asking_again import answered_by, asked_again, asks_more
from bios_sweep.procedure.by_hand import identity_of
from bios_sweep.procedure.looks import BY_PURPOSE, Look, asked_questions, has_margins_of, looks_of
from bios_sweep.procedure.questions import arms_asked
from bios_sweep.procedure.state import State
from bios_sweep.records.earlier import names_model
from bios_sweep.records.ledger import append_looks, read_ledger
from bios_sweep.records.reading import read_state
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.design import Study
from bios_sweep.study.margins import BEFORE
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.vocabulary import Stage

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A plan as it is judged after earlier studies.

    answered: the sweep whose words are printed again. command: what ran it, where that was another command.
    stopped: arm -> the earlier study in which somebody stopped it by hand.
    """

    plan: Plan
    answered: str | None = None
    command: Invocation | None = None
    stopped: Mapping[str, str] = field(default_factory=dict)


def after_earlier(plan: Plan, workspace: Workspace) -> Asked:
    """The plan with what earlier studies of its questions add, or theirs where it asks nothing new.

    Raises:
        PlanError: its questions were asked so often that only fresh seeds may answer.
        StorageError: the ledger is damaged.
    """
    looks = looks_at(plan, workspace)
    if not looks:
        return Asked(plan=plan)
    for answered in filter(workspace.has_plan, answered_by(plan, looks)):
        with suppress(StorageError, InputError):  # one that cannot be read is written again
            told = _as_it_ran(answered, plan, workspace)
            if not asks_more(plan.study, told.plan.study):
                return told
    again = asked_again(plan, looks)
    return Asked(plan=again, stopped=_still_stopped(again, looks, workspace))


def _still_stopped(plan: Plan, looks: Iterable[Look], workspace: Workspace) -> dict[str, str]:
    """Arms that somebody stopped by hand in the last other study of a question, and did not take up since."""
    last = {look.question: look for look in looks if look.sweep != plan.sweep_id and not look.told_again}
    found: dict[str, str] = {}
    for known, (cell, question) in asked_questions(plan).items():
        look = last.get(known)
        if look is None or not look.stopped:
            continue
        since = read_state(workspace.journal_file(look.sweep)).by_hand
        wanted = {identity for arm, identity in look.stopped.items() if since.get(arm, True)}
        needed = arms_asked(cell, question)
        found |= {
            arm.name: look.sweep for arm in cell.arms if arm.name in needed and identity_of(arm) in wanted
        }
    return found


def require_unasked(asked: Plan, plan: Plan, workspace: Workspace) -> None:
    """Refuse a plan that another study has overtaken since it was made. Called by the workspace's owner.

    Raises:
        WorkspaceBusyError: the same command, given again, takes it in.
    """
    if after_earlier(asked, workspace).plan.sweep_id != plan.sweep_id:
        raise WorkspaceBusyError(
            f"workspace {workspace.root}: another study of the same question ended while this one was "
            "prepared; give the command again, which takes it in"
        )


def looks_at(plan: Plan, workspace: Workspace) -> tuple[Look, ...]:
    """All looks at the plan's questions, the first one first; of a study that was finished twice the last."""
    asked, entries = asked_questions(plan), read_ledger(workspace.ledger_file)
    found = [(_milliseconds(entry.time), entry.look) for entry in entries]
    found += _unnamed(plan, workspace, {entry.look.sweep for entry in entries}, asked=set(asked))
    latest: dict[tuple[str, str], tuple[int, Look]] = {}
    for time, look in sorted(found, key=lambda pair: pair[0]):
        first = latest.get((look.sweep, look.question), (time, look))[0]
        latest[look.sweep, look.question] = (first, look)
    ordered = sorted(latest.values(), key=lambda pair: pair[0])
    return tuple(look for _, look in ordered if look.question in asked)


def remember(plan: Plan, looks: tuple[Look, ...], workspace: Workspace) -> None:
    """Write a finished study's looks down, after those of earlier ones that the ledger does not name."""
    named = {entry.look.sweep for entry in read_ledger(workspace.ledger_file)}
    older = [
        look for _, look in sorted(_unnamed(plan, workspace, named, finished=True), key=lambda pair: pair[0])
    ]
    append_looks(workspace.ledger_file, [*(look for look in older if look.sweep != plan.sweep_id), *looks])


def _unnamed(
    plan: Plan,
    workspace: Workspace,
    named: set[str],
    *,
    finished: bool = False,
    asked: set[str] | None = None,
) -> Iterator[tuple[int, Look]]:
    """Looks of sweeps that the ledger does not name, with their times, of the plan's model.

    asked: questions; only sweeps that ask one of them are read, for journals are long.
    """
    fingerprint = plan.study.scenario.model.fingerprint
    for sweep_id in workspace.sweeps():
        journal = workspace.journal_file(sweep_id)
        if sweep_id in named or not journal.exists() or not names_model(journal, fingerprint):
            continue
        try:
            if asked is not None and asked.isdisjoint(asked_questions(plan_of(workspace, sweep_id))):
                continue
            view = open_sweep(workspace, sweep_id)
        except StorageError as error:
            _log.warning("%s; what it found is not known here", error)
            continue
        if not finished or view.state.stage == Stage.DONE:
            looks = looks_told(view.plan, view.state, view.invocation)
            yield from ((view.journal.latest, look) for look in looks)


def looks_told(plan: Plan, state: State, invocation: Invocation) -> tuple[Look, ...]:
    """The looks of a study; margins that an earlier release had unasked are nobody's choice."""
    looks = looks_of(plan, state)
    stated = any(word.lstrip("+").startswith("decision.purpose=") for word in invocation.overrides)
    if stated or not has_margins_of(plan.study, BEFORE):
        return looks
    return tuple(replace(look, rule={**look.rule, "margin": BY_PURPOSE}) for look in looks)


def _as_it_ran(sweep_id: str, plan: Plan, workspace: Workspace) -> Asked:
    """A sweep of the workspace as it ran, with the places of today."""
    stored = workspace.read_plan(sweep_id)
    study = Study.from_dict(stored["study"])
    here = replace(study, scenario=plan.study.scenario, origins=plan.study.origins)
    there = build_plan(replace(here, budget=plan.study.budget))
    ran = there if there.sweep_id == sweep_id else build_plan(study)
    same = plan.sweep_id == (study.history.asked if study.history else sweep_id)
    return Asked(plan=ran, answered=sweep_id, command=None if same else Invocation.from_dict(stored))


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
