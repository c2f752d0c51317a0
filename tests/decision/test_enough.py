"""How many evaluation examples a margin needs."""

from __future__ import annotations

import numpy as np
import pytest

from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.enough import HALF_WIDTH, RESERVED, needed_examples


def pair(examples: int, noise: float, seed: int) -> tuple[ClusterSums, ClusterSums]:
    """Two arms of 20 tokens an example at 2 nats a token, whose difference varies by `noise` nats a token."""
    random = np.random.default_rng(seed)
    tokens = np.full(examples, 20.0)
    default = tokens * 2.0
    other = default - tokens * random.normal(0.01, noise, examples)
    return ClusterSums(nats=default, tokens=tokens), ClusterSums(nats=other, tokens=tokens)


@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_so_many_that_their_error_takes_half_of_the_margin(noise):
    pairs = [pair(400, noise, seed) for seed in range(8)]
    needed = needed_examples(pairs, 400, 1.0)
    error = 100.0 * noise / 2.0 / np.sqrt(needed)  # percent of the loss of 2 nats
    assert HALF_WIDTH * error == pytest.approx(RESERVED * 1.0, rel=0.05)


def test_twice_the_margin_needs_a_quarter_and_large_clusters_need_more():
    pairs = [pair(400, 0.4, 1)]
    assert needed_examples(pairs, 400, 1.0) == pytest.approx(4 * needed_examples(pairs, 400, 2.0), abs=4)
    together = [
        tuple(ClusterSums(nats=np.repeat(one.nats, 5), tokens=np.repeat(one.tokens, 5)) for one in pairs[0])
    ]
    tens = [
        tuple(
            ClusterSums(nats=one.nats.reshape(-1, 5).sum(1), tokens=one.tokens.reshape(-1, 5).sum(1))
            for one in both
        )
        for both in together
    ]
    assert needed_examples(tens, 2000, 1.0) == pytest.approx(
        5 * needed_examples(together, 2000, 1.0), rel=0.01
    )


def test_nothing_is_said_where_nothing_tells():
    same = (pair(400, 0.4, 1)[0],) * 2
    one = tuple(ClusterSums(nats=arm.nats[:1], tokens=arm.tokens[:1]) for arm in pair(4, 0.4, 1))
    assert needed_examples([], 400, 1.0) is None
    assert needed_examples([same], 400, 1.0) is None
    assert needed_examples([one], 1, 1.0) is None
