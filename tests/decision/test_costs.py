"""Ratios of measured times: what they are, how sure, and what a probe may look like."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from bios_sweep.decision.costs import Timing, cost_ratios

ALPHA = 0.05
STEPS = {"baseline": 1000, "batch_size=64": 2000, "lora_rank=64": 1000}
# Seconds per step in five interleaved repeats; the machine slows down on the way, for all arms alike.
SECONDS = {
    "baseline": [0.40, 0.41, 0.44, 0.47, 0.52],
    "batch_size=64": [0.21, 0.21, 0.24, 0.25, 0.27],
    "lora_rank=64": [0.44, 0.45, 0.49, 0.51, 0.58],
}


def test_a_ratio_is_that_of_whole_trainings_not_of_steps():
    ratio = cost_ratios({"a": [1.0, 2.0], "b": [0.5, 1.0]}, {"a": 100, "b": 400}, ALPHA, "a clock")["b"]
    assert ratio.ratio == pytest.approx(2.0)
    assert (ratio.arm, ratio.hardware, ratio.repeats) == ("b", "a clock", 2)


def test_bounds_are_those_of_a_paired_t_test_on_the_logarithms():
    ratio = cost_ratios(SECONDS, STEPS, ALPHA, "cpu")["batch_size=64"]
    arm, base = (np.log(np.array(SECONDS[name]) * STEPS[name]) for name in ("batch_size=64", "baseline"))
    assert ratio.ratio == pytest.approx(math.exp((arm - base).mean()))
    below = stats.ttest_rel(arm, base).confidence_interval(confidence_level=1 - 2 * ALPHA)
    assert (math.log(ratio.lower), math.log(ratio.upper)) == pytest.approx((below.low, below.high))


def test_the_baseline_costs_exactly_itself():
    base = cost_ratios(SECONDS, STEPS, ALPHA, "cpu")["baseline"]
    assert (base.lower, base.ratio, base.upper) == (1.0, 1.0, 1.0)


def test_a_drift_of_the_machine_that_all_arms_share_does_not_widen_the_bounds():
    drift = [1.0, 1.3, 0.7, 2.0, 1.1]
    drifting = {
        name: [second * slow for second, slow in zip(row, drift, strict=True)]
        for name, row in SECONDS.items()
    }
    for name, ratio in cost_ratios(SECONDS, STEPS, ALPHA, "cpu").items():
        drifted = cost_ratios(drifting, STEPS, ALPHA, "cpu")[name]
        assert (drifted.lower, drifted.upper) == pytest.approx((ratio.lower, ratio.upper))


def test_bounds_hold_the_true_ratio_as_often_as_they_say():
    rng = np.random.default_rng(7)
    outside = {"below": 0, "above": 0}
    for _ in range(4000):
        noise = rng.normal(0.0, 0.04, size=(2, 5)) + rng.normal(0.0, 0.2, size=5)
        seconds = {"a": np.exp(noise[0]), "b": 1.5 * np.exp(noise[1])}
        ratio = cost_ratios(seconds, {"a": 10, "b": 10}, ALPHA, "cpu")["b"]
        outside["below"] += ratio.upper < 1.5
        outside["above"] += ratio.lower > 1.5
    # Four standard errors of a share of 5 % in 4000 draws are 1.4 %.
    assert outside["below"] / 4000 == pytest.approx(ALPHA, abs=0.014)
    assert outside["above"] / 4000 == pytest.approx(ALPHA, abs=0.014)


@pytest.mark.parametrize(
    "seconds", [{"a": [1.0], "b": [1.0]}, {"a": [1.0, 1.0], "b": [1.0, 1.0, 1.0]}, {"a": [], "b": []}]
)
def test_repeats_that_cannot_pair_are_refused(seconds):
    with pytest.raises(ValueError, match="at least 2 repeats, the same number for every arm"):
        cost_ratios(seconds, {"a": 1, "b": 1}, ALPHA, "cpu")


def test_a_timing_comes_back_from_json_as_it_was():
    timing = Timing(arms=("baseline", "b"), seconds=((0.1, 0.2), (0.3, 0.4)), hardware="cpu, 1 thread")
    assert Timing.from_dict(json.loads(json.dumps(timing.to_dict()))) == timing
    assert timing.of("b") == (0.2, 0.4)
