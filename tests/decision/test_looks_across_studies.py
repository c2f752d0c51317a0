"""Who asks the same question again and again: how often is a default served that is beaten by the margin?

A person repeats a study with other seeds until its default is confirmed. Each study after the first is judged
on the seeds of all of them together, once, at alpha / 2, from the fourth on at alpha / 3 (docs/statistics.md,
item 10).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.decision.simulated import ALPHA, CONFIRM, DEFAULT_LOOKS, DELTA, World, allowed, screened

MANY = int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))
FLOOR = 0.10
LISTS = {  # seeds of one study after the other
    "3, then 5, then 10": [range(3), range(5), range(10)],
    "every number from 3 to 8": [range(count) for count in range(3, 9)],
    "3, 5, 8, 12, 18, 25": [range(count) for count in (3, 5, 8, 12, 18, 25)],
    "five disjoint lists of 3": [range(3 * turn, 3 * turn + 3) for turn in range(5)],
    "five disjoint lists of 5": [range(5 * turn, 5 * turn + 5) for turn in range(5)],
    "five lists of 5 that overlap": [range(2 * turn, 2 * turn + 5) for turn in range(5)],
    "five lists of 8 that overlap": [range(2 * turn, 2 * turn + 8) for turn in range(5)],
}
SIGMAS = (0.1, 0.2, 0.35)
SHARES = (1.0, 2.0, 2.0, 3.0, 3.0, 3.0)  # what alpha is divided by, study after study


def own_looks(count):
    """The looks of a study that was asked for with so many seeds."""
    return (*(look for look in DEFAULT_LOOKS if look < count), count)


def confirmed(lists, sigma, sweeps, *, k=4, shares=SHARES, pooled=True, seed=11):
    """The share of persons who are served a confirmation after one of their studies."""
    gains = [0.0] * k
    gains[1 % k] = DELTA
    most = 1 + max(max(seeds) for seeds in lists)
    world = World(gains=tuple(gains), sigma=(sigma,) * (k + 1), looks=(most,))
    shared, _ = world.drawn(sweeps, seed)
    served, seen = np.zeros(sweeps, bool), []
    for share, seeds in zip(shares, lists, strict=False):
        old = [one for one in seen if one not in seeds] if pooled else []
        first = not seen or not pooled
        seen += [one for one in seeds if one not in seen]
        losses = shared[:, :, [*seeds, *old]]
        looks = own_looks(len(seeds)) if first else (losses.shape[2],)
        alpha = ALPHA / len(looks) if first else ALPHA / share
        served |= screened(losses, looks, alpha)[0] == CONFIRM
    return float(served.mean())


@pytest.mark.parametrize("name", LISTS)
def test_asking_again_confirms_a_beaten_default_in_at_most_a_tenth(name):
    assert confirmed(LISTS[name], 0.2, 1000) <= allowed(FLOOR, 1000)


def test_judging_every_study_alone_would_be_seen_here():
    assert confirmed(LISTS["five disjoint lists of 5"], 0.2, 1000, pooled=False) > 0.15


def test_judging_all_seeds_at_the_whole_alpha_each_time_would_be_seen_here():
    assert confirmed(LISTS["every number from 3 to 8"], 0.2, 4000, shares=(1.0,) * 6) > 0.115


def test_six_looks_at_half_of_alpha_would_be_seen_here():
    six, sweeps = LISTS["3, 5, 8, 12, 18, 25"], 20_000
    assert confirmed(six, 0.2, sweeps, k=1) <= allowed(FLOOR, sweeps, errors=1)
    assert confirmed(six, 0.2, sweeps, k=1, shares=(1.0, *(2.0,) * 5)) > allowed(FLOOR, sweeps)


@pytest.mark.slow
def test_asking_again_over_many_people_and_noises():
    print(
        "\n| seeds of the studies | k |",
        " | ".join(f"sigma {sigma:g}" for sigma in SIGMAS),
        "| each study alone |",
    )
    print("|---|---|", "---|" * (len(SIGMAS) + 1), sep="")
    for name, lists in LISTS.items():
        for k in (1, 4, 11):
            rates = [confirmed(lists, sigma, MANY, k=k) for sigma in SIGMAS]
            alone = confirmed(lists, 0.2, MANY, k=k, pooled=False)
            print(f"| {name} | {k} |", " | ".join(f"{rate:.3f}" for rate in rates), f"| {alone:.3f} |")
            assert max(rates) <= allowed(FLOOR, MANY)
