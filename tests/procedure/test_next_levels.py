"""Levels and rungs of a next study."""

from __future__ import annotations

import pytest

from bios_sweep.decision.ladder import LARGEST, SMALLEST
from bios_sweep.procedure.next_levels import climbed
from bios_sweep.study.factors import Factor, Nuisance
from tests.procedure.planted import BASELINE


def test_a_ladder_grows_at_the_end_that_was_too_early_by_its_own_step():
    factor = Factor(name="batch_size", multiply=(0.5, 2), nuisance=Nuisance(multiply=(0.5, 1, 2)))
    assert climbed(factor, BASELINE, {LARGEST}).nuisance.multiply == (0.5, 1.0, 2.0, 4.0)
    assert climbed(factor, BASELINE, {SMALLEST, LARGEST}).nuisance.multiply == (0.25, 0.5, 1.0, 2.0, 4.0)


def test_a_stated_rule_becomes_the_ladder_of_its_rates():
    factor = Factor(name="batch_size", multiply=(0.25, 4), nuisance=Nuisance(scale="sqrt"))
    grown = climbed(factor, BASELINE, {SMALLEST}).nuisance
    assert grown.scale is None
    assert grown.multiply == pytest.approx((0.25, 0.5, 1.0, 2.0))
