"""Ranges, starts and the rounding of proposals: pure values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bios_sweep.errors import PlanError
from bios_sweep.study.search import KnownProposal, Proposal, SearchRange, SearchSpace

RATES = SearchRange.within("learning_rate", 1e-4, 1e-3)
RANKS = SearchRange.within("lora_rank", 8, 64)


def test_kind_and_scale_of_a_range_follow_from_the_setting():
    assert (RATES.whole, RATES.log) == (False, True)
    assert (RANKS.whole, RANKS.log) == (True, True)
    decay = SearchRange.within("weight_decay", 0.0, 0.1)
    assert (decay.whole, decay.log) == (False, False)


def test_the_ends_of_a_whole_range_move_inwards():
    half = SearchRange.within("batch_size", 22.6, 90.5)
    assert (half.low, half.high) == (23, 90)


@pytest.mark.parametrize(
    "arguments, offender",
    [
        ({"setting": "learning_rate", "low": 2e-4, "high": 1e-4}, "low must be below high"),
        ({"setting": "learning_rate", "low": 1e-4, "high": 1e-4}, "low must be below high"),
        ({"setting": "learning_rate", "low": 1e-4, "high": math.nan}, "low must be below high"),
        ({"setting": "weight_decay", "low": 0.0, "high": 1.0, "log": True}, "log scale"),
        ({"setting": "lora_rank", "low": 1.5, "high": 4, "whole": True}, "whole numbers"),
    ],
)
def test_a_bad_range_is_refused_by_name(arguments, offender):
    with pytest.raises(PlanError, match=offender) as refused:
        SearchRange(**arguments)
    assert arguments["setting"] in str(refused.value)


def test_learning_rates_keep_four_digits_and_whole_numbers_are_ints():
    assert RATES.readable(0.00031209999) == 0.0003121
    assert RANKS.readable(31.7) == 32
    assert isinstance(RANKS.readable(31.7), int)


@given(st.floats(1e-7, 1e-2), st.floats(1.0001, 30), st.floats(0, 1))
def test_a_readable_value_stays_inside_and_is_its_own_readable_value(low, ratio, share):
    rates = SearchRange.within("learning_rate", low, low * ratio)
    value = rates.readable(low * ratio**share)
    assert rates.contains(value)
    assert rates.readable(value) == value


def test_a_start_keeps_its_last_digit_and_any_other_proposal_is_rounded():
    space = SearchSpace(ranges=(RATES, RANKS), starts=({"learning_rate": 2.0123456e-4, "lora_rank": 32},))
    assert space.readable({"learning_rate": 2.0123456e-4, "lora_rank": 32})["learning_rate"] == 2.0123456e-4
    assert space.readable({"learning_rate": 2.0123456e-4, "lora_rank": 16})["learning_rate"] == 2.012e-4


def test_starts_outside_incomplete_or_repeated_are_not_proposed():
    inside = {"learning_rate": 2e-4, "lora_rank": 32}
    outside = {"learning_rate": 2e-3, "lora_rank": 32}
    space = SearchSpace(
        ranges=(RATES, RANKS),
        starts=(
            outside,
            {**inside, "batch_size": 4},
            {"lora_rank": 32},
            {**inside, "lora_rank": 8.5},
            inside,
        ),
    )
    assert space.first == (inside,)


def test_a_space_needs_ranges_and_one_per_setting():
    with pytest.raises(PlanError, match="no range"):
        SearchSpace(ranges=())
    with pytest.raises(PlanError, match="lora_rank has two ranges"):
        SearchSpace(ranges=(RANKS, RATES, RANKS))


def test_a_proposal_survives_the_journal():
    proposal = Proposal(number=3, values={"learning_rate": 2e-4, "lora_rank": 32})
    assert Proposal.from_dict(proposal.to_dict()) == proposal


def test_only_a_completed_proposal_has_objectives():
    proposal = Proposal(number=3, values={"lora_rank": 32})
    KnownProposal(proposal=proposal)
    KnownProposal(proposal=proposal, status="completed", objectives=(1.0,))
    for status, objectives in [("completed", None), ("diverged", (1.0,)), (None, (1.0,)), ("gone", None)]:
        with pytest.raises(PlanError):
            KnownProposal(proposal=proposal, status=status, objectives=objectives)
