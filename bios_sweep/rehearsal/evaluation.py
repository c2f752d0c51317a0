"""The evaluation set of a rehearsal: how far a gain on it may lie from that on another of its kind. Pure.

docs/statistics.md, item 4: where the examples come in clusters, bounds have their error, and fresh seeds meet
the same clusters again. So has a rehearsal: every simulated sweep draws an evaluation set of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bios_sweep.checks import positive
from bios_sweep.decision.clusters import ClusterSums, ClusterTable
from bios_sweep.decision.table import Floats
from bios_sweep.errors import InputError
from bios_sweep.jsonable import LEFT_OUT
from bios_sweep.procedure.decidable import DIFFERING, LASTING
from bios_sweep.rehearsal.noise import EARLIER, GIVEN, GUESS
from bios_sweep.study.design import MIDDLE
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import evaluation_file

# So many clusters move a gain as much as the noise of one trial. Measured: the embedded model, learning rates
# x0.5 and x2, three seeds of 100 steps, 0.047 % over 125 documents beside a noise of 0.049 %.
AS_NOISE = 125


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is taken of the evaluation set.

    clusters: documents, modules or conversations that its examples come from. percent: standard error of a
    gain over other evaluation sets of the kind, percent. source: given, earlier sweeps or guess. sweeps: ids
    that it was estimated from. tokens: of every cluster, shape (G,); all alike where nobody knows.
    """

    clusters: int
    percent: float
    source: str
    sweeps: tuple[str, ...] = ()
    tokens: tuple[float, ...] = field(default=(), metadata=LEFT_OUT)

    @property
    def sizes(self) -> Floats:
        """Tokens of the clusters, shape (G,)."""
        return np.asarray(self.tokens or (1.0,) * self.clusters, dtype=np.float64)

    def drawn(self, random: np.random.Generator) -> Floats:
        """By how much an arm does better in every cluster than it does everywhere, percent, shape (G,).

        A gain is a difference of two arms, each of which has half of its variance.
        """
        shares = self.sizes / self.sizes.sum()
        each = self.percent / math.sqrt(2.0 * float(shares @ shares))
        return np.asarray(each * random.standard_normal(self.clusters), dtype=np.float64)

    def sums(self, level: float, sign: float, gain: float, deviations: Floats) -> ClusterSums:
        """A trial's evaluation by cluster. gain: percent, as it is everywhere; level: the default's."""
        tokens = self.sizes
        return ClusterSums(nats=tokens * level * (1.0 + sign * (gain + deviations) / 100.0), tokens=tokens)

    def mean(self, deviations: Floats) -> float:
        """What they come to on the whole set, percent."""
        return float(self.sizes @ deviations / self.sizes.sum())


def has_clusters(plan: Plan) -> bool:
    """Whether the study's bounds will have the error over clusters."""
    study = plan.study
    file = evaluation_file(study.metric.name, study.scenario.data.score)
    return study.decision.scope != "evaluation" and file is not None and _clusters(plan) > 0


def evaluation_of(
    plan: Plan, tables: Mapping[str, Sequence[ClusterTable]], noise: float, percent: float | None = None
) -> Evaluation | None:
    """What a rehearsal takes of the plan's evaluation set; None where its verdicts are about this set alone.

    tables: sweep id -> its trials by cluster. noise: of one trial, percent, by which a guess goes. percent:
    as `Evaluation.percent`, where the user knows it.

    Raises:
        InputError: a percent that is none, or for a study without clusters.
    """
    if percent is not None:
        positive("--evaluation-error", percent, InputError)
        if not has_clusters(plan):
            raise InputError(
                "--evaluation-error: the clusters of the evaluation examples are not known here, or "
                "decision.scope=evaluation leaves them out; leave the flag out"
            )
    if not has_clusters(plan):
        return None
    count = _clusters(plan)
    used = {sweep: own for sweep, own in tables.items() if own}
    sizes = tuple(next((own[0].tokens for own in used.values()), np.ones(0)).tolist())
    tokens = sizes if len(sizes) == count else ()
    if percent is not None:
        return Evaluation(clusters=count, percent=percent, source=GIVEN, tokens=tokens)
    seen = [table.variance({arm: 1.0, table.arms[0]: -1.0}) for own in used.values() for table in own
            for arm in table.arms[1:]]  # fmt: skip
    if seen and (mean := float(np.mean(seen))) > 0:
        found = math.sqrt(mean)
        return Evaluation(clusters=count, percent=found, source=EARLIER, sweeps=tuple(used), tokens=tokens)
    return Evaluation(clusters=count, percent=_guess(plan, noise), source=GUESS, tokens=tokens)


def _clusters(plan: Plan) -> int:
    return plan.study.scenario.data.clusters_of(plan.study.metric.name)


def _guess(plan: Plan, noise: float) -> float:
    """Of a score what `plan` reckons with, too: by its items and how many of them differ."""
    study = plan.study
    score = study.scenario.data.score
    if score is None or study.metric.name != score.metric:
        return noise * math.sqrt(AS_NOISE / _clusters(plan))
    differing = study.decision.differing or DIFFERING
    return 100.0 * math.sqrt(differing * LASTING / score.items) / MIDDLE
