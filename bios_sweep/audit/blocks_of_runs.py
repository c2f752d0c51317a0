"""From loose runs to a table that can be judged: one outcome per arm and seed, and what is left out."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bios_sweep.audit.runs import ArmSet, RunTable
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.errors import InputError
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.metric_names import direction_of
from bios_sweep.vocabulary import Stage, Status

NO_SHARED_SEED = Kind("shares no seed with the baseline")
FEW_SHARED_SEEDS = Kind("ran at {there} of {seeds} shared seeds")
NO_FINISHED_RUN = Kind("has no finished run")
SHARED = 0.8  # of the seeds; below that an arm is not compared (as MAX_DROPPED_SHARE of the blocks)
MAJORITY = 0.5  # of the arms must have run a seed for it to count as the table's (chosen, not measured)
CONSTANT = 1e-12  # relative spread below which seeds make no difference: rounding of doubles

Outcomes = Mapping[tuple[str, int], Outcome]


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """The runs in order.

    screening: baseline first, only arms that can be compared. fresh: rows of the confirmation stage.
    aside: arm -> why it is not compared. unused: seeds of the baseline or of others that are not shared.
    missing: arm -> shared seeds it lacks. retried: failed runs that a later one replaced.
    values: arm -> its usable values in the order of the seeds. diverged: arms that diverged at some seed.
    constant: nothing varies over the seeds, so one of them was kept. repeats: how many runs a setting has in
    a table without seeds, whose means are compared; 1 elsewhere. unpaired: no variation shares a seed with
    the baseline. screened: every outcome of the screening, those that are not compared too.
    """

    screening: ResultTable
    fresh: ResultTable | None
    aside: Mapping[str, Reason]
    unused: tuple[int, ...]
    missing: Mapping[str, tuple[int, ...]]
    retried: int
    overlapping: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    diverged: tuple[str, ...]
    constant: bool = False
    repeats: int = 1
    unpaired: bool = False
    screened: Outcomes = field(default_factory=dict)

    @property
    def compared(self) -> tuple[str, ...]:
        """The arms beside the baseline that take part."""
        return self.screening.arms[1:]


def sort_runs(table: RunTable, arms: ArmSet, ended: Collection[str] = ()) -> Sorted:
    """Put runs into arms x seeds. ended: arms that the looks of a sweep of ours let run no more.

    Raises:
        InputError: an arm has a seed twice; the baseline has no run.
    """
    stages, retried, repeats = _outcomes(table, arms)
    screened = stages.get(Stage.SCREENING, {})
    names = [arm.name for arm in arms.arms]
    ran = _seeds_of(screened)
    baseline = names[0]
    if baseline not in ran:
        raise InputError(f"{table.source}: the baseline {baseline!r} has no run in the screening stage")
    others = [name for name in names[1:] if name in ran]
    running = [name for name in others if name not in ended]
    seeds = _shared_seeds(ran, baseline, running)
    aside = {name: reason for name in running if (reason := _why_aside(screened, ran[name], seeds, name))}
    kept = [name for name in others if name not in aside]
    screening = ResultTable(
        arms=(baseline, *kept),
        seeds=seeds,
        outcomes=screened,
        metric=table.metric,
        untouched=table.untouched,
        hardware=hardware_of(table),
    )
    every = dict.fromkeys(seed for own in ran.values() for seed in own)
    inside = frozenset(seeds)
    result = Sorted(
        screening=screening,
        fresh=_fresh(table, stages.get(Stage.CONFIRMATION, {}), names, frozenset(every)),
        aside=aside,
        unused=tuple(seed for seed in every if seed not in inside),
        missing={
            name: lack
            for name in (baseline, *kept)
            if name not in ended and (lack := _lack(screened, name, seeds))
        },
        retried=retried,
        overlapping=tuple(sorted(_confirmed_seeds(stages) & frozenset(every))),
        values={name: _usable(screened, name, seeds) for name in (baseline, *kept)},
        diverged=tuple(name for name in (baseline, *kept) if screening.diverged(name)),
        repeats=repeats,
        unpaired=_unpaired(screened, baseline, others),
        screened=screened,
    )
    return _one_of_constant(result)


def _unpaired(outcomes: Outcomes, baseline: str, others: Sequence[str]) -> bool:
    """Whether no arm shares a seed with the baseline, though it and another ran at several."""
    own: dict[str, set[int]] = defaultdict(set)
    for (arm, seed), one in outcomes.items():
        if one.usable:
            own[arm].add(seed)
    apart = all(not own[baseline] & own[name] for name in others)
    return apart and len(own[baseline]) > 1 and any(len(own[name]) > 1 for name in others)


def _usable(outcomes: Outcomes, name: str, seeds: Sequence[int]) -> tuple[float, ...]:
    found = map(outcomes.get, ((name, seed) for seed in seeds))
    return tuple(outcome.value for outcome in found if outcome is not None and outcome.usable)


def hardware_of(table: RunTable) -> tuple[str, ...]:
    """The device classes that the table tells of."""
    columns = table.contexts.get("hardware", {}).values()
    return tuple(sorted({text for column in columns for text in column if text}))


def _outcomes(table: RunTable, arms: ArmSet) -> tuple[dict[str, dict[tuple[str, int], Outcome]], int, int]:
    """Stage -> outcomes, how many failed runs a later one of the same arm and seed replaced, and repeats."""
    if table.seeds is None:
        kept, repeats = _without_seeds(table, arms)
        return _by_stage(kept), 0, repeats
    keys = list(zip(table.stages, arms.of_run, table.seeds, strict=True))
    outcomes = list(map(_outcome, table.statuses, table.values))
    kept = dict(zip(keys, outcomes, strict=True))
    retried = len(keys) - len(kept)
    if retried:
        kept = _without_retries(table, keys, outcomes)
    return _by_stage(kept), retried, 1


def _by_stage(kept: Mapping[tuple[str, str, int], Outcome]) -> dict[str, dict[tuple[str, int], Outcome]]:
    stages: dict[str, dict[tuple[str, int], Outcome]] = defaultdict(dict)
    for (stage, arm, seed), outcome in kept.items():
        stages[stage][arm, seed] = outcome
    return stages


def _outcome(status: str, value: float) -> Outcome:
    return Outcome(status=status, value=value)


def _without_retries(
    table: RunTable, keys: Sequence[tuple[str, str, int]], outcomes: Sequence[Outcome]
) -> dict[tuple[str, str, int], Outcome]:
    """Of several runs of one arm and seed the one that has an outcome; two of those are an error."""
    rows: dict[tuple[str, str, int], int] = {}
    for row, key in enumerate(keys):
        before = rows.setdefault(key, row)
        if before == row or outcomes[row].status == Status.FAILED:
            continue
        if outcomes[before].status != Status.FAILED:
            raise InputError(_twice(table, key[1], key[2], before, row))
        rows[key] = row
    return {key: outcomes[row] for key, row in rows.items()}


def _twice(table: RunTable, arm: str, seed: int, first: int, second: int) -> str:
    places = f"{table.places[first]} and {table.places[second]}" if table.places else "two runs"
    return (
        f"{table.source}: {places} are both arm {arm!r}, seed {seed}; a repeated seed is not a replicate: "
        f"keep one, or tell their settings apart{_differing(table, first, second)}"
    )


def _differing(table: RunTable, first: int, second: int) -> str:
    """The columns taken for outcomes in which two runs of one arm and seed differ: one may be a setting."""
    metric = table.columns.value
    names = [
        name
        for name, cells in table.outcomes.items()
        if name != metric and cells[first] != cells[second] and direction_of(name) is None
    ]
    return f" (is one of {', '.join(names[:3])} a setting? say --setting COL)" if names else ""


def _without_seeds(table: RunTable, arms: ArmSet) -> tuple[dict[tuple[str, str, int], Outcome], int]:
    """Without seeds an arm's runs are replicates: their mean is one value, of one unknown seed.

    A run that diverged is its arm's outcome; a failed one counts where there is no other.
    """
    runs: dict[tuple[str, str, int], list[Outcome]] = defaultdict(list)
    for stage, arm, status, value in zip(
        table.stages, arms.of_run, table.statuses, table.values, strict=True
    ):
        runs[stage, arm, 0].append(_outcome(status, value))
    kept = {}
    for key, own in runs.items():
        usable = [one.value for one in own if one.usable]
        ended = [one for one in own if one.status != Status.FAILED and not one.usable]
        mean = Outcome(status=Status.COMPLETED, value=statistics.fmean(usable)) if usable else own[0]
        kept[key] = ended[0] if ended else mean
    return kept, max(sum(one.status != Status.FAILED for one in own) for own in runs.values())


def _seeds_of(outcomes: Outcomes) -> dict[str, dict[int, None]]:
    ran: dict[str, dict[int, None]] = defaultdict(dict)
    for arm, seed in outcomes:
        ran[arm][seed] = None
    return ran


def _shared_seeds(
    ran: Mapping[str, Mapping[int, None]], baseline: str, others: Sequence[str]
) -> tuple[int, ...]:
    """The baseline's seeds that most arms ran too; without any, the baseline's."""
    amounts = Counter(seed for name in others for seed in ran[name])
    shared = tuple(s for s in ran[baseline] if amounts[s] >= MAJORITY * len(others))
    return tuple(sorted(shared or ran[baseline]))


def _why_aside(outcomes: Outcomes, own: Collection[int], seeds: Sequence[int], name: str) -> Reason | None:
    """Why an arm cannot be compared; None where it can."""
    finished = {seed for seed in own if outcomes[name, seed].status != Status.FAILED}
    if not finished:
        return NO_FINISHED_RUN()
    there = sum(seed in finished for seed in seeds)
    if not there:
        return NO_SHARED_SEED()
    if there < SHARED * len(seeds):
        return FEW_SHARED_SEEDS(there=there, seeds=len(seeds))
    return None


def _lack(outcomes: Outcomes, name: str, seeds: Sequence[int]) -> tuple[int, ...]:
    found = zip(seeds, map(outcomes.get, ((name, seed) for seed in seeds)), strict=True)
    return tuple(seed for seed, outcome in found if outcome is None or outcome.status == Status.FAILED)


def _confirmed_seeds(stages: Mapping[str, Outcomes]) -> frozenset[int]:
    return frozenset(seed for _, seed in stages.get(Stage.CONFIRMATION, {}))


def _fresh(
    table: RunTable, outcomes: Outcomes, names: Sequence[str], used: Collection[int]
) -> ResultTable | None:
    """The confirmation stage, on seeds that no arm was chosen by."""
    ran = _seeds_of(outcomes)
    arms = tuple(name for name in names if name in ran)
    seeds = tuple(sorted(seed for seed in ran.get(names[0], ()) if seed not in used))
    if len(arms) < 2 or arms[0] != names[0] or len(seeds) < 2:
        return None
    return ResultTable(
        arms=arms, seeds=seeds, outcomes=outcomes, metric=table.metric, hardware=hardware_of(table)
    )


def _one_of_constant(runs: Sorted) -> Sorted:
    """When no difference of arms varies over the seeds there is one measurement, not several."""
    table = runs.screening
    if len(table.seeds) < 2 or not seeds_make_no_difference(table):
        return runs
    return replace(runs, screening=replace(table, seeds=table.seeds[:1]), constant=True)


def seeds_make_no_difference(table: ResultTable) -> bool:
    """Whether every arm differs from the baseline by the same amount at every seed.

    Arms that are equal to a baseline whose own value varies (a difference of exactly 0) are no such case: a
    repeated default is equal on purpose.
    """
    baseline = table.arms[0]
    own_values = [table.outcome(baseline, seed) for seed in table.seeds]
    told = [one.value for one in own_values if one.usable]
    moved = len(told) > 1 and len(set(told)) == 1 and len(table.arms) > 1
    for arm in table.arms[1:]:
        pairs = [(table.outcome(arm, seed), table.outcome(baseline, seed)) for seed in table.seeds]
        if any(own.status == Status.DIVERGED for own, _ in pairs):
            continue
        gaps = [own.value - base.value for own, base in pairs if own.usable and base.usable]
        size = max((abs(own.value) for own, base in pairs if own.usable and base.usable), default=0.0)
        if gaps and max(gaps) - min(gaps) > CONSTANT * size:
            return False
        moved = moved or any(gap != 0.0 for gap in gaps)
    return moved


def count_runs(table: RunTable) -> dict[str, int]:
    """Planned = completed + diverged + failed, as in every report."""
    ended = Counter(
        Status.DIVERGED if status == Status.COMPLETED and not math.isfinite(value) else status
        for status, value in zip(table.statuses, table.values, strict=True)
    )
    return {
        "planned": table.rows,
        Status.COMPLETED: ended[Status.COMPLETED],
        Status.DIVERGED: ended[Status.DIVERGED],
        Status.FAILED: ended[Status.FAILED],
    }
