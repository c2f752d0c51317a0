"""Arms that people stop and take up again, and runs that they hold: what the driver hears."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from bios_sweep.driver.pace import Pace
from bios_sweep.driver.view import SweepView
from bios_sweep.errors import InputError
from bios_sweep.records.journal import Journal
from bios_sweep.records.lock import DriverLock, live_owner
from bios_sweep.records.requests import (
    ArmRequest,
    arm_requests,
    drop_arm_requests,
    end_pause,
    pause_requested,
    request_arm,
)
from bios_sweep.records.sweep_state import DONE, SweepState
from bios_sweep.records.workspace import Owner, Workspace
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan

HELD = "paused: running trials end, none is started until `bios-sweep resume`"


class Hands:
    """What people ask of a running sweep. A pause that was asked of an earlier driver is forgotten."""

    def __init__(self, workspace: Workspace, sweep_id: str) -> None:
        self._workspace = workspace
        self._sweep_id = sweep_id
        self._pace = Pace()
        self._paused = False
        self._told = False
        end_pause(workspace)

    def paused(self) -> bool:
        """Whether the run is held, as of the last look."""
        return self._paused

    def news(self) -> str:
        """That the run is held now, or goes on, in a sentence; '' where that is no news."""
        if self._paused == self._told:
            return ""
        self._told = self._paused
        return HELD if self._paused else "goes on"

    def asked(self) -> Iterator[ArmRequest]:
        """Look whether the run is held, and what is asked of its arms; often called, twice a second done.

        Each request is gone once the next is asked for, and so must be done by then.
        """
        if not self._pace.due():
            return
        self._paused = bool(pause_requested(self._workspace))
        for path, request in arm_requests(self._workspace):
            if request.sweep_id == self._sweep_id:
                yield request
                path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class ArmAnswer:
    """What came of a request about an arm. driver: who does it, None where it is done already."""

    sweep_id: str
    arm: str
    stopped: bool
    driver: Owner | None
    command: str


def ask_arm(workspace: Workspace, view: SweepView, words: str, *, stopped: bool) -> ArmAnswer:
    """Stop an arm of a sweep by hand, or take it up again: by its driver where one is at work, else here.

    Raises:
        InputError: there is no such arm, or nothing would change.
        WorkspaceBusyError: another sweep is driven in the workspace.
    """
    arm, journal = named_arm(view.plan, words), view.journal
    request = ArmRequest(sweep_id=view.sweep_id, arm=arm.name, stopped=stopped)
    if stopped == _stands_stopped(workspace, journal, request):
        raise InputError(f"{arm.name}: {_already(journal, stopped)}")
    if stopped and journal.closed == DONE:
        raise InputError(f"{arm.name}: sweep {view.sweep_id} is done, so nothing of it runs any more")
    owner = live_owner(workspace)
    if owner is not None and owner.sweep_id == view.sweep_id:
        request_arm(workspace, request)
    else:
        owner = None
        _write_down(workspace, request)
    return ArmAnswer(
        sweep_id=view.sweep_id, arm=arm.name, stopped=stopped, driver=owner, command=view.command
    )


def _stands_stopped(workspace: Workspace, journal: SweepState, request: ArmRequest) -> bool:
    """Whether an arm is stopped, by what was asked last; a driver may not have taken that in yet."""
    last = request.arm in journal.stopped
    for _, older in arm_requests(workspace):
        if (older.sweep_id, older.arm) == (request.sweep_id, request.arm):
            last = older.stopped
    return last


def _already(journal: SweepState, stopped: bool) -> str:
    if stopped:
        return "is stopped by hand already"
    there = ", ".join(sorted(journal.stopped)) or "none"
    return f"was not stopped by hand; arms that were: {there}"


def _write_down(workspace: Workspace, request: ArmRequest) -> None:
    """As the sweep's driver would; a sweep that was done is no more, once an arm of it is taken up again.

    What was asked of a driver that died before it heard is older, and holds no more.
    """
    sweep_id = request.sweep_id
    with DriverLock(workspace, sweep_id), Journal(workspace.journal_file(sweep_id)) as journal:
        closed = journal.state.closed
        journal.by_hand(request.arm, stopped=request.stopped)
        drop_arm_requests(workspace, request)
        journal.closed("stopped" if closed in ("", DONE) else closed)


def named_arm(plan: Plan, words: str) -> Arm:
    """The variation that people mean: its name, or its level where only one factor has such a one.

    Raises:
        InputError: none, several, or the default; the message lists them.
    """
    cells = plan.cells or (plan,)
    wanted, defaults = _plain(words), {cell.baseline.name for cell in cells}
    arms = {arm.name: arm for cell in cells for arm in cell.arms}
    found = [arm for arm in arms.values() if _plain(arm.name) == wanted] or [
        arm for arm in arms.values() if arm.label and _plain(arm.label) == wanted
    ]
    names = [name for name in arms if name not in defaults]
    if len(found) == 1 and found[0].name in defaults:
        raise InputError(f"{found[0].name}: every arm is compared with it; `bios-sweep stop` ends the sweep")
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{words!r} is one of {', '.join(arm.name for arm in found)}; give the whole name")
    near = difflib.get_close_matches(words, names, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"no arm {words!r}{hint}; there are {', '.join(names)}")


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
