"""Which arms no other beats in quality and time."""

from __future__ import annotations

import itertools
import math

from bios_sweep.decision.frontier import FrontierPoint, frontier


def point(arm, gain, cost):
    return FrontierPoint(
        arm=arm,
        gain=gain,
        lower=gain - 1,
        upper=gain + 1,
        cost_ratio=cost,
        cost_lower=cost,
        cost_upper=cost,
        steps=100,
        examples=3200,
    )


def efficient(*points):
    return {point.arm for point in frontier(points) if point.on_frontier}


def test_what_is_worse_and_dearer_is_not_efficient():
    points = (point("default", 0, 1), point("slow", 1, 2), point("fast", -1, 0.5), point("bad", -1, 1.5))
    assert efficient(*points) == {"default", "slow", "fast"}
    assert [one.arm for one in frontier(points)] == ["fast", "default", "bad", "slow"]


def test_as_good_for_less_and_better_for_the_same_beat():
    assert efficient(point("a", 0, 1), point("b", 0, 2)) == {"a"}
    assert efficient(point("a", 0, 1), point("b", 1, 1)) == {"b"}


def test_equals_are_efficient_together_in_any_order():
    points = (point("a", 0, 1), point("b", 0, 1), point("c", -1, 1))
    assert all(efficient(*order) == {"a", "b"} for order in itertools.permutations(points))


def test_an_arm_without_a_number_is_never_efficient_and_beats_nobody():
    points = (point("a", 0, 1), point("b", 1, 2), point("nan", math.nan, 0.1))
    assert all(efficient(*order) == {"a", "b"} for order in itertools.permutations(points))


def test_nothing_has_an_empty_frontier():
    assert frontier(()) == ()
