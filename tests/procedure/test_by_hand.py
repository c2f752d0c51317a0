"""An arm that somebody stopped is a rival that was not excluded, unless a look excluded it before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bios_sweep.procedure.asking_again import asked_again
from bios_sweep.procedure.by_hand import OPEN, UNMET, UNSEEN
from bios_sweep.procedure.looks import looks_of
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.procedure.state import Known
from bios_sweep.reasons import is_any
from bios_sweep.study.factors import Factor, Nuisance
from bios_sweep.study.plan import build_plan
from bios_sweep.vocabulary import Stage, Word
from tests.answers import by_factor
from tests.procedure.planted import LOW, RATE_UP, plan_of, planted, states

RIVAL, WORST = "learning_rate x2", "learning_rate x4"
NEAR = {"learning_rate": {0.25e-3: -4, 0.5e-3: -3, 2e-3: 0.45, 4e-3: -4}}  # one level too near the margin


def stopped_after(plan, arm, count, truth=LOW, sigma=0.05):
    """The sweep with an arm that was stopped once so many of its trials had ended."""
    source, of_arm = ProcedureSource(plan), 0
    while not source.closed:
        trial = source.take()
        assert trial is not None
        if trial.arm == arm and of_arm == count:
            source.learn(Known(stopped=frozenset({arm})))
            assert source.unwanted(trial.key)
            source.left(trial.key)
            continue
        of_arm += trial.arm == arm
        source.add(planted(trial, truth, sigma))
    return source


def reasons_of(state, factor="learning_rate"):
    return by_factor(state.findings)[factor].reasons


def test_a_level_that_was_stopped_before_a_look_leaves_its_factor_without_a_word():
    source = stopped_after(plan_of(), RIVAL, 1)
    assert states(source.state) == {"learning_rate": Word.INCONCLUSIVE}
    assert is_any(reasons_of(source.state), UNSEEN)
    assert (source.state.halted, source.state.stage) == ({RIVAL}, Stage.DONE)
    assert len([t for t in source.state.needed if t.arm == RIVAL]) == 1, "what it has trained is counted"
    assert source.state.served == {}


def test_what_a_look_left_open_is_told_and_other_levels_run_on():
    plan = plan_of(looks=(3, 5))
    source = stopped_after(plan, RIVAL, 3, NEAR, sigma=0.2)
    assert states(source.state) == {"learning_rate": Word.INCONCLUSIVE}
    (reason,) = [one for one in reasons_of(source.state) if one.kind == OPEN]
    assert "x2 was stopped by hand, and a gain of 0.50 % is not excluded there (at most +" in str(reason)
    assert RIVAL in {bound.arm for bound in by_factor(source.state.findings)["learning_rate"].bounds}


def test_a_level_that_a_look_excluded_may_be_stopped_and_the_word_stays():
    plan = plan_of(looks=(3, 5))
    whole = stopped_after(plan, WORST, 99, NEAR, sigma=0.1)
    results = dict(whole.results)
    known = Known(stopped=frozenset({WORST}))
    assert state_of(plan, results, known).findings == whole.state.findings


def test_a_level_that_had_all_of_its_trials_is_judged_by_them():
    plan = plan_of()
    whole = stopped_after(plan, RIVAL, 99)
    assert state_of(plan, whole.results, Known(stopped=frozenset({RIVAL}))) == whole.state


def test_a_candidate_that_was_stopped_on_its_fresh_seeds_is_not_refined():
    source = stopped_after(plan_of(), RIVAL, 7, RATE_UP)
    assert states(source.state) == {"learning_rate": Word.INCONCLUSIVE}
    assert is_any(reasons_of(source.state), UNMET)
    fresh = [trial for trial in source.state.needed if trial.stage == Stage.CONFIRMATION]
    assert {trial.arm for trial in fresh} == {"baseline", RIVAL}, "seeds that were seen are told"
    assert all(trial.key in source.results for trial in fresh)


def test_other_factors_have_their_words():
    rank = Factor(name="lora_rank", multiply=(0.25, 0.5, 2, 4))
    source = stopped_after(plan_of(Factor(name="learning_rate", multiply=(0.25, 0.5, 2, 4)), rank), RIVAL, 1)
    assert states(source.state) == {"learning_rate": Word.INCONCLUSIVE, "lora_rank": Word.CONFIRM}


def test_a_rung_that_was_stopped_leaves_the_whole_ladder_open():
    ladder = Nuisance(setting="learning_rate", multiply=(0.5, 1, 2))
    batch = Factor(name="batch_size", multiply=(0.5, 2), nuisance=ladder)
    plan = plan_of(batch)
    rung = next(arm.name for arm in plan.arms if arm.factor == "batch_size" and arm.rung != 1.0)
    assert states(stopped_after(plan, rung, 2).state)["batch_size"] == Word.INCONCLUSIVE


def test_an_arm_that_is_taken_up_again_is_trained_and_judged():
    plan = plan_of()
    source = stopped_after(plan, RIVAL, 1)
    assert source.learn(Known())
    while not source.closed:
        trial = source.take()
        assert trial is not None
        assert trial.arm == RIVAL
        source.add(planted(trial))
    assert states(source.state) == {"learning_rate": Word.CONFIRM}


@pytest.mark.parametrize("count", [1, 7, 99])
def test_the_ledger_names_what_was_stopped_and_such_a_study_was_a_look(count):
    plan = plan_of()
    (look,) = looks_of(plan, stopped_after(plan, RIVAL, count, RATE_UP).state)
    assert (list(look.stopped or ()), look.counts, look.pools) == ([RIVAL] if count < 99 else [], True, True)
    assert type(look).from_dict(look.to_dict()) == look
    assert ("stopped" in look.to_dict()) == (count < 99), "entries of before are as they were"


def test_the_only_level_of_a_factor_that_is_stopped_before_its_look_was_seen_too():
    plan = plan_of(Factor(name="learning_rate", multiply=(2,)))
    (look,) = looks_of(plan, stopped_after(plan, RIVAL, 4).state)
    assert (look.seeds, look.counts, look.pools) == ((0, 1, 2, 3), True, True)
    other = build_plan(replace(plan.study, seeds=(10, 11, 12, 13, 14)))
    again = asked_again(other, [look]).study
    assert (again.history.look, again.decision.alpha) == (2, plan.study.decision.alpha / 2)
    assert set(again.seeds) >= {0, 1, 2, 3}, "what looked bad is judged with the rest"
