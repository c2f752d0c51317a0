from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bios_sweep.decision.bounds import (
    dunnett,
    paired_bound,
    pooled_error,
    student,
    unequal_variances,
    variance_ratio_point,
)
from bios_sweep.decision.table import Blocks
from bios_sweep.study.scenario import Metric
from tests.decision.reference_bounds import gain_bounds

ACCURACY = Metric(name="accuracy", direction="maximize", unit="points")


def blocks(values, metric=None):
    array = np.array(values, dtype=np.float64)
    arms = ("baseline", *(f"arm {index}" for index in range(1, len(array))))
    return Blocks(
        arms=arms, seeds=tuple(range(array.shape[1])), values=array, dropped=(), metric=metric or Metric()
    )


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


def test_bounds_of_a_study_worked_by_hand():
    """Two arms of two variations at three seeds.

    Differences in percent of the mean 100: arm 1 gains (1, 2, 3), arm 2 (-1, 0, -2). Row means of the
    values are 100, 98, 101; seed means differ by 0. Residual sum of squares of the three arms:
    """
    values = [[100, 100, 100], [99, 98, 97], [101, 100, 102]]
    study = blocks(values)
    table = np.array(values, dtype=float)
    row, column, grand = (100, 98, 101), table.mean(axis=0), table.mean()
    residuals = sum((table[a, s] - row[a] - column[s] + grand) ** 2 for a in range(3) for s in range(3))
    error = math.sqrt(residuals / (2 * 2)) * math.sqrt(2 / 3)  # nu = (A - 1)(S - 1) = 4, scale 100 / 100
    assert pooled_error(study) == pytest.approx(error)
    first, second = gain_bounds(study, 0.05)
    assert (first.arm, second.arm) == ("arm 1", "arm 2")
    assert (first.gain, second.gain) == pytest.approx((2.0, -1.0))
    assert first.lower == pytest.approx(2 - dunnett(0.05, 2, 4) * error)
    assert first.upper == pytest.approx(2 + 2.1318467863 * error)
    assert second.upper - second.gain == pytest.approx(first.upper - first.gain)
    assert first.pooled
    assert second.pooled


def test_a_shift_of_a_whole_seed_leaves_the_standard_error():
    values = np.random.default_rng(0).normal(2.0, 0.1, size=(5, 4))
    shifted = values + np.array([0.0, 5.0, -1.0, 0.3])
    same_scale = values.mean(axis=1)[0] / shifted.mean(axis=1)[0]
    assert pooled_error(blocks(shifted)) == pytest.approx(pooled_error(blocks(values)) * same_scale)


def test_a_higher_accuracy_is_a_gain_and_a_higher_loss_is_not():
    values = [[50, 50, 52], [55, 56, 57]]
    (accuracy,) = gain_bounds(blocks(values, ACCURACY), 0.05)
    (loss,) = gain_bounds(blocks(values), 0.05)
    assert accuracy.gain > 0
    assert loss.gain == -accuracy.gain
    assert accuracy.lower == pytest.approx(-loss.upper)  # with one variation both bounds are Student's


def test_unequal_variances_fall_back_to_each_arms_own_paired_t():
    random = np.random.default_rng(1)
    baseline = random.normal(100, 0.001, size=6)
    quiet, noisy = baseline - 1 + random.normal(0, 0.001, 6), baseline + random.normal(0, 3, 6)
    study = blocks([baseline, quiet, noisy])
    assert unequal_variances(study.gains())
    first, second = gain_bounds(study, 0.05)
    assert not first.pooled
    assert not second.pooled
    assert first.lower > 0.9  # pooled with the noisy arm it could show nothing
    own = study.gains()[0]
    error = own.std(ddof=1) / math.sqrt(6)
    assert first.lower == pytest.approx(own.mean() - stats.t.ppf(1 - 0.05 / 2, 5) * error)
    assert first.upper == pytest.approx(own.mean() + stats.t.ppf(1 - 0.05, 5) * error)


def test_equal_variances_are_called_unequal_in_about_one_study_in_a_hundred():
    random = np.random.default_rng(2)
    studies = 3000
    noise = random.normal(size=(studies, 5, 5))
    called = sum(unequal_variances(sample[1:] - sample[0]) for sample in noise) / studies
    assert called == pytest.approx(0.01, abs=4 * math.sqrt(0.01 * 0.99 / studies))


def test_zero_variance_does_not_divide():
    with np.errstate(all="raise"):
        bounds = gain_bounds(blocks([[2, 2, 2], [1, 1, 1], [2, 2, 2]]), 0.05)
        assert [(b.lower, b.gain, b.upper) for b in bounds] == [(50, 50, 50), (0, 0, 0)]
        one_twin = gain_bounds(blocks([[2.0, 2.1, 2.2], [2.0, 2.1, 2.2], [2.3, 2.2, 2.1]]), 0.05)
        assert one_twin[0].lower == one_twin[0].upper == 0
        assert one_twin[1].lower < one_twin[1].gain < one_twin[1].upper
        twins = blocks([[2.1, 2.2, 2.7, 2.31]] * 3)
        assert pooled_error(twins) == 0  # exactly, not within rounding
        assert paired_bound("twin", np.zeros(3), 0.05).standard_error == 0


def test_bounds_refuse_what_has_no_variance():
    with pytest.raises(ValueError, match="at least 1 variation and 2 seeds, not 1 and 1"):
        gain_bounds(blocks([[1.0], [2.0]]), 0.05)
    with pytest.raises(ValueError, match="not 0 and 3"):
        gain_bounds(blocks([[1.0, 2.0, 3.0]]), 0.05)


def test_the_confirmation_bound_is_the_paired_t_of_scipy():
    gains = np.array([0.4, 1.1, 0.9, 0.2, 1.4])
    bound = paired_bound("arm", gains, 0.05)
    reference = stats.ttest_1samp(gains, 0.0, alternative="greater").confidence_interval(0.95)
    assert bound.lower == pytest.approx(reference.low)
    assert bound.upper - bound.gain == pytest.approx(bound.gain - bound.lower)
