"""The words that a file, a report or a command line may hold, said once. Standard library only.

They are text wherever they go (JSON, f-strings, a comparison with what was read), and a typo is an error.
"""

from __future__ import annotations

from enum import StrEnum


class Word(StrEnum):
    """What a finding comes to. The last two are screening's own, and no verdict."""

    CONFIRM = "confirm"
    REFINE = "refine"
    UNCONFIRMED = "refine (unconfirmed)"
    INCONCLUSIVE = "inconclusive"
    SCREENING_ONLY = "screening only"
    CANDIDATE = "candidate"
    UNDECIDED = "undecided"


class Status(StrEnum):
    """How a trial ended. A failed one is tried again by the next run; the others are not."""

    COMPLETED = "completed"
    DIVERGED = "diverged"
    FAILED = "failed"


class Stage(StrEnum):
    """Where a sweep stands, and what a trial is for. The control is counted and shown; no verdict uses it."""

    SCREENING = "screening"
    REFINEMENT = "refinement"
    CONFIRMATION = "confirmation"
    DONE = "done"
    CONTROL = "control"


class Seen(StrEnum):
    """What of that which should be equal between arms a script was seen to have spent."""

    EQUAL = "equal"  # what was asked of every arm, as far as that is a number
    ALIKE = "alike"  # another number than was asked for, by the same ratio in every arm
    DIFFERENT = "different"
    NOT_SEEN = "not seen"


class Failure(StrEnum):
    """Why an attempt or a trial failed. A loss that is not finite is no failure: the trial diverged."""

    OUT_OF_MEMORY = "out of memory"
    WORKER_LOST = "worker lost"
    NODE_LOST = "node lost"
    PREEMPTED = "preempted"
    DATA = "data"
    CODE = "code"
    TIME_LIMIT = "time limit"
    NO_METRIC = "no metric"
    STORAGE = "storage"
    DEVICE = "device"  # its GPU, or what CUDA says of it: the process is lost with it


class Goal(StrEnum):
    """What a user may want of a setting; a tuned file has a profile for each."""

    QUALITY = "quality"
    BALANCED = "balanced"
    SPEED = "speed"


class Health(StrEnum):
    """What a look at the machine comes to. Red: a run would fail, or not be the run that was asked for."""

    OK = "ok"
    WARNING = "warning"
    RED = "red"


class Cheaper(StrEnum):
    """A design that takes less than the one that was asked for."""

    FIRST_NIGHT = "first night"
    FEWER_LOOKS = "fewer looks"
    STAGED = "staged"
    FEWER_STEPS = "fewer steps"


class SearchGoal(StrEnum):
    """What a joint search is after."""

    QUALITY = "quality"
    QUALITY_AND_COST = "quality and cost"
