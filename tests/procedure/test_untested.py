"""A level that fails at every seed was not tested: it is named, and takes no verdict with it."""

from __future__ import annotations

from bios_sweep.decision.finding import EDGE
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.procedure.suggestion import suggest
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.verdict_rows import Ways
from bios_sweep.study.factors import Factor, Nuisance
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure, Status, Word
from tests.procedure.planted import RATE, RATE_UP, finish, lost, plan_of, planted, states
from tests.texts import texts

RANK = Factor(name="lora_rank", values=(8, 16, 64, 128))


def without_memory(*ranks, seeds=range(99)):
    """The planted outcome, but for ranks that do not fit."""

    def outcome(trial, truth=RATE_UP):
        if trial.settings.lora_rank in ranks and trial.seed in seeds:
            return TrialResult(
                key=trial.key, status=Status.FAILED, failure=Failure.OUT_OF_MEMORY, cause="out of memory"
            )
        return planted(trial, truth)

    return outcome


def told(plan, source):
    verdicts = summarise(plan, source.state, source.results, Ways(command="bios-sweep run")).verdicts
    return {verdict.factor: verdict for verdict in verdicts}


def test_a_level_that_fits_into_no_memory_leaves_the_other_verdicts_as_they_are():
    plan = plan_of(RATE, RANK)
    whole, _ = finish(plan, lambda trial: planted(trial, RATE_UP))
    source, _ = finish(plan, without_memory(128))
    assert (
        states(source.state)
        == states(whole.state)
        == {"learning_rate": Word.REFINE, "lora_rank": Word.CONFIRM}
    )
    assert source.state.served == whole.state.served
    verdicts = told(plan, source)
    reason = "128 was not tested: it failed at every seed (out of memory)"
    assert reason in texts(verdicts["lora_rank"].reasons)
    assert "128" not in verdicts["lora_rank"].sentence
    assert [row.level for row in verdicts["lora_rank"].levels] == [8, 16, 64]
    assert "lora_rank=128" not in verdicts["lora_rank"].arms
    assert not any("not tested" in text for text in texts(verdicts["learning_rate"].reasons))


def test_a_level_that_failed_at_some_seeds_takes_those_out_for_all_as_ever():
    source, _ = finish(plan_of(RATE, RANK), without_memory(128, seeds=(0, 1)))
    assert set(states(source.state).values()) == {Word.INCONCLUSIVE}
    assert source.state.untested == {}


def test_a_level_decided_at_an_earlier_look_is_still_told_later():
    plan = plan_of(RATE, RANK, seeds=5, looks=(3, 5))
    source = ProcedureSource(plan)
    close = {**RATE_UP, "learning_rate": {0.25e-3: 0.35, 0.5e-3: 0.35, 2e-3: 0.35, 4e-3: 0.35}}
    outcome = without_memory(128)
    while not source.closed:
        source.add(outcome(source.take(), close))
    ranks = {trial.seed for trial in source.state.needed if trial.arm == "lora_rank=64"}
    assert ranks == {0, 1, 2}  # the rank was decided at the first look, the rate was not
    assert source.state.untested == {"lora_rank=128": Failure.OUT_OF_MEMORY}


def test_a_factor_none_of_whose_levels_could_be_tested_is_open_alone():
    plan = plan_of(RATE, RANK)
    source, _ = finish(plan, without_memory(8, 16, 64, 128))
    assert states(source.state) == {"learning_rate": Word.REFINE, "lora_rank": Word.INCONCLUSIVE}
    reasons = texts(told(plan, source)["lora_rank"].reasons)
    assert reasons[0] == "no level of the factor could be tested"
    assert len(reasons) == 5


def test_what_others_are_held_against_is_never_set_aside():
    retuned = Factor(
        name="lora_rank", values=(8, 64), nuisance=Nuisance(setting="learning_rate", multiply=(0.5, 1, 2))
    )
    rung, _ = finish(plan_of(retuned), without_memory(64))
    default, _ = finish(plan_of(), lambda t: lost(t) if t.arm == "baseline" else planted(t))
    for source in (rung, default):
        assert set(states(source.state).values()) == {Word.INCONCLUSIVE}
        assert source.state.untested == {}


def test_a_grid_that_ends_where_nothing_fits_is_not_to_be_extended():
    plan = plan_of(Factor(name="learning_rate", values=(5e-4, 2e-3, 4e-3)))
    best_last = {"learning_rate": {5e-4: -2, 2e-3: 2, 4e-3: 3}}
    source, _ = finish(plan, lambda t: lost(t) if t.arm.endswith("0.004") else planted(t, best_last))
    verdict = told(plan, source)["learning_rate"]
    assert verdict.reasons[0].kind == EDGE
    assert verdict.extend is None
    (said,) = suggest(plan, source.state, source.results).open
    assert said == (
        "learning_rate: the best level 0.002 ends what could be tested; "
        "0.004 was not tested: it failed at every seed (failed)"
    )
