"""What changed since a sweep was run or interrupted: data, model, code or a library make it another sweep.

A trial's key holds the fingerprints of all that decides its outcome. Where one of them changed, the same
command asks the same question of something else: it begins anew, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.driver.invocation import Invocation, workspace_of
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.driver.view import invocation_of, plan_of
from bios_sweep.errors import InputError, StorageError
from bios_sweep.records.reading import read_state
from bios_sweep.records.sweep_state import DONE, SweepState
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.wording import plural
from bios_sweep.study.plan import Plan

# parts of a scenario's identity, in words; the others are told by their names
WORDS = {
    "model": "the model's files",
    "data": "the training examples",
    "evaluation": "the evaluation examples",
    "code": "the script's code or a file of it",
    "engine_version": "the version of what trains",
    "score": "how answers are scored",
    "reading": "how examples are read",
}
OTHERS = ("name", "factors", "cross", "seeds", "budget")  # of a study: what is asked, and at what expense
SHOWN = 12  # hexadecimal digits of a fingerprint


def changes(before: Plan, now: Plan) -> tuple[str, ...]:
    """What decides the outcomes of trials and is not as it was, each as `WHAT (OLD -> NEW)`.

    Where nobody told a script's model or data, its code stands for them; it is told once.
    """
    old, new = before.study.scenario.identity(), now.study.scenario.identity()
    software = list(_differing(old.pop("software", {}), new.pop("software", {})))
    found = list(_differing(old, new))
    code = [seen for name, *seen in found if name == "code"]
    return tuple(
        f"{WORDS.get(name, name)} ({was} -> {is_})"
        for name, was, is_ in (*found, *software)
        if name == "code" or [was, is_] not in code
    )


def changed_since(plan: Plan, workspace: Workspace) -> tuple[str, ...]:
    """A sentence, where a sweep of the workspace asks the same of other fingerprints, or nothing.

    An unfinished one comes first, for it can be gone on with. Of a finished one it is told where the names of
    model, data and method are the same: whoever asks the same of another file knows that it is another.
    """
    if workspace.has_plan(plan.sweep_id):
        return ()
    alike = [one for one in _of_its_name(plan, workspace) if _same_question(one.plan, plan)]
    unfinished = (one for one in alike if one.state.closed != DONE)
    finished = (one for one in alike if one.state.closed == DONE and _namesakes(one, plan))
    for one in (*unfinished, *finished):
        if told := ", ".join(changes(one.plan, plan)):
            sentence = _to_run_again if one.state.closed == DONE else _to_go_on_with
            return (sentence(one, plan, told),)
    return ()


def resumed(asked: Invocation, name: str) -> Prepared:
    """A sweep of the workspace as it was begun, to go on with it and with no other.

    Raises:
        InputError: there is none of that name, or what decides its outcomes is not as it was.
    """
    workspace = workspace_of(asked.composed())
    sweep_id = workspace.find_sweep(name)
    plan, invocation = plan_of(workspace, sweep_id), invocation_of(workspace, sweep_id)
    again = replace(invocation.replaced(asked.overrides), verb=asked.verb)
    prepared = prepare(again)
    if sweep_id in (prepared.plan.sweep_id, prepared.asked.sweep_id):
        return prepared
    told = ", ".join(changes(plan, prepared.asked)) or "what is asked"
    raise InputError(
        f"--resume {sweep_id}: {told} changed; put the old back, or leave --resume out to begin another "
        f"sweep with what is there now: {again.command}"
    )


@dataclass(frozen=True, kw_only=True)
class _Before:
    """A sweep that the workspace has: its plan, and how far its journal had come."""

    sweep_id: str
    plan: Plan
    state: SweepState

    def ended(self) -> list[str]:
        """The keys of the trials that ended."""
        return [key for key, result in self.state.results.items() if result.finished]

    def usable(self, now: Plan) -> int:
        """How many of them are trials of the plan."""
        return len(set(self.ended()) & {trial.key for trial in now.trials})


def _of_its_name(plan: Plan, workspace: Workspace) -> Iterator[_Before]:
    """Sweeps of the plan's name, the latest first."""
    for sweep_id in workspace.sweeps():
        if sweep_id.rpartition("-")[0] != plan.study.name:
            continue
        try:
            state = read_state(workspace.journal_file(sweep_id))
            yield _Before(sweep_id=sweep_id, plan=plan_of(workspace, sweep_id), state=state)
        except StorageError:
            continue  # its own reader says so


def _to_go_on_with(before: _Before, now: Plan, told: str) -> str:
    """The sentence about an unfinished sweep. told: what changed."""
    return (
        f"{before.sweep_id} is not finished ({plural(len(before.ended()), 'trial')} ended so far), and this "
        f"is another sweep: {told} changed. Of its results {before.usable(now)} can be used here. Run this "
        f"one for what is there now, or put the old back and go on with "
        f"`bios-sweep run --resume {before.sweep_id}`"
    )


def _to_run_again(before: _Before, now: Plan, told: str) -> str:
    """The same about a finished one."""
    return (
        f"{before.sweep_id} asked the same and is done, but {told} changed since: of its "
        f"{plural(len(before.ended()), 'result')} {before.usable(now)} can be used here, and the others run "
        f"again; its verdicts are in `bios-sweep report --sweep {before.sweep_id}`"
    )


def _namesakes(before: _Before, now: Plan) -> bool:
    """Whether model, data and method have the names that they had."""
    return before.plan.study.scenario.name == now.study.scenario.name


def _same_question(before: Plan, now: Plan) -> bool:
    """Whether both ask the same, whatever of."""
    old, new = before.study, now.study
    alike = all(getattr(old, name) == getattr(new, name) for name in OTHERS)
    return alike and old.decision.identity() == new.decision.identity()


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield name, _short(old.get(name)), _short(new.get(name))


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    hexadecimal = len(text) > SHOWN and all(letter in "0123456789abcdef" for letter in text)
    return text[:SHOWN] if hexadecimal else text
