"""The rule for an optimum on many sweeps at once, in numpy: the procedure's words, a thousand times as fast.

Written from docs/statistics.md, items 3, 5, 6, 7 and 8, and from nothing of the package;
`test_simulated.py` holds the two against each other, sweep by sweep.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

DELTA, ALPHA, LOSS, SEED_PERCENT = 0.5, 0.05, 2.0, 2.0
DEFAULT_LOOKS = (3, 5, 8)
OPEN, CONFIRM, CANDIDATE, EDGE = range(4)


def normal(random, size):
    return random.standard_normal(size)


def t5(random, size):
    return random.standard_t(5, size) / math.sqrt(5 / 3)


def skewed(random, size):
    return random.exponential(1.0, size) - 1.0


@dataclass(frozen=True, kw_only=True)
class World:
    """gains: true percent of every level. sigma: noise of every arm, the default first.

    inert: levels that change nothing. related: correlation of an arm's noise from one seed to the next.
    """

    gains: tuple[float, ...]
    sigma: tuple[float, ...]
    looks: tuple[int, ...] = DEFAULT_LOOKS
    fresh: int = 5
    inert: tuple[int, ...] = ()
    draw: object = normal
    related: float = 0.0

    def drawn(self, sweeps, seed=7):
        """Losses of shape (sweeps, 1 + levels, last look), and of the fresh seeds."""
        random = np.random.default_rng([seed, len(self.gains), *self.looks])
        return tuple(self._losses(random, sweeps, seeds) for seeds in (self.looks[-1], self.fresh))

    def _losses(self, random, sweeps, seeds):
        noise = self.draw(random, (sweeps, len(self.sigma), seeds))
        for place in range(1, seeds if self.related else 0):
            kept = self.related * noise[:, :, place - 1]
            noise[:, :, place] = kept + math.sqrt(1 - self.related**2) * noise[:, :, place]
        noise = noise * np.array(self.sigma)[:, None]
        noise[:, [1 + level for level in self.inert]] = noise[:, :1]
        shift = random.normal(0, SEED_PERCENT, (sweeps, 1, seeds))
        return LOSS * (1 + (shift + noise - np.array([0.0, *self.gains])[:, None]) / 100)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What became of every sweep. chosen: the candidate's level. trials: of the shared seeds."""

    state: np.ndarray
    chosen: np.ndarray
    refined: np.ndarray
    trials: np.ndarray

    @property
    def confirm(self):
        return float((self.state == CONFIRM).mean())

    @property
    def candidate(self):
        return float((self.state == CANDIDATE).mean())

    @property
    def refine(self):
        return float(self.refined.mean())


@cache
def quantile(alpha, nu):
    return float(stats.t.ppf(1 - alpha, nu))


def moderated(own, others, seeds):
    """Variance and degrees of freedom, both of shape (sweeps,). others: (sweeps, levels - 1)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row of nothing but nan
        middle = np.nanmedian(np.where(others > 0, others, np.nan), axis=1) if others.size else own * np.nan
    alone = np.isnan(middle)
    leaning = np.maximum((2 * np.nan_to_num(middle) + (seeds - 1) * own) / (seeds + 1), own)
    return np.where(alone, own, leaning), np.where(alone, seeds - 1, seeds + 1)


def pooled(own, others, seeds):
    """The mean of all, as if no arm were noisier: the rule that the moderated one is measured against."""
    levels = 1 + others.shape[1]
    return (own + others.sum(axis=1)) / levels, np.full(len(own), levels * (seeds - 1))


def own_alone(own, others, seeds):
    """Every contrast by itself."""
    return own, np.full(len(own), seeds - 1)


def unguarded(own, others, seeds):
    """The moderated variance without its floor, so that a noisy contrast borrows the others' quiet."""
    middle = np.median(others, axis=1)
    return (2 * middle + (seeds - 1) * own) / (seeds + 1), np.full(len(own), seeds + 1)


def screened(shared, looks, alpha, *, error=moderated, excludes=True, correct=True):
    """State, chosen level and trials of every sweep. shared: losses, (sweeps, 1 + levels, seeds)."""
    sweeps, k = len(shared), shared.shape[1] - 1
    state, chosen = np.full(sweeps, OPEN), np.zeros(sweeps, int)
    runs, spread, trials, before = np.ones((sweeps, k), bool), np.zeros((sweeps, k)), np.zeros(sweeps), 0
    for look in looks:
        going = state == OPEN
        trials += going * (look - before) * (1 + runs.sum(axis=1))
        before, gain = look, _gains(shared[:, :, :look])
        mean, spread = gain.mean(axis=2), np.where(runs, gain.var(axis=2, ddof=1), spread)
        lower, upper = np.empty_like(mean), np.empty_like(mean)
        for level in range(k):
            noise, nu = error(spread[:, level], np.delete(spread, level, axis=1), look)
            size = np.sqrt(noise / look)
            upper[:, level] = mean[:, level] + _times(alpha, nu) * size
            lower[:, level] = mean[:, level] - _times(alpha / (k if correct else 1), nu) * size
        left = runs & (upper >= DELTA)
        better = np.where(left & (lower > 0), mean, -np.inf)
        best = better.argmax(axis=1)
        found = np.where(np.isfinite(better.max(axis=1)), CANDIDATE, OPEN)
        found = np.where((found == CANDIDATE) & np.isin(best, (0, k - 1)) & _ends(k, best), EDGE, found)
        found = np.where(left.any(axis=1), found, CONFIRM)
        chosen = np.where(going & (found == CANDIDATE), best, chosen)
        state = np.where(going, found, state)
        runs = left if excludes else runs
    return state, chosen, trials


def words(world, sweeps, *, error=moderated, excludes=True, seed=7, divide=True, correct=True):
    """Every sweep to its end. error: how the variance of a contrast comes about.

    excludes: whether an arm below the margin runs no more. divide: alpha over the looks. correct: and, below,
    over the levels.
    """
    shared, fresh = world.drawn(sweeps, seed)
    alpha = ALPHA / (len(world.looks) if divide else 1)
    state, chosen, trials = screened(
        shared, world.looks, alpha, error=error, excludes=excludes, correct=correct
    )
    held = held_on_fresh(fresh, chosen, ALPHA)
    return Words(state=state, chosen=chosen, refined=held & (state == CANDIDATE), trials=trials)


def held_on_fresh(fresh, chosen, alpha):
    """Whether every sweep's chosen level holds on fresh seeds. fresh: losses, (sweeps, 1 + levels, seeds)."""
    again, seeds = _gains(fresh)[np.arange(len(chosen)), chosen], fresh.shape[2]
    size = again.std(axis=1, ddof=1) / math.sqrt(seeds)
    return (again.mean(axis=1) >= DELTA) & (again.mean(axis=1) > quantile(alpha, seeds - 1) * size)


def _ends(k, best):
    """Levels x1/2, x1/4, ... below the default and x2, ... above it; one level alone ends the grid too."""
    return (best == 0) | (best == k - 1)


def _gains(values):
    """Percent of the default's mean, positive = better, shape (sweeps, levels, seeds)."""
    return 100 * (values[:, :1] - values[:, 1:]) / values[:, :1].mean(axis=2, keepdims=True)


def _times(alpha, nu):
    return np.vectorize(lambda one: quantile(alpha, int(one)), otypes=[float])(nu)


def allowed(share, sweeps, errors=3):
    """The most that a true rate of `share` shows in so many sweeps."""
    return share + errors * math.sqrt(share * (1 - share) / sweeps)
