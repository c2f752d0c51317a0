"""The quantiles that bounds rest on are those of scipy.stats, and come without its import."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bios_sweep.decision import quantiles
from bios_sweep.decision.pooled import tukey

CHANCES = (0.001, 0.05 / 3, 0.05, 0.5, 0.9, 1 - 0.05 / 3, 0.975, 1 - 0.05 / 330, 1 - 1e-6)
FREEDOMS = (1, 2, 2.37, 4, 7, 19.5, 400)


@pytest.mark.parametrize("chance", CHANCES)
def test_a_quantile_is_that_of_scipys_distribution(chance):
    for freedom in FREEDOMS:
        close(quantiles.student_quantile(chance, freedom), stats.t.ppf(chance, freedom))
        close(quantiles.chi_square_quantile(chance, freedom), stats.chi2.ppf(chance, freedom))
        close(quantiles.beta_quantile(chance, freedom, 3), stats.beta.ppf(chance, freedom, 3))
    close(quantiles.normal_quantile(chance), stats.norm.ppf(chance))


def test_a_chance_is_that_of_scipys_distribution():
    at = np.linspace(-6, 6, 25)
    close(quantiles.normal_chance(at), stats.norm.cdf(at))
    for count, expected in ((1, 0.01), (2, 0.3), (7, 5.0)):
        close(quantiles.at_least(count, expected), stats.poisson.sf(count - 1, expected))


@pytest.mark.parametrize(("arms", "freedom"), [(2, 2), (3, 4), (5, 16), (6, 3.7), (12, 44), (30, 290)])
def test_tukeys_quantile_has_its_chance_by_scipys_studentized_range(arms, freedom):
    for alpha in (0.05, 0.05 / 3, 0.001):
        width = tukey(alpha, arms, freedom) * np.sqrt(2.0)
        assert stats.studentized_range.sf(width, arms, freedom) == pytest.approx(alpha, abs=1e-9)


def test_two_arms_have_students_quantile():
    assert tukey(0.05, 2, 7) == pytest.approx(stats.t.ppf(0.975, 7), rel=1e-10)


def close(ours, scipys):
    np.testing.assert_allclose(ours, scipys, rtol=1e-12, atol=1e-300)
