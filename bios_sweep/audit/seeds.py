"""Weaknesses of the seeds: too few, not shared, without effect, lost."""

from __future__ import annotations

import statistics

from bios_sweep.audit.blocks_of_runs import NO_SHARED_SEED, Sorted, count_runs
from bios_sweep.audit.flaw import CAUTION, NOTE, SERIOUS, Flaw, new_flaw, some
from bios_sweep.audit.runs import RunTable
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
    if len(runs.screening.seeds) > 1 or runs.constant:
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


def seeds_that_seed_nothing(runs: Sorted) -> list[Flaw]:
    """Values that do not vary over the seeds."""
    if runs.constant:
        return [
            new_flaw(
                "zero_variance",
                SERIOUS,
                "the differences between arms are the same at every seed, so the seeds seed nothing: this is "
                "one measurement, and it has no error estimate",
            )
        ]
    values = runs.values
    same = [arm for arm, own in values.items() if len(own) > 1 and len(set(own)) == 1]
    if not same:
        return []
    severity = SERIOUS if len(same) == len(values) else CAUTION
    sentence = f"the metric is identical at every seed in {some(same)}: the seed changed nothing there"
    return [new_flaw("identical_over_seeds", severity, sentence, same)]


def seeds_not_shared(runs: Sorted) -> list[Flaw]:
    """Arms and seeds that cannot be paired."""
    found = []
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
