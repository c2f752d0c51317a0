"""The next study, as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from bios_sweep.jsonable import FLAT


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
