"""Claims of a batch size and a rank, and ladders, on many sweeps at once in numpy: `rehearse` is held to it.

Written from docs/statistics.md, items 3, 5, 7, 8, 11 and 13, and from nothing of the package. The worlds are
those that `rehearse` says it takes: what a level loses by being smaller or larger, and what it costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tests.decision import simulated_ladders
from tests.decision.simulated import ALPHA, CANDIDATE, CONFIRM, DELTA, OPEN

SEEDS, FRESH, REPEATS, SPREAD, BLOCK = 5, 5, 5, 0.03, 1.0
DEARER, SPEED_LOSS = 1.2, 1.0
REFINE = 9  # beside the states of `simulated.py`
BATCHES = (0.25, 0.5, 2.0, 4.0)
DURATIONS = (0.5, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Of one contrast in every sweep, shape (sweeps,)."""

    gain: np.ndarray
    error: np.ndarray
    freedom: float
    tried: int

    def upper(self, ways=1, alpha=ALPHA):
        return self.gain + t(alpha / ways, self.freedom) * self.error

    def lower(self, alpha=ALPHA, *, named=False):
        """named: the claim named the level, so that nothing pays for having chosen it."""
        return self.gain - t(alpha / (1 if named else self.tried), self.freedom) * self.error


def t(alpha, freedom):
    return stats.t.ppf(1 - alpha, freedom)


def bounds(gains, weights, name, tried):
    """gains: arm -> (sweeps, seeds), percent better than the default. name: of the arm that leads."""
    seeds = gains[name].shape[1]
    reference = sum(weight * gains[arm] for arm, weight in weights.items() if arm != name)
    own = (gains[name] + reference).var(axis=1, ddof=1)
    others = [(gains[arm] + reference).var(axis=1, ddof=1) for arm in gains if arm not in weights]
    middle = np.median(others, axis=0)
    taken = np.maximum((2 * middle + (seeds - 1) * own) / (seeds + 1), own)
    mean = (gains[name] + reference).mean(axis=1)
    return Bounds(gain=mean, error=np.sqrt(taken / seeds), freedom=seeds + 1, tried=tried)


def drawn(true, sweeps, sigma, seeds, random):
    """Arm -> how much better, percent of the default's mean, (sweeps, seeds); the shift of a seed is in all.

    true: arm -> its gain, the same in every sweep or one for each; the default first.
    """
    shift = random.normal(0, BLOCK, (sweeps, seeds))
    values = {
        arm: np.reshape(gain, (-1, 1)) + shift + random.normal(0, sigma, (sweeps, seeds))
        for arm, gain in true.items()
    }
    scale = 1 - values["default"].mean(axis=1, keepdims=True) / 100
    return {arm: own / scale for arm, own in values.items()}


def timed(costs, sweeps, random):
    """Arm -> ln of its time over the default's, (sweeps, repeats), all of them beside one default."""
    noise = {arm: SPREAD * random.standard_normal((sweeps, REPEATS)) for arm in ("default", *costs)}
    return {arm: math.log(cost) + noise[arm] - noise["default"] for arm, cost in costs.items()}


def ratio(logs):
    """The ratio of times with its bounds, (sweeps,) each."""
    mean, error = logs.mean(axis=1), logs.std(axis=1, ddof=1) / math.sqrt(logs.shape[1])
    width = t(ALPHA, logs.shape[1] - 1) * error
    return np.exp(mean), np.exp(mean - width), np.exp(mean + width)


def nearest(better, gains, order):
    """Of the better levels that gain the margin and no margin less than the best, that next to the default.

    better, gains: level -> (sweeps,). order: the levels by distance. Returns a place in it, or -1.
    """
    most = np.max([np.where(better[one], gains[one], -np.inf) for one in order], axis=0)
    close = {one: better[one] & (gains[one] >= DELTA) & (most - gains[one] < DELTA) for one in order}
    some = np.any([close[one] for one in order], axis=0)
    place = np.full(len(most), -1)
    for at in reversed(range(len(order))):
        mine = np.where(some, close[order[at]], better[order[at]])
        place = np.where(mine, at, place)
    return place


def met(level, rival, study):
    """Mean gain of a level over a rival on fresh seeds, and its standard error. Both are true gains."""
    fresh = {"default": 0.0, "level": level, "rival": rival}
    seen = drawn(fresh, study.sweeps, study.sigma, FRESH, study.random)
    gains = seen["level"] - seen["rival"]
    return gains.mean(axis=1), gains.std(axis=1, ddof=1) / math.sqrt(FRESH)


def superior(mean, error):
    return (mean - t(ALPHA, FRESH - 1) * error > 0) & (mean >= DELTA)


def not_worse(mean, error, limit):
    return mean - t(ALPHA, FRESH - 1) * error > -limit


def below(mean, error, limit):
    return mean + t(ALPHA, FRESH - 1) * error < limit


def first(*pairs):
    """The state of the first condition that holds, else open."""
    state = np.full(len(pairs[0][0]), OPEN)
    for condition, word in reversed(pairs):
        state = np.where(condition, word, state)
    return state


def shares(state):
    return {"confirm": float((state == CONFIRM).mean()), "refine": float((state == REFINE).mean())}


@dataclass(frozen=True, kw_only=True)
class Study:
    """Many sweeps of one study. true, gains: by arm; logs: ln of times; alpha: 0.05, or it is broken."""

    true: dict
    gains: dict
    logs: dict
    sigma: float
    sweeps: int
    random: np.random.Generator
    alpha: float = ALPHA

    def over(self, arm, other="default"):
        return bounds(self.gains, {arm: 1, other: -1}, arm, len(self.gains) - 1)


def study_of(true, costs, sigma, sweeps, seed, alpha):
    random = np.random.default_rng(seed)
    gains, logs = drawn(true, sweeps, sigma, SEEDS, random), timed(costs, sweeps, random)
    return Study(true=true, gains=gains, logs=logs, sigma=sigma, sweeps=sweeps, random=random, alpha=alpha)


def batch_sizes(effect, sigma, sweeps, seed=1, alpha=ALPHA):
    """The shares of words per claim of a batch size: half of it gains the effect, in margins."""
    true = {"default": 0.0, 0.25: 0.0, 0.5: effect * DELTA, 2.0: -DELTA, 4.0: -4 * DELTA}
    true |= {("steps", multiple): min(0.0, 2 * DELTA * math.log2(multiple)) for multiple in DURATIONS}
    costs = {multiple: (0.5 + 0.5 * multiple) / multiple for multiple in BATCHES}
    study = study_of(true, costs, sigma, sweeps, seed, alpha)
    return {claim: shares(judge(study)) for claim, judge in JUDGES.items()}


def at_one_cost(study, batch, costs):
    """The gain of a batch size over the default trained for as long, with its bounds. costs: (sweeps,)."""
    known = {1.0: "default", **{duration: ("steps", duration) for duration in DURATIONS}}
    rising = sorted(known)
    low = np.searchsorted(rising, costs, side="right") - 1
    gain, error = np.zeros(study.sweeps), np.zeros(study.sweeps)
    for place in range(len(rising) - 1):
        mine = low == place
        shorter, longer = rising[place], rising[place + 1]
        share = (np.log(costs[mine] / shorter) / math.log(longer / shorter))[:, None]
        some = {arm: own[mine] for arm, own in study.gains.items()}
        mixed = (1 - share) * some.pop(known[shorter]) + share * some.pop(known[longer])
        found = bounds({**some, "mix": mixed}, {batch: 1, "mix": -1}, batch, len(study.gains) - 1)
        gain[mine], error[mine] = found.gain, found.error
    return Bounds(gain=gain, error=error, freedom=SEEDS + 1, tried=len(study.gains) - 1)


def balanced(study):
    cost = {one: ratio(study.logs[one])[0] for one in BATCHES}
    iso = {one: at_one_cost(study, one, cost[one]) for one in BATCHES}
    confirmed = np.all([iso[one].upper(alpha=study.alpha) < DELTA for one in BATCHES], axis=0)
    order = (0.5, 2.0, 0.25, 4.0)
    place = nearest(
        {one: iso[one].lower(study.alpha) > 0 for one in order}, {one: iso[one].gain for one in order}, order
    )
    refined = np.zeros(study.sweeps, bool)
    for at, one in enumerate(order[:2]):  # the others end the grid
        trained = np.minimum(2 * DELTA * np.log2(np.round(1000 * cost[one]) / 1000), 0.0)
        refined |= (place == at) & superior(*met(study.true[one], trained, study))
    return first((confirmed, CONFIRM), (refined, REFINE))


def quality(study):
    claimed, rivals = 0.5, (0.25, 2.0, 4.0)
    gain, alpha = study.over(claimed), study.alpha
    over = {one: study.over(one, claimed) for one in rivals}
    unbeaten = np.all([over[one].upper(alpha=alpha) < DELTA for one in rivals], axis=0)
    nothing = np.all([study.over(one).upper(alpha=alpha) < DELTA for one in (claimed, *rivals)], axis=0)
    better = {one: (over[one].lower(alpha) > 0) & (study.over(one).lower(alpha) > 0) for one in rivals}
    order = (2.0, 0.25, 4.0)
    place = nearest(better, {one: over[one].gain for one in order}, order)
    inner = (place == 0) & superior(*met(study.true[2.0], study.true[claimed], study))
    turned_down = below(*met(study.true[claimed], 0.0, study), DELTA)
    confirmed = (gain.lower(alpha, named=True) > 0) & unbeaten
    return first((confirmed, CONFIRM), (nothing, np.where(turned_down, REFINE, OPEN)), (inner, REFINE))


def speed(study):
    claimed, rivals, least = 2.0, (0.25, 0.5, 4.0), 1 / DEARER
    gains = {one: study.over(one) for one in BATCHES}
    cost, alpha = {one: ratio(study.logs[one]) for one in BATCHES}, study.alpha
    over = {one: ratio(study.logs[one] - study.logs[claimed])[1] for one in rivals}
    beaten = [(over[one] > least) | (gains[one].upper(alpha=alpha) < -SPEED_LOSS) for one in rivals]
    saves = cost[claimed][2] < least
    affordable = gains[claimed].lower(alpha, named=True) > -SPEED_LOSS
    confirmed = saves & affordable & np.all(beaten, axis=0)
    refined, fastest = np.zeros(study.sweeps, bool), np.full(study.sweeps, np.inf)
    for one in rivals:
        asked = ~saves | (cost[one][0] < cost[claimed][0] / DEARER)
        good = asked & (cost[one][2] < least) & (gains[one].lower(alpha) > -SPEED_LOSS)
        passes = not_worse(*met(study.true[one], 0.0, study), SPEED_LOSS)
        best = good & (cost[one][0] < fastest)
        refined, fastest = np.where(best, passes, refined), np.where(best, cost[one][0], fastest)
    costs_too_much = gains[claimed].upper(alpha=alpha) < -SPEED_LOSS
    down = costs_too_much & below(*met(study.true[claimed], 0.0, study), -SPEED_LOSS)
    return first(
        (confirmed, CONFIRM),
        (np.isfinite(fastest), np.where(refined, REFINE, OPEN)),
        (cost[claimed][1] > least, REFINE),
        (down, REFINE),
    )


JUDGES = {"balanced": balanced, "quality": quality, "speed": speed}


def ranks(effect, sigma, sweeps, seed=1, alpha=ALPHA):
    """The shares of words for a rank that claims to be enough: twice of it gains the effect, in margins."""
    true = {"default": 0.0, 8: -4 * DELTA, 16: -2 * DELTA, 64: effect * DELTA, 128: 0.0}
    study = study_of(true, dict.fromkeys((8, 16, 64, 128), 1.0), sigma, sweeps, seed, alpha)
    gains = {one: study.over(one) for one in (8, 16, 64, 128)}
    order = (16, 64, 8, 128)  # by the logarithm of the rank; the inner two first
    better = {one: (gains[one].lower(alpha) > 0) & (gains[one].upper(alpha=alpha) >= DELTA) for one in order}
    place = nearest(better, {one: gains[one].gain for one in order}, order)
    refined = np.zeros(sweeps, bool)
    for at, one in enumerate(order[:2]):
        refined |= (place == at) & superior(*met(true[one], 0.0, study))
    more_might = np.any([gains[one].upper(alpha=alpha) >= DELTA for one in (64, 128)], axis=0)
    cheap = {one: ratio(study.logs[one])[2] < 1 / DEARER for one in (8, 16)}
    spared = [cheap[one] & (gains[one].lower(alpha) > -DELTA) & ~more_might for one in (8, 16)]
    less = [not_worse(*met(true[one], 0.0, study), DELTA) for one in (8, 16)]
    logs = study.logs[16]
    half = np.exp(
        logs.mean(axis=1) - t(ALPHA / 2, REPEATS - 1) * logs.std(axis=1, ddof=1) / math.sqrt(REPEATS)
    )
    needed = (gains[16].upper(2, alpha) < -DELTA) | (half > 1 / DEARER)
    return shares(
        first(
            (place >= 0, np.where(refined, REFINE, OPEN)),
            (spared[0], np.where(less[0], REFINE, OPEN)),
            (spared[1], np.where(less[1], REFINE, OPEN)),
            (needed & ~more_might, CONFIRM),
        )
    )


RUNGS = (0.5, 1.0, 2.0)


def retuned(effect, sigma, sweeps, seed=1, **rule):
    """The shares of words for a batch size with a ladder of rates; half of it gains the effect."""
    levels = (0.0, 0.0, effect * DELTA, -DELTA, -4 * DELTA)  # the default, x0.25, x0.5, x2, x4
    gains = np.array([[level - DELTA * math.log2(rung) ** 2 for rung in RUNGS] for level in levels])
    losses = simulated_ladders.drawn(gains, sweeps, SEEDS, sigma, seed)
    found = simulated_ladders.found(losses, RUNGS.index(1.0), **rule)
    chosen, own = gains[found.level, found.rung], gains[0][found.default]
    study = Study(
        true={}, gains={}, logs={}, sigma=sigma, sweeps=sweeps, random=np.random.default_rng(seed + 1)
    )
    fresh = superior(*met(chosen, own, study))
    return shares(
        first(
            (found.state == CONFIRM, CONFIRM),
            (found.state == CANDIDATE, np.where(fresh, REFINE, OPEN)),
        )
    )
