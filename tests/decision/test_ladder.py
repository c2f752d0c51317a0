"""A ladder that ends too early, at any level that could still matter (docs/statistics.md, item 11)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np

from bios_sweep.decision.ladder import LADDER_EDGE, LARGEST, SMALLEST
from bios_sweep.vocabulary import Word
from tests.decision.test_nuisance import (
    BATCHES,
    DELTA,
    LADDER,
    NAMES,
    RUNGS,
    SIGMA,
    judged,
    table_of,
)

FEW = 60
QUIET = 0.02


def world(peaks=None, gains=None, curvature=0.8):
    """Percent lost per squared doubling from each level's best rate (`peaks`: doublings from the rung 1)."""
    peaks = dict.fromkeys(BATCHES, 0.0) | (peaks or {})
    best = {32: -1.0, 64: -1.0, 256: -1.0, 512: -1.0} | (gains or {})
    return {
        NAMES[batch, rung]: best.get(batch, 0.0) - curvature * (math.log2(rung) - peaks[batch]) ** 2
        for batch in BATCHES
        for rung in RUNGS
    }


def found_in(gains, sigma=QUIET, ladder=LADDER, diverged=()):
    return judged(table_of(gains, np.random.default_rng(1), sigma, diverged), ladder)


def edges(finding):
    facts = [reason.facts for reason in finding.reasons if reason.kind == LADDER_EDGE]
    return [(one["level"], one["end"]) for one in facts]


def test_a_hidden_better_level_is_not_confirmed_against():
    found = found_in(world({256: 3.0}, {256: 0.6}))
    assert (found.state, edges(found)) == (Word.INCONCLUSIVE, [(256, LARGEST)])
    assert (found.test, found.value) == (None, None)


def test_a_level_that_is_ahead_at_the_last_of_its_rates_is_no_candidate():
    found = found_in(world({64: -2.0}, {64: 3.0}))
    assert (found.state, edges(found)) == (Word.INCONCLUSIVE, [(64, SMALLEST)])


def test_the_default_level_s_own_ladder_counts_in_either_direction():
    low, high = found_in(world({128: 3.0}, {64: -3.0})), found_in(world({128: -2.0}, {64: -3.0}))
    assert (low.state, high.state) == (Word.INCONCLUSIVE, Word.INCONCLUSIVE)
    assert (edges(low), edges(high)) == ([(128, LARGEST)], [(128, SMALLEST)])


def test_a_level_far_behind_is_let_go():
    found = found_in(world({512: 3.0}, {512: -9.0}))
    assert (found.state, edges(found)) == (Word.CONFIRM, [])


def test_ladders_that_hold_their_best_conclude_as_before():
    assert found_in(world()).state == Word.CONFIRM
    assert found_in(world(gains={64: 3.0})).state == Word.CANDIDATE


def test_a_rate_that_changes_nothing_ends_no_ladder():
    assert found_in(world(curvature=0.0)).state == Word.CONFIRM


def test_a_diverged_rung_closes_its_side():
    gains = world({256: 3.0}, {256: 0.3})
    closed = found_in(gains, diverged=("256/4",))
    assert (closed.state, edges(closed)) == (Word.CONFIRM, [])
    alone = found_in(gains, diverged=("256/1", "256/2", "256/4"))
    assert (alone.state, edges(alone)) == (Word.INCONCLUSIVE, [(256, SMALLEST)])


def test_an_end_beyond_which_nothing_is_needed_is_none():
    gains = world({256: 3.0}, {256: 0.6})
    assert found_in(gains, ladder=replace(LADDER, closed=frozenset({"256/4"}))).state == Word.CONFIRM


def words(gains, sweeps, sigma=SIGMA):
    random = np.random.default_rng(5)
    return Counter(judged(table_of(gains, random, sigma)).state for _ in range(sweeps))


def hidden(beyond, behind):
    """256 gains exactly the margin, `beyond` doublings past its last rate, where it is `behind` that."""
    return world({256: 2.0 + beyond}, {256: DELTA}, behind / beyond**2)


def test_a_level_that_hides_the_margin_is_rarely_confirmed_against():
    assert words(hidden(1.0, 0.5), FEW)[Word.CONFIRM] == 0
