"""The rule for an optimum over many evaluation sets at once, in numpy (docs/statistics.md, items 4 to 7).

As `simulated.py`, with an evaluation set of clusters that is drawn anew for every sweep, and the same for its
shared and its fresh seeds. `test_few_clusters.py` holds it against the package, sweep by sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tests.decision.simulated import (
    ALPHA,
    CANDIDATE,
    CONFIRM,
    DEFAULT_LOOKS,
    DELTA,
    EDGE,
    LOSS,
    OPEN,
    SEED_PERCENT,
    Words,
    moderated,
)


@dataclass(frozen=True, kw_only=True)
class World:
    """gains: true percent of every level. count: clusters. cluster: an arm's deviation in each, percent.

    spread: standard deviation of ln(size of a cluster); 1.2 has some ten times as large as others. ordered:
    whether the first and the last level end a grid. sigma: noise of every arm at a seed. times: what every
    arm's deviations are multiplied by, the default first.
    """

    gains: tuple[float, ...]
    count: int
    spread: float = 0.0
    cluster: float = 1.0
    looks: tuple[int, ...] = DEFAULT_LOOKS
    fresh: int = 5
    sigma: float = 0.2
    ordered: bool = True
    times: tuple[float, ...] = (1.0,)

    def drawn(self, sweeps, seed=7):
        """Tokens (sweeps, clusters), deviations (sweeps, arms, clusters), losses of shared and fresh seeds.

        The losses are of shape (sweeps, arms, seeds), those that an evaluation without deviation would show.
        """
        arms = 1 + len(self.gains)
        random = np.random.default_rng([seed, arms, self.count, *self.looks])
        tokens = np.exp(random.normal(0, self.spread, (sweeps, self.count)))
        deviations = random.normal(0, self.cluster, (sweeps, arms, self.count))
        deviations *= np.array(self.times)[:, None]
        shown = []
        for seeds in (self.looks[-1], self.fresh):
            shift = random.normal(0, SEED_PERCENT, (sweeps, 1, seeds))
            noise = random.normal(0, self.sigma, (sweeps, arms, seeds))
            shown.append(LOSS * (1 + (shift + noise - np.array([0.0, *self.gains])[:, None]) / 100))
        return tokens, deviations, *shown


def own_freedom(p):
    """Degrees of freedom of the bias-reduced variance by its quadratic form. p: shares of the tokens."""
    left = 1 - 2 * p + (p**2).sum(axis=1, keepdims=True)
    centring = np.eye(p.shape[1]) - p[:, None, :]
    form = np.einsum("ngi,ng,ngj->nij", centring, p**2 / left, centring)
    return np.einsum("nii->n", form) ** 2 / np.einsum("nij,nij->n", form, form)


def leaning(own, others, freedom):
    """Variance over clusters and its degrees of freedom, both (sweeps,): as that over seeds."""
    if not others.size:
        return own, freedom
    weight = np.minimum(2.0, freedom)
    middle = np.median(others, axis=1)
    return np.maximum((weight * middle + freedom * own) / (weight + freedom), own), freedom + weight


def alone(own, others, freedom):
    """Every contrast's clusters by themselves: the rule that was replaced."""
    return own, freedom


def words(world, sweeps, *, bias_reduced=True, looks_of_clusters=3.0, lean=leaning, seed=7):
    """Every sweep to its end. bias_reduced: else the usual variance with one degree less than clusters.

    looks_of_clusters: how many looks the lower bound pays for where all its error is that of the clusters.
    lean: how the variance of a contrast over clusters comes about.
    """
    tokens, deviations, shared, fresh = world.drawn(sweeps, seed)
    p = tokens / tokens.sum(axis=1, keepdims=True)
    k, alpha = len(world.gains), ALPHA / len(world.looks)
    left = 1 - 2 * p + (p**2).sum(axis=1, keepdims=True)
    over = deviations[:, :1] - deviations[:, 1:]  # a deviation upwards is a loss
    moved = (over * p[:, None]).sum(axis=2)
    residuals = (p[:, None] * (over - moved[:, :, None])) ** 2
    if bias_reduced:
        variance, freedom = (residuals / left[:, None]).sum(axis=2), own_freedom(p)
    else:
        variance = world.count / (world.count - 1) * residuals.sum(axis=2)
        freedom = np.full(sweeps, float(world.count - 1))
    of_default = (deviations[:, 0] * p).sum(axis=1)

    def gains(values):
        """Percent of the default's mean on this evaluation set, and what a deviation of 1 % comes to."""
        mean = values[:, :1].mean(axis=2, keepdims=True) + LOSS * of_default[:, None, None] / 100
        return 100 * (values[:, :1] - values[:, 1:] + LOSS * moved[:, :, None] / 100) / mean, LOSS / mean[
            :, :, 0
        ]

    def combined(over_seeds, nu, over_clusters, own):
        total = over_seeds + over_clusters
        both = total**2 / (over_seeds**2 / nu + over_clusters**2 / own)
        return np.sqrt(total), np.maximum(1, np.floor(both + 1e-9)), over_clusters / total

    state, chosen = np.full(sweeps, OPEN), np.zeros(sweeps, int)
    runs, spread, told = np.ones((sweeps, k), bool), np.zeros((sweeps, k)), np.zeros((sweeps, k))
    trials, before = np.zeros(sweeps), 0
    for look in world.looks:
        going = state == OPEN
        trials += going * (look - before) * (1 + runs.sum(axis=1))
        before, (gain, scale) = look, gains(shared[:, :, :look])
        mean, spread = gain.mean(axis=2), np.where(runs, gain.var(axis=2, ddof=1), spread)
        told = np.where(runs, variance * scale**2, told)
        lower, upper = np.empty_like(mean), np.empty_like(mean)
        for level in range(k):
            noise, nu = moderated(spread[:, level], np.delete(spread, level, axis=1), look)
            other, own = lean(told[:, level], np.delete(told, level, axis=1), freedom)
            size, nu, share = combined(noise / look, nu, other, own)
            ways = np.maximum(1.0, (1 + (looks_of_clusters - 1) * share) / len(world.looks))
            upper[:, level] = mean[:, level] + stats.t.ppf(1 - alpha, nu) * size
            lower[:, level] = mean[:, level] - stats.t.ppf(1 - alpha / k / ways, nu) * size
        left_open = runs & (upper >= DELTA)
        better = np.where(left_open & (lower > 0), mean, -np.inf)
        best = better.argmax(axis=1)
        found = np.where(np.isfinite(better.max(axis=1)), CANDIDATE, OPEN)
        ends = world.ordered & ((best == 0) | (best == k - 1))
        found = np.where((found == CANDIDATE) & ends, EDGE, found)
        found = np.where(left_open.any(axis=1), found, CONFIRM)
        chosen = np.where(going & (found == CANDIDATE), best, chosen)
        state = np.where(going, found, state)
        runs = left_open
    every = np.arange(sweeps)
    again, scale = gains(fresh)
    again = again[every, chosen]
    noise = again.var(axis=1, ddof=1) / world.fresh
    size, nu, _ = combined(noise, world.fresh - 1, variance[every, chosen] * scale[:, 0] ** 2, freedom)
    mean = again.mean(axis=1)
    held = (mean >= DELTA) & (mean > stats.t.ppf(1 - ALPHA, nu) * size)
    return Words(state=state, chosen=chosen, refined=held & (state == CANDIDATE), trials=trials)
