"""The procedure as executors see it: a source of trials that grows as results come in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from bios_sweep.procedure.broken import broken_by
from bios_sweep.procedure.machine import NOTHING, state_of
from bios_sweep.procedure.state import Known, Results, State
from bios_sweep.study.plan import Plan
from bios_sweep.study.stable import leader_of
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Stage


def recall(
    plan: Plan, lookup: Callable[[str], TrialResult | None], known: Known = NOTHING
) -> tuple[State, dict[str, TrialResult]]:
    """The state by what earlier runs finished, stage after stage; `lookup` gives a trial's result by key."""
    results: dict[str, TrialResult] = {}
    while True:
        state = state_of(plan, results, known)
        found = [lookup(trial.key) for trial in state.missing]
        finished = {result.key: result for result in found if result is not None and result.finished}
        if not finished:
            return state, results
        results |= finished


class ProcedureSource:
    """A `ports.TrialSource`: hands out what the procedure needs and grows as results come in."""

    def __init__(
        self, plan: Plan, should_stop: Callable[[], bool] = lambda: False, known: Known = NOTHING
    ) -> None:
        """should_stop: asked whenever a trial could start. known: what was found out outside the trials."""
        self._plan = plan
        self._results: dict[str, TrialResult] = {}
        self._taken: set[str] = set()
        self._known = known
        self._state = state_of(plan, self._results, known)
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
    def known(self) -> Known:
        """What was found out outside the trials."""
        return self._known

    @property
    def results(self) -> Results:
        """All results so far, by trial key."""
        return self._results

    @property
    def closed(self) -> bool:
        """Whether the sweep is done, or broken by what has ended so far."""
        return self._state.stage == Stage.DONE or self.broken is not None

    @property
    def broken(self) -> TrialResult | None:
        """The failure after which nothing is started; trials that run may still end well and take it back."""
        return broken_by(self._plan, self._results)

    def take(self) -> TrialSpec | None:
        """The next trial that nobody has taken yet."""
        if self.stopping or self.broken:
            return None
        untaken = [trial for trial in self._state.missing if trial.key not in self._taken]
        chosen = self._leading(untaken)
        if chosen is not None:
            self._taken.add(chosen.key)
        return chosen

    def _leading(self, untaken: Sequence[TrialSpec]) -> TrialSpec | None:
        """The first of them, but after the one that trains its stable part, where that is still to come.

        One whose part is being trained right now waits while there is other work.
        """
        running = [one for one in self._state.missing if one.key in self._taken]
        ready = next((one for one in untaken if leader_of(one, running) is None), None)
        first = ready or next(iter(untaken), None)
        return None if first is None else leader_of(first, untaken) or first

    def add(self, result: TrialResult) -> bool:
        """Take a terminal record in; True when that opened a new stage or look."""
        self._results[result.key] = result
        before = self._state
        missing = tuple(trial for trial in before.missing if trial.key != result.key)
        if missing and len(missing) < len(before.missing):
            self._state = dataclasses.replace(before, missing=missing)  # nothing is decided halfway
            return False
        return self._recomputed(before)

    def learn(self, known: Known) -> bool:
        """Take in what was found out outside the trials; True when that opened a new stage or look."""
        self._known = known
        return self._recomputed(self._state)

    def _recomputed(self, before: State) -> bool:
        self._state = state_of(self._plan, self._results, self._known)
        return (before.stage, len(before.needed)) != (self._state.stage, len(self._state.needed))
