"""The interval between tested levels in which the best one lies."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from bios_sweep.decision.bracket import bracket_of
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.table import Blocks
from bios_sweep.study.scenario import Metric

GRID = (1.0, 0.125, 0.25, 0.5, 2.0, 4.0, 8.0)  # the default first
ARMS = {level: "baseline" if level == 1.0 else f"x{level:g}" for level in GRID}
FEW, MANY = 300, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))


def study(percent, random=None, sigma=0.0, seeds=5, gone=()):
    """percent: level -> true loss above the best."""
    levels = [level for level in GRID if level not in gone]
    drawn = random.normal(0, sigma, (len(levels), seeds)) if random else np.zeros((len(levels), seeds))
    values = 2.0 * (1 + (drawn + np.array([percent[level] for level in levels])[:, None]) / 100)
    blocks = Blocks(
        arms=tuple(ARMS[level] for level in levels),
        seeds=tuple(range(seeds)),
        values=values,
        dropped=(),
        metric=Metric(),
    )
    return Contrasts(blocks=blocks, alpha=0.05, tried=len(levels) - 1)


def bowl(top, curvature=0.8):
    """Percent above the best, `curvature` per squared doubling."""
    return {level: curvature * math.log2(level / top) ** 2 for level in GRID}


def test_without_noise_the_bracket_is_the_best_levels_neighbours():
    assert bracket_of(ARMS, study(bowl(2.0))) == (1.0, 4.0)


def test_levels_that_are_as_good_widen_it():
    assert bracket_of(ARMS, study({**bowl(2.0), 1.0: 0.0})) == (0.5, 4.0)


def test_an_end_that_the_grid_leaves_open_is_none():
    assert bracket_of(ARMS, study(bowl(8.0))) == (4.0, None)
    assert bracket_of(ARMS, study(bowl(0.125))) == (None, 0.25)


def test_a_diverged_level_closes_the_grid():
    assert bracket_of(ARMS, study(bowl(4.0), gone=(8.0,))) == (2.0, 8.0)


def test_one_seed_or_one_finite_level_has_no_bracket():
    assert bracket_of(ARMS, study(bowl(2.0), seeds=1)) is None
    assert bracket_of(ARMS, study(bowl(2.0), gone=GRID[1:])) is None


def test_the_order_of_levels_changes_nothing_and_noise_only_widens():
    quiet = bracket_of(ARMS, study(bowl(2.0)))
    noisy = study(bowl(2.0), np.random.default_rng(1), 0.5)
    low, high = bracket_of(ARMS, noisy)
    assert low <= quiet[0] < quiet[1] <= high
    assert bracket_of(dict(reversed(ARMS.items())), noisy) == (low, high)


def neighbours(own):
    """Of the best mean alone, as if it were known to be the best."""
    best = max(own.blocks.arms, key=lambda arm: own.over(arm, "baseline").gain)
    levels = sorted(GRID)
    place = next(index for index, level in enumerate(levels) if ARMS[level] == best)
    return (
        levels[place - 1] if place else None,
        levels[place + 1] if place + 1 < len(levels) else None,
    )


def covered(sweeps, find=lambda own: bracket_of(ARMS, own)):
    """Share of brackets that hold the true optimum, which lies anywhere inside the grid; with a wall."""
    random = np.random.default_rng(2)
    inside = 0
    for _ in range(sweeps):
        top = 2.0 ** random.uniform(-2, 2)
        gone = tuple(level for level in GRID if level > max(1.0, 3 * top))
        low, high = find(study(bowl(top, 0.3), random, 0.9, gone=gone))
        inside += (low is None or low <= top) and (high is None or top <= high)
    return inside / sweeps


def test_the_bracket_covers_the_true_optimum():
    assert covered(FEW) >= 0.95


def test_the_neighbours_of_the_best_mean_alone_would_cover_it_too_rarely():
    assert covered(FEW, neighbours) < 0.92


@pytest.mark.slow
def test_the_bracket_covers_the_true_optimum_in_many_sweeps():
    share, alone = covered(MANY), covered(MANY, neighbours)
    print(f"covered {share:.4f}, by the best mean's neighbours {alone:.4f}, n {MANY}")
    assert share >= 0.95


def test_an_end_beyond_which_there_is_nothing_closes_it():
    ranks = {1.0: "baseline", 0.125: "x0.125", 0.25: "x0.25", 0.5: "x0.5"}
    found = study(bowl(0.125), gone=(2.0, 4.0, 8.0))
    assert bracket_of(ranks, found) == (None, 0.25)
    assert bracket_of(ranks, found, ends=(0.125,)) == (0.125, 0.25)
    assert bracket_of(ranks, study(bowl(0.25), gone=(2.0, 4.0, 8.0)), ends=(0.125,)) == (0.125, 0.5)
