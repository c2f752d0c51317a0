"""Best against best: a factor whose levels have their own learning rates (docs/statistics.md, item 11)."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bios_sweep.claims import CLAIMS, OPTIMUM
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.finding import EDGE, FactorLevels
from bios_sweep.decision.ladder import NuisanceLadder
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.reasons import is_any
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word
from tests.answers import answer
from tests.scenarios import PUBLISH
from tests.texts import texts

BALANCED = CLAIMS["balanced"]

LOSS, DELTA, SIGMA, SEEDS = 2.0, 0.5, 0.2, 5
FEW, MANY = 100, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "1000"))
BATCHES, RUNGS = (128, 32, 64, 256, 512), (1.0, 0.5, 2.0, 4.0)
LEVELS = FactorLevels(
    name="batch_size",
    default=128,
    arms=tuple(f"{batch}/1" for batch in BATCHES[1:]),
    levels=BATCHES[1:],
    labels=tuple(map(str, BATCHES[1:])),
)
NAMES = {(batch, rung): f"{batch}/{rung:g}" for batch in BATCHES for rung in RUNGS} | {(128, 1.0): "baseline"}
LADDER = NuisanceLadder(
    setting="learning_rate",
    arms={batch: tuple(NAMES[batch, rung] for rung in RUNGS) for batch in BATCHES},
    values={name: rung for (_, rung), name in NAMES.items()},
)
# Without the ladder at the default's level, only its untuned arm stands for it.
UNFAIR = replace(LADDER, arms={**LADDER.arms, 128: ("baseline",)})
PEAK_OFF_BY_TWO, PEAK_RIGHT = 2.0, 1.0


def gains_of(peak, better=None):
    """Percent lost: 0.8 per squared doubling of the rate away from its peak; `better`: batch -> gain."""
    better = {32: -1.0, 512: -1.0, **(better or {})}
    return {
        NAMES[batch, rung]: better.get(batch, 0.0) - 0.8 * math.log2(rung / peak) ** 2
        for batch in BATCHES
        for rung in RUNGS
    }


def table_of(gains, random, sigma=SIGMA, diverged=()):
    arms = ("baseline", *(arm for arm in gains if arm != "baseline"))
    seed = random.normal(0, 2.0, SEEDS)
    values = {arm: LOSS * (1 + (seed + random.normal(0, sigma, SEEDS) - gains[arm]) / 100) for arm in arms}
    return table_with(values, diverged)


def table_with(values, diverged=()):
    """The table of losses. values: arm -> one per seed."""
    arms = ("baseline", *(arm for arm in values if arm != "baseline"))
    outcomes = {
        (arm, s): Outcome(
            status=Status.DIVERGED if arm in diverged else Status.COMPLETED, value=float(values[arm][s])
        )
        for arm in arms
        for s in range(SEEDS)
    }
    return ResultTable(
        arms=arms, seeds=tuple(range(SEEDS)), outcomes=outcomes, metric=Metric(), untouched=2 * LOSS
    )


def judged(table, ladder=LADDER, levels=LEVELS):
    return answer(OPTIMUM, levels, table, DecisionRule(looks=(SEEDS,), **PUBLISH), ladder=ladder)


def states(gains, sweeps, ladder=LADDER):
    random = np.random.default_rng(3)
    found = Counter()
    for _ in range(sweeps):
        one = judged(table_of(gains, random), ladder)
        found[one.state] += 1
        found["edge"] += is_any(one.reasons, EDGE)
    return found


def test_a_rate_that_is_off_by_two_makes_no_batch_size_a_candidate():
    assert states(gains_of(PEAK_OFF_BY_TWO), FEW)[Word.CANDIDATE] <= 1


def test_without_the_ladder_at_the_default_level_a_batch_size_would_be_praised_for_its_rate():
    assert states(gains_of(PEAK_OFF_BY_TWO), FEW, UNFAIR)[Word.CANDIDATE] >= 95


def test_a_true_gain_of_two_margins_becomes_a_candidate():
    assert states(gains_of(PEAK_OFF_BY_TWO, {64: 2 * DELTA}), FEW)[Word.CANDIDATE] >= 80


@pytest.mark.slow
def test_rates_of_nuisance_aware_factors_in_many_sweeps():
    null, praised = gains_of(PEAK_OFF_BY_TWO), gains_of(PEAK_OFF_BY_TWO, {64: 2 * DELTA})
    fair, unfair, power = states(null, MANY), states(null, MANY, UNFAIR), states(praised, MANY)
    edge = gains_of(PEAK_OFF_BY_TWO, {64: DELTA})
    false = states(edge, MANY)[Word.CONFIRM] / MANY
    print(
        f"candidate, null: {fair[Word.CANDIDATE] / MANY:.4f} (unfair {unfair[Word.CANDIDATE] / MANY:.3f}), ",
        end="",
    )
    print(f"gain 2 Delta: {power[Word.CANDIDATE] / MANY:.3f}; false confirm at Delta: {false:.4f}; n {MANY}")
    assert fair[Word.CANDIDATE] <= 0.01 * MANY < 0.95 * MANY <= unfair[Word.CANDIDATE]
    assert power[Word.CANDIDATE] >= 0.8 * MANY
    assert false <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / MANY)


def test_a_candidate_is_tested_best_against_best():
    found = judged(table_of(gains_of(PEAK_OFF_BY_TWO, {64: 3.0}), np.random.default_rng(1), 0.02))
    assert (found.state, found.value) == (Word.CANDIDATE, 64)
    assert (found.test.arm, found.test.over) == ("64/2", "128/2")
    assert found.bound.gain == pytest.approx(3.0, abs=0.1)


def test_no_difference_is_confirmed_and_each_level_tells_its_best_rate():
    found = judged(table_of(gains_of(PEAK_OFF_BY_TWO), np.random.default_rng(2), 0.02))
    assert found.state == Word.CONFIRM
    assert [row.level for row in found.by_rate] == [32, 64, 256, 512]
    assert {row.best_rate for row in found.by_rate} == {2.0}
    assert not any(row.differs for row in found.by_rate)


def test_a_conclusion_that_turns_with_the_rate_says_so():
    gains = gains_of(PEAK_RIGHT) | {"64/1": -3.0, "64/2": 3.0}
    found = judged(table_of(gains, np.random.default_rng(4), 0.02))
    (row,) = [row for row in found.by_rate if row.differs]
    assert (row.level, row.conclusion_same_rate, row.conclusion_best_rate) == (64, "worse", "better")
    assert "the conclusion depends on the learning_rate at 64" in texts(found.reasons)


def test_the_best_level_at_the_end_of_the_grid_is_no_candidate():
    found = judged(table_of(gains_of(PEAK_RIGHT, {32: 3.0}), np.random.default_rng(5), 0.02))
    assert found.state == Word.INCONCLUSIVE
    assert found.reasons[0].kind == EDGE


DURATIONS = {0.5: "x0.5", 1.0: "baseline", 2.0: "x2"}
COSTS = {32: 2.0, 64: 1.5, 256: 0.75, 512: 0.6}


def balanced(better, known=tuple(COSTS), sigma=0.02):
    """The balance of batch sizes at their best rates; duration buys 1 % per doubling of the time."""
    gains = gains_of(PEAK_OFF_BY_TWO, better) | {"x0.5": -1.8, "x2": 0.2}
    costs = {
        NAMES[batch, 1.0]: CostRatio(arm="", ratio=COSTS[batch], lower=COSTS[batch], upper=COSTS[batch])
        for batch in known
    }
    table = table_of(gains, np.random.default_rng(1), sigma)
    rule = DecisionRule(looks=(SEEDS,), **PUBLISH)
    return answer(BALANCED, LEVELS, table, rule, ladder=LADDER, costs=costs, durations=DURATIONS)


def test_a_balance_is_a_candidate_by_what_its_own_time_buys_whatever_is_unknown_of_other_levels():
    found = balanced({64: 3.0}, known=(64, 256))
    assert (found.state, found.test.value, found.test.duration) == (Word.CANDIDATE, 64, 1.5)
    assert found.iso.gain == pytest.approx(3.0 - math.log2(1.5), abs=0.1)


def test_a_balance_is_not_confirmed_where_a_level_s_cost_is_unknown():
    nothing = {256: -3.0, 512: -4.0}  # both are faster, and the default's shorter runs lose less
    assert balanced(nothing).state == Word.CONFIRM
    found = balanced(nothing, known=(32, 64, 256))
    assert (found.state, texts(found.reasons)[0]) == (Word.INCONCLUSIVE, "the cost was not measured")


def test_a_diverged_rung_is_left_out_and_told():
    gains = gains_of(PEAK_OFF_BY_TWO, {64: 3.0})
    found = judged(table_of(gains, np.random.default_rng(6), 0.02, diverged=("64/2",)))
    assert found.diverged == ("64/2",)
    assert found.best != "64/2"
    others = tuple(name for (batch, _), name in NAMES.items() if batch != 128)
    gone = judged(table_of(gains, np.random.default_rng(6), 0.02, diverged=others))
    assert gone.state == Word.INCONCLUSIVE
    assert texts(gone.reasons) == ("every re-tuned arm of the other levels diverged",)


def test_the_order_of_rungs_and_levels_changes_nothing():
    table = table_of(gains_of(PEAK_OFF_BY_TWO, {64: 1.0}), np.random.default_rng(7))
    turned = replace(
        LADDER,
        arms={
            128: LADDER.arms[128],
            **{b: (LADDER.arms[b][0], *LADDER.arms[b][:0:-1]) for b in (512, 256, 64, 32)},
        },
    )
    first, second = judged(table), judged(table, turned)
    assert (first.state, first.best, first.bound) == (second.state, second.best, second.bound)
