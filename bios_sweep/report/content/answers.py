"""What `status`, `logs`, `suggest`, `verify` and `clean` answer, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bios_sweep.jsonable import FLAT, OPTIONAL
from bios_sweep.records.workspace import Owner


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """The counts of a sweep and who is at work; `to_json` of it is what `status --json` prints.

    failures: kind -> trials. retried: attempts that were lost and tried again. driver: None when nobody
    drives the sweep; nothing is running then. broken: why the last run ended early, None where it did not.
    paused: since when it is held, None where it is not. stopped: arms that somebody stopped by hand.
    lacking: why the tracking store has not all of the sweep, and the way out, None where it has.
    """

    sweep: str
    sweep_id: str
    judged_on: str
    stage: str
    planned: int
    completed: int
    diverged: int
    failed: int
    failures: Mapping[str, int] = field(default_factory=dict)
    retried: int = 0
    running: int = 0
    driver: Owner | None = None
    broken: str | None = None
    damaged: tuple[str, ...] = ()
    paused: str | None = field(default=None, metadata=OPTIONAL)
    stopped: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)
    lacking: str | None = field(default=None, metadata=OPTIONAL)
    command: str


@dataclass(frozen=True, kw_only=True)
class LogText:
    """One file of one attempt at a trial. size: bytes in the file. text: without secrets; None in a list."""

    attempt: int
    name: str
    path: str
    size: int
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrialLogs:
    """A trial and what it wrote down; `to_json` of it is what `logs TRIAL --json` prints.

    status: planned, running, interrupted, completed, diverged or failed. cause: why it failed or diverged.
    """

    sweep_id: str
    key: str
    arm: str
    seed: int
    stage: str
    status: str
    cause: str
    logs: tuple[LogText, ...]


@dataclass(frozen=True, kw_only=True)
class SweepLogs:
    """The trials of a sweep, with the sizes of what they wrote down; what `logs --json` prints."""

    sweep_id: str
    trials: tuple[TrialLogs, ...]


@dataclass(frozen=True, kw_only=True)
class NextStudy:
    """A study that was written as a sweep file, its trials, and the command that runs it."""

    name: str
    file: str
    command: str
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    trials: int
    to_run: int
    reused: int
    most_trials: int


@dataclass(frozen=True, kw_only=True)
class SuggestionSummary:
    """What a sweep left open and what would settle it; `to_json` of it is what `suggest --json` prints.

    why: of the next study. open: what no study would settle. study: None where none is suggested.
    """

    sweep_id: str
    judged_on: str
    why: tuple[str, ...]
    open: tuple[str, ...]
    warnings: tuple[str, ...]
    study: NextStudy | None = field(default=None, metadata=FLAT)


@dataclass(frozen=True, kw_only=True)
class FilesOfKind:
    """How many files of a kind are there. unvouched: without a checksum, so that nothing could tell."""

    kind: str
    files: int
    bytes: int
    unvouched: int
    damaged: int


@dataclass(frozen=True, kw_only=True)
class DamagedFile:
    """A file that is not as it was written. wrong: what is. way_out: what to do."""

    kind: str
    path: str
    wrong: str
    way_out: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What `verify` looked at, by kind, and what is damaged; in JSON what `verify --json` prints."""

    what: str
    sweeps: tuple[str, ...]
    kinds: tuple[FilesOfKind, ...]
    damaged: tuple[DamagedFile, ...]


@dataclass(frozen=True, kw_only=True)
class SpareFile:
    """A file or folder that serves nothing any more. bytes: of it, or below it."""

    kind: str
    path: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What `clean` found, by kind and one by one; in JSON what `clean --json` prints.

    removed: whether it was taken away, or only shown. bytes: of all of it. kinds: kind -> bytes. left: what
    could not be taken away.
    """

    workspace: str
    removed: bool
    bytes: int
    kinds: Mapping[str, int]
    files: tuple[SpareFile, ...]
    left: tuple[str, ...] = ()
