"""How often the rule is right: simulated sweeps against the error rates it promises.

Each sweep has a true gain per arm and Gaussian (or t5, or skewed) noise per trial on top of a shift
that all arms of a seed share. The gain sits on an inner level, so that no edge interferes.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bios_sweep.decision import bounds, contrasts
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.decision.verdicts import confirm_candidate, screen
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word

DELTA = 0.5
LOSS = 2.0
# k, seeds, sigma in percent; null: confirm, refine; gain = Delta: confirm; gain = 2 Delta: refine
FLOORS = {
    (4, 3, 0.2): (0.71, 0.002, 0.048, 0.976),
    (4, 5, 0.2): (0.954, 0.001, 0.050, 1.00),
    (4, 5, 0.35): (0.42, 0.002, 0.045, 0.961),
    (4, 8, 0.35): (0.70, 0.002, 0.045, 0.999),
    (11, 5, 0.2): (0.914, 0.002, 0.048, 1.00),
}
NORMAL_RUN = [(4, 3, 0.2), (4, 5, 0.2), (4, 5, 0.35), (11, 5, 0.2)]
SWEEPS = 600
MANY = int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))


def normal(random, size):
    return random.standard_normal(size)


def t5(random, size):
    return random.standard_t(5, size) / math.sqrt(5 / 3)


def skewed(random, size):
    return random.exponential(1.0, size) - 1.0


def factor_of(k):
    """k levels around the default, the first inner one at index 1."""
    below = (k + 1) // 2
    levels = tuple(2.0**power for power in (*range(-below, 0), *range(1, k - below + 1)))
    names = tuple(f"x{level:g}" for level in levels)
    return FactorLevels(name="learning_rate", default=1.0, arms=names, levels=levels, labels=names)


def trained(gains, seeds, sigma, random, draw, arms):
    """Losses of the given arms at so many seeds; `untouched` makes the study sensitive."""
    percent = (
        random.normal(0, 2.0, seeds) + sigma * draw(random, (len(gains), seeds)) - np.array(gains)[:, None]
    )
    values = LOSS * (1 + percent / 100)
    outcomes = {
        (arm, seed): Outcome(status=Status.COMPLETED, value=float(values[row, seed]))
        for row, arm in enumerate(arms)
        for seed in range(seeds)
    }
    return ResultTable(
        arms=arms, seeds=tuple(range(seeds)), outcomes=outcomes, metric=Metric(), untouched=2 * LOSS
    )


def first_seeds(table, look):
    """What a look sees."""
    return replace(table, seeds=table.seeds[:look])


def sweep(k, looks, sigma, gain, random, draw=normal, fresh_seeds=None):
    """One sweep from screening to its word; the states `candidate` and `undecided` are told too."""
    rule, factor = DecisionRule(looks=looks), factor_of(k)
    gains = np.zeros(k + 1)
    gains[2] = gain  # the arm of level index 1
    arms = ("baseline", *factor.arms)
    whole = trained(gains, looks[-1], sigma, random, draw, arms)
    for look in looks:
        seen = first_seeds(whole, look)
        finding = screen(seen, [factor], rule)[factor.name]
        if finding.state != Word.UNDECIDED:
            break
    words = [finding.state]
    if finding.state == Word.CANDIDATE:
        own = gains[arms.index(finding.best)]
        again = trained((0.0, own), fresh_seeds or looks[-1], sigma, random, draw, ("baseline", finding.best))
        margin = margin_of(seen, rule)
        words.append(confirm_candidate(again, finding.best, factor.name, margin, rule.alpha).state)
    return words


def rates(k, looks, sigma, gain, sweeps, draw=normal, seed=7, fresh_seeds=None):
    random = np.random.default_rng([seed, k, *looks, round(100 * sigma), round(100 * gain)])
    words = Counter()
    for _ in range(sweeps):
        words.update(set(sweep(k, looks, sigma, gain, random, draw, fresh_seeds)))
    return {word: words[word] / sweeps for word in (Word.CONFIRM, Word.CANDIDATE, Word.REFINE)}


def spread(share, sweeps, errors=4):
    """Monte-Carlo error; a share of 0 or 1 in a table may be off by half its last digit."""
    share = min(max(share, 0.002), 0.998)
    return errors * math.sqrt(share * (1 - share) / sweeps)


def near(measured, share, sweeps):
    return abs(measured - share) <= spread(share, sweeps) + 0.005


@pytest.mark.parametrize(("k", "seeds", "sigma"), NORMAL_RUN)
def test_no_true_gain_confirms_as_often_as_promised_and_hardly_ever_refines(k, seeds, sigma):
    confirm, refine, _, _ = FLOORS[k, seeds, sigma]
    found = rates(k, (seeds,), sigma, 0.0, SWEEPS)
    assert near(found[Word.CONFIRM], confirm, SWEEPS), found
    assert found[Word.REFINE] <= refine + spread(refine, SWEEPS), found
    assert found[Word.CANDIDATE] <= 0.05 + spread(0.05, SWEEPS), found


@pytest.mark.parametrize(("k", "seeds", "sigma"), NORMAL_RUN)
def test_a_gain_of_exactly_the_margin_is_falsely_confirmed_in_at_most_alpha(k, seeds, sigma):
    confirm = FLOORS[k, seeds, sigma][2]
    found = rates(k, (seeds,), sigma, DELTA, SWEEPS)
    assert near(found[Word.CONFIRM], confirm, SWEEPS), found


@pytest.mark.parametrize(("k", "seeds", "sigma"), NORMAL_RUN)
def test_a_gain_of_two_margins_is_refined_as_often_as_promised(k, seeds, sigma):
    refine = FLOORS[k, seeds, sigma][3]
    found = rates(k, (seeds,), sigma, 2 * DELTA, SWEEPS)
    assert near(found[Word.REFINE], refine, SWEEPS), found
    assert found[Word.CONFIRM] <= 0.02


def test_planned_looks_keep_the_error_rate():
    """Three looks at alpha / 3 each: false candidates stay under alpha."""
    found = rates(4, (3, 5, 8), 0.35, 0.0, SWEEPS, fresh_seeds=5)
    assert found[Word.CANDIDATE] <= 0.041 + spread(0.041, SWEEPS), found
    assert near(found[Word.CONFIRM], 0.51, SWEEPS), found


def test_without_the_correction_for_many_arms_the_null_candidates_exceed_their_rate(monkeypatch):
    """The meta-test: the same simulation must see what an uncorrected t does."""
    kept = rates(11, (5,), 0.35, 0.0, SWEEPS)[Word.CANDIDATE]
    monkeypatch.setattr(contrasts, "dunnett", lambda alpha, k, nu: bounds.student(alpha, nu))
    broken = rates(11, (5,), 0.35, 0.0, SWEEPS)[Word.CANDIDATE]
    allowed = 0.05 + spread(0.05, SWEEPS)
    assert kept <= allowed < broken


def test_without_a_margin_of_error_the_false_confirmations_exceed_theirs(monkeypatch):
    """The other meta-test: an upper bound at half its width confirms a gain that matters too often."""
    monkeypatch.setattr(contrasts, "student", lambda alpha, nu: 0.5 * float(stats.t.ppf(1 - alpha, nu)))
    monkeypatch.setattr(contrasts, "dunnett", lambda alpha, k, nu: 2.34)
    broken = rates(4, (5,), 0.2, DELTA, SWEEPS)[Word.CONFIRM]
    assert broken > 0.05 + spread(0.05, SWEEPS)


def test_looking_after_every_seed_exceeds_the_rate_that_planned_looks_keep():
    """The third meta-test: the same noise, tested at every number of seeds as if each were the only look."""
    factor, random, broken = factor_of(4), np.random.default_rng(11), 0
    arms = ("baseline", *factor.arms)
    for _ in range(SWEEPS):
        whole = trained(np.zeros(5), 8, 0.35, random, normal, arms)
        states = {
            screen(first_seeds(whole, look), [factor], DecisionRule(looks=(look,)))[factor.name].state
            for look in range(3, 9)
        }
        broken += Word.CANDIDATE in states
    kept = rates(4, (3, 5, 8), 0.35, 0.0, SWEEPS, fresh_seeds=5)[Word.CANDIDATE]
    allowed = 0.05 + spread(0.05, SWEEPS)
    assert kept <= allowed < broken / SWEEPS, (kept, broken / SWEEPS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("draw", [normal, t5, skewed])
@pytest.mark.parametrize(("k", "seeds", "sigma"), list(FLOORS))
def test_error_rates_hold_for_normal_heavy_tailed_and_skewed_noise(k, seeds, sigma, draw):
    confirm, _, _, refine = FLOORS[k, seeds, sigma]
    null = rates(k, (seeds,), sigma, 0.0, MANY, draw)
    edge = rates(k, (seeds,), sigma, DELTA, MANY, draw)
    power = rates(k, (seeds,), sigma, 2 * DELTA, MANY, draw)
    print(
        f"\n{draw.__name__:7} k={k} S={seeds} sigma={sigma}: null confirm {null[Word.CONFIRM]:.3f} "
        f"refine {null[Word.REFINE]:.4f}; gain=Delta confirm {edge[Word.CONFIRM]:.4f}; "
        f"gain=2 Delta refine {power[Word.REFINE]:.3f}"
    )
    assert null[Word.REFINE] <= 0.01
    assert edge[Word.CONFIRM] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / MANY)
    if draw is normal:
        assert near(null[Word.CONFIRM], confirm, MANY)
        assert near(power[Word.REFINE], refine, MANY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("sigma", "null", "false"), [(0.2, 0.97, 0.040), (0.35, 0.51, 0.026)])
def test_the_three_look_design_keeps_its_promises(sigma, null, false):
    quiet = rates(4, (3, 5, 8), sigma, 0.0, MANY, fresh_seeds=5)
    edge = rates(4, (3, 5, 8), sigma, DELTA, MANY, fresh_seeds=5)
    print(
        f"\nlooks 3/5/8 sigma={sigma}: null confirm {quiet[Word.CONFIRM]:.3f} "
        f"candidate {quiet[Word.CANDIDATE]:.4f} "
        f"refine {quiet[Word.REFINE]:.4f}; gain=Delta confirm {edge[Word.CONFIRM]:.4f}"
    )
    assert near(quiet[Word.CONFIRM], null, MANY)
    assert near(edge[Word.CONFIRM], false, MANY)
    assert quiet[Word.REFINE] <= 0.01
