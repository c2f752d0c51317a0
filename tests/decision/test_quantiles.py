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
        close(quantiles.chi_square_quantile(chance, freedom), stats.chi2.ppf(chance, freedom))
        close(quantiles.beta_quantile(chance, freedom, 3), stats.beta.ppf(chance, freedom, 3))
    close(quantiles.normal_quantile(chance), stats.norm.ppf(chance))


def test_a_chance_is_that_of_scipys_distribution():
    at = np.linspace(-6, 6, 25)
    close(quantiles.normal_chance(at), stats.norm.cdf(at))
    for count, expected in ((1, 0.01), (2, 0.3), (7, 5.0)):
        close(quantiles.at_least(count, expected), stats.poisson.sf(count - 1, expected))


FAMILIES = [(2, 2), (3, 4), (5, 16), (6, 3.7), (12, 44), (30, 2), (30, 290)]


@pytest.mark.parametrize(("arms", "freedom"), FAMILIES)
def test_tukeys_quantile_has_its_chance_by_scipys_studentized_range(arms, freedom):
    for alpha in (0.05, 0.05 / 3, 0.0028, 2.5e-4):
        width = tukey(alpha, arms, freedom) * np.sqrt(2.0)
        assert stats.studentized_range.sf(width, arms, freedom) == pytest.approx(alpha, abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 1.5, 2, 7, 29.9, 30, 100, 1000])
def test_two_arms_have_students_quantile_however_rare_the_error(freedom):
    for alpha in (0.9, 0.2, 0.05, 0.0014, 0.0007, 0.0003, 0.0001, 1e-5, 1e-6):
        assert tukey(alpha, 2, freedom) == pytest.approx(stats.t.isf(alpha / 2, freedom), rel=1e-8)


def test_six_arms_with_one_degree_of_freedom_have_scipys_quantile():
    """Of rarer errors scipy's own chance is wrong there: 3e-11 for 2.5e-4."""
    for alpha in (0.05, 0.0028):
        theirs = stats.studentized_range.isf(alpha, 6, 1)
        assert tukey(alpha, 6, 1) * np.sqrt(2.0) == pytest.approx(theirs, rel=1e-8)


def close(ours, scipys):
    np.testing.assert_allclose(ours, scipys, rtol=1e-12, atol=1e-300)
