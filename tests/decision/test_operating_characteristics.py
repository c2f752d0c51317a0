"""How often the rule is right: simulated sweeps against the error rates it promises.

Each sweep has a true gain per level and normal (or t5, or skewed) noise per trial on top of a shift that all
arms of a seed share. The gain sits on an inner level, so that no edge interferes.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from tests.decision.simulated import (
    ALPHA,
    CANDIDATE,
    DEFAULT_LOOKS,
    DELTA,
    World,
    allowed,
    normal,
    own_alone,
    skewed,
    t5,
    words,
)

# levels, seeds, sigma in percent; without an effect: confirm; a gain of two margins: refine
FLOORS = {
    (4, 3, 0.2): (0.499, 0.897),
    (4, 5, 0.2): (0.869, 1.000),
    (4, 5, 0.35): (0.297, 0.856),
    (4, 8, 0.35): (0.596, 0.991),
    (11, 5, 0.2): (0.751, 0.994),
}
DESIGN = {  # the same of looks at 3, 5 and 8 seeds with five fresh ones, and the trials without an effect
    (4, 0.2): (0.951, 1.000, 23.3),
    (4, 0.35): (0.372, 0.938, 32.7),
    (11, 0.2): (0.898, 1.000, 54.8),
    (11, 0.35): (0.186, 0.878, 77.2),
}
MANY = int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))
ONE_LOOK = [
    pytest.param(*cell, draw, id=f"{cell}-{draw.__name__}")
    for cell in FLOORS
    for draw in (normal, t5, skewed)
]


def inner(k, margins):
    """A gain of so many margins on the first inner level."""
    gains = [0.0] * k
    gains[1] = margins * DELTA
    return tuple(gains)


def one_look(k, seeds, sigma, margins, draw=normal, sweeps=MANY, **rule):
    sigmas = (sigma,) * (k + 1)
    world = World(gains=inner(k, margins), sigma=sigmas, looks=(seeds,), fresh=seeds, draw=draw)
    return words(world, sweeps, **rule)


def three_looks(k, sigma, margins, sweeps=MANY, draw=normal, **rule):
    return words(World(gains=inner(k, margins), sigma=(sigma,) * (k + 1), draw=draw), sweeps, **rule)


def near(measured, share, sweeps=MANY):
    share = min(max(share, 0.002), 0.998)
    return abs(measured - share) <= 4 * math.sqrt(share * (1 - share) / sweeps) + 0.005


@pytest.mark.parametrize(("k", "seeds", "sigma", "draw"), ONE_LOOK)
def test_one_look_keeps_its_error_rates_whatever_the_noise_looks_like(k, seeds, sigma, draw):
    null, edge = (one_look(k, seeds, sigma, margins, draw) for margins in (0, 1))
    assert null.refine <= 0.01
    assert null.candidate <= ALPHA
    assert edge.confirm <= allowed(ALPHA, MANY)


@pytest.mark.parametrize(("k", "seeds", "sigma"), FLOORS)
def test_one_look_decides_as_often_as_promised(k, seeds, sigma):
    confirm, refine = FLOORS[k, seeds, sigma]
    null, power = (one_look(k, seeds, sigma, margins) for margins in (0, 2))
    assert near(null.confirm, confirm), null.confirm
    assert near(power.refine, refine), power.refine
    assert power.confirm <= 0.02


@pytest.mark.parametrize(("k", "sigma"), DESIGN)
def test_the_default_design_keeps_its_promises(k, sigma):
    confirm, refine, trials = DESIGN[k, sigma]
    null, edge, power = (three_looks(k, sigma, margins) for margins in (0, 1, 2))
    assert near(null.confirm, confirm), null.confirm
    assert near(power.refine, refine), power.refine
    assert null.trials.mean() == pytest.approx(trials, rel=0.02)
    assert null.refine <= 0.01
    assert null.candidate <= ALPHA
    assert edge.confirm <= allowed(ALPHA, MANY)


def test_the_floors_of_the_smallest_useful_designs():
    assert one_look(4, 5, 0.2, 0).confirm >= 0.85
    assert three_looks(4, 0.2, 0).confirm >= 0.94


# what the rates would be under another rule: each of these must be seen


def test_contrasts_that_lean_on_nothing_confirm_a_default_too_rarely():
    assert one_look(4, 5, 0.2, 0, error=own_alone).confirm < 0.85


def test_without_the_correction_for_many_levels_candidates_without_an_effect_exceed_their_rate():
    assert one_look(11, 5, 0.35, 0, correct=False).candidate > allowed(ALPHA, MANY)


def test_three_looks_at_the_whole_alpha_confirm_a_gain_that_matters_too_often():
    assert three_looks(4, 0.2, 1, divide=False).confirm > allowed(ALPHA, MANY)


def test_looking_after_every_seed_confirms_a_gain_that_matters_too_often():
    world = World(gains=inner(4, 1), sigma=(0.2,) * 5, looks=tuple(range(3, 13)))
    assert words(world, MANY, divide=False).confirm > 0.08


def test_without_exclusion_a_study_costs_a_fifth_more_and_decides_no_more_often():
    excluding, running = three_looks(4, 0.2, 0), three_looks(4, 0.2, 0, excludes=False)
    assert running.trials.mean() > 1.2 * excluding.trials.mean()
    assert running.confirm <= excluding.confirm


def test_a_candidate_of_a_true_gain_is_the_level_that_has_it():
    found = three_looks(4, 0.2, 2)
    assert np.mean(found.chosen[found.state == CANDIDATE] == 1) > 0.99


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("k", "seeds", "sigma", "draw"), ONE_LOOK)
def test_the_table_of_one_look_heavy_tailed_and_skewed_noise(k, seeds, sigma, draw):
    null, edge, power = (one_look(k, seeds, sigma, margins, draw) for margins in (0, 1, 2))
    print(
        f"\n| {draw.__name__} | {k} | {seeds} | {sigma} | {null.confirm:.3f} | {null.refine:.4f} | "
        f"{edge.confirm:.4f} | {power.refine:.3f} |",
        end="",
    )
    assert null.refine <= 0.01
    assert edge.confirm <= allowed(ALPHA, MANY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("draw", [normal, t5, skewed])
@pytest.mark.parametrize("sigma", [0.1, 0.175, 0.2, 0.35])
@pytest.mark.parametrize("k", [4, 11])
def test_the_table_of_the_three_look_design(k, sigma, draw):
    null, edge, power = (three_looks(k, sigma, margins, draw=draw) for margins in (0, 1, 2))
    unstopped = [three_looks(k, sigma, margins, draw=draw, excludes=False) for margins in (0, 1)]
    trials = [
        f"{one.trials.mean():.1f} ({all_.trials.mean():.1f})"
        for one, all_ in zip((null, edge), unstopped, strict=True)
    ]
    print(
        f"\n| {draw.__name__} | {k} | {sigma} | {2 * sigma:g} | {null.confirm:.3f} | {null.candidate:.4f} | "
        f"{null.refine:.4f} | {trials[0]} | {edge.confirm:.4f} | {trials[1]} | {power.refine:.3f} |",
        end="",
    )
    assert null.refine <= 0.01
    assert edge.confirm <= allowed(ALPHA, MANY)
    assert DEFAULT_LOOKS == (3, 5, 8)
