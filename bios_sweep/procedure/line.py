"""The trials that wait to be taken, in their order; of those that share a stable part its leader first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from bios_sweep.procedure.state import State
from bios_sweep.study.plan import Plan
from bios_sweep.study.stable import leader_of, may_share, stable_part
from bios_sweep.study.trials import TrialSpec

Order = Callable[[Plan, State], Sequence[TrialSpec]]  # in which a state's missing trials are handed out


def as_needed(_plan: Plan, state: State) -> Sequence[TrialSpec]:
    """The order in which the procedure names them, seed by seed: where one trial runs after the other."""
    return state.missing


def longest_first(plan: Plan, state: State) -> Sequence[TrialSpec]:
    """The longest first, where several run at a time: begun last, it would run alone at the end.

    By its examples; where the cost of its arm is known (`State.costs`), by those that the default of its cell
    would train in that time. Equals keep their order. The plan's very first trial and its twin stay first:
    nothing can be compared where these fail.
    """
    first = plan.trials[0]
    head = [one for one in state.missing[:2] if (one.settings, one.seed) == (first.settings, first.seed)]
    of_default = {arm.name: one.baseline.examples() for one in plan.cells or (plan,) for arm in one.arms}

    def length(trial: TrialSpec) -> float:
        cost = state.costs.get(trial.arm)
        if cost is None:
            return trial.settings.max_steps * trial.settings.batch_size
        return cost.ratio * of_default[trial.arm]

    return [*head, *sorted(state.missing[len(head) :], key=length, reverse=True)]


class Line:
    """Missing trials; a place costs the same however many wait.

    Trials of one stable part (`study.stable`) are looked at among themselves alone, and there are few of
    those: one per arm at each seed.
    """

    def __init__(self, missing: Sequence[TrialSpec], taken: Collection[str]) -> None:
        """taken: keys of those that run already."""
        self._line = deque(trial for trial in missing if trial.key not in taken)
        self._over: set[str] = set()
        self._sharing: dict[int, dict[str, TrialSpec]] = {}
        for trial in missing:
            if stable_part(trial.settings) is not None and not trial.repeat:  # one without a decay leads too
                self._sharing.setdefault(trial.seed, {})[trial.key] = trial

    def pop(self, taken: Collection[str]) -> TrialSpec | None:
        """The first that nobody has taken, but after the one that trains its stable part.

        One whose part is being trained right now waits while there is other work. taken: as above, by now.
        """
        waiting: list[TrialSpec] = []
        chosen = None
        while self._line and chosen is None:
            trial = self._line.popleft()
            if trial.key in taken or trial.key in self._over:
                continue  # it went before its turn, to train for others, or its result was there already
            running = [one for one in self._with(trial) if one.key in taken]
            if leader_of(trial, running) is None:
                chosen = trial
            else:
                waiting.append(trial)
        chosen = chosen or next(iter(waiting), None)
        if chosen is None:
            return None
        untaken = [one for one in self._with(chosen) if one.key not in taken]
        leader = leader_of(chosen, untaken) or chosen
        behind = [*waiting, *([chosen] if leader != chosen and chosen not in waiting else [])]
        self._line.extendleft(reversed([one for one in behind if one.key != leader.key]))
        return leader

    def ended(self, key: str) -> None:
        """A trial has its result: nobody waits for it any more, and it need not be taken."""
        self._over.add(key)

    def _with(self, trial: TrialSpec) -> list[TrialSpec]:
        if trial.repeat or not may_share(trial.settings):
            return []
        return [one for key, one in self._sharing[trial.seed].items() if key not in self._over]
