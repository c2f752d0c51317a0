"""Few clusters: what is refined or confirmed wrongly over evaluation sets (docs/statistics.md, item 4)."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import numpy as np
import pytest

from bios_sweep.claims import OPTIMUM
from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.finding import EDGE as AT_THE_EDGE
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.fresh import judge_fresh
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.reasons import is_any
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word
from tests.answers import answer
from tests.decision.simulated import (
    ALPHA,
    CANDIDATE,
    CONFIRM,
    DEFAULT_LOOKS,
    DELTA,
    EDGE,
    LOSS,
    OPEN,
    allowed,
)
from tests.decision.simulated_clusters import World, alone, words
from tests.scenarios import PUBLISH

COUNTS, SPREADS, LOOKS = (4, 6, 9, 12, 30), (0.0, 1.2), (DEFAULT_LOOKS, (5,))
WRONG_REFINE, FALSE_CONFIRM = 0.02, 0.07
FEW, MANY = 2000, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))
FAR = -9.0  # of levels that do not keep a confirmation open


def null(count, spread, looks, levels=4, *, ordered=True):
    return World(gains=(0.0,) * levels, count=count, spread=spread, looks=looks, ordered=ordered)


def at_the_margin(count, spread, looks, levels=4):
    place = min(1, levels - 1)
    gains = tuple(DELTA if level == place else FAR for level in range(levels))
    return World(gains=gains, count=count, spread=spread, looks=looks, ordered=levels > 1)


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("spread", SPREADS)
def test_few_clusters_refine_and_confirm_wrongly_as_rarely_as_is_allowed(spread, looks):
    for count in COUNTS:
        assert words(null(count, spread, looks), FEW).refine <= allowed(WRONG_REFINE, FEW), count
        assert words(at_the_margin(count, spread, looks), FEW).confirm <= allowed(FALSE_CONFIRM, FEW), count


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("levels", [4, 11])
def test_levels_without_an_order_are_refined_wrongly_as_rarely_however_many_they_are(levels, looks):
    for count, spread in ((4, 0.0), (4, 1.2), (6, 0.0)):
        world = null(count, spread, looks, levels, ordered=False)
        assert words(world, FEW).refine <= allowed(WRONG_REFINE, FEW), (count, spread)


def uneven(count, spread, looks, levels, arm, times):
    """In one arm clusters deviate so many times as much: the worlds without a gain, and at the margin."""
    place = min(1, levels - 1)
    each = [1.0] * (levels + 1)
    each[0 if arm == "default" else 1 + place] = times
    at = at_the_margin(count, spread, looks, levels)
    none = null(count, spread, looks, levels, ordered=False)
    return replace(none, times=tuple(each)), replace(at, times=tuple(each))


@pytest.mark.parametrize("arm", ["default", "level"])
def test_an_arm_whose_clusters_deviate_eight_times_as_much_borrows_no_quiet(arm):
    for count, spread in ((4, 1.2), (6, 0.0)):
        none, at = uneven(count, spread, (5,), 4, arm, 8.0)
        assert words(none, FEW).refine <= allowed(WRONG_REFINE, FEW)
        assert words(at, FEW).confirm <= allowed(FALSE_CONFIRM, FEW)


def test_clusters_of_every_level_by_themselves_would_refine_many_levels_too_often():
    """The meta-test: the quantiles of many levels lie far out, where four clusters tell little."""
    for spread in SPREADS:
        world = null(4, spread, DEFAULT_LOOKS, 11, ordered=False)
        assert words(world, FEW, lean=alone).refine > allowed(WRONG_REFINE, FEW)


def test_one_look_would_refine_too_often_if_the_clusters_were_looked_at_once():
    """Another meta-test: fresh seeds meet the same clusters, which one look would not know."""
    world = null(4, 0.0, (5,), levels=1, ordered=False)
    assert words(world, FEW).refine <= allowed(WRONG_REFINE, FEW)
    assert words(world, FEW, looks_of_clusters=1.0).refine > allowed(WRONG_REFINE, FEW)


def test_the_usual_variance_would_confirm_too_often_where_sizes_differ():
    """The last meta-test."""
    world = at_the_margin(6, 1.2, (5,))
    assert words(world, FEW, bias_reduced=False).confirm > allowed(FALSE_CONFIRM, FEW)


def judged(world, tokens, deviations, shared, fresh):
    """What the package finds in one sweep: its state, and whether fresh seeds refine."""
    names = ("baseline", *(f"x{level}" for level in range(len(world.gains))))

    def seen(losses, start):
        numbers = range(start, start + losses.shape[1])
        nats = tokens * (losses[:, :, None] + LOSS * deviations[:, None] / 100)
        values = nats.sum(axis=2) / tokens.sum()
        cells = [(arm, place) for arm in range(len(names)) for place in range(losses.shape[1])]
        table = ResultTable(
            arms=names,
            seeds=tuple(numbers),
            outcomes={
                (names[arm], numbers[place]): Outcome(
                    status=Status.COMPLETED, value=float(values[arm, place])
                )
                for arm, place in cells
            },
            metric=Metric(),
            untouched=2 * LOSS,
        )
        sums = {
            (names[arm], numbers[place]): ClusterSums(nats=nats[arm, place], tokens=tokens)
            for arm, place in cells
        }
        return table, sums

    k = len(world.gains)
    grid = tuple(2.0 ** (level - k // 2 + (level >= k // 2)) for level in range(k))
    levels = FactorLevels(name="learning_rate", default=1.0, arms=names[1:], levels=grid, labels=names[1:])
    rule = DecisionRule(looks=world.looks, **PUBLISH)
    table, sums = seen(shared, 0)
    found = answer(OPTIMUM, levels, table, rule, sums=sums)
    if found.state != Word.CANDIDATE:
        edge = is_any(found.reasons, AT_THE_EDGE)
        return (CONFIRM if found.state == Word.CONFIRM else EDGE if edge else OPEN), False
    table_again, sums_again = seen(fresh, 100)
    again = judge_fresh(found, found.test, table_again, margin_of(table, rule), ALPHA, sums=sums_again)
    return CANDIDATE, again.state == Word.REFINE


@pytest.mark.parametrize(
    "world",
    [
        World(gains=(FAR, 1.0, FAR, FAR), count=30, looks=(5,)),
        World(gains=(0.0, 2.0, 0.0, 0.0), count=6, spread=1.2, looks=(3,)),
        World(gains=(-1.0, 0.0, -1.0, -1.0), count=12, cluster=0.4, looks=(5,)),
        World(gains=(0.0, 0.4, 0.0, 0.0), count=9, cluster=0.3, looks=(5,)),
    ],
)
def test_every_sweep_gets_the_same_word_from_the_package(world):
    found = words(world, 40)
    every = list(zip(*world.drawn(40), strict=True))
    assert [judged(world, *one) for one in every] == list(zip(found.state, found.refined, strict=True))
    assert len(np.unique(found.state)) > 1  # else it would compare nothing


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("arm", ["default", "level"])
@pytest.mark.parametrize("times", [3.0, 8.0])
def test_the_worst_of_unequal_clusters(times, arm, looks):
    rates = []
    for count, spread, levels in itertools.product((4, 6, 9), SPREADS, (4, 11)):
        none, at = uneven(count, spread, looks, levels, arm, times)
        rates.append((words(none, MANY).refine, words(at, MANY).confirm))
    wrong, false = np.max(rates, axis=0)
    print(f"\n{looks}, {arm} x{times:g}: wrong refine {wrong:.3f}, false confirm {false:.3f}", end="")
    assert wrong <= allowed(WRONG_REFINE, MANY)
    assert false <= allowed(FALSE_CONFIRM, MANY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("looks", LOOKS)
def test_the_table_of_few_clusters(count, spread, looks):
    shown = []
    for levels in (1, 4, 11):
        wrong = words(null(count, spread, looks, levels, ordered=False), MANY).refine
        false = words(at_the_margin(count, spread, looks, levels), MANY).confirm
        gains = tuple(2 * DELTA if level == min(1, levels - 1) else 0.0 for level in range(levels))
        better = World(gains=gains, count=count, spread=spread, looks=looks, ordered=levels > 1)
        power = words(better, MANY).refine
        shown.append(f"{wrong:.3f} | {false:.3f} | {power:.2f}")
        assert false <= allowed(FALSE_CONFIRM, MANY)
        assert wrong <= allowed(WRONG_REFINE, MANY)
    print(f"\n| {looks} | {spread} | {count} | {' | '.join(shown)} |", end="")
