"""Runs that somebody already has, as arms x seeds: which arm changes what against the default. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.study.scenario import Metric

ARM = "arm"  # the factor of arms whose settings are not recorded


JOINED = " + "  # between the settings in the name of a factor that is several


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """One entry per run in every column; all columns have the same length.

    arms: None when the table has no such column; then arms are told apart by their settings.
    seeds: None when the table has none. values: NaN where there is none. settings: canonical name ->
    values; aliases: their other names. factors, levels: what the table itself says of each run's arm,
    None without such columns. costs: `tokens`, `examples`, `wall_seconds` per run. contexts: kind
    (`hardware`, `software`, `code`, `scenario`) -> column -> text. places: where each run stands, for
    messages. untouched: the metric of the model before any training, None when unknown. looks: how often the
    study that made the runs might have decided; 1 where nothing tells. decided: what is told of its decision
    rule (`margin_percent`, `margin_share`, `alpha`). notes: what the reader of the table
    had to assume.
    """

    source: str
    arms: tuple[str, ...] | None
    seeds: tuple[int, ...] | None
    values: tuple[float, ...]
    statuses: tuple[str, ...]
    stages: tuple[str, ...]
    metric: Metric
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    factors: tuple[str, ...] | None = None
    levels: tuple[Any, ...] | None = None
    costs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    contexts: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    untouched: float | None = None
    looks: int = 1
    decided: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of runs."""
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class ArmRuns:
    """An arm, and what it changes against the baseline.

    factor: the one setting that differs, several joined by ` + `, or `arm` when none is recorded.
    changes: every differing setting. follows: differing settings that only keep the budget or a ratio.
    mixed: settings that differ between the arm's own runs.
    """

    name: str
    factor: str
    level: Any
    label: str
    settings: Mapping[str, Any]
    changes: Mapping[str, Any]
    follows: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()

    @property
    def confounded(self) -> tuple[str, ...]:
        """Settings that move together in this arm; empty when its effect belongs to one."""
        moved = tuple(name for name in self.changes if name not in self.follows)
        return moved if len(moved) > 1 else ()


@dataclass(frozen=True, kw_only=True)
class ArmSet:
    """All arms, the baseline first, and the arm of every run."""

    arms: tuple[ArmRuns, ...]
    of_run: tuple[str, ...]

    @property
    def baseline(self) -> ArmRuns:
        """The default's arm."""
        return self.arms[0]

    @property
    def together(self) -> dict[str, tuple[str, ...]]:
        """The name of several settings that moved together, as a factor -> these settings."""
        return {JOINED.join(arm.confounded): arm.confounded for arm in self.arms if arm.confounded}


def spread(values: Iterable[float]) -> float:
    """Largest over smallest of the finite positive values; 1 when there are fewer than two."""
    usable = [value for value in values if math.isfinite(value) and value > 0]
    return max(usable) / min(usable) if len(usable) > 1 else 1.0
