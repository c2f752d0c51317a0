"""Bounds of a whole study from its blocks alone: what contrasts, arm by arm, must agree with."""

from __future__ import annotations

import numpy as np

from bios_sweep.decision.bounds import Bound, dunnett, pooled_error, student, unequal_variances
from bios_sweep.decision.table import Blocks


def gain_bounds(blocks: Blocks, alpha: float, variations: int | None = None) -> tuple[Bound, ...]:
    """Bounds of every variation, each at one-sided level `alpha` (already divided by the looks).

    Lower bounds are simultaneous over the k variations (Dunnett 1955, rho = 0.5): one of them above
    zero is a finding however many were tried. Upper bounds are marginal: a confirmation needs all of
    them below the margin, an intersection-union test (Berger & Hsu 1996).

    Blocked model y_as = mu_a + b_s + e_as: s2 = sum of squared residuals / ((A-1)(S-1)).
    With unequal variances each arm falls back to its own paired t, Bonferroni for the lower bound.

    variations: how many the study tried, when it is more than are in the blocks (some diverged, some
    were decided at an earlier look): what was tried counts, not what is left.

    Raises:
        ValueError: fewer than two seeds or no variation (no variance can be estimated).
    """
    gains = blocks.gains()
    k, seeds = gains.shape
    if k < 1 or seeds < 2:
        raise ValueError(f"bounds need at least 1 variation and 2 seeds, not {k} and {seeds}")
    means = gains.mean(axis=1)
    tried = max(k, variations or 0)
    pooled = not unequal_variances(gains)
    if pooled:
        errors = np.full(k, pooled_error(blocks))
        nu = k * (seeds - 1)
        below, above = dunnett(alpha, tried, nu), student(alpha, nu)
    else:
        errors = gains.std(axis=1, ddof=1) / np.sqrt(seeds)
        below, above = student(alpha / tried, seeds - 1), student(alpha, seeds - 1)
    return tuple(
        Bound(
            arm=arm,
            gain=float(mean),
            lower=float(mean - below * error),
            upper=float(mean + above * error),
            standard_error=float(error),
            pooled=pooled,
        )
        for arm, mean, error in zip(blocks.arms[1:], means, errors, strict=True)
    )
