"""False confirmations where arms differ in their noise: at most those that docs/statistics.md allows.

One level gains exactly the margin; the default, that level, all others or one of them is 3 or 8 times as
noisy, and some change nothing at all.
"""

from __future__ import annotations

import os

import pytest

from tests.decision.simulated import (
    DEFAULT_LOOKS,
    DELTA,
    World,
    allowed,
    moderated,
    pooled,
    unguarded,
    words,
)

LIMITS = {DEFAULT_LOOKS: 0.075, (3,): 0.09, (5,): 0.075, (8,): 0.075}  # looks -> the most that is allowed
LEVELS = (1, 2, 4, 8, 11)
MANY = int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))


def worlds(k, looks, base, times):
    """Who is noisier -> the world. The level of the gain is the first inner one."""
    place = min(1, k - 1)
    gains = tuple(DELTA if level == place else 0.0 for level in range(k))

    def world(noisy, inert=()):
        sigma = tuple(base * (times if arm in noisy else 1) for arm in range(k + 1))
        return World(gains=gains, sigma=sigma, looks=looks, inert=inert)

    others = tuple(level for level in range(k) if level != place)
    arms = tuple(1 + level for level in others)
    found = {"nobody": world(()), "the default": world((0,)), "the level": world((1 + place,))}
    if others:
        found |= {
            "all others": world(arms),
            "one other": world(arms[:1]),
            "the level, others inert": world((1 + place,), others),
            "the level, one other inert": world((1 + place,), others[:1]),
        }
    return found


def worst(looks, levels, bases, factors, sweeps, error=moderated):
    """The highest rate of false confirmations, and where."""
    return max(
        (words(world, sweeps, error=error).confirm, f"{k} levels, {who} x{times}, base {base}")
        for k in levels
        for base in bases
        for times in factors
        for who, world in worlds(k, looks, base, times).items()
    )


@pytest.mark.parametrize("looks", LIMITS)
def test_no_arm_up_to_eight_times_as_noisy_makes_a_false_confirmation_frequent(looks):
    rate, where = worst(looks, (1, 4, 11), (0.1, 0.2), (8,), 1000)
    assert rate <= allowed(LIMITS[looks], 1000), where


def test_one_error_for_all_arms_lets_a_noisy_default_confirm_what_it_should_not():
    """The meta-test: the same worlds see the rule that was replaced."""
    assert worst(DEFAULT_LOOKS, (4,), (0.2,), (8,), 1000, pooled)[0] > 0.15


def test_a_variance_without_its_floor_lets_a_noisy_level_pass():
    """The other meta-test: leaning on quiet contrasts alone, the noisiest passes too often."""
    assert worst((3,), (4, 11), (0.1,), (8,), 1000, unguarded)[0] > allowed(0.09, 1000)


def test_one_wild_arm_does_not_keep_three_quiet_ones_open():
    for k, least in ((4, 0.94), (11, 0.87)):
        world = World(gains=(*(0.0,) * (k - 1), -12.0), sigma=(*(0.2,) * k, 4.0))
        assert words(world, MANY).confirm >= least
    world = World(gains=(0.0, 0.0, 0.0, -12.0), sigma=(0.2, 0.2, 0.2, 0.2, 4.0))
    assert words(world, MANY, error=pooled).confirm < 0.1  # the meta-test


def test_seeds_that_are_related_confirm_up_to_three_times_as_often_as_alpha_and_no_more():
    """Said in the docs, not repaired: three seeds tell nothing of how one goes with the next."""
    for looks, most in ((DEFAULT_LOOKS, 0.15), ((5,), 0.155), ((8,), 0.171)):
        world = World(gains=(0.0, DELTA, 0.0, 0.0), sigma=(0.2,) * 5, looks=looks, related=0.5)
        assert 0.05 < words(world, MANY).confirm <= allowed(most, MANY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("looks", LIMITS)
@pytest.mark.parametrize("k", LEVELS)
def test_the_table_of_unequal_noise(k, looks):
    rates = {}
    for times in (1, 3, 8):
        for base in (0.1, 0.2, 0.35):
            for who, world in worlds(k, looks, base, times).items():
                rates[who, times] = max(rates.get((who, times), 0.0), words(world, MANY).confirm)
    shown = ", ".join(f"{who} x{times} {rate:.3f}" for (who, times), rate in rates.items())
    print(f"\nlooks {looks}, {k} levels: {shown}", end="")
    assert max(rates.values()) <= allowed(LIMITS[looks], MANY, errors=4)  # of 189 worlds the largest
