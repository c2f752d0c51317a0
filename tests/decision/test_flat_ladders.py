"""Ladders of rates that change nothing end nowhere (docs/statistics.md, item 11).

An end is an end only where the loss falls towards it.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from bios_sweep.decision.finding import EDGE as AT_THE_EDGE
from bios_sweep.decision.ladder import LADDER_EDGE
from bios_sweep.reasons import is_any
from bios_sweep.vocabulary import Word
from tests.decision.simulated import ALPHA, CANDIDATE, CONFIRM, DELTA, EDGE, OPEN, allowed
from tests.decision.simulated_ladders import LADDER, drawn, ladders, last_step, words
from tests.decision.test_nuisance import BATCHES, NAMES, RUNGS, SEEDS, SIGMA, judged, table_with

FEW, MANY = 1000, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))
BETTER = 3  # the level 256, in the middle of the grid
RUNGS_RISING = tuple(sorted(RUNGS))


def found(gains, sweeps, seeds=SEEDS, sigma=SIGMA, **rule):
    return words(drawn(gains, sweeps, seeds, sigma), RUNGS_RISING.index(1.0), **rule)


def hidden(beyond, behind):
    """256 gains exactly the margin, so many doublings past its last rate, where it is so much behind that."""
    return ladders({BETTER: 2.0 + beyond}, {BETTER: DELTA}, behind / beyond**2)


def share(states, state):
    return float((states == state).mean())


def test_rates_that_change_nothing_end_no_ladder():
    assert share(found(ladders(curvature=0.0), FEW), LADDER) <= 0.02
    assert share(found(ladders(curvature=0.0), FEW), CONFIRM) >= 0.95


def test_by_its_last_step_alone_a_flat_ladder_would_end_in_every_tenth_sweep():
    """The meta-test."""
    assert share(found(ladders(curvature=0.0), FEW, rise=last_step), LADDER) > 0.1


@pytest.mark.parametrize(("beyond", "behind"), [(1.0, 0.5), (2.0, 0.3), (4.0, 0.3), (4.0, 0.5)])
def test_a_level_that_hides_the_margin_beyond_its_ladder_is_rarely_confirmed_against(beyond, behind):
    assert share(found(hidden(beyond, behind), FEW), CONFIRM) <= allowed(ALPHA, FEW)


def test_without_the_end_of_a_ladder_a_hidden_level_would_be_confirmed_against():
    """The other meta-test."""
    never = found(hidden(2.0, 0.5), FEW, rise=lambda last, mean, error: last - np.inf)
    assert share(never, CONFIRM) > 0.3


def test_a_level_that_is_far_behind_is_let_go():
    far = found(ladders({4: 2.0}, {4: -6.0}), FEW)  # its best rate is its last
    assert share(far, LADDER) <= 0.02


@pytest.mark.parametrize(
    "gains", [ladders(curvature=0.0), hidden(4.0, 0.5), ladders(gains={BETTER: 1.5}, curvature=0.2)]
)
def test_every_sweep_gets_the_same_word_from_the_package(gains):
    losses = drawn(gains, 25, SEEDS, SIGMA)
    assert [of_package(one) for one in losses] == list(words(losses, RUNGS_RISING.index(1.0)))


def of_package(losses):
    values = {
        NAMES[batch, rung]: losses[level, place]
        for level, batch in enumerate(BATCHES)
        for place, rung in enumerate(RUNGS_RISING)
    }
    one = judged(table_with(values))
    if one.state in (Word.CONFIRM, Word.CANDIDATE):
        return CONFIRM if one.state == Word.CONFIRM else CANDIDATE
    if one.state == Word.UNDECIDED:
        return OPEN
    return EDGE if is_any(one.reasons, AT_THE_EDGE) else LADDER if is_any(one.reasons, LADDER_EDGE) else OPEN


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("curvature", [0.0, 0.05, 0.2])
@pytest.mark.parametrize(("seeds", "sigma"), [(5, 0.2), (8, 0.2), (5, 0.1)])
def test_the_table_of_flat_ladders(curvature, seeds, sigma):
    gains = ladders(curvature=curvature)
    now, before = (found(gains, MANY, seeds, sigma, **rule) for rule in ({}, {"rise": last_step}))
    row = [share(now, CONFIRM), share(now, LADDER), share(before, CONFIRM), share(before, LADDER)]
    print(f"\n| {seeds} | {sigma} | {curvature} | {' | '.join(f'{one:.3f}' for one in row)} |", end="")
    assert row[1] <= 0.02


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("beyond", [1.0, 2.0, 4.0, 6.0])
@pytest.mark.parametrize("behind", [0.2, 0.3, 0.5, 1.0])
def test_the_table_of_what_a_ladder_hides(beyond, behind):
    now, before = (found(hidden(beyond, behind), MANY, **rule) for rule in ({}, {"rise": last_step}))
    print(f"\n| {beyond:g} | {behind:g} | {share(now, CONFIRM):.4f} | {share(before, CONFIRM):.4f} |", end="")
    if beyond < 6:  # what is further off is a limit that the docs tell
        assert share(now, CONFIRM) <= allowed(ALPHA, MANY)
