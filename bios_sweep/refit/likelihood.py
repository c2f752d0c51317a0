"""The likelihood of a learning-rate law when every study only brackets its best rate. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize, special

from bios_sweep.decision.table import Floats
from bios_sweep.refit.design import Design

FINEST = 0.1  # log units: no study knows its best rate finer than 10 % (chosen, not measured)
WIDEST = 3.0  # log units: a factor of 20 between models of one family (chosen, not measured)
NEVER = 1e-300  # the least probability of a study, so that its logarithm is finite
SMALLEST = 0.01  # log units: below it models of one size count as alike (chosen, not measured)
NODES = 41  # equally probable points of the model effect; a bracket of a grid is coarser (checked by test)


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Brackets of log best rates around a law, with a random effect per model (interval regression).

    The log best rate of study i of model m is `x_i . beta + u_m + e_i`, u ~ N(0, between^2) and
    e ~ N(0, within^2); the study says only that it lies in (low_ij, high_ij) with chance j, the neighbours of
    the rate that may be the best of those tested. An open end is infinite: a grid's edge censors, as does a
    diverged rate.

    low, high, chances: shape (studies, places), chances 0 where a study has fewer places. With one study per
    model the two variances are one.
    """

    design: Design
    low: Floats
    high: Floats
    chances: Floats

    @cached_property
    def clustered(self) -> bool:
        """Whether some model has more than one study."""
        return self.design.models < len(self.design.groups)

    @property
    def size(self) -> int:
        """How many coefficients the law has, the intercept included."""
        return int(self.design.matrix.shape[1])

    def start(self) -> Floats:
        """Least squares through the middles of the brackets; an open one counts a factor 2 beyond its end."""
        low = np.where(np.isfinite(self.low), self.low, self.high - 2 * np.log(2))
        high = np.where(np.isfinite(self.high), self.high, low + 2 * np.log(2))
        middles = np.where(np.isfinite(low), (low + high) / 2, np.log(REFERENCE_RATE))
        middle = (self.chances * middles).sum(axis=1)
        beta = np.linalg.lstsq(self.design.matrix, middle, rcond=None)[0]
        return np.concatenate([beta, np.full(2 if self.clustered else 1, np.log(0.3))])

    def minus_log(self, theta: Floats) -> tuple[float, Floats]:
        """Minus the log likelihood at (beta, log within[, log between]) and its gradient."""
        within = float(np.exp(theta[self.size]))
        effects = np.exp(theta[self.size + 1]) * self._points if self.clustered else np.zeros(1)
        centres = (self.design.matrix @ theta[: self.size])[:, None] + effects[None, :]
        log_mass, by_centre, by_within = self._mass(centres, within)
        joint = self._members @ log_mass  # (models, nodes)
        top = joint.max(axis=1, keepdims=True)
        share = np.exp(joint - top)
        total = share.sum(axis=1, keepdims=True)
        weight = (share / total)[np.array(self.design.groups)]
        gradient = [
            *(self.design.matrix.T @ (weight * by_centre).sum(axis=1)),
            float((weight * by_within).sum()),
        ]
        if self.clustered:
            gradient.append(float((weight * by_centre * effects).sum()))
        value = float((top + np.log(total / len(effects))).sum())
        return -value, -np.array(gradient)

    def best(self, start: Floats, fixed: tuple[int, float] | None = None) -> tuple[Floats, float]:
        """The most likely parameters and minus their log likelihood; fixed: (coefficient, its value)."""
        bounds: list[tuple[float | None, float | None]] = [(None, None)] * self.size
        bounds.append((np.log(FINEST), np.log(WIDEST)))
        if self.clustered:
            bounds.append((np.log(SMALLEST), np.log(WIDEST)))
        free = np.delete(np.arange(len(start)), [] if fixed is None else [fixed[0]])
        whole = start.copy()
        if fixed is not None:
            whole[fixed[0]] = fixed[1]

        def part(values: Floats) -> tuple[float, Floats]:
            theta = whole.copy()
            theta[free] = values
            value, gradient = self.minus_log(theta)
            return value, gradient[free]

        found = optimize.minimize(
            part, whole[free], jac=True, method="L-BFGS-B", bounds=[bounds[place] for place in free]
        )
        whole[free] = found.x
        return whole, float(found.fun)

    def _mass(self, centres: Floats, within: float) -> tuple[Floats, Floats, Floats]:
        """What each study says for each of several centres, shape (studies, centres).

        Its log probability, and the derivatives of that by the centre and by log within.
        """
        low = (self.low[:, :, None] - centres[:, None, :]) / within
        high = (self.high[:, :, None] - centres[:, None, :]) / within
        chances = self.chances[:, :, None]
        mass = np.maximum((chances * _between(low, high)).sum(axis=1), NEVER)
        at_low, at_high = _density(low), _density(high)
        slope = (chances * (at_low - at_high)).sum(axis=1) / within
        spread = (chances * (_times(low, at_low) - _times(high, at_high))).sum(axis=1)
        return np.log(mass), slope / mass, spread / mass

    @cached_property
    def _points(self) -> Floats:
        return np.asarray(special.ndtri((np.arange(NODES) + 0.5) / NODES), dtype=np.float64)

    @cached_property
    def _members(self) -> Floats:
        """Which study is of which model, shape (models, studies)."""
        index = np.array(self.design.groups)
        return np.asarray(index[None, :] == np.arange(self.design.models)[:, None], dtype=np.float64)


REFERENCE_RATE = 5e-4  # heuristics.json: LoRA at hidden size 2000; only a start for studies open at both ends


def _between(low: Floats, high: Floats) -> Floats:
    """Phi(high) - Phi(low), exact in both tails: an interval above 0 is mirrored below it."""
    flip = low > 0
    return np.asarray(
        special.ndtr(np.where(flip, -low, high)) - special.ndtr(np.where(flip, -high, low)), dtype=np.float64
    )


def _density(at: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * at**2) / np.sqrt(2 * np.pi), dtype=np.float64)


def _times(at: Floats, density: Floats) -> Floats:
    """The product, 0 at infinity."""
    return np.asarray(np.where(np.isfinite(at), at, 0.0) * density, dtype=np.float64)
