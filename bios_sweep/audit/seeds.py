"""Weaknesses of the seeds: too few, not shared, without effect, lost."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence

from bios_sweep.audit.blocks_of_runs import NO_SHARED_SEED, Sorted, count_runs
from bios_sweep.audit.flaw import CAUTION, NOTE, SERIOUS, Flaw, new_flaw, some
from bios_sweep.audit.odd_runs import Collapsed, Copies, is_coarse
from bios_sweep.audit.runs import ArmSet, RunTable
from bios_sweep.study.metric_names import direction_of
from bios_sweep.tables.column_names import plain_name
from bios_sweep.units import PERCENT, Scale
from bios_sweep.vocabulary import Status


def wrong_winner(arms: int) -> float:
    """How often picking the best of that many equal arms picks another than the default.

    Under no effect every arm is the best with the same probability 1 / arms, whatever the noise.
    """
    return 1.0 - 1.0 / arms


def winner_gain(arms: int) -> float:
    """How much the best of that many equal arms beats their mean by, in standard deviations of one value.

    The expected largest of n standard normal numbers, by its integral (trapezoids, within 1e-6).
    """
    step, total, normal = 0.01, 0.0, statistics.NormalDist()
    for place in range(-900, 901):
        below = normal.cdf(place * step)
        total += (1.0 - below**arms if place >= 0 else -(below**arms)) * step
    return total - (0.5 * step if arms else 0.0)


def too_few(runs: Sorted) -> list[Flaw]:
    """One arm, or one seed."""
    tried = 1 + len(runs.compared) + len(runs.aside)
    if tried == 1:
        return [new_flaw("one_arm", SERIOUS, "the table has one arm: there is nothing to compare it with")]
    if len(runs.screening.seeds) > 1 or runs.constant or runs.repeats > 1:
        return []
    return [
        new_flaw(
            "winner_of_one_seed",
            SERIOUS,
            f"one seed: it picks the best of {tried:,} arms on one seed, which is wrong in "
            f"{100 * wrong_winner(tried):.0f} % of sweeps without any effect, and its winner then looks "
            f"better than the average arm by {winner_gain(tried):.1f} standard deviations of the noise",
        )
    ]


def seeds_that_seed_nothing(table: RunTable, arms: ArmSet, runs: Sorted) -> list[Flaw]:
    """Values that do not vary over the seeds; a metric that is told and does vary is named."""
    if runs.constant:
        finer = _moved_by_seeds(table, arms)
        other = f"; judge by one that varies with the seed: --value {finer}" if finer else ""
        return [
            new_flaw(
                "zero_variance",
                SERIOUS,
                f"the differences between arms are the same at every seed, {_why(runs)}: this is "
                f"one measurement, and it has no error estimate{other}",
            )
        ]
    values = runs.values
    same = [arm for arm, own in values.items() if len(own) > 1 and len(set(own)) == 1]
    if not same:
        return []
    severity = SERIOUS if len(same) == len(values) else CAUTION
    changed = "the seed changed nothing there"
    why = f"its values are coarse ({_shown(values[same[0]][0])}), or {changed}" if _coarse(runs) else changed
    sentence = f"the metric is identical at every seed in {some(same)}: {why}"
    return [new_flaw("identical_over_seeds", severity, sentence, same)]


def _moved_by_seeds(table: RunTable, arms: ArmSet) -> str | None:
    """Another outcome, of a known direction, that is not the same in all runs of some arm."""
    for name, cells in table.outcomes.items():
        told: dict[str, set[float]] = defaultdict(set)
        for arm, value in zip(arms.of_run, cells, strict=True):
            told[arm] |= {value} if math.isfinite(value) else set()
        if direction_of(name) is not None and any(len(own) > 1 for own in told.values()):
            return name
    return None


def _why(runs: Sorted) -> str:
    if _coarse(runs):
        return "so either the metric is too coarse to show noise or the seeds seed nothing"
    return "so the seeds seed nothing"


def _coarse(runs: Sorted) -> bool:
    return is_coarse([value for own in runs.values.values() for value in own])


def _shown(value: float) -> str:
    return f"{value:.6g}"


def without_seeds(table: RunTable, arms: ArmSet, runs: Sorted, scale: Scale) -> list[Flaw]:
    """Repeats of a setting in a table that names no seeds, with the noise they show."""
    if runs.repeats < 2:
        return []
    own: dict[str, list[float]] = defaultdict(list)
    for arm, status, value in zip(arms.of_run, table.statuses, table.values, strict=True):
        if status == Status.COMPLETED and math.isfinite(value):
            own[arm].append(value)
    repeated = [values for values in own.values() if len(values) > 1]
    base = statistics.fmean(own[runs.screening.arms[0]]) if own[runs.screening.arms[0]] else 0.0
    noise = ""
    if repeated and base:
        variance = sum(statistics.variance(values) * (len(values) - 1) for values in repeated)
        spread = math.sqrt(variance / sum(len(values) - 1 for values in repeated))
        noise = f", whose standard deviation within a setting is {scale.told(100 * spread / abs(base)):.2g}"
    sentence = (
        f"up to {runs.repeats} runs of one setting and no seeds to pair them by{noise}: screening only; name "
        "the column of seeds or folds with --seed COL, or run the default and the best at the same seeds"
    )
    return [new_flaw("repeats_without_seeds", SERIOUS, sentence)]


def collapsed(found: Sequence[Collapsed], scale: Scale) -> list[Flaw]:
    """Runs far below the others of their arm."""
    if not found:
        return []
    worst = min(found, key=lambda one: one.away)
    runs = "1 run lies" if len(found) == 1 else f"{len(found)} runs lie"
    sentence = (
        f"{runs} far below the others of the arm: {some(f'{one.arm} at seed {one.seed}' for one in found)} "
        f"({_away(worst, scale)}); see why before more seeds are run"
    )
    return [new_flaw("collapsed_runs", SERIOUS, sentence, dict.fromkeys(one.arm for one in found))]


def _away(one: Collapsed, scale: Scale) -> str:
    """`-24.0 % of the default's mean`, `-12.0 points`: how far a run lies from its arm's median."""
    of = " of the default's mean" if scale.unit == PERCENT else ""
    return f"{scale.told(one.away):+.1f}{of}"


def copied(found: Copies | None) -> list[Flaw]:
    """Runs that agree to the last digit under different seeds."""
    if found is None:
        return []
    own = found.arms[0] if found.arms[0] == found.arms[1] else " and ".join(found.arms)
    told = "; a copy is no replicate and does not count" if found.sure and found.rows else ""
    sentence = (
        f"{' and '.join(found.where)} ({own}, seeds {found.seeds[0]} and {found.seeds[1]}) tell the same in "
        f"every digit, {found.amount:,} such in all: copies, or a seed that seeds nothing{told}"
    )
    severity = SERIOUS if found.sure else CAUTION
    return [new_flaw("copies", severity, sentence, dict.fromkeys(found.arms))]


def rows_for_seeds(table: RunTable, runs: Sorted) -> list[Flaw]:
    """Numbers of rows or of repetitions that were taken for seeds, so that pairs mean nothing."""
    column = table.columns.seed
    if column is None or runs.unpaired or len(runs.screening.seeds) < 2 or "seed" in plain_name(column):
        return []
    sentence = (
        f"paired by {column!r}, whose name is no seed's: if it only numbers the runs, the runs that it pairs "
        "have nothing in common, and the bounds rest on chance pairs"
    )
    return [new_flaw("rows_for_seeds", CAUTION, sentence)]


def seeds_not_shared(runs: Sorted) -> list[Flaw]:
    """Arms and seeds that cannot be paired."""
    found = []
    if runs.unpaired:
        sentence = (
            "no arm shares a seed with the default: runs are unpaired and judged by each arm's own spread, "
            "which is wider than that of pairs"
        )
        return [new_flaw("unpaired_seeds", CAUTION, sentence)]
    apart = [arm for arm, reason in runs.aside.items() if reason.kind == NO_SHARED_SEED]
    if apart:
        sentence = (
            f"{some(apart)}: no seed is shared with the baseline, so the runs are unpaired and not compared"
        )
        found.append(new_flaw("seeds_not_shared", SERIOUS, sentence, apart))
    few = [arm for arm in runs.aside if arm not in apart]
    if few:
        reason = runs.aside[few[0]]
        found.append(new_flaw("unequal_seeds", CAUTION, f"not compared: {some(few)} ({reason})", few))
    if runs.missing:
        lost = sorted({seed for seeds in runs.missing.values() for seed in seeds})
        planned = len(runs.screening.seeds)
        sentence = (
            f"{some(runs.missing)}: without a result at seed {some(lost)}; "
            f"{len(lost)} of {planned} seeds are dropped for every arm, never filled in"
        )
        found.append(new_flaw("missing_seeds", CAUTION, sentence, tuple(runs.missing)))
    if runs.unused and not apart:
        sentence = f"seed {some(runs.unused)} is not in most arms or not in the baseline and stays unused"
        found.append(new_flaw("unequal_seeds", NOTE, sentence))
    return found


def lost_runs(table: RunTable, runs: Sorted) -> list[Flaw]:
    """Runs that diverged, failed or were run again."""
    found = []
    counts = count_runs(table)
    diverged = runs.diverged
    if diverged:
        sentence = f"diverged, so never recommended and ranked worst: {some(diverged)}"
        found.append(new_flaw("diverged", CAUTION, sentence, diverged))
    if counts[Status.FAILED]:
        sentence = (
            f"{counts['failed']:,} of {counts['planned']:,} runs have no outcome (failed, stopped early, "
            "still running, or no value)"
        )
        found.append(new_flaw("failed_runs", CAUTION, sentence))
    if runs.retried:
        sentence = (
            f"{runs.retried:,} runs without outcome share arm and seed with another run; that one counts"
        )
        found.append(new_flaw("retried", NOTE, sentence))
    return found
