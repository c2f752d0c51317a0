"""Where a sweep stands, and what a decision needs to know beside the trials' results. Values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.costs import CostRatio, Timing
from bios_sweep.decision.finding import Finding, Margin
from bios_sweep.decision.question import Question
from bios_sweep.decision.rows import BesideRow
from bios_sweep.procedure.spending import Budgets
from bios_sweep.reasons import Reason
from bios_sweep.study.arms import Arm
from bios_sweep.study.search import Proposal
from bios_sweep.study.trials import TrialResult, TrialSpec

Results = Mapping[str, TrialResult]


def no_clusters(_key: str, _file: str) -> None:
    """Evaluations by cluster where none were kept."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What was found out outside the trials.

    timing: of the probe. proposals: of the joint search so far. importance: of the searched settings.
    clusters: trial key and file -> its evaluation by cluster, where it was kept. stopped: arms that somebody
    stopped by hand.
    """

    timing: Timing | None = None
    proposals: tuple[Proposal, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    clusters: Callable[[str, str], ClusterSums | None] = no_clusters
    stopped: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Search:
    """The joint search of the factors that moved.

    ranges: setting -> the tested levels around its best. start: the screened winners. arms: one per
    proposal, in order. wanted: proposals still to be asked for. winner: the arm that leads once all have
    ended, None when none beats the default. gain: the winner's, percent, on the search's own seed: the
    estimate that flatters. importance: setting -> share of what makes proposals good.
    """

    ranges: Mapping[str, tuple[float, float]]
    start: Mapping[str, Any]
    arms: tuple[Arm, ...] = ()
    wanted: int = 0
    winner: Arm | None = None
    gain: float | None = None
    importance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a sweep stands.

    stage: screening, refinement, confirmation or done. needed: all trials the sweep needs as far as is
    known now, in the order to run them. missing: those without a result. findings: by question, as far
    as it is decided. screening: the findings of the shared seeds alone. margins: by question. extra_arms:
    arms that no variation names (a combination, the default trained for another level's cost, proposals).
    served: factor -> value that may be served as a default (confirmed or refined). profiles: profile ->
    factor -> value, where it differs from what is served to everyone. withheld: question -> why the value
    that it settled is served to nobody. costs: arm -> time over the default's.
    untested: arm -> how its trials failed, of levels that failed at every seed. halted: arms that were
    stopped by hand and lack a trial. seen: what a script's arms
    were seen to spend, by question. before: what the rule of before says, where it was changed after results
    were seen. beside: what variations do to the metrics that do not decide. waits: of a crossed study the
    keys that each of its cells still lacked when this was decided. ahead: of `needed`, trials without a
    result that a later stage needs whatever the missing ones come to: begun where a worker has nothing else
    to do, and waited for by no decision of this stage.
    """

    stage: str
    needed: tuple[TrialSpec, ...]
    missing: tuple[TrialSpec, ...]
    findings: Mapping[Question, Finding] = field(default_factory=dict)
    screening: Mapping[Question, Finding] = field(default_factory=dict)
    margin: Margin | None = None
    margins: Mapping[Question, Margin] = field(default_factory=dict)
    combination: Arm | None = None
    extra_arms: tuple[Arm, ...] = ()
    served: Mapping[str, Any] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    withheld: Mapping[Question, Reason] = field(default_factory=dict)
    costs: Mapping[str, CostRatio] = field(default_factory=dict)
    search: Search | None = None
    untested: Mapping[str, str] = field(default_factory=dict)
    halted: frozenset[str] = frozenset()
    seen: Mapping[Question, Budgets] = field(default_factory=dict)
    before: Mapping[Question, Finding] = field(default_factory=dict)
    beside: tuple[BesideRow, ...] = ()
    waits: tuple[frozenset[str], ...] = field(default=(), compare=False)
    ahead: tuple[TrialSpec, ...] = ()
