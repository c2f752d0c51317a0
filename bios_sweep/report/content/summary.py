"""A sweep as a reader is told it: the value that every form of a report is drawn from.

`to_json` of it is what `report --json` prints and `report.json` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.decision.finding import Margin, told_in
from bios_sweep.decision.frontier import FrontierPoint
from bios_sweep.decision.rows import BesideRow
from bios_sweep.decision.statement import Verdict
from bios_sweep.jsonable import LEFT_OUT, OPTIONAL, WORDS
from bios_sweep.reasons import Reason
from bios_sweep.report.content.arm_rows import ArmRow, CurvePoint
from bios_sweep.report.content.expense import Spent
from bios_sweep.report.content.failure_rows import FailureRow
from bios_sweep.report.content.held import HeldRow
from bios_sweep.report.content.movement import MovementRow
from bios_sweep.report.content.parts import ModeratorRow, SearchRow, SignRow
from bios_sweep.report.content.scope import Truncation
from bios_sweep.report.content.takes import TakesRow
from bios_sweep.study.design import Origin
from bios_sweep.study.scenario import Metric
from bios_sweep.units import Scale
from bios_sweep.vocabulary import Stage, Status


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """The number that a sweep is judged on. unit: may be empty."""

    name: str
    unit: str
    direction: str


def metric_row(metric: Metric) -> MetricRow:
    """The metric as it is told."""
    return MetricRow(name=metric.name, unit=metric.unit, direction=metric.direction)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Planned = completed + diverged + failed once the sweep is done; `waiting` is what has no result yet."""

    planned: int
    completed: int
    diverged: int
    failed: int
    waiting: int

    @property
    def endings(self) -> dict[str, int]:
        """Status -> trials that ended so."""
        return {Status.COMPLETED: self.completed, Status.DIVERGED: self.diverged, Status.FAILED: self.failed}


@dataclass(frozen=True, kw_only=True)
class NotServed:
    """What a verdict settled and no goal gets. title: of the verdict."""

    title: str
    value: Any
    why: Reason


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything a reader of a sweep is told.

    headline: the sweep in one line. judged_on: the metric in words. origins: setting -> where its value came
    from. curves: arm -> one curve per seed. served: setting -> value; profiles: the same by goal, where goals
    differ; recommended: goal -> setting -> value, what the tuned file gives each goal. not_served: what
    verdicts settled and nobody gets; no_file: why there is no tuned file, None where there is one.
    importance: setting -> share. command: reproduces the sweep. damaged: results that are not as they were
    written, where somebody looked. broken: why the run ended early, where it did.
    held: what a script's arms were seen to spend, by question; None for our own engines. beside: what the
    variations do to the metrics that do not decide; None where one metric is judged. movements: of a crossed
    study, whether the best level moves; None where that was not asked. takes: time and memory of what learns,
    None where that is no factor. anew: by question, which later study answered it anew; None where none did.
    spent: on its trials so far. asked_next: settings that are open and that the study which follows asks
    about; following: its command.
    """

    headline: str = ""
    sweep: str
    sweep_id: str
    question: str
    scenario: str
    stage: str
    metric: MetricRow
    judged_on: str
    margin: Margin | None
    counts: Counts
    verdicts: tuple[Verdict, ...]
    baseline: Mapping[str, Any]
    origins: Mapping[str, Origin]
    arms: tuple[ArmRow, ...]
    curves: Mapping[str, tuple[tuple[CurvePoint, ...], ...]]
    served: Mapping[str, Any]
    profiles: Mapping[str, Mapping[str, Any]]
    recommended: Mapping[str, Mapping[str, Any]]
    not_served: tuple[NotServed, ...]
    no_file: Reason | None = field(metadata=WORDS)
    frontier: tuple[FrontierPoint, ...]
    importance: Mapping[str, float]
    search: SearchRow | None
    moderators: tuple[ModeratorRow, ...]
    signs: tuple[SignRow, ...]
    truncation: Truncation | None
    failures: tuple[FailureRow, ...]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    command: str
    damaged: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)
    broken: str | None = field(default=None, metadata=OPTIONAL)
    held: tuple[HeldRow, ...] | None = field(default=None, metadata=OPTIONAL)
    beside: tuple[BesideRow, ...] | None = field(default=None, metadata=OPTIONAL)
    movements: tuple[MovementRow, ...] | None = field(default=None, metadata=OPTIONAL)
    takes: tuple[TakesRow, ...] | None = field(default=None, metadata=OPTIONAL)
    anew: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)
    spent: Spent = field(default_factory=Spent, metadata=LEFT_OUT)
    asked_next: tuple[str, ...] = field(default=(), metadata=LEFT_OUT)
    following: str = field(default="", metadata=LEFT_OUT)

    @property
    def scale(self) -> Scale:
        """How gains over the study's default are told."""
        return told_in(self.margin)

    @property
    def final(self) -> bool:
        """Whether the sweep has reached its verdicts."""
        return self.stage == Stage.DONE

    @property
    def exit_code(self) -> int:
        """0, or 3 when trials failed: the verdicts stand on what is left."""
        return 3 if self.counts.failed else 0
