"""The procedure as executors see it: a source of trials that grows as results come in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from bios_sweep.procedure.broken import SHARED_FAULTS, broken_by
from bios_sweep.procedure.line import Line, Order, as_needed
from bios_sweep.procedure.machine import NOTHING, Decided, decided, state_of
from bios_sweep.procedure.state import Known, Results, State
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Stage


def recall(
    plan: Plan, lookup: Callable[[str], TrialResult | None], known: Known = NOTHING
) -> tuple[State, dict[str, TrialResult]]:
    """The state by what earlier runs finished, stage after stage; `lookup` gives a trial's result by key."""
    results: dict[str, TrialResult] = {}
    while True:
        state = state_of(plan, results, known)
        found = [lookup(trial.key) for trial in (*state.missing, *state.ahead)]
        finished = {result.key: result for result in found if result is not None and result.finished}
        if not finished:
            return state, results
        results |= finished


def _nothing() -> None:
    """What is looked at where nobody asks anything."""


class ProcedureSource:
    """A `ports.TrialSource`: hands out what the procedure needs and grows as results come in.

    An event costs the same in a sweep of ten trials and of ten thousand; only a look, when its last trial
    has come in, goes over all of them: of a crossed study over those of the cell that it ends.
    """

    _last: Decided | None
    _state: State
    _missing: dict[str, TrialSpec]
    _ahead: dict[str, TrialSpec]
    _line: Line
    _waits: list[set[str]]

    def __init__(
        self,
        plan: Plan,
        should_stop: Callable[[], bool] = lambda: False,
        should_pause: Callable[[], bool] = lambda: False,
        known: Known = NOTHING,
        order: Order = as_needed,
    ) -> None:
        """should_stop, should_pause: asked whenever a trial could start. known: found out outside the trials.

        order: of a state's missing trials, in which they are handed out.
        """
        self._order = order
        self._plan = plan
        self._results: dict[str, TrialResult] = {}
        self._taken: dict[str, str] = {}  # key -> arm
        self._known = known
        self._should_stop = should_stop
        self._should_pause = should_pause
        self._attend: Callable[[], None] = _nothing
        self._broken: TrialResult | None = None
        self._last = None
        self._recompute()

    @property
    def stopping(self) -> bool:
        """Whether the user asked to stop."""
        return self._should_stop()

    def attend(self, look: Callable[[], None]) -> None:
        """Have `look` called whenever a trial could start or go on; it may make the source `learn`."""
        self._attend = look

    @property
    def paused(self) -> bool:
        """Whether the user holds the run."""
        self._attend()
        return self._should_pause()

    def unwanted(self, key: str) -> bool:
        """Whether a trial that was taken is needed no more, for its arm was stopped by hand."""
        self._attend()
        return self._taken.get(key) in self._known.stopped and not (
            key in self._missing or key in self._ahead
        )

    def left(self, key: str) -> None:
        """A trial that was taken stays at its checkpoint; it is offered again once it is wanted again."""
        self._taken.pop(key, None)
        self._line = self._made_line()

    @property
    def state(self) -> State:
        """The sweep's state by all results so far; made anew where results have come in since."""
        known = self._state
        if (len(known.missing), len(known.ahead)) != (len(self._missing), len(self._ahead)):
            missing, ahead = tuple(self._missing.values()), tuple(self._ahead.values())
            self._state = dataclasses.replace(known, missing=missing, ahead=ahead)
        return self._state

    @property
    def decided(self) -> State:
        """The state as of the last decision: all but `missing` and `ahead` holds until the next one."""
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
        return self._broken

    def take(self) -> TrialSpec | None:
        """The next trial that nobody has taken yet."""
        if self.stopping or self.broken or self.paused:
            return None
        chosen = self._line.pop(self._taken)
        if chosen is not None:
            self._taken[chosen.key] = chosen.arm
        return chosen

    def add(self, result: TrialResult) -> bool:
        """Take a terminal record in; True when that opened a new stage or look."""
        again = result.key in self._results
        self._results[result.key] = result
        if result.finished:
            self._broken = None
        elif again or result.failure in SHARED_FAULTS:  # other failures break nothing
            self._broken = broken_by(self._plan, self._results)
        self._line.ended(result.key)
        if self._ahead.pop(result.key, None) is not None:
            return False  # no decision of this stage waits for it
        was_missing = self._missing.pop(result.key, None) is not None
        if not any(result.key in waits for waits in self._waits):
            self._last = None  # no cell waited for it: what it changes is not known
        if was_missing and self._missing and not self._cell_complete(result.key):
            return False  # nothing is decided halfway
        return self._recomputed()

    def _cell_complete(self, key: str) -> bool:
        """Whether a cell of a crossed study has all that it waited for; the others need not hold it up."""
        for waits in self._waits:
            waits.discard(key)
        complete = [waits for waits in self._waits if not waits]
        self._waits = [waits for waits in self._waits if waits]
        return bool(complete)

    def learn(self, known: Known) -> bool:
        """Take in what was found out outside the trials; True when that opened a new stage or look."""
        self._known, self._last = known, None
        return self._recomputed()

    def _recomputed(self) -> bool:
        before = self._state
        self._recompute()
        return (before.stage, len(before.needed)) != (self._state.stage, len(self._state.needed))

    def _recompute(self) -> None:
        self._last = decided(self._plan, self._results, self._known, self._last)
        self._state = self._last.state
        self._missing = {trial.key: trial for trial in self._state.missing}
        self._ahead = {trial.key: trial for trial in self._state.ahead}
        self._line = self._made_line()
        self._waits = [set(keys) for keys in self._state.waits if keys]

    def _made_line(self) -> Line:
        return Line([*self._order(self._plan, self._state), *self._state.ahead], self._taken)
