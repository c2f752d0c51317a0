"""The rule for a factor with a ladder of rates at every level, on many sweeps at once, in numpy.

Written from docs/statistics.md, items 5 and 11, and from nothing of the package; `test_flat_ladders.py` holds
it against the package, sweep by sweep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from tests.decision.simulated import ALPHA, CANDIDATE, CONFIRM, DELTA, EDGE, LOSS, OPEN, SEED_PERCENT

LADDER = 4  # beside the states of `simulated.py`: a ladder ends too early


def drawn(gains, sweeps, seeds, sigma, seed=5):
    """Losses of shape (sweeps, levels, rungs, seeds). gains: true percent, (levels, rungs), default first."""
    random = np.random.default_rng(seed)
    shift = random.normal(0, SEED_PERCENT, (sweeps, 1, 1, seeds))
    noise = random.normal(0, sigma, (sweeps, *gains.shape, seeds))
    return LOSS * (1 + (shift + noise - gains[:, :, None]) / 100)


def last_step(last, mean, error):
    """The rise at the end by the last step alone: the rule that was replaced."""
    return last


def guarded(last, mean, error):
    """The mean of the last two steps, and no more than a standard error above the last."""
    return np.minimum(mean, last + error)


@cache
def tukey(alpha, arms, freedom):
    """Of the largest difference of so many means, in standard errors of one difference."""
    return float(stats.studentized_range.ppf(1 - alpha, arms, freedom) / math.sqrt(2))


def ratios(values):
    """Largest over smallest median variance of an arm's differences. values: (sweeps, arms, seeds)."""
    sweeps, arms, _ = values.shape
    medians = np.empty((sweeps, arms))
    for arm in range(arms):
        spread = (np.delete(values, arm, axis=1) - values[:, arm : arm + 1]).var(axis=2, ddof=1)
        medians[:, arm] = np.sort(spread, axis=1)[:, (arms - 2) // 2]  # of an even number the lower one
    return medians.max(axis=1) / medians.min(axis=1)


@cache
def ratio_point(arms, seeds):
    """What the ratio exceeds in one sweep of a hundred where all arms have one noise."""
    random = np.random.default_rng(3)
    return float(np.quantile(ratios(random.standard_normal((20_000, arms, seeds))), 0.99))


@dataclass(frozen=True, kw_only=True)
class Found:
    """Of every sweep: its state, the leading level and its best rung, the default level's best rung."""

    state: np.ndarray
    level: np.ndarray
    rung: np.ndarray
    default: np.ndarray


def words(losses, baseline, **rule):
    """The state of every sweep at its last seed; as `found`."""
    return found(losses, baseline, **rule).state


def found(losses, baseline, *, rise=guarded, looks=1):
    """What every sweep says at its last seed. baseline: rung of the default. rise: of a ladder's end."""
    sweeps, levels, rungs, seeds = losses.shape
    alpha, arms = ALPHA / looks, levels * rungs
    of_default = losses[:, 0, baseline]
    better = 100 * (of_default[:, None, None] - losses) / of_default.mean(axis=1)[:, None, None, None]
    flat = better.reshape(sweeps, arms, seeds)
    mean = better.mean(axis=3)
    alike = ratios(flat) <= ratio_point(arms, seeds)
    centred = flat - flat.mean(axis=2, keepdims=True)
    centred = centred - centred.mean(axis=1, keepdims=True)
    freedom = (arms - 1) * (seeds - 1)
    pooled = np.sqrt(2 * (centred**2).sum(axis=(1, 2)) / freedom / seeds) * tukey(alpha, arms, freedom)
    every = np.arange(sweeps)
    pairs = stats.t.ppf(1 - alpha / (arms * (arms - 1)), seeds - 1)

    def width(arm, other):
        own = np.sqrt((flat[every, arm] - flat[every, other]).var(axis=1, ddof=1) / seeds) * pairs
        return np.where(arm == other, 0.0, np.where(alike, pooled, own))

    def gain(arm, other):
        return flat[every, arm].mean(axis=1) - flat[every, other].mean(axis=1)

    best = mean.argmax(axis=2)
    default = best[:, 0]
    ahead, upper = np.zeros((sweeps, levels), bool), np.full((sweeps, levels), -np.inf)
    nearest = np.full(sweeps, -np.inf)
    for level in range(1, levels):
        arm = level * rungs + best[:, level]
        upper[:, level] = gain(arm, default) + width(arm, default)
        beats = [gain(arm, other) - width(arm, other) > 0 for other in np.arange(rungs)[:, None] + 0 * every]
        ahead[:, level] = np.all(beats, axis=0)
        for rung in range(rungs):
            other = np.full(sweeps, level * rungs + rung)
            nearest = np.maximum(nearest, gain(other, default) + width(other, default))
    most = np.where(ahead, mean.max(axis=2), -np.inf).argmax(axis=1)
    state = np.where(nearest >= DELTA, OPEN, CONFIRM)
    leads = np.where((most == 1) | (most == levels - 1), EDGE, CANDIDATE)
    state = np.where(ahead.any(axis=1), leads, state)
    closed = np.zeros(sweeps, bool)
    for level in range(levels):
        excluded = (level > 0) & (upper[:, level] < DELTA)
        needed = np.where(excluded, DELTA - upper[:, level], DELTA)
        for last, second, third in ((rungs - 1, rungs - 2, rungs - 3), (0, 1, 2)):
            ends = mean[:, level, last], mean[:, level, second], mean[:, level, third]
            paired = better[:, level, last] - better[:, level, second]
            error = _step_error(better, level, last, second, paired)
            risen = rise(ends[0] - ends[1], (ends[0] - ends[2]) / 2, error)
            closed |= (best[:, level] == last) & (3 * risen >= needed)
    state = np.where(closed & np.isin(state, (CONFIRM, CANDIDATE)), LADDER, state)
    return Found(state=state, level=most, rung=best[every, most], default=default)


def _step_error(better, level, last, second, paired):
    """Standard error of a rung over the one beside it, moderated by all other arms over that one."""
    sweeps, levels, rungs, seeds = better.shape
    arms = better.reshape(sweeps, levels * rungs, seeds)
    places = [level * rungs + last, level * rungs + second]
    spreads = (np.delete(arms, places, axis=1) - arms[:, places[1:]]).var(axis=2, ddof=1)
    own = paired.var(axis=1, ddof=1)
    leaning = (2 * np.median(spreads, axis=1) + (seeds - 1) * own) / (seeds + 1)
    return np.sqrt(np.maximum(leaning, own) / seeds)


def ladders(peaks=None, gains=None, curvature=0.8, rungs=(0.5, 1.0, 2.0, 4.0), levels=5, far=-1.0):
    """Gains of shape (levels, rungs): percent lost per squared doubling from each level's best rate."""
    peaks = dict.fromkeys(range(levels), 0.0) | (peaks or {})
    gains = {level: far if level else 0.0 for level in range(levels)} | (gains or {})
    return np.array(
        [
            [gains[level] - curvature * (math.log2(rung) - peaks[level]) ** 2 for rung in rungs]
            for level in range(levels)
        ]
    )
