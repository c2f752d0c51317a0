"""Every branch of every claim, on tables whose losses are written down, and what is said of each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bios_sweep.claims import CLAIMS, OPTIMUM
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.finding import BELOW, NOT_WORSE, SHARE, SUPERIOR, FactorLevels, Margin
from bios_sweep.decision.sentences import sentence
from bios_sweep.decision.statement import make_verdict
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.factors import natural_ends
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status, Word
from tests.answers import answer
from tests.scenarios import PUBLISH
from tests.texts import texts

BALANCED, ENOUGH, MINIMUM, QUALITY, SPEED = (
    CLAIMS[name] for name in ("balanced", "enough", "minimum", "quality", "speed")
)

LOSS, UNTOUCHED = 2.0, 4.0  # training gains 100 % of the loss; the margin is 0.5 %
MARGIN = Margin(percent=0.5, absolute=0.01, gained=100.0)
DURATIONS = {0.5: "max_steps x0.5", 1.0: "baseline", 2.0: "max_steps x2", 4.0: "max_steps x4"}
LONGER = {"max_steps x0.5": -1.0, "max_steps x2": 1.0, "max_steps x4": 2.0}  # 1 % per doubling of the time
ANY = settings(max_examples=30, deadline=None, derandomize=True)
CLOCK = "a clock"
SHAPES = ((1, -1, 0, 1, -1), (0, 1, -1, -1, 1), (-1, 0, 1, 1, -1), (1, 0, -1, 1, -1))


def factor(name, default, *levels):
    labels = tuple(str(level) for level in levels)
    return FactorLevels(name=name, default=default, arms=labels, levels=levels, labels=labels)


BATCH = factor("batch_size", 128, 32, 64, 256, 512)
RANK = factor("lora_rank", 32, 8, 16, 64, 128)
STEPS = factor("max_steps", 1000, 50, 100, 250)


def table(gains, noise=0.05, untouched=UNTOUCHED):
    """Arm -> gain in percent (None: diverged), five seeds; each arm has its own fixed pattern of noise."""
    outcomes = {}
    for row, (arm, gain) in enumerate({"baseline": 0.0, **gains}.items()):
        for seed in range(5):
            wobble = noise * SHAPES[row % 4][(seed + row // 4) % 5] + 0.1 * seed
            value = LOSS * (1 + (wobble - (gain or 0.0)) / 100)
            outcomes[arm, seed] = (
                Outcome(status=Status.DIVERGED)
                if gain is None
                else Outcome(status=Status.COMPLETED, value=value)
            )
    arms = ("baseline", *gains)
    return ResultTable(
        arms=arms, seeds=tuple(range(5)), outcomes=outcomes, metric=Metric(), untouched=untouched
    )


def times(levels, ratios):
    """Cost ratios known within 2 %."""
    return {
        arm: CostRatio(arm=arm, ratio=r, lower=r / 1.02, upper=r * 1.02, hardware=CLOCK, repeats=5)
        for arm, r in zip(levels.arms, ratios, strict=True)
    }


def judge(claim, levels, gains, costs=None, more=None, rule=None, **changes):
    """The finding of a claim; gains and costs in the order of the levels."""
    results = table({**dict(zip(levels.arms, gains, strict=True)), **(more or {})}, **changes)
    known = {"costs": times(levels, costs) if costs else {}, "durations": DURATIONS if more else {}}
    return answer(claim, levels, results, rule or DecisionRule(**PUBLISH), **known)


def balanced(*gains, costs=(2.5, 1.5, 0.75, 0.6), more=LONGER, **changes):
    return judge(BALANCED, BATCH, gains, costs, more, **changes)


def quality(*gains, **changes):
    return judge(QUALITY, BATCH, gains, **changes)


def speed(*gains, costs=(2.5, 1.5, 0.7, 0.5)):
    return judge(SPEED, BATCH, gains, costs)


def enough(*gains, costs=(0.5, 0.7, 1.3, 1.6), **changes):
    return judge(ENOUGH, RANK, gains, costs, **changes)


def minimum(*gains, **changes):
    return judge(MINIMUM, STEPS, gains, **changes)


def told(claim, levels, finding, word=None):
    return sentence(claim, word or finding.state, levels, finding, MARGIN, 0.95)


def candidate_to(finding, kind, over, value):
    test = finding.test
    return (finding.state, test.kind, test.over, test.value) == (Word.CANDIDATE, kind, over, value)


def test_a_balance_is_confirmed_when_duration_buys_as_much_as_every_other_batch():
    found = balanced(1.3, 0.6, -0.5, -1.0)
    assert found.state == Word.CONFIRM
    said = told(BALANCED, BATCH, found)
    assert said.startswith("no tested level (32, 64, 256, 512; 5 paired seeds) improves by 0.50 % or more on")
    assert "the default trained for the same time" in said


GAINS = st.lists(st.floats(-5, 5).map(lambda gain: round(gain, 4)), min_size=4, max_size=4)


@ANY
@given(GAINS)
def test_a_margin_without_end_confirms_every_balance_and_every_enough_with_a_larger_level(gains):
    endless = DecisionRule(margin_percent=1e3, margin_share=1e9)
    nothing_is_cheaper = (1.0, 1.0, 1.0, 1.0)  # else less would do as well, and be served
    assert balanced(*gains, rule=endless, untouched=1e12).state in (Word.CONFIRM, Word.CANDIDATE)
    assert enough(*gains, costs=nothing_is_cheaper, rule=endless, untouched=1e12).state == Word.CONFIRM


@ANY
@given(GAINS)
def test_a_margin_of_nothing_confirms_no_balance_and_no_enough_that_a_level_could_beat(gains):
    tiny = DecisionRule(margin_percent=1e-6)
    if max(gains) >= 0:  # some level is not worse than the default
        assert enough(*gains[:2], *sorted(gains)[-2:], rule=tiny).state != Word.CONFIRM
    if gains[2] >= 0.0:  # 256 is faster and not worse, so better than what the default does in that time
        assert balanced(*gains, rule=tiny).state != Word.CONFIRM


def test_a_smaller_batch_that_buys_what_training_longer_buys_is_told_to_train_longer():
    said = told(BALANCED, BATCH, balanced(0.9, 0.65, -2.0, -3.0))
    assert "64 buys 0.6" in said
    assert "for 1.5 times the time, training the default that long buys 0.5" in said
    assert said.endswith("train longer instead")


def test_nobody_is_told_to_train_longer_where_that_buys_nothing():
    flat = {"max_steps x0.5": -1.0, "max_steps x2": -0.1, "max_steps x4": -0.2}
    found = balanced(0.0, 0.2, -2.0, -3.0, more=flat)
    assert found.state == Word.CONFIRM
    assert "train longer" not in told(BALANCED, BATCH, found)


def test_a_batch_that_beats_duration_is_a_candidate_against_the_default_of_its_own_cost():
    found = balanced(-3.0, 1.6, -2.0, -3.0)
    assert candidate_to(found, SUPERIOR, "baseline", 64)
    assert found.test.duration == pytest.approx(1.5)
    assert found.iso.gain == pytest.approx(1.6 - 0.585, abs=0.06)


def test_a_batch_at_the_end_of_the_grid_is_an_edge_for_the_balance():
    found = balanced(4.0, 0.6, -2.0, -3.0)
    assert (found.state, found.test) == (Word.INCONCLUSIVE, None)
    assert texts(found.reasons)[0].startswith("edge:")


def test_on_a_plateau_the_balance_moves_to_the_level_nearest_the_default():
    flat = {"max_steps x0.5": -1.0, "max_steps x2": 0.0, "max_steps x4": 0.0}
    assert candidate_to(balanced(1.3, 1.2, -2.0, -3.0, more=flat), SUPERIOR, "baseline", 64)


def test_a_gain_at_the_same_time_near_the_margin_is_undecided():
    found = balanced(-3.0, 1.0, -2.0, -3.0, noise=0.6)
    assert found.state == Word.UNDECIDED
    assert "at the same time" in texts(found.reasons)[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"costs": None}, "the cost was not measured"),
        ({"more": None}, "the default was not trained for other durations"),
    ],
)
def test_a_balance_without_its_yardstick_is_inconclusive(changes, reason):
    found = balanced(0.0, 0.0, -1.0, -2.0, **changes)
    assert (found.state, texts(found.reasons)) == (Word.INCONCLUSIVE, (reason,))


def test_a_level_beyond_every_duration_is_not_extrapolated_and_holds_up_the_confirmation():
    found = balanced(0.0, 0.0, -1.0, -2.0, costs=(9.0, 1.5, 0.75, 0.6))
    assert found.state == Word.UNDECIDED
    assert any("costs 9.00 times the default and no duration" in reason for reason in texts(found.reasons))


def test_the_quality_claim_is_confirmed_when_half_is_better_and_nothing_beats_it():
    found = quality(0.9, 0.9, -1.0, -2.0)
    assert (found.state, found.value) == (Word.CONFIRM, 64)
    said = told(QUALITY, BATCH, found)
    assert said.startswith("64 is better than 128 by 0.9")
    assert "no other level (32, 256, 512) beats it by 0.50 % or more" in said


def test_a_better_level_than_the_claimed_one_is_a_candidate_against_it():
    wide = factor("batch_size", 128, 16, 32, 64, 256)
    found = judge(QUALITY, wide, (2.0, 2.0, 0.9, -1.0))
    assert candidate_to(found, SUPERIOR, "64", 32)


def test_a_smaller_batch_that_buys_nothing_is_turned_down_for_the_default():
    found = quality(0.0, 0.0, -1.0, -2.0)
    assert candidate_to(found, BELOW, "baseline", 128)
    assert (found.test.arm, found.test.limit) == ("64", 0.5)


def test_an_open_gain_of_the_claimed_level_is_undecided():
    assert quality(0.3, 0.3, -1.0, -2.0, noise=0.7).state == Word.UNDECIDED


def test_a_claim_about_a_level_that_diverged_is_inconclusive():
    found = quality(0.0, None, -1.0, -2.0)
    assert found.state == Word.INCONCLUSIVE
    assert texts(found.reasons) == ("the level 64 that the claim is about was not tested, or diverged",)
    assert found.diverged == ("64",)


def test_the_speed_claim_is_confirmed_when_it_saves_time_and_faster_ones_lose_too_much():
    found = speed(0.0, 0.0, -0.5, -2.0)
    assert (found.state, found.value) == (Word.CONFIRM, 256)
    said = told(SPEED, BATCH, found)
    assert said.startswith("256 takes 0.70 times as long as 128 (0.69 to 0.71) at a gain of -0.5")
    assert "no tested level that saves much more time" in said


def test_a_faster_level_that_loses_little_is_a_candidate():
    found = speed(0.0, 0.0, -0.2, -0.4)
    assert candidate_to(found, NOT_WORSE, "baseline", 512)
    assert found.test.limit == 1.0


def test_a_claimed_level_that_saves_no_time_goes_back_to_the_default_by_the_clock_alone():
    found = speed(0.0, 0.0, 0.1, -2.0, costs=(2.5, 1.5, 0.95, 0.5))
    assert (found.state, found.value, found.test) == (Word.REFINE, 128, None)
    said = told(SPEED, BATCH, found)
    assert said.startswith("on a clock 256 takes 0.95 times as long as 128 (0.93 to 0.97)")
    assert said.endswith("no time that matters is gained; use 128")


def test_a_claimed_level_that_loses_too_much_is_turned_down_for_the_default():
    found = speed(0.0, 0.0, -2.0, -3.0)
    assert candidate_to(found, BELOW, "baseline", 128)
    assert found.test.limit == -1.0


@pytest.mark.parametrize(
    ("gains", "costs", "reason"),
    [
        ((0.0, 0.0, -0.2, -2.0), (2.5, 1.5, 0.83, 0.5), "saving and price are not both settled"),
        ((0.0, 0.0, -1.0, -2.0), (2.5, 1.5, 0.7, 0.5), "saving and price are not both settled"),
        ((0.0, 0.0, 0.0, -1.0), (2.5, 1.5, 0.7, 0.5), "512 may be faster still and gains between"),
    ],
)
def test_what_leaves_the_speed_claim_open_is_named(gains, costs, reason):
    found = speed(*gains, costs=costs)
    assert found.state == Word.UNDECIDED
    assert reason in texts(found.reasons)[0]


def test_speed_without_times_is_inconclusive():
    assert texts(judge(SPEED, BATCH, (0.0, 0.0, 0.0, -2.0)).reasons) == ("the cost was not measured",)


def test_enough_is_confirmed_of_larger_levels_and_names_only_those():
    found = enough(-3.0, -1.5, 0.0, 0.0)
    assert found.state == Word.CONFIRM
    assert told(ENOUGH, RANK, found).startswith(
        "no tested larger level (64, 128; 5 paired seeds) improves on"
    )


def test_a_diverged_level_is_not_said_to_have_been_compared():
    found = enough(-3.0, -1.5, 0.0, None)
    assert found.state == Word.CONFIRM
    assert "(64; 5 paired seeds)" in told(ENOUGH, RANK, found)


def test_enough_is_confirmed_when_less_saves_nothing():
    assert enough(-3.0, 0.0, 0.0, 0.0, costs=(0.9, 0.97, 1.0, 1.1)).state == Word.CONFIRM


def test_a_level_that_is_not_enough_sends_to_the_smallest_that_is():
    assert candidate_to(enough(-3.0, -1.5, 1.2, 1.3), SUPERIOR, "baseline", 64)


def test_a_gain_that_grows_to_the_end_of_the_grid_is_an_edge():
    found = enough(-3.0, -1.5, 1.2, 2.4)
    assert found.state == Word.INCONCLUSIVE
    assert texts(found.reasons)[0] == "edge: the best level 128 ends the grid"


def test_less_that_loses_nothing_and_saves_a_fifth_is_a_candidate_the_smallest_first():
    found = enough(-0.1, 0.0, 0.0, 0.0)
    assert candidate_to(found, NOT_WORSE, "baseline", 8)
    assert found.test.limit == 0.5


def test_enough_without_larger_levels_confirms_nothing():
    few = factor("lora_rank", 32, 8, 16)
    found = judge(ENOUGH, few, (-3.0, -1.5), (0.5, 0.7))
    assert found.state == Word.UNDECIDED
    assert texts(found.reasons)[0] == "no larger level was tested"


def test_enough_without_smaller_levels_says_so():
    few = factor("lora_rank", 32, 64, 128)
    found = judge(ENOUGH, few, (0.0, 0.0), (1.3, 1.6))
    assert (found.state, texts(found.reasons)) == (Word.CONFIRM, ("confirmed against larger only",))


@pytest.mark.parametrize(
    ("gains", "costs", "reason"),
    [
        ((-3.0, -0.5, 0.0, 0.0), (0.5, 0.7, 1.3, 1.6), "16 costs 0.70 times as much"),
        ((-3.0, 0.0, 0.0, 0.0), None, "the cost was not measured, so whether 16 saves anything is open"),
        ((-3.0, -1.5, 0.5, 0.0), (0.5, 0.7, 1.3, 1.6), ""),
    ],
)
def test_what_leaves_enough_open_is_named(gains, costs, reason):
    found = enough(*gains, costs=costs)
    assert found.state in (Word.UNDECIDED, Word.CANDIDATE)
    if reason:
        assert found.state == Word.UNDECIDED
        assert reason in texts(found.reasons)[0]


def test_a_minimum_is_confirmed_when_it_reaches_four_fifths_and_fewer_do_not():
    found = minimum(-30.0, -10.0, -3.0)
    assert (found.state, found.value) == (Word.CONFIRM, 100)
    assert told(MINIMUM, STEPS, found).endswith("; fewer (50) are not shown to")


def test_a_minimum_without_fewer_steps_says_so():
    few = factor("max_steps", 1000, 100, 250)
    found = judge(MINIMUM, few, (-10.0, -3.0))
    assert told(MINIMUM, few, found).endswith("; fewer were not tested")


def test_fewer_steps_that_reach_the_share_are_a_candidate():
    found = minimum(-15.0, -10.0, -3.0)
    assert candidate_to(found, SHARE, "baseline", 50)
    assert found.test.limit == 0.8


def test_more_steps_are_a_candidate_when_the_claimed_ones_fail_for_sure():
    assert candidate_to(minimum(-40.0, -30.0, -10.0), SHARE, "baseline", 250)


def test_a_share_at_the_limit_is_open():
    found = minimum(-40.0, -20.0, -10.0)
    assert found.state == Word.UNDECIDED
    assert texts(found.reasons)[0] == "whether 100 steps reach 80% of the default's gain is open"


def test_steps_shown_not_to_reach_the_share_are_not_called_open():
    found = minimum(-40.0, -30.0, -25.0)
    assert found.state == Word.UNDECIDED
    assert texts(found.reasons)[0].startswith(
        "100 steps do not reach 80% of the default's gain, and no tested"
    )


def test_a_minimum_needs_the_untouched_model():
    found = minimum(-40.0, -10.0, -3.0, untouched=None)
    assert found.state == Word.INCONCLUSIVE
    assert "untouched model was not measured" in texts(found.reasons)[0]


def test_nothing_is_confirmed_by_a_study_that_could_not_have_failed():
    flat = judge(ENOUGH, RANK, (0.0, 0.0, 0.0, 0.0), (0.9, 0.97, 1.0, 1.1), untouched=None)
    assert flat.state == Word.INCONCLUSIVE
    assert texts(flat.reasons) == ("insensitive: nothing in this study could have been worse",)


@pytest.mark.parametrize(
    ("claim", "levels", "finding"),
    [
        (BALANCED, BATCH, balanced(1.3, 0.6, -0.5, -1.0)),
        (QUALITY, BATCH, quality(0.9, 0.9, -1.0, -2.0)),
        (SPEED, BATCH, speed(0.0, 0.0, -0.5, -2.0)),
        (ENOUGH, RANK, enough(-3.0, -1.5, 0.0, 0.0)),
        (MINIMUM, STEPS, minimum(-30.0, -10.0, -3.0)),
    ],
)
def test_no_sentence_says_more_than_was_shown(claim, levels, finding):
    said = told(claim, levels, finding)
    assert "95 %" in said
    assert "seeds" in said
    for word in ("optimal", "no difference", "significant", "best"):
        assert word not in said


@pytest.mark.parametrize(
    ("claim", "levels", "finding", "says", "value"),
    [
        (QUALITY, BATCH, quality(0.0, 0.0, -1.0, -2.0), "128 may do instead of 64: 64 seems to buy", 128),
        (ENOUGH, RANK, enough(-0.1, -0.05, 0.0, 0.0), "8 may do instead of 32: it takes 0.50 times", 8),
        (MINIMUM, STEPS, minimum(-3.0, -3.0, -3.0), "50 steps seem to reach 80%", 50),
    ],
)
def test_what_is_not_confirmed_speaks_of_a_gain_only_where_there_was_one(claim, levels, finding, says, value):
    open_one = replace(finding, state=Word.UNCONFIRMED)
    verdict = make_verdict(
        levels,
        open_one,
        open_one,
        MARGIN,
        role="",
        claim=claim,
        arms=levels.arms,
        hold="examples",
        scope="",
        alpha=0.05,
        looks=1,
    )
    assert verdict.sentence.startswith(says)
    assert "looks better" not in verdict.sentence
    assert verdict.sentence.endswith("on the 5 seeds that chose it; not confirmed on fresh ones")
    assert verdict.best_level == value


def test_an_unconfirmed_gain_at_the_same_time_is_told_as_such():
    finding = replace(balanced(0.2, 1.5, -0.5, -1.0), state=Word.UNCONFIRMED)
    assert finding.test.duration is not None
    said = told(BALANCED, BATCH, finding)
    assert f"than the default trained for the same time by {finding.iso.gain:.2f} %" in said


@pytest.mark.parametrize("claim, ratios", [(OPTIMUM, None), (ENOUGH, (0.5, 0.7, 1.3, 1.6))])
def test_a_best_level_at_the_end_of_what_there_is_does_not_end_the_grid(claim, ratios):
    rank = factor("lora_rank", 8, 1, 4, 16, 32)
    open_end = judge(claim, rank, (2.0, 0.9, -0.2, -0.4), ratios)
    assert (open_end.state, texts(open_end.reasons)[0]) == (
        Word.INCONCLUSIVE,
        "edge: the best level 1 ends the grid",
    )
    ended = judge(claim, replace(rank, ends=natural_ends("lora_rank")), (2.0, 0.9, -0.2, -0.4), ratios)
    assert (ended.state, ended.best, ended.test.value) == (Word.CANDIDATE, "1", 1)
    other = judge(claim, replace(rank, ends=natural_ends("lora_rank")), (-0.4, -0.2, 0.9, 2.0), ratios)
    assert texts(other.reasons)[0] == "edge: the best level 32 ends the grid"


def test_a_default_at_the_end_of_what_there_is_has_one_side_and_nothing_is_missing():
    dropout = factor("lora_dropout", 0.0, 0.1, 0.2)
    assert texts(judge(OPTIMUM, dropout, (-1.0, -2.0)).reasons) == ("confirmed against larger only",)
    ended = judge(OPTIMUM, replace(dropout, ends=natural_ends("lora_dropout")), (-1.0, -2.0))
    assert (ended.state, texts(ended.reasons)) == (Word.CONFIRM, ())
