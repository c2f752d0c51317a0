"""The rule for a factor with a ladder of rates at every level, on many sweeps at once, in numpy.

Written from docs/statistics.md, item 11 (Tukey's quantile and what noise is alike come from the package,
where scipy holds them); `test_flat_ladders.py` holds it against the package, sweep by sweep.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from bios_sweep.decision.pooled import _ratios, ratio_point, tukey
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


def words(losses, baseline, *, rise=guarded, looks=1):
    """The state of every sweep at its last seed. baseline: rung of the default. rise: of a ladder's end."""
    sweeps, levels, rungs, seeds = losses.shape
    alpha, arms = ALPHA / looks, levels * rungs
    of_default = losses[:, 0, baseline]
    better = 100 * (of_default[:, None, None] - losses) / of_default.mean(axis=1)[:, None, None, None]
    flat = better.reshape(sweeps, arms, seeds)
    mean = better.mean(axis=3)
    alike = _ratios(flat) <= ratio_point(arms, seeds)
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
    found = np.where((most == 1) | (most == levels - 1), EDGE, CANDIDATE)
    state = np.where(ahead.any(axis=1), found, state)
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
    return np.where(closed & np.isin(state, (CONFIRM, CANDIDATE)), LADDER, state)


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
