"""Whether the best level moves with another setting: brackets, power laws through them, one level for all."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from bios_sweep.decision.drift import LadderCell, Place, drift_of
from bios_sweep.decision.drift import _slopes as slopes
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word

RANKS = (4, 8, 16, 32, 64, 128)
RATES = tuple(2.0**power for power in range(-4, 4))
FEW, MANY = 20, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "2000"))


def cell(at, best, random, *, curve=0.5, sigma=0.1, seeds=3, diverged=(), margin=1.0, uneven=1.0):
    """A ladder whose loss is a parabola of `curve` percent per squared doubling from `best`.

    uneven: how many times as noisy the two largest rates are.
    """
    arms = {rate: f"x{rate:g}" for rate in sorted(RATES, key=lambda rate: rate != 1.0)}
    shared = random.normal(0, 1.0, seeds)
    outcomes = {}
    for rate, arm in arms.items():
        loss = curve * math.log2(rate / best) ** 2
        noise = sigma * (uneven if rate >= RATES[-2] else 1.0)
        for seed in range(seeds):
            value = 2.0 * (1 + (loss + shared[seed] + random.normal(0, noise)) / 100)
            status = Status.DIVERGED if rate in diverged else Status.COMPLETED
            outcomes[arm, seed] = Outcome(status=status, value=value)
    table = ResultTable(
        arms=tuple(arms.values()), seeds=tuple(range(seeds)), outcomes=outcomes, metric=Metric()
    )
    return LadderCell(at=at, levels=arms, table=table, margin=margin)


def study(slope, random, **how):
    return [cell(rank, 2.0 ** (slope * math.log2(rank / 32)), random, **how) for rank in RANKS]


def test_a_best_rate_that_stays_is_confirmed_and_what_it_may_move_by_is_bounded():
    found = drift_of(study(0.0, np.random.default_rng(0)), 0.05)
    assert (found.word, found.moves, found.level) == (Word.CONFIRM, False, 1.0)
    lower, upper = found.per_doubling
    assert 0.7 < lower < 1.0 < upper < 1.4
    assert 0 <= found.loss < 1.0


def test_a_best_rate_that_doubles_with_every_doubling_moves():
    found = drift_of(study(1.0, np.random.default_rng(1)), 0.05)
    assert (found.word, found.moves, found.bent) == (Word.REFINE, True, False)
    lower, upper = found.per_doubling
    assert 1.0 < lower < 2.0 < upper
    assert found.loss > 1.0


def test_a_rate_that_moves_by_less_than_matters_still_serves_all():
    found = drift_of(study(1.0, np.random.default_rng(2), curve=0.02, sigma=0.002), 0.05)
    assert (found.word, found.moves) == (Word.CONFIRM, True)


def test_noise_that_hides_all_is_inconclusive_and_open_ends_stay_open():
    found = drift_of(study(0.0, np.random.default_rng(3), sigma=20.0), 0.05)
    assert (found.word, found.per_doubling) == (Word.INCONCLUSIVE, (None, None))


def test_a_rate_that_diverges_somewhere_closes_that_bracket_and_serves_nobody():
    random = np.random.default_rng(4)
    cells = [cell(4, 1.0, random, diverged=(1.0, 2.0, 4.0, 8.0)), cell(8, 1.0, random)]
    found = drift_of(cells, 0.05)
    assert found.places[0].high == 1.0
    assert 1.0 not in found.places[0].losses
    assert found.level == 0.5


def test_a_cell_without_two_seeds_or_a_single_cell_says_nothing():
    random = np.random.default_rng(5)
    assert drift_of([cell(4, 1.0, random)], 0.05) is None
    assert drift_of([cell(4, 1.0, random), cell(8, 1.0, random, seeds=1)], 0.05) is None


def test_the_slopes_are_those_of_all_lines_through_the_brackets():
    """Held against a search over lines on a fine grid."""
    random = np.random.default_rng(6)
    for _ in range(20):
        middle = random.normal(0, 1, 4).cumsum() / 3
        ends = [(m - width, m + width) for m, width in zip(middle, random.uniform(0.5, 1.5, 4), strict=True)]
        places = [
            Place(at=at, low=2.0**low, high=2.0**high, best=1.0, losses={}, margin=1.0)
            for at, (low, high) in zip((4, 8, 32, 64), ends, strict=True)
        ]
        grid = np.linspace(-3, 3, 6001)
        x = np.array([2.0, 3.0, 5.0, 6.0])
        low, high = np.array(ends).T
        feasible = (low[:, None] - grid * x[:, None]).max(axis=0) < (high[:, None] - grid * x[:, None]).min(
            axis=0
        )
        least, largest = slopes(places)
        if not feasible.any():
            assert least >= largest - 2e-3
        else:
            assert (least, largest) == pytest.approx((grid[feasible].min(), grid[feasible].max()), abs=2e-3)


def wrong(sweeps, slope, **how):
    """Shares of studies that say it moves, that bounds miss the slope, and that confirm."""
    random = np.random.default_rng(7)
    moved = missed = confirmed = 0
    for _ in range(sweeps):
        found = drift_of(study(slope, random, **how), 0.05)
        lower, upper = found.per_doubling
        moved += found.moves
        missed += not ((lower or 0.0) < 2.0**slope < (upper or math.inf))
        confirmed += found.word == Word.CONFIRM
    return moved / sweeps, missed / sweeps, confirmed / sweeps


def test_it_seldom_moves_where_it_stays():
    moved, missed, _ = wrong(FEW, 0.0, sigma=1.0)
    assert moved <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / FEW)
    assert missed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / FEW)


def test_by_best_means_alone_a_best_rate_that_stays_would_move():
    """The meta-test: the neighbours of the best mean, without bounds, in the worlds of the test above."""
    random = np.random.default_rng(7)
    found = [drift_of(study(0.0, random, sigma=1.0), 0.05) for _ in range(FEW)]
    bests = [[place.best for place in one.places] for one in found]
    assert sum(max(best) / 2 >= min(best) * 2 for best in bests) > 0.2 * FEW


@pytest.mark.slow
@pytest.mark.parametrize("uneven", [1.0, 4.0])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("slope", [0.0, 0.15, 0.5, 1.0])
def test_the_rates_of_error_hold(slope, sigma, uneven):
    moved, missed, confirmed = wrong(MANY, slope, sigma=sigma, uneven=uneven)
    rates = f"moves {moved:.3f}, missed {missed:.3f}, confirm {confirmed:.3f}"
    print(f"slope {slope}, noise {sigma} % (x{uneven:g}): {rates}")
    assert missed <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / MANY)
    if slope == 0.0:
        assert moved <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / MANY)
