"""What trials show of a score's items is what they were drawn with."""

from __future__ import annotations

import numpy as np
import pytest

from bios_sweep.decision.items import seen_differences


@pytest.mark.parametrize(("square", "lasting"), [(0.2, 0.5), (0.05, 0.9), (0.4, 0.0)])
def test_what_was_drawn_is_seen_whatever_the_arms_gain(square, lasting):
    random = np.random.default_rng(3)
    pairs = []
    for gain in (0.0, 0.3, -0.1):
        own = random.normal(0, np.sqrt(square * lasting), 4000)
        pairs.append(gain + own + random.normal(0, np.sqrt(square * (1 - lasting)), (3, 4000)))
    seen = seen_differences(pairs)
    assert seen == (pytest.approx(square, rel=0.05), pytest.approx(lasting, abs=0.04))


@pytest.mark.parametrize("pairs", [[], [np.zeros((3, 50))], [np.ones((1, 50))], [np.full((3, 50), 0.25)]])
def test_items_that_never_differ_or_one_seed_tell_nothing(pairs):
    assert seen_differences(pairs) is None
