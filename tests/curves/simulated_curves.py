"""Curves of known kinds, with the noise of real trials: what the signs must tell apart.

Real trials of the embedded model (100 steps, measured 5 times): the loss falls by 8 % of itself, 82-88 % of
that in the first fifth, 1-2 % in the last; measurements of one trial scatter by 0.1 % of the loss.
"""

from dataclasses import dataclass, replace

import numpy as np

from bios_sweep.curves.signs import Limits
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status

NOISE = 0.001  # standard deviation of a measurement, share of the loss
SEED_NOISE = 0.003  # of a seed's whole curve after step 0
STEPS = 1000


@dataclass(frozen=True)
class World:
    """What one simulated arm is made of."""

    start: float
    gained: float
    seeds: int
    fractions: np.ndarray
    rng: np.random.Generator

    @property
    def limits(self):
        end = self.start - self.gained
        return Limits(margin=min(0.005 * end, 0.05 * self.gained))


def world(seed, *, fewest=2):
    rng = np.random.default_rng(seed)
    start = rng.uniform(1.5, 4.0)
    parts = rng.choice([5, 5, 5, 8, 10])
    return World(
        start=start,
        gained=start * rng.uniform(0.08, 0.5),
        seeds=int(rng.choice([n for n in (1, 2, 3, 5, 8) if n >= fewest])),
        fractions=np.linspace(0.0, 1.0, parts + 1),
        rng=rng,
    )


def arm(w, left, train=None, *, status=Status.COMPLETED, cause="", wall_seconds=100.0, final=None):
    """Trials whose loss is start - gained * (1 - left); left: share still to gain, shape (P,)."""
    clean = w.start - w.gained * (1.0 - left)
    results = []
    for seed in range(w.seeds):
        offset = SEED_NOISE * w.start * w.rng.normal()
        noise = NOISE * w.start * w.rng.normal(size=len(left)) + offset
        noise[0] = 0.0
        results.append(_trial(w, seed, clean + noise, train, status, cause, wall_seconds, final))
    return results


def _trial(w, seed, values, train, status, cause, wall_seconds, final):
    told = [None] * len(values) if train is None else [None, *train[1:]]
    points = tuple(
        Measurement(
            step=round(STEPS * f),
            fraction=float(f),
            examples=round(STEPS * f),
            tokens=round(STEPS * f),
            eval_loss=float(value),
            train_loss=None if loss is None else float(loss + 0.003 * w.start * w.rng.normal()),
        )
        for f, value, loss in zip(w.fractions, values, told, strict=True)
    )
    ends = {"eval_loss": float(values[-1]), **(final(w) if final else {})}
    return TrialResult(
        key=str(seed),
        status=status,
        curve=points,
        final=ends,
        wall_seconds=wall_seconds * float(np.exp(0.03 * w.rng.normal())),
        cause=cause,
    )


def falling(w, rate):
    """The share still to gain, exponential, 1 at the start and 0 at the end."""
    end = np.exp(-rate)
    return (np.exp(-rate * w.fractions) - end) / (1.0 - end)


def bent(w):
    """Much in the first fifth, then slowly on, as the embedded model's real trials."""
    slow = w.rng.uniform(0.18, 0.35)
    return (1 - slow) * falling(w, w.rng.uniform(12.0, 20.0)) + slow * falling(w, w.rng.uniform(2.5, 3.5))


def healthy_shape(w):
    return falling(w, w.rng.uniform(3.6, 4.5)) if w.rng.random() < 0.5 else bent(w)


def train_of(w, left):
    """Training loss, a little under the held-out one."""
    return w.start - w.gained * (1.0 - left) - 0.1 * w.gained * w.fractions


def healthy(seed):
    w = world(seed, fewest=1)
    left = healthy_shape(w)
    train = train_of(w, left) if w.rng.random() < 0.7 else None
    return arm(w, left, train), w.limits


def unstable(seed):
    """A spike that comes down again, somewhere in the middle; in two of three the training loss shows it."""
    w = world(seed)
    left = healthy_shape(w)
    place = int(w.rng.integers(1, len(left) - 1))
    spiked = left.copy()
    before = left[place - 1]
    spiked[place] = before + max(w.rng.uniform(0.08, 0.6), 3 * w.limits.margin / w.gained)
    return arm(w, spiked, train_of(w, spiked)), w.limits


def diverged(seed):
    """Half of them by their status at some seed, half completed but worse than the untouched model."""
    w = world(seed)
    if seed % 2:
        results = arm(w, healthy_shape(w))
        lost = int(w.rng.integers(1, w.seeds + 1))
        ended = [
            replace(r, status=Status.DIVERGED, cause="the training loss was not finite")
            for r in results[:lost]
        ]
        return [*ended, *results[lost:]], w.limits
    rising = 1.0 + w.rng.uniform(0.1, 1.0) * w.fractions
    return arm(w, rising, train_of(w, rising)), w.limits


def plateau(seed):
    """All gained by two fifths of training; in some nothing is gained at all."""
    w = world(seed, fewest=3)
    if seed % 10 == 0:
        w = replace(w, gained=0.002 * w.start)
        return arm(w, falling(w, 3.0)), w.limits
    left = falling(w, w.rng.uniform(11.0, 25.0))
    return arm(w, left, train_of(w, left) if w.rng.random() < 0.7 else None), w.limits


def improving(seed):
    """Nearly a straight line over the learning rate of a linear schedule: stopped too early."""
    w = world(seed, fewest=3)
    spent = replace(w, fractions=1.0 - (1.0 - w.fractions) ** 2)
    left = falling(spent, w.rng.uniform(0.1, 0.6))
    return arm(w, left, train_of(w, left) if w.rng.random() < 0.7 else None), w.limits


def overfitting(seed):
    """Best between 30 and 75 % of training, then worse by several margins while the training loss falls."""
    w = world(seed)
    turn = w.rng.uniform(0.3, 0.75)
    # the turn lies between measurements; the rise counts from the best one measured
    turn = float(w.fractions[np.abs(w.fractions - turn).argmin()])
    rise = max(w.rng.uniform(0.08, 0.5), 3 * w.limits.margin / w.gained)
    down = falling(w, 5.0)
    up = np.clip((w.fractions - turn) / (1 - turn), 0.0, None) * rise
    left = np.where(w.fractions <= turn, down, np.interp(turn, w.fractions, down)) + up
    train = train_of(w, down)
    return arm(w, left, train if w.rng.random() < 0.7 else None), w.limits


def slow(seed):
    w = world(seed, fewest=1)
    limits = replace(w.limits, rule=DecisionRule(deadline=100.0))
    return arm(w, healthy_shape(w), wall_seconds=w.rng.uniform(115.0, 400.0)), limits


def short_of_target(seed):
    w = world(seed)
    w = replace(w, seeds=max(w.seeds, 3))
    end = w.start - w.gained
    limits = replace(w.limits, rule=DecisionRule(target=end * (1.0 - w.rng.uniform(0.03, 0.2))))
    return arm(w, healthy_shape(w)), limits


def forgetting(seed):
    w = world(seed)
    w = replace(w, seeds=max(w.seeds, 3))
    rise = w.rng.uniform(2.0, 15.0)

    def final(world_):
        return {
            "general_loss_before": 3.0,
            "general_loss": 3.0 * (1 + rise / 100) * (1 + 0.002 * world_.rng.normal()),
        }

    return arm(w, healthy_shape(w), final=final), w.limits


def content(seed):
    """Healthy, with a target and a deadline that are met and general text kept: nothing may be said."""
    w = world(seed, fewest=1)
    end = w.start - w.gained
    limits = replace(w.limits, rule=DecisionRule(target=end * 1.01, deadline=130.0))

    def final(world_):
        return {"general_loss_before": 3.0, "general_loss": 3.0 * (1 + 0.002 * world_.rng.normal())}

    return arm(w, healthy_shape(w), final=final), limits


KINDS = {
    "unstable": unstable,
    "diverged": diverged,
    "plateau": plateau,
    "still improving": improving,
    "overfitting": overfitting,
    "too slow": slow,
    "quality not reached": short_of_target,
    "forgetting": forgetting,
}
