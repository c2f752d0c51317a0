"""Differences of arms with their bounds: by hand, against scipy, and under what must change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bios_sweep.claims import CLAIMS, OPTIMUM
from bios_sweep.decision.bounds import Bound, student
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.pooled import pooled_error, tukey
from bios_sweep.decision.table import Blocks, Outcome, ResultTable
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word
from tests.answers import answer
from tests.decision.reference_bounds import gain_bounds

ENOUGH = CLAIMS["enough"]

FEW = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 10_000)
ALL = ("baseline", "arm 1", "arm 2", "arm 3")


def contrasts(values, arms=None, tried=None, alpha=0.05, kind=Contrasts, **more):
    array = np.array(values, dtype=np.float64)
    names = arms or ("baseline", *(f"arm {row}" for row in range(1, len(array))))
    blocks = Blocks(arms=names, seeds=tuple(range(array.shape[1])), values=array, dropped=(), metric=Metric())
    return kind(blocks=blocks, alpha=alpha, tried=tried or len(array) - 1, **more)


def noise(seed, arms=4, seeds=5):
    return 2.0 + np.random.default_rng(seed).normal(0, 0.01, (arms, seeds))


def told(bound):
    return (bound.gain, bound.lower, bound.upper)


@pytest.mark.parametrize("noisy", [1.0, 1000.0])
@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_over_the_baseline_equals_the_bounds_of_gains(seeds, noisy):
    values = noise(seeds, seeds=seeds)
    values[2] += noisy * np.random.default_rng(1).normal(0, 0.01, seeds)
    own = contrasts(values)
    reference = gain_bounds(own.blocks, 0.05)
    for bound in reference:
        found = own.over(bound.arm, "baseline")
        assert (found.arm, found.seeds) == (bound.arm, bound.seeds)
        for name in ("gain", "lower", "upper", "standard_error", "spread", "noise"):
            assert getattr(found, name) == pytest.approx(getattr(bound, name), rel=1e-12)


def test_a_weighted_contrast_by_hand():
    """Arm 1 over a mean of two others: it leans on what arm 3 shows against the same mean."""
    values = noise(3)
    own = contrasts(values)
    bound = own.weighted("arm 1", {"arm 1": 1.0, "baseline": -0.25, "arm 2": -0.75})
    scale, mean = -100 / values[0].mean(), 0.25 * values[0] + 0.75 * values[2]
    loss, other = scale * (values[1] - mean), scale * (values[3] - mean)
    w = max((2 * other.var(ddof=1) + 4 * loss.var(ddof=1)) / 6, loss.var(ddof=1))
    error = math.sqrt(w / 5)
    assert bound.standard_error == pytest.approx(error)
    assert bound.gain == pytest.approx(loss.mean())
    assert bound.lower == pytest.approx(bound.gain - student(0.05 / 3, 6) * error)
    assert bound.upper == pytest.approx(bound.gain + student(0.05, 6) * error)


def test_each_reference_has_a_set_of_contrasts_of_its_own():
    """The default is noisy: what is compared with it leans on that, what is compared with arm 1 does not."""
    values = noise(4, arms=6)
    values[0] += 50 * np.random.default_rng(5).normal(0, 0.01, 5)
    own = contrasts(values)
    assert own.over("arm 2", "arm 1").noise < own.over("arm 2", "baseline").noise / 100


def test_arms_that_run_no_more_still_tell_of_the_noise_of_what_is_compared_with_the_default():
    values = noise(6, arms=3)
    gone = {"gone": Bound(arm="gone", gain=0.0, lower=-1.0, upper=0.2, standard_error=1.0, spread=1e6)}
    alone, leaning = contrasts(values), contrasts(values, before=gone)
    spread = alone.over("arm 2", "baseline").spread
    expected = (2 * (spread + 1e6) / 2 + 4 * alone.over("arm 1", "baseline").spread) / 6
    assert leaning.over("arm 1", "baseline").noise == pytest.approx(expected)
    assert leaning.over("arm 1", "arm 2") == alone.over("arm 1", "arm 2")


def test_weights_that_do_not_sum_to_0_are_refused():
    with pytest.raises(ValueError, match=r"sum to 0, not 0\.5"):
        contrasts(noise(0)).weighted("x", {"arm 1": 1.0, "baseline": -0.5})


@pytest.mark.parametrize(("arms", "nu"), [(3, 4), (5, 16), (9, 32)])
def test_tukey_equals_the_studentized_range(arms, nu):
    assert stats.studentized_range.sf(tukey(0.05, arms, nu) * math.sqrt(2), arms, nu) == pytest.approx(0.05)
    assert tukey(0.05, 2, nu) == pytest.approx(stats.t.ppf(0.975, nu), rel=1e-5)


def test_tukeys_interval_equals_scipy_in_the_unblocked_equivalent():
    samples = np.random.default_rng(5).normal(size=(4, 6))
    interval = stats.tukey_hsd(*samples).confidence_interval(0.95)
    error = math.sqrt(2 * samples.var(axis=1, ddof=1).mean() / 6)
    width = tukey(0.05, 4, 4 * 5) * error
    assert width == pytest.approx((interval.high[0, 1] - interval.low[0, 1]) / 2, rel=1e-4)


def test_among_is_tukey_with_the_blocked_error_of_the_family():
    values = noise(6, arms=5)
    values[4] *= 1.5  # of another factor, and noisier
    own = contrasts(values)
    bound = own.among("arm 1", "arm 2", ("baseline", "arm 1", "arm 2", "arm 3"), 4)
    error = pooled_error(100 * values[:4] / values[0].mean())
    width = tukey(0.05, 4, 12) * error
    assert told(bound) == pytest.approx((bound.gain, bound.gain - width, bound.gain + width))


def test_among_arms_whose_noise_differs_is_the_pairs_own_t_with_bonferronis_correction():
    values = noise(6)
    values[3] += 1000 * np.random.default_rng(1).normal(0, 0.01, 5)
    own = contrasts(values)
    bound = own.among("arm 1", "arm 2", ALL, 4)
    gains = own.per_seed({"arm 1": 1.0, "arm 2": -1.0})
    width = student(0.05 / 12, 4) * gains.std(ddof=1) / math.sqrt(5)
    assert told(bound) == pytest.approx((bound.gain, bound.gain - width, bound.gain + width))


@FEW
@given(seed=SEEDS, order=st.permutations([1, 2, 3]), places=st.permutations(range(5)))
def test_the_order_of_arms_and_seeds_changes_nothing(seed, order, places):
    values = noise(seed)
    rows = [0, *order]
    moved = contrasts(values[rows][:, places], ("baseline", *(f"arm {row}" for row in order)))
    for method in (lambda c: c.over("arm 1", "arm 3"), lambda c: c.among("arm 2", "baseline", ALL, 4)):
        assert told(method(moved)) == pytest.approx(told(method(contrasts(values))), abs=1e-9)


@FEW
@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_the_unit_of_the_loss_changes_nothing(seed, scale):
    values = noise(seed)
    first, second = contrasts(values).over("arm 1", "arm 2"), contrasts(scale * values).over("arm 1", "arm 2")
    assert told(second) == pytest.approx(told(first), abs=1e-9)


@FEW
@given(seed=SEEDS)
def test_a_shift_of_a_seed_that_keeps_the_baselines_mean_changes_nothing(seed):
    values = noise(seed)
    shifted = values + np.array([0.5, -0.5, 0.25, -0.25, 0.0])
    first, second = contrasts(values).over("arm 1", "arm 2"), contrasts(shifted).over("arm 1", "arm 2")
    assert told(second) == pytest.approx(told(first), abs=1e-9)


@FEW
@given(seed=SEEDS)
def test_swapping_two_arms_turns_the_sign(seed):
    own = contrasts(noise(seed), tried=1)  # one variation: both bounds are Student's
    pair = contrasts(noise(seed)[1:3])  # of more arms each reference has its own contrasts to lean on
    there, back = pair.over("arm 1", "baseline"), pair.over("baseline", "arm 1")
    assert told(back) == pytest.approx((-there.gain, -there.upper, -there.lower))
    tukeys = own.among("arm 1", "arm 2", ALL, 4), own.among("arm 2", "arm 1", ALL, 4)
    assert told(tukeys[1]) == pytest.approx((-tukeys[0].gain, -tukeys[0].upper, -tukeys[0].lower))


def test_an_equal_arm_is_exactly_0_and_no_variance_does_not_divide():
    values = noise(2)
    values[1] = values[0]
    assert contrasts(values).over("arm 1", "baseline").gain == 0.0
    with np.errstate(divide="raise", invalid="raise"):
        still = contrasts([[2.0, 2.1]] * 3)
        assert (
            told(still.over("arm 1", "baseline")) == told(still.among("arm 1", "arm 2", ALL, 3)) == (0, 0, 0)
        )
        assert told(still.over("arm 1", "arm 1")) == (0, 0, 0)


def test_one_seed_has_no_bounds():
    one = contrasts([[2.0], [1.9]])
    for bound in (one.over("arm 1", "baseline"), one.among("arm 1", "baseline", ALL, 2)):
        assert told(bound) == pytest.approx((5.0, -math.inf, math.inf))


LEVELS = FactorLevels(
    name="lora_rank", default=32, arms=("8", "16", "64", "128"), levels=(8, 16, 64, 128),
    labels=("8", "16", "64", "128"),
)  # fmt: skip


def asked_of(values, claim, nan=(), **rule):
    arms = ("baseline", *LEVELS.arms)
    outcomes = {
        (arm, seed): Outcome(
            status=Status.COMPLETED, value=math.nan if arm in nan else float(values[row, seed])
        )
        for row, arm in enumerate(arms)
        for seed in range(values.shape[1])
    }
    table = ResultTable(
        arms=arms, seeds=tuple(range(values.shape[1])), outcomes=outcomes, metric=Metric(), untouched=4e4
    )
    decision = DecisionRule(looks=(values.shape[1],), margin_share=1e12, **rule)
    return answer(claim, LEVELS, table, decision)


@FEW
@given(seed=SEEDS, claim=st.sampled_from([OPTIMUM, ENOUGH]))
def test_a_vanishing_margin_never_confirms_and_an_endless_one_always_does(seed, claim):
    values = noise(seed, arms=5)
    values[1:3] += 5  # smaller ranks lose more than any margin, so that "enough" can hold
    values[3] += values[0].mean() - values[3].mean()  # on average as good as the default
    assert asked_of(values, claim, margin_percent=1e-6).state != Word.CONFIRM
    assert asked_of(values, claim, margin_percent=100.0).state == Word.CONFIRM


@FEW
@given(seed=SEEDS, claim=st.sampled_from([OPTIMUM, ENOUGH]), place=st.sampled_from([2, 3]))
def test_an_arm_without_a_number_is_never_chosen(seed, claim, place):
    """The arm would have won by far; without its number it is told as diverged and wins nothing."""
    values = noise(seed, arms=5)
    values[place] -= 1.0
    arm = LEVELS.arms[place - 1]
    found = asked_of(values, claim, nan=(arm,))
    assert found.best != arm
    assert found.diverged == (arm,)
    assert found.test is None or found.test.arm != arm
    if claim == OPTIMUM:
        assert asked_of(values, claim).best == arm
