"""Where a sweep stands, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bios_sweep.records.workspace import Owner


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """The counts of a sweep and who is at work; `to_json` of it is what `status --json` prints.

    failures: kind -> trials. retried: attempts that were lost and tried again. driver: None when nobody
    drives the sweep; nothing is running then. broken: why the last run ended early, None where it did not.
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
    command: str
