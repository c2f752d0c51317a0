"""Watching a sweep that another process drives: its journal, told to a view as its driver would tell it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from bios_sweep.driver.pace import LOOK_SECONDS
from bios_sweep.driver.view import SweepView
from bios_sweep.ports import ENDED, LEFT, MEASURED, RETRIED, STARTED, Listener, TrialEvent, View
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.state import State
from bios_sweep.records.earlier import told_by
from bios_sweep.records.lock import live_owner
from bios_sweep.records.reading import JournalTail
from bios_sweep.records.replay import Entry, advance
from bios_sweep.records.requests import pause_requested
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.workspace import Owner, Workspace
from bios_sweep.report.content.live import Standing, standing_of

OF_A_TRIAL = {"started": STARTED, "measured": MEASURED, "retried": RETRIED, "left": LEFT, "ended": ENDED}


class Watched:
    """A sweep as far as its journal tells. Reads that file and the lock, and writes nothing."""

    def __init__(self, workspace: Workspace, view: SweepView) -> None:
        self._workspace = workspace
        self._plan = view.plan
        self._tariff = view.tariff
        self._tail = JournalTail(workspace.journal_file(view.sweep_id))
        self._decided: tuple[int, State] | None = None
        self._now = 0.0
        self.sweep_id = view.sweep_id
        self.journal = SweepState()

    def clock(self) -> float:
        """Seconds since 1970 of the entry that is told, or now."""
        return self._now or time.time()

    def owner(self) -> Owner | None:
        """Who drives the sweep now."""
        owner = live_owner(self._workspace)
        return owner if owner is not None and owner.sweep_id == self.sweep_id else None

    def standing(self) -> Standing:
        """Where its arms stand."""
        journal = self.journal
        return standing_of(self._plan, self.state, journal.results, journal.stopped, self._tariff)

    @property
    def state(self) -> State:
        """As its driver sees it; made anew where results have come in or arms were stopped."""
        journal = self.journal
        known = hash((len(journal.results), journal.stopped, len(journal.proposals)))
        if self._decided is None or self._decided[0] != known:
            state = state_of(self._plan, journal.results, told_by(journal, self._workspace))
            self._decided = known, state
        return self._decided[1]

    def follow(self, listener: Listener) -> None:
        """Tell a listener of the sweep, until nobody drives it any more."""
        entries = list(self._tail.read())
        since = _last_start(entries)
        for entry in entries[:since]:
            self.journal = advance(self.journal, entry)
        study = self._plan.study
        self._now = entries[since].milliseconds / 1000 if since < len(entries) else 0.0
        with listener.watch(
            planned=len(self.state.needed),
            workers="",
            title=self.sweep_id,
            metric=study.metric.name,
            judged_on=study.metric.words,
            trials_dir=self._workspace.trials,
            standing=self.standing,
            clock=self.clock,
        ) as view:
            self._tell_stage(view)
            self._tell(entries[since:], view)
            self._until_over(view)

    def _until_over(self, view: View) -> None:
        paused = ""
        while True:
            driven = self.owner() is not None  # asked first: what was written before is then there
            self._tell(self._tail.read(), view)
            held = pause_requested(self._workspace) if driven else ""
            if held != paused:
                view.note(f"paused since {held}" if held else "goes on")
                paused = held
            if not driven:
                return
            time.sleep(LOOK_SECONDS)

    def _tell(self, entries: Iterable[Entry], view: View) -> None:
        """Each entry at its own time; where the sweep stands once, at the end."""
        ended = False
        for entry in entries:
            self._now = entry.milliseconds / 1000
            self.journal = advance(self.journal, entry)
            ended |= entry.kind in ("ended", "reused", "by_hand", "planned")
            event = self._event(entry)
            if event is not None:
                view.event(event, self.journal.trials[event.key].spec)
        self._now = 0.0
        if ended:
            self._tell_stage(view)

    def _tell_stage(self, view: View) -> None:
        finished = sum(trial.key in self.journal.results for trial in self.state.needed)
        view.stage(self.state.stage, len(self.state.needed), finished)

    def _event(self, entry: Entry) -> TrialEvent | None:
        """The executor's event that the entry was written for."""
        kind, key = OF_A_TRIAL.get(entry.kind), entry.fields.get("key", "")
        if kind is None:
            return None
        trial = self.journal.trials[key]
        return TrialEvent(
            kind=kind,
            key=key,
            attempt=max(1, trial.attempts),
            measurement=trial.curve[-1] if kind == MEASURED and trial.curve else None,
            result=trial.result if kind == ENDED else None,
            cause=str(entry.fields.get("cause", "")),
            failure=str(entry.fields.get("failure", "")),
        )


def _last_start(entries: list[Entry]) -> int:
    """The place of the first entry after the last run that ended; what is before it counts as finished."""
    return max((place + 1 for place, entry in enumerate(entries) if entry.kind == "closed"), default=0)
