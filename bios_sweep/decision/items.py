"""How far the answers of two trained models differ, item by item, by trials that were run. Pure.

docs/statistics.md, item 15: what a number of items can decide rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bios_sweep.decision.table import Floats


def seen_differences(pairs: Sequence[Floats]) -> tuple[float, float] | None:
    """The mean square of an item's difference, and the part of it that further seeds leave as it is.

    Of each arm's differences the mean over the items is taken off, which is its gain and not the items'. The
    variance over seeds is what every seed draws anew; the rest of the mean square lasts.

    Args:
        pairs: per arm its items' scores less the default's at the same seed, shape (S, items), S at least 2.

    Returns:
        None where nothing tells: no such arm, or no item that ever differs.
    """
    told = [own - own.mean(axis=1, keepdims=True) for own in pairs if own.shape[0] > 1 and own.shape[1] > 1]
    if not told:
        return None
    square = float(np.mean([np.mean(own**2) for own in told]))
    drawn = float(np.mean([np.mean(own.var(axis=0, ddof=1)) for own in told]))
    return (square, max(0.0, 1.0 - drawn / square)) if square > 0 else None
