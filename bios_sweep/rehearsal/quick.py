"""How often a rule gives an answer, in numpy and in a tenth of a second: what `plan` says of a margin. Pure.

docs/statistics.md, items 3, 5, 6 and 7, for one factor that is judged by its loss alone. `rehearse` asks the
procedure itself, with all claims, and takes its time; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bios_sweep.decision.bounds import PRIOR, student
from bios_sweep.decision.table import Floats

Bools = NDArray[np.bool_]
SWEEPS, SEED = 2000, 20  # a chance of one half is then told within two hundredths
FOUND = 2.0  # margins: a gain that a study ought to find


@dataclass(frozen=True, kw_only=True)
class Design:
    """What decides the chances of a factor. levels: its arms beside the default; tried: those of the study.

    noise: of one trial, percent. margin: percent. fresh: seeds of a confirmation.
    """

    levels: int
    tried: int
    looks: tuple[int, ...]
    fresh: int
    alpha: float
    noise: float
    margin: float


@dataclass(frozen=True, kw_only=True)
class Chances:
    """Of sweeps in which no level differs: how many confirm the default, and the trials of levels that took.

    found: of sweeps in which one level gains twice the margin, how many end with it. seeds: of the default.
    """

    confirmed: float
    found: float
    level_trials: float
    seeds: float


@lru_cache(maxsize=256)
def chances_of(design: Design) -> Chances:
    """By simulation, with a fixed seed."""
    random = np.random.default_rng(SEED)
    shape = (SWEEPS, design.levels + 1, design.looks[-1])
    losses = design.noise * random.standard_normal(shape)
    equal = losses[:, :1] - losses[:, 1:]
    confirmed, _, trials, seeds = _screened(equal, design)
    better = equal.copy()
    better[:, 0] += FOUND * design.margin
    _, chosen, _, _ = _screened(better, design)
    return Chances(
        confirmed=float(confirmed.mean()),
        found=float((chosen & _holds(random, design)).mean()),
        level_trials=float(trials.mean()),
        seeds=float(seeds.mean()),
    )


def _screened(gains: Floats, design: Design) -> tuple[Bools, Bools, Floats, Floats]:
    """Per sweep: confirmed, the first level a candidate, trials of the levels, seeds of the default."""
    sweeps, levels, _ = gains.shape
    alpha = design.alpha / len(design.looks)
    runs, spread = np.ones((sweeps, levels), dtype=bool), np.zeros((sweeps, levels))
    confirmed, chosen, decided = (np.zeros(sweeps, dtype=bool) for _ in range(3))
    trials, used, before = np.zeros(sweeps), np.zeros(sweeps), 0
    for look in design.looks:
        trials += np.where(decided, 0, runs.sum(axis=1) * (look - before))
        used, before = np.where(decided, used, look), look
        mean = gains[:, :, :look].mean(axis=2)
        spread = np.where(runs, gains[:, :, :look].var(axis=2, ddof=1), spread)
        freedom = look - 1 + (PRIOR if levels > 1 else 0)
        error = np.sqrt(_moderated(spread, look) / look)
        runs &= mean + student(alpha, freedom) * error >= design.margin
        ahead = runs & (mean - student(alpha / design.tried, freedom) * error > 0)
        confirmed |= ~decided & ~runs.any(axis=1)
        leads = np.where(ahead, mean, -np.inf).argmax(axis=1) == 0
        chosen |= ~decided & ahead.any(axis=1) & leads
        decided |= ~runs.any(axis=1) | ahead.any(axis=1)
    return confirmed, chosen, trials, used


def _moderated(spread: Floats, seeds: int) -> Floats:
    """As `decision.bounds.moderated`, for all sweeps at once."""
    levels = spread.shape[1]
    if levels == 1:
        return spread
    others = [np.median(np.delete(spread, level, axis=1), axis=1) for level in range(levels)]
    leaning = (PRIOR * np.stack(others, axis=1) + (seeds - 1) * spread) / (seeds - 1 + PRIOR)
    return np.asarray(np.maximum(leaning, spread), dtype=np.float64)


def _holds(random: np.random.Generator, design: Design) -> Bools:
    """Whether a candidate that gains twice the margin is refined on fresh seeds."""
    if not design.fresh:
        return np.zeros(SWEEPS, dtype=bool)
    noise = design.noise * np.sqrt(2.0) * random.standard_normal((SWEEPS, design.fresh))
    gains = FOUND * design.margin + noise
    mean, error = gains.mean(axis=1), gains.std(axis=1, ddof=1) / np.sqrt(design.fresh)
    shown = mean - student(design.alpha, design.fresh - 1) * error > 0
    return np.asarray(shown & (mean >= design.margin), dtype=np.bool_)
