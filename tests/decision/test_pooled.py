"""When the arms of a family share one error, and that a noisy default is seen as any noisy level is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bios_sweep.decision.pooled import alike, pooled_error, ratio_point
from tests.decision.test_contrasts import contrasts


def test_the_error_is_that_of_the_blocked_models_residuals():
    values = np.array([[100, 100, 100], [99, 98, 97], [101, 100, 102]], dtype=float)
    row, column, grand = (100, 98, 101), values.mean(axis=0), values.mean()
    residuals = sum((values[a, s] - row[a] - column[s] + grand) ** 2 for a in range(3) for s in range(3))
    assert pooled_error(values) == pytest.approx(math.sqrt(residuals / 4) * math.sqrt(2 / 3))
    assert pooled_error(np.array([[2.1, 2.2, 2.7, 2.31]] * 3)) == 0  # exactly, not within rounding


@pytest.mark.parametrize(("arms", "seeds"), [(3, 5), (5, 3), (5, 8), (12, 5), (5, 110)])
def test_one_noise_is_called_different_in_about_one_study_in_a_hundred(arms, seeds):
    studies = 3000
    drawn = np.random.default_rng(2).normal(size=(studies, arms, seeds))
    called = sum(not alike(sample) for sample in drawn) / studies
    assert called == pytest.approx(0.01, abs=4 * math.sqrt(0.01 * 0.99 / studies))


@pytest.mark.parametrize("noisy", [0, 2])
def test_a_default_eight_times_as_noisy_is_seen_as_a_level_is(noisy):
    drawn = np.random.default_rng(3).normal(size=(300, 7, 5))
    drawn[:, noisy] *= 8
    assert sum(not alike(sample) for sample in drawn) > 0.9 * 300


def test_arms_that_are_equal_do_not_divide_and_are_unlike_one_that_differs():
    same = np.array([[2.1, 2.2, 2.7, 2.31]] * 4)
    with np.errstate(all="raise"):
        assert alike(same)
        assert not alike(np.vstack([same, [[2.0, 2.6, 2.1, 2.4]]]))


def family_error(values, family):
    """How often some pair of arms with no true difference is told apart."""
    wrong = 0
    for sample in values:
        own = contrasts(100 + sample)
        names = own.blocks.arms
        pairs = [(a, b) for a in names for b in names if a != b]
        wrong += any(own.among(a, b, names, family).lower > 0 for a, b in pairs)
    return wrong / len(values)


def test_differences_of_a_family_keep_their_rate_under_a_noisy_default_and_pooling_always_does_not(
    monkeypatch,
):
    """The second half is the meta-test: with one error whatever the noise, the rate is three times alpha."""
    values = np.random.default_rng(7).normal(size=(400, 7, 5))
    values[:, 0] *= 8
    kept = family_error(values, 7)
    monkeypatch.setattr("bios_sweep.decision.contrasts.alike", lambda values: True)
    assert kept <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400) < family_error(values, 7)


def test_two_arms_are_always_alike_and_the_point_is_the_same_every_time():
    assert alike(np.random.default_rng(0).normal(size=(2, 3)) * [[1.0], [1000.0]])
    before = ratio_point(5, 5)
    ratio_point.cache_clear()
    assert ratio_point(5, 5) == before


def test_the_point_of_many_seeds_is_that_of_all_their_values(monkeypatch):
    """Their products are drawn instead; two simulations of 20,000 differ by .5 % here."""
    quick = ratio_point(3, 110)
    ratio_point.cache_clear()
    monkeypatch.setattr("bios_sweep.decision.pooled.MANY_SEEDS", 110)
    assert quick == pytest.approx(ratio_point(3, 110), rel=0.015)
    ratio_point.cache_clear()
