"""How much choosing among levels on one evaluation set flatters the chosen one. Pure.

docs/statistics.md, item 4.

Fresh seeds do not make the evaluation set fresh: what it happens to favour, it favours on them too.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.quantiles import normal_chance
from bios_sweep.reasons import Kind, Reason
from bios_sweep.units import Scale

FLATTERED = Kind(
    "most of its error is the evaluation set's, which chose among {levels} levels and is not fresh on fresh "
    "seeds: that flatters the gain by up to about {percent:.2f} (if all levels are alike)"
)
REACH, POINTS = 9.0, 4001  # of the integral, standard deviations to each side


def flattered(bound: Bound, levels: int, scale: Scale) -> Reason | None:
    """What is to be told of a refined gain; None where seeds are the larger part of its error.

    levels: how many were compared with the default. scale: how gains are told.
    """
    seeds = bound.noise / max(1, bound.seeds)
    own = bound.standard_error**2 - seeds
    if not bound.clusters or levels < 2 or not own > seeds:
        return None
    return FLATTERED(levels=levels, percent=scale.told(flattery(math.sqrt(own), levels)))


def flattery(error: float, levels: int) -> float:
    """The mean excess of the best of `levels` equal levels, whose gains over one default have this error.

    A gain is a difference of two arms, each with 1/sqrt 2 of its error; the default's is in all alike.
    """
    return error * expected_largest(levels) / math.sqrt(2.0)


@lru_cache(maxsize=64)
def expected_largest(count: int) -> float:
    """The mean of the largest of so many standard normal numbers."""
    at = np.linspace(-REACH, REACH, POINTS)
    density = count * np.exp(-(at**2) / 2.0) / math.sqrt(2.0 * math.pi) * normal_chance(at) ** (count - 1)
    return float((at * density).sum() * (at[1] - at[0]))
