"""Between which levels the best one lies: the only interval of an optimum that is printed. Pure.

See docs/statistics.md, item 9.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bios_sweep.decision.contrasts import Contrasts


def bracket_of(
    levels: Mapping[Any, str], contrasts: Contrasts, ends: Collection[Any] = (), left: Collection[Any] = ()
) -> tuple[Any, Any] | None:
    """The tested levels next below and next above all that are not significantly worse than the best.

    levels: ordered level -> arm, the default's among them; one whose arm diverged is worse than any, and
    counts among those that were tried. ends: values beyond which there is nothing, so that they close it.
    left: levels that run no more and were not seen to be worse when they did.
    Tukey's bounds over the levels (Tukey 1949), so that the best may be picked by looking. An end that the
    grid leaves open is None; no bracket at all with one seed or fewer than two finite levels.
    """
    finite = {level: arm for level, arm in levels.items() if contrasts.has(arm)}
    if len(finite) < 2 or len(contrasts.blocks.seeds) < 2:
        return None
    base = contrasts.blocks.arms[0]
    best = max(finite.values(), key=lambda arm: contrasts.over(arm, base).gain)
    kept = [*left] + [
        level
        for level, arm in finite.items()
        if arm == best or contrasts.among(arm, best, finite.values(), len(levels)).upper >= 0
    ]
    below = [level for level in levels if level < min(kept)] or [end for end in ends if end == min(kept)]
    above = [level for level in levels if level > max(kept)] or [end for end in ends if end == max(kept)]
    return (max(below) if below else None, min(above) if above else None)
