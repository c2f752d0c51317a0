"""From loose runs to a table that can be judged: one outcome per arm and seed, and what is left out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bios_sweep.audit.runs import ArmSet, RunTable
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.errors import InputError
from bios_sweep.reasons import Kind, Reason
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
    constant: nothing varies over the seeds, so one of them was kept.
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

    @property
    def compared(self) -> tuple[str, ...]:
        """The arms beside the baseline that take part."""
        return self.screening.arms[1:]


def sort_runs(table: RunTable, arms: ArmSet) -> Sorted:
    """Put runs into arms x seeds.

    Raises:
        InputError: an arm has a seed twice, or several runs and no seeds; the baseline has no run.
    """
    stages, retried = _outcomes(table, arms)
    screened = stages.get(Stage.SCREENING, {})
    names = [arm.name for arm in arms.arms]
    ran = _seeds_of(screened)
    baseline = names[0]
    if baseline not in ran:
        raise InputError(f"{table.source}: the baseline {baseline!r} has no run in the screening stage")
    others = [name for name in names[1:] if name in ran]
    seeds = _shared_seeds(ran, baseline, others)
    aside = {name: reason for name in others if (reason := _why_aside(screened, ran[name], seeds, name))}
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
        missing={name: lack for name in (baseline, *kept) if (lack := _lack(screened, name, seeds))},
        retried=retried,
        overlapping=tuple(sorted(_confirmed_seeds(stages) & frozenset(every))),
        values={name: _usable(screened, name, seeds) for name in (baseline, *kept)},
        diverged=tuple(name for name in (baseline, *kept) if screening.diverged(name)),
    )
    return _one_of_constant(result)


def _usable(outcomes: Outcomes, name: str, seeds: Sequence[int]) -> tuple[float, ...]:
    found = map(outcomes.get, ((name, seed) for seed in seeds))
    return tuple(outcome.value for outcome in found if outcome is not None and outcome.usable)


def hardware_of(table: RunTable) -> tuple[str, ...]:
    """The device classes that the table tells of."""
    columns = table.contexts.get("hardware", {}).values()
    return tuple(sorted({text for column in columns for text in column if text}))


def _outcomes(table: RunTable, arms: ArmSet) -> tuple[dict[str, dict[tuple[str, int], Outcome]], int]:
    """Stage -> outcomes, and how many failed runs a later one of the same arm and seed replaced."""
    seeds = table.seeds if table.seeds is not None else _only_runs(table, arms)
    keys = list(zip(table.stages, arms.of_run, seeds, strict=True))
    outcomes = list(map(_outcome, table.statuses, table.values))
    kept = dict(zip(keys, outcomes, strict=True))
    retried = len(keys) - len(kept)
    if retried:
        kept = _without_retries(table, keys, outcomes)
    stages: dict[str, dict[tuple[str, int], Outcome]] = defaultdict(dict)
    for (stage, arm, seed), outcome in kept.items():
        stages[stage][arm, seed] = outcome
    return stages, retried


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
        "keep one, or tell their settings apart"
    )


def _only_runs(table: RunTable, arms: ArmSet) -> tuple[int, ...]:
    """Without seeds every arm may have one run: all of one unknown seed."""
    amounts = Counter(zip(table.stages, arms.of_run, strict=True))
    (_, arm), most = amounts.most_common(1)[0]
    if most > 1:
        raise InputError(
            f"{table.source}: arm {arm!r} has {most} runs and no column 'seed' tells them apart; name it "
            "with --seed COL (runs without seeds cannot be paired)"
        )
    return (0,) * table.rows


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
    there = sum(seed in own for seed in seeds)
    if not there:
        return NO_SHARED_SEED()
    if there < SHARED * len(seeds):
        return FEW_SHARED_SEEDS(there=there, seeds=len(seeds))
    if all(outcomes[name, seed].status == Status.FAILED for seed in own):
        return NO_FINISHED_RUN()
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
    """Whether every arm differs from the baseline by the same amount at every seed, and some differ at all.

    Equal arms (a difference of exactly 0) are no such case: a repeated default is equal on purpose.
    """
    baseline = table.arms[0]
    moved = False
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
