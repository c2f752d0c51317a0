from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bios_sweep.audit.rollup import clopper_pearson, random_effects, share_sentence


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (37, 42), (5, 5), (1, 1), (3, 200)])
def test_the_exact_interval_is_scipys(successes, trials):
    share = clopper_pearson(successes, trials)
    reference = stats.binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert (share.lower, share.upper) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_a_share_is_said_in_one_sentence():
    said = share_sentence(clopper_pearson(37, 42))
    assert said == "within the margin in 37 of 42 scenarios, 95 % interval 74-96 %"
    assert "1 of 1 scenario," in share_sentence(clopper_pearson(1, 1))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_what_is_no_share_is_refused(successes, trials):
    with pytest.raises(ValueError, match="is no share"):
        clopper_pearson(successes, trials)


def test_equal_scenarios_pool_to_their_common_effect_without_spread():
    pooled = random_effects([0.4, 0.4, 0.4], [0.1, 0.2, 0.3])
    assert (pooled.mean, pooled.spread, pooled.scenarios) == (pytest.approx(0.4), 0.0, 3)
    own = 1 / np.sqrt(sum(1 / error**2 for error in (0.1, 0.2, 0.3)))
    assert pooled.upper - 0.4 == pytest.approx(stats.t.ppf(0.975, 2) * own)


def test_the_textbook_example_of_dersimonian_and_laird_by_hand():
    effects, errors = [0.1, 0.3, 0.35, 0.65], [0.1, 0.1, 0.1, 0.1]
    pooled = random_effects(effects, errors)
    q = sum((e - 0.35) ** 2 for e in effects) / 0.01
    assert pooled.spread**2 == pytest.approx((q - 3) / (400 - 4 * 1e4 / 400))
    assert pooled.mean == pytest.approx(0.35)
    assert pooled.upper - pooled.mean == pytest.approx(stats.t.ppf(0.975, 3) * np.std(effects, ddof=1) / 2)
    assert pooled.lower < 0 < pooled.upper


def test_one_scenario_has_no_mean_and_errors_of_zero_do_not_divide():
    assert random_effects([0.4], [0.1]) is None
    assert np.isfinite(random_effects([0.4, 0.6], [0.0, 0.0]).upper)


def test_the_interval_covers_the_mean_of_differing_scenarios_as_often_as_it_says():
    random, inside = np.random.default_rng(3), 0
    for _ in range(1500):
        errors = random.uniform(0.1, 0.3, 8)
        pooled = random_effects(random.normal(0.5, 0.4, 8) + errors * random.standard_normal(8), errors)
        inside += pooled.lower <= 0.5 <= pooled.upper
    assert inside / 1500 == pytest.approx(0.95, abs=0.02)
