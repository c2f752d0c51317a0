"""One plan without cells with all that is known of it: what every decision of the procedure rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.fresh import Guard
from bios_sweep.decision.question import Question
from bios_sweep.decision.table import ResultTable
from bios_sweep.procedure.questions import questions
from bios_sweep.procedure.state import Known, Results
from bios_sweep.procedure.tables import guards_of, sums_of, table_of
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A plan, its results, and what else is known. tried: variations of the whole study, all its cells."""

    plan: Plan
    results: Results
    known: Known
    tried: int

    @property
    def rule(self) -> DecisionRule:
        """The study's decision rule."""
        return self.plan.study.decision

    @cached_property
    def asked(self) -> tuple[Question, ...]:
        """The plan's questions."""
        return questions(self.plan)

    def missing(self, trials: Sequence[TrialSpec]) -> tuple[TrialSpec, ...]:
        """Those of the trials that have no result yet."""
        return tuple(trial for trial in trials if trial.key not in self.results)


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """What the trials on fresh seeds came to.

    guards: the metrics that must not lose. sums: (arm, seed) -> evaluation by cluster.
    """

    table: ResultTable
    guards: tuple[Guard, ...]
    sums: Mapping[tuple[str, int], ClusterSums]


def fresh_of(cell: Cell, trials: Sequence[TrialSpec]) -> Fresh:
    """The confirmation's trials as its tests read them."""
    return Fresh(
        table=table_of(cell.plan, trials, cell.results),
        guards=guards_of(cell.plan, trials, cell.results, cell.known),
        sums=sums_of(cell.plan, trials, cell.results, cell.known),
    )


def joined(needed: Sequence[TrialSpec], trials: Sequence[TrialSpec]) -> tuple[TrialSpec, ...]:
    """One trial may be wanted by two arms of equal settings; it runs, and counts, once."""
    first = {trial.key: trial for trial in (*trials, *needed)}
    order = dict.fromkeys(trial.key for trial in (*needed, *trials))
    return tuple(first[key] for key in order)
