"""Version 1 of the rule: what it was stays what it was, for the sweeps that began under it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bios_sweep.decision.bounds import student
from bios_sweep.decision.earlier_rule import PooledContrasts, dunnett, unequal_variances, variance_ratio_point
from tests.decision.test_contrasts import contrasts, noise, told


@pytest.mark.parametrize(
    ("k", "seeds", "quantile"),
    [(4, 3, 2.55), (4, 5, 2.34), (4, 8, 2.26), (11, 3, 2.65), (11, 5, 2.56), (11, 8, 2.52)],
)
def test_dunnett_equals_the_published_table(k, seeds, quantile):
    assert dunnett(0.05, k, k * (seeds - 1)) == pytest.approx(quantile, abs=0.006)


def test_dunnett_against_one_arm_is_students_t():
    for nu in (1, 2, 4, 30):
        assert dunnett(0.05, 1, nu) == student(0.05, nu) == pytest.approx(stats.t.ppf(0.95, nu))


def test_dunnett_lies_between_the_uncorrected_and_the_bonferroni_quantile_and_grows_with_the_arms():
    for alpha in (0.05, 0.05 / 3):
        quantiles = [dunnett(alpha, k, 12) for k in (1, 2, 4, 11, 40)]
        assert quantiles == sorted(quantiles)
        for k, quantile in zip((2, 4, 11, 40), quantiles[1:], strict=True):
            assert student(alpha, 12) < quantile < student(alpha / k, 12)


@pytest.mark.parametrize(("k", "per_arm", "shift"), [(1, 4, 1.2), (3, 4, 1.2), (4, 6, 1.2), (11, 3, 2.0)])
def test_dunnett_equals_scipy_in_the_unblocked_case(k, per_arm, shift):
    """The p-value scipy gives the largest statistic is the alpha whose quantile is that statistic."""
    random = np.random.default_rng(k)
    control, *treated = random.normal(size=(k + 1, per_arm))
    treated = [sample + shift for sample in treated]
    reference = stats.dunnett(*treated, control=control, alternative="greater", random_state=1)
    nu = (k + 1) * (per_arm - 1)
    alpha = float(reference.pvalue.min())
    assert 0.004 < alpha < 0.4
    # scipy integrates by quasi Monte Carlo: its p-values scatter by about 1e-3
    largest = float(reference.statistic.max())
    low, high = (dunnett(alpha + error, k, nu) for error in (2e-3, -2e-3))
    assert low <= largest <= high


@pytest.mark.parametrize(
    ("k", "seeds", "point", "tolerance"),
    # At 3 seeds the tail is heavy: 532 and 2266 are means of 5 simulations of 400 000 studies (within 1 %).
    [
        (4, 3, 532, 0.05),
        (4, 5, 37, 0.03),
        (4, 8, 11, 0.03),
        (11, 3, 2266, 0.05),
        (11, 5, 82, 0.03),
        (11, 8, 19, 0.03),
    ],
)
def test_the_variance_ratio_point_equals_the_table(k, seeds, point, tolerance):
    assert variance_ratio_point(k, seeds) == pytest.approx(point, rel=tolerance)


def test_two_contrasts_in_the_variance_ratio_agree_with_the_f_distribution_up_to_their_correlation():
    """Independent contrasts would follow max(F, 1/F); a shared baseline pulls the variances together."""
    seeds = 8
    independent = stats.f.ppf(1 - 0.01 / 2, seeds - 1, seeds - 1)
    assert 0.6 * independent < variance_ratio_point(2, seeds) < independent


def test_one_error_is_pooled_over_the_study_worked_by_hand():
    """Two arms of two variations at three seeds; residuals of the blocked model, nu = (A - 1)(S - 1) = 4."""
    values = np.array([[100, 100, 100], [99, 98, 97], [101, 100, 102]], dtype=float)
    row, column, grand = (100, 98, 101), values.mean(axis=0), values.mean()
    residuals = sum((values[a, s] - row[a] - column[s] + grand) ** 2 for a in range(3) for s in range(3))
    error = math.sqrt(residuals / 4) * math.sqrt(2 / 3)
    own = contrasts(values, kind=PooledContrasts)
    first, second = (own.over(arm, "baseline") for arm in ("arm 1", "arm 2"))
    assert first.pooled
    assert first.lower == pytest.approx(2 - dunnett(0.05, 2, 4) * error)
    assert first.upper == pytest.approx(2 + 2.1318467863 * error)
    assert second.upper - second.gain == pytest.approx(first.upper - first.gain)
    among = own.among("arm 1", "arm 2", ("arm 1", "arm 2"), 3)
    assert among.upper - among.gain == pytest.approx(
        stats.studentized_range.ppf(0.95, 3, 4) / math.sqrt(2) * error
    )


def test_where_variances_differ_each_arm_has_its_own_paired_t():
    values = noise(1, arms=3, seeds=6)
    values[2] += 1000 * np.random.default_rng(1).normal(0, 0.01, 6)
    bound = contrasts(values, kind=PooledContrasts).over("arm 1", "baseline")
    gains = contrasts(values).per_seed({"arm 1": 1.0, "baseline": -1.0})
    width = stats.t.ppf(1 - 0.05 / 2, 5) * gains.std(ddof=1) / math.sqrt(6)
    assert not bound.pooled
    assert told(bound)[1] == pytest.approx(gains.mean() - width)


def test_equal_variances_are_called_unequal_in_about_one_study_in_a_hundred():
    studies = 3000
    drawn = np.random.default_rng(2).normal(size=(studies, 5, 5))
    called = sum(unequal_variances(sample[1:] - sample[0]) for sample in drawn) / studies
    assert called == pytest.approx(0.01, abs=4 * math.sqrt(0.01 * 0.99 / studies))
