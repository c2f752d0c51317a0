"""Schedules of faults: what strikes a sweep, when, in which order. Pure; as text they can be typed again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st

MOST_LINES, MOST_MILLISECONDS = 25, 40


class Fault(StrEnum):
    """What happens. The words are those of a schedule's text."""

    KILL_DRIVER = "kill-driver"
    KILL_WORKER = "kill-worker"
    KILL_RAYLET = "kill-raylet"
    STOP = "stop"  # as Ctrl-C once
    STOP_NOW = "stop-now"
    PAUSE = "pause"  # and, a moment later, on again
    FULL_DISK = "full-disk"  # for this driver; the next one has room
    CLOCK_BACK = "clock-back"  # an hour, for the next drivers
    UPGRADE = "upgrade"  # of the libraries that planted trials do not train with, for the next drivers
    KILL_SERVER = "kill-server"  # until the next step, or the end of the driver
    LOSE_REPLY = "lose-reply"  # the next run is made, and nobody hears of it


SINGLE = (
    *(Fault.KILL_DRIVER, Fault.STOP, Fault.STOP_NOW, Fault.PAUSE),
    *(Fault.FULL_DISK, Fault.CLOCK_BACK, Fault.UPGRADE),
)
SERVED = (Fault.KILL_SERVER, Fault.LOSE_REPLY)
ON_RAY = (Fault.KILL_WORKER, Fault.KILL_RAYLET)


@dataclass(frozen=True, order=True)
class Step:
    """A fault, once the journal has grown by `lines` since the step before, and `milliseconds` later."""

    fault: Fault
    lines: int = 0
    milliseconds: int = 0

    def __str__(self) -> str:
        return f"{self.fault}@{self.lines}+{self.milliseconds}"


Schedule = tuple[Step, ...]


def text_of(schedule: Schedule) -> str:
    """`kill-driver@12+3 stop@4+0`."""
    return " ".join(map(str, schedule))


def schedule_of(text: str) -> Schedule:
    """The way back."""
    steps = []
    for word in text.split():
        fault, _, when = word.partition("@")
        lines, _, milliseconds = when.partition("+")
        steps.append(Step(Fault(fault), int(lines), int(milliseconds or 0)))
    return tuple(steps)


def schedules(faults: tuple[Fault, ...], most: int, lines: int = MOST_LINES) -> st.SearchStrategy[Schedule]:
    """Of at most so many steps; they shrink to fewer, earlier and to the faults named first."""
    step = st.builds(Step, st.sampled_from(faults), st.integers(0, lines), st.integers(0, MOST_MILLISECONDS))
    return st.lists(step, min_size=1, max_size=most).map(tuple)
