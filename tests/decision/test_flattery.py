"""What one evaluation set adds to the gain of the level that it chose, and that fresh seeds keep it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.flattery import expected_largest, flattered, flattery
from bios_sweep.units import Scale

SWEEPS = 20_000


def excess(levels, own, noise, seeds=3, fresh=5):
    """Mean fresh-seed gain of the best of equal levels: `own` of the set and `noise` of a trial, per arm."""
    random = np.random.default_rng([levels, seeds])
    of_set = own * random.standard_normal((SWEEPS, levels + 1))
    shared, new = (
        noise / math.sqrt(count) * random.standard_normal((SWEEPS, levels + 1)) for count in (seeds, fresh)
    )
    gains = (of_set + shared)[:, 1:] - (of_set + shared)[:, :1]
    best = 1 + gains.argmax(axis=1)
    again = of_set + new
    rows = np.arange(SWEEPS)
    return float((again[rows, best] - again[:, 0]).mean())


@pytest.mark.parametrize("levels", [1, 2, 4, 8, 11])
def test_the_excess_is_the_error_times_the_largest_of_as_many_over_root_two(levels):
    own = 0.5
    error = own * math.sqrt(2.0)  # of a gain
    assert excess(levels, own, noise=0.0) == pytest.approx(flattery(error, levels), abs=0.015)


def test_seeds_that_choose_too_flatter_less_so_that_it_is_an_upper_bound():
    assert excess(4, 0.5, noise=0.5) < flattery(0.5 * math.sqrt(2.0), 4)


def test_the_largest_of_two_and_of_four_are_the_known_ones():
    assert expected_largest(1) == pytest.approx(0.0, abs=1e-9)
    assert expected_largest(2) == pytest.approx(1.0 / math.sqrt(math.pi))
    assert expected_largest(4) == pytest.approx(1.0294, abs=1e-4)


def test_it_is_told_where_the_set_is_the_larger_part_of_the_error_and_a_level_was_chosen():
    def bound(own, clusters=40):
        error = math.sqrt(0.05 + own)
        return Bound(
            arm="a", gain=2, lower=1, upper=3, standard_error=error, clusters=clusters, seeds=5, noise=0.25
        )

    assert "flatters the gain by up to about 0.23 %" in str(flattered(bound(0.1), 4, Scale()))
    assert flattered(bound(0.04), 4, Scale()) is None
    assert flattered(bound(0.1), 1, Scale()) is None
    assert flattered(bound(0.1, clusters=0), 4, Scale()) is None
