"""A weakness of a set of runs, and how one is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bios_sweep.audit.blocks_of_runs import Sorted
from bios_sweep.audit.runs import ArmRuns, ArmSet

SERIOUS, CAUTION, NOTE = "serious", "caution", "note"
SEVERITIES = (SERIOUS, CAUTION, NOTE)
NAMED = 3  # arms or seeds named in one sentence (chosen, not measured)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A weakness. severity: serious (takes the ground from a verdict), caution, note."""

    kind: str
    severity: str
    sentence: str
    arms: tuple[str, ...] = ()


def some(names: Iterable[Any]) -> str:
    """The first few, and how many more."""
    listed = [str(name) for name in names]
    rest = len(listed) - NAMED
    return ", ".join(listed[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def compared_arms(arms: ArmSet, runs: Sorted) -> list[ArmRuns]:
    """The arms that take part, the baseline first."""
    kept = frozenset(runs.screening.arms)
    return [arm for arm in arms.arms if arm.name in kept]


def new_flaw(kind: str, severity: str, sentence: str, arms: Iterable[str] = ()) -> Flaw:
    """A flaw of some arms."""
    return Flaw(kind=kind, severity=severity, sentence=sentence, arms=tuple(arms))
