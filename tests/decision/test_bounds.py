from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bios_sweep.decision.bounds import moderated, paired_bound
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.table import Blocks
from bios_sweep.study.scenario import Metric

ACCURACY = Metric(name="accuracy", direction="maximize", unit="points")


def blocks(values, metric=None):
    array = np.array(values, dtype=np.float64)
    arms = ("baseline", *(f"arm {index}" for index in range(1, len(array))))
    return Blocks(
        arms=arms, seeds=tuple(range(array.shape[1])), values=array, dropped=(), metric=metric or Metric()
    )


def bounds_of(study):
    found = Contrasts(blocks=study, alpha=0.05, tried=len(study.arms) - 1)
    return tuple(found.over(arm, study.arms[0]) for arm in study.arms[1:])


def test_bounds_of_a_study_worked_by_hand():
    """Two variations at three seeds, differences in percent of the mean 100: (1, 2, 3) and (-1, 0, -2).

    Both have variance 1, so each leans on one of 1: w = 1, S + 1 = 4 degrees of freedom.
    """
    study = blocks([[100, 100, 100], [99, 98, 97], [101, 100, 102]])
    first, second = bounds_of(study)
    error = math.sqrt(1 / 3)
    assert (first.arm, second.arm) == ("arm 1", "arm 2")
    assert (first.gain, second.gain) == pytest.approx((2.0, -1.0))
    assert first.standard_error == pytest.approx(error)
    assert first.lower == pytest.approx(2 - stats.t.ppf(1 - 0.05 / 2, 4) * error)
    assert first.upper == pytest.approx(2 + 2.1318467863 * error)
    assert not first.pooled


@pytest.mark.parametrize(
    ("own", "others", "taken", "freedom"),
    [
        (1.0, [4.0], (2 * 4 + 2 * 1) / 4, 4),  # a quiet contrast leans on the others
        (4.0, [1.0], 4.0, 4),  # a noisy one keeps its own
        (1.0, [0.0, 0.0], 1.0, 2),  # arms that changed nothing say nothing of the noise
        (1.0, [0.0, 2.0, 3.0, 100.0], (2 * 3 + 2 * 1) / 4, 4),  # the median of the rest; one wild arm is one
        (0.0, [2.0], 1.0, 4),  # an equal arm is as uncertain as half of the others
        (0.0, [], 0.0, 2),
    ],
)
def test_a_variance_leans_on_the_median_of_the_others_and_is_never_below_its_own(own, others, taken, freedom):
    assert moderated(own, np.array(others), 2) == (pytest.approx(taken), freedom)


def test_one_contrast_is_the_paired_t_of_scipy():
    values = np.random.default_rng(3).normal(2.0, 0.1, size=(2, 5))
    (bound,) = bounds_of(blocks(values))
    reference = stats.ttest_rel(values[0], values[1], alternative="greater").confidence_interval(0.95)
    assert bound.lower == pytest.approx(100 * reference.low / values[0].mean())


def test_a_noisy_default_widens_every_bound_and_a_noisy_level_its_own():
    quiet = np.random.default_rng(1).normal(100, 0.01, size=(5, 6))
    loud = np.random.default_rng(2).normal(0, 3, 6)
    for noisy, widened in ((0, {1, 2, 3, 4}), (2, {2})):
        values = quiet.copy()
        values[noisy] += loud
        wide = {row for row, bound in enumerate(bounds_of(blocks(values)), 1) if bound.standard_error > 0.5}
        assert wide == widened


def test_a_shift_of_a_whole_seed_leaves_the_standard_error():
    values = np.random.default_rng(0).normal(2.0, 0.1, size=(5, 4))
    shifted = values + np.array([0.0, 5.0, -1.0, 0.3])
    scale = values[0].mean() / shifted[0].mean()
    for before, after in zip(bounds_of(blocks(values)), bounds_of(blocks(shifted)), strict=True):
        assert after.standard_error == pytest.approx(before.standard_error * scale)


def test_a_higher_accuracy_is_a_gain_and_a_higher_loss_is_not():
    values = [[50, 50, 52], [55, 56, 57]]
    (accuracy,) = bounds_of(blocks(values, ACCURACY))
    (loss,) = bounds_of(blocks(values))
    assert accuracy.gain > 0
    assert loss.gain == -accuracy.gain
    assert accuracy.lower == pytest.approx(-loss.upper)  # with one variation both bounds are Student's


def test_zero_variance_does_not_divide():
    with np.errstate(all="raise"):
        bounds = bounds_of(blocks([[2, 2, 2], [1, 1, 1], [2, 2, 2]]))
        assert [(b.lower, b.gain, b.upper) for b in bounds] == [(50, 50, 50), (0, 0, 0)]
        one_twin = bounds_of(blocks([[2.0, 2.1, 2.2], [2.0, 2.1, 2.2], [2.3, 2.2, 2.1]]))
        assert one_twin[0].gain == 0
        assert one_twin[0].lower < 0 < one_twin[0].upper  # an arm that changed nothing is not known to
        assert one_twin[1].lower < one_twin[1].gain < one_twin[1].upper
        twins = bounds_of(blocks([[2.1, 2.2, 2.7, 2.31]] * 3))
        assert [bound.standard_error for bound in twins] == [0, 0]  # exactly, not within rounding
        assert paired_bound("twin", np.zeros(3), 0.05).standard_error == 0


def test_the_confirmation_bound_is_the_paired_t_of_scipy():
    gains = np.array([0.4, 1.1, 0.9, 0.2, 1.4])
    bound = paired_bound("arm", gains, 0.05)
    reference = stats.ttest_1samp(gains, 0.0, alternative="greater").confidence_interval(0.95)
    assert bound.lower == pytest.approx(reference.low)
    assert bound.upper - bound.gain == pytest.approx(bound.gain - bound.lower)
