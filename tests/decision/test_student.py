"""Student's quantile is scipy's, for every chance and number of degrees of freedom that a bound may ask."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import special

from bios_sweep.decision.student import student_quantile

FREEDOMS = (1, 1.3, 2, 2.37, 4, 7, 12, 19.5, 30, 79.9, 80.1, 400, 19_999, 20_001, 1e6)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_a_quantile_is_scipys(freedom):
    for chance in (
        1e-40,
        1e-19,
        1e-9,
        0.0007,
        0.05 / 3,
        0.05,
        0.4999,
        0.5,
        0.51,
        0.9,
        0.975,
        1 - 0.05 / 330,
        1 - 1e-6,
    ):
        found = student_quantile(chance, freedom)
        assert found == pytest.approx(special.stdtrit(freedom, chance), rel=1e-12), chance


def test_a_quantile_is_scipys_also_between_the_round_numbers():
    some = np.random.default_rng(0)
    for freedom in np.exp(some.uniform(math.log(0.8), math.log(1e5), 400)).tolist():
        for chance in (some.uniform(1e-4, 1 - 1e-4), 1 - 10 ** some.uniform(-9, -1)):
            found = student_quantile(chance, freedom)
            assert found == pytest.approx(special.stdtrit(freedom, chance), rel=1e-12), (chance, freedom)


def test_the_ends_are_infinite_and_nonsense_is_no_number():
    assert (student_quantile(1.0, 4), student_quantile(0.0, 4)) == (math.inf, -math.inf)
    for chance, freedom in ((1.2, 4), (-0.1, 4), (math.nan, 4), (0.9, 0), (0.9, math.nan)):
        assert math.isnan(student_quantile(chance, freedom))


def test_a_bound_is_had_without_scipy():
    code = "import sys; from bios_sweep.decision.bounds import student; student(0.05, 4)"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'scipy' not in sys.modules"], check=True)
