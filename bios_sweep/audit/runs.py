"""Runs that somebody already has, as arms x seeds: which arm changes what against the default. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bios_sweep.audit.column_classes import ColumnClasses
from bios_sweep.study.scenario import Metric

ARM = "arm"  # the factor of arms whose settings are not recorded
PER_RUN = ("arms", "seeds", "values", "statuses", "stages", "factors", "levels", "joined")
JOINED = " + "  # between the settings in the name of a factor that is several


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """One entry per run in every column; all columns have the same length.

    arms: None when the table has no such column; then arms are told apart by their settings. seeds: None
    when the table has none. values: NaN where there is none. settings: canonical name -> values; aliases:
    their other names; apart: those that are asked about for themselves, so that they follow no other.
    outcomes: what else was measured. columns: what every column was taken for. factors, levels: what the
    table itself says of each run's arm, None without such columns. costs: per run `tokens`, `examples`,
    `wall_seconds`, and how far it came: `steps`, `epochs`, `iterations`, `logged`. contexts: kind
    (`hardware`, `software`, `code`, `scenario`) -> column -> text.
    places: where each run stands, for messages. untouched: the metric of the model before any training, None
    when unknown. looks: how often the study that made the runs might have decided; 1 where nothing tells.
    joined: at which of them the run's seed joined, 0 of a confirmation; None where the table does not say it.
    decided: what is told of its decision rule (`margin_percent`, `margin_share`, `alpha`). ours: a sweep of
    ours wrote it. notes: what the reader of the table had to assume.
    """

    source: str
    arms: tuple[str, ...] | None
    seeds: tuple[int, ...] | None
    values: tuple[float, ...]
    statuses: tuple[str, ...]
    stages: tuple[str, ...]
    metric: Metric
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    apart: tuple[str, ...] = ()
    factors: tuple[str, ...] | None = None
    levels: tuple[Any, ...] | None = None
    costs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    contexts: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    outcomes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    columns: ColumnClasses = field(default_factory=ColumnClasses)
    places: tuple[str, ...] = ()
    untouched: float | None = None
    looks: int = 1
    joined: tuple[int, ...] | None = None
    decided: Mapping[str, float] = field(default_factory=dict)
    ours: bool = False
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of runs."""
        return len(self.values)

    def kept(self, rows: Sequence[int]) -> RunTable:
        """The table with those runs only."""

        def part(cells: Any) -> Any:
            return None if cells is None else tuple(cells[row] for row in rows)

        def parts(columns: Mapping[str, Any]) -> dict[str, Any]:
            return {name: part(cells) for name, cells in columns.items()}

        return replace(
            self,
            **{name: part(getattr(self, name)) for name in PER_RUN},
            places=part(self.places) if self.places else (),
            settings=parts(self.settings),
            outcomes=parts(self.outcomes),
            costs=parts(self.costs),
            contexts={kind: parts(columns) for kind, columns in self.contexts.items()},
        )


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

    def kept(self, rows: Sequence[int]) -> ArmSet:
        """The same arms, of those runs only."""
        return replace(self, of_run=tuple(self.of_run[row] for row in rows))

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
