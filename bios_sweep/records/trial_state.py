"""A trial as far as it got, and all trials of a sweep together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec

PLANNED = "planned"
RUNNING = "running"


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """A trial as far as it got. status: planned, running, completed, diverged or failed.

    attempts: tries begun, by all drivers together. times: milliseconds since 1970 of each point of the
    curve. started, ended: of the first start and the last end. reused: the result was there already.
    kept: folder of the adapter that is kept for good. lost: the attempt ended without a result.
    """

    spec: TrialSpec
    status: str = PLANNED
    attempts: int = 0
    curve: tuple[Measurement, ...] = ()
    times: tuple[int, ...] = ()
    started: int | None = None
    ended: int | None = None
    result: TrialResult | None = None
    reused: bool = False
    kept: str = ""
    lost: bool = False


class Trials(Mapping[str, TrialState]):
    """Trials by key, in the order of planning; a changed copy shares what it did not change.

    Every entry of a journal makes a new state. Copying all trials each time would make a journal of n trials
    cost n^2: what changed lately lies apart, and is merged when it grows.
    """

    MERGED_AT = 32  # chosen, not measured: near the square root of a sweep of a thousand trials

    def __init__(
        self, trials: Mapping[str, TrialState], lately: Mapping[str, TrialState] = MappingProxyType({})
    ) -> None:
        """lately: replaces trials of the same key; has no other keys."""
        self._trials, self._lately = trials, lately

    def __getitem__(self, key: str) -> TrialState:
        return self._lately.get(key) or self._trials[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, key: object) -> bool:
        return key in self._trials

    def __repr__(self) -> str:
        return f"Trials({dict(self)!r})"

    def planned(self, new: Mapping[str, TrialState]) -> Trials:
        """With further trials."""
        return Trials({**self, **new})

    def changed(self, trial: TrialState) -> Trials:
        """With a known trial as it is now."""
        lately = {**self._lately, trial.spec.key: trial}
        if len(lately) < self.MERGED_AT:
            return Trials(self._trials, lately)
        return Trials({**self._trials, **lately})
