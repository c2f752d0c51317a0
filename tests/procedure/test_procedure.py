from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bios_sweep.claims import REPEAT
from bios_sweep.decision.bounds import student
from bios_sweep.decision.costs import CostRatio, Timing
from bios_sweep.procedure.line import longest_first
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.questions import SEARCH, factor_names, levels_of
from bios_sweep.procedure.refinement import objectives_of
from bios_sweep.procedure.screening import screened
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.procedure.state import Known
from bios_sweep.report.content.summarise import count_trials
from bios_sweep.report.content.summary import Counts
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Cross, Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.scenario import Metric
from bios_sweep.study.search import Proposal
from bios_sweep.study.stages import confirmation_seeds
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Stage, Status, Word
from tests.answers import by_factor
from tests.procedure.planted import LOW, RATE, RATE_UP, finish, lost, plan_of, planted, states
from tests.texts import texts

RANK = Factor(name="lora_rank", values=(8, 16, 64, 128))
CLOSE = {**LOW, "lora_rank": {8: -2, 16: 0.3, 64: 0.3, 128: -2}}  # too near the margin for three seeds
RANK_UP = {**RATE_UP, "lora_rank": {**LOW["lora_rank"], 64: 2.0}}


# the stages


def test_a_default_that_nothing_beats_is_confirmed_without_fresh_seeds():
    source, taken = finish(plan_of())
    assert states(source.state) == {"learning_rate": Word.CONFIRM}
    assert source.state.served == {"learning_rate": 1e-3}
    assert source.state.margin.percent == 0.5
    assert [trial.key for trial in taken] == [trial.key for trial in plan_of().trials]


def test_a_better_level_is_a_candidate_until_fresh_seeds_refine_it():
    plan = plan_of()
    before = state_of(plan, {})
    assert (before.stage, len(before.missing), before.findings) == (Stage.SCREENING, 25, {})
    screened = {trial.key: planted(trial, RATE_UP) for trial in plan.trials}
    state = state_of(plan, screened)
    assert (state.stage, states(state)) == (Stage.CONFIRMATION, {"learning_rate": Word.CANDIDATE})
    assert {trial.arm for trial in state.missing} == {"baseline", "learning_rate x2"}
    assert {trial.seed for trial in state.missing} == set(confirmation_seeds(plan.study))
    done = state_of(plan, {**screened, **{t.key: planted(t, RATE_UP) for t in state.missing}})
    assert (done.stage, states(done), done.missing) == (Stage.DONE, {"learning_rate": Word.REFINE}, ())
    assert done.served == {"learning_rate": 2e-3}
    assert by_factor(done.findings)["learning_rate"].seeds == confirmation_seeds(plan.study)
    assert by_factor(done.screening)["learning_rate"].state == Word.CANDIDATE
    assert len(done.needed) == 35


def test_a_winner_that_fresh_seeds_do_not_repeat_is_not_served():
    source, _ = finish(plan_of(), lambda t: planted(t, RATE_UP if t.stage == Stage.SCREENING else LOW))
    finding = by_factor(source.state.findings)["learning_rate"]
    assert finding.state == Word.INCONCLUSIVE
    assert "did not replicate" in texts(finding.reasons)[0]
    assert source.state.served == {}


def test_without_confirmation_seeds_nothing_is_served():
    source, taken = finish(plan_of(confirmation_seeds=0), lambda t: planted(t, RATE_UP))
    assert states(source.state) == {"learning_rate": Word.UNCONFIRMED}
    assert source.state.served == {}
    assert len(taken) == 25


def test_one_seed_is_screening_only_and_serves_nothing():
    source, _ = finish(plan_of(seeds=1), lambda t: planted(t, RATE_UP))
    assert states(source.state) == {"learning_rate": Word.SCREENING_ONLY}
    assert source.state.served == {}


def test_a_repeat_that_changes_nothing_is_confirmed_and_serves_no_value():
    def same(trial):
        seed = trial.seed
        return TrialResult(
            key=trial.key,
            status=Status.COMPLETED,
            curve=(Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=3.0),),
            final={"eval_loss": 2.0 + 0.01 * seed},
        )

    source, _ = finish(plan_of(Factor(name=REPEAT, values=(1,))), same)
    finding = by_factor(source.state.findings)[REPEAT]
    assert (finding.state, finding.bound.gain, finding.bound.upper) == (Word.CONFIRM, 0.0, 0.0)
    assert source.state.served == {}


def test_a_repeat_among_the_candidates_combines_with_nothing():
    def drifting(trial):
        result = planted(trial, RATE_UP)
        value = result.final["eval_loss"] * (0.98 if trial.repeat else 1.0)  # a broken machine: twins differ
        return TrialResult(
            key=trial.key, status=Status.COMPLETED, curve=result.curve, final={"eval_loss": value}
        )

    source, _ = finish(plan_of(RATE, Factor(name=REPEAT, values=(1,))), drifting)
    assert states(source.state) == {"learning_rate": Word.REFINE, REPEAT: Word.REFINE}
    assert source.state.combination is None
    assert source.state.served == {"learning_rate": 2e-3}


# looks


def test_an_undecided_factor_goes_on_and_a_decided_one_stops():
    source, taken = finish(plan_of(RATE, RANK, looks=(3, 5)), lambda t: planted(t, CLOSE, sigma=0.2))
    late = [trial for trial in taken if trial.seed >= 3 and trial.stage == Stage.SCREENING]
    assert {trial.arm.split("=")[0] for trial in late} == {"baseline", "lora_rank"}
    screening = by_factor(source.state.screening)
    assert (screening["learning_rate"].state, screening["learning_rate"].seeds) == (Word.CONFIRM, (0, 1, 2))
    assert screening["lora_rank"].seeds == (0, 1, 2, 3, 4)


def test_what_is_undecided_after_the_last_look_is_inconclusive():
    source, taken = finish(plan_of(looks=(3, 5)), lambda t: planted(t, {}, sigma=1.0))
    finding = by_factor(source.state.findings)["learning_rate"]
    assert finding.state == Word.INCONCLUSIVE
    assert "neither shown nor excluded" in texts(finding.reasons)[0]
    assert len(taken) == 25


def test_an_early_decision_saves_the_later_seeds():
    source, taken = finish(plan_of(looks=(3, 5)))
    assert states(source.state) == {"learning_rate": Word.CONFIRM}
    assert {trial.seed for trial in taken} == {0, 1, 2}
    assert len(source.state.needed) == 15


def test_the_second_look_corrects_for_all_that_was_tried():
    """A factor that is left over must show as much as before its rivals were decided."""
    source, _ = finish(plan_of(RATE, RANK, looks=(3, 5)), lambda t: planted(t, CLOSE, sigma=0.2))
    bounds = by_factor(source.state.screening)["lora_rank"].bounds
    assert len(bounds) == 4
    for bound in bounds:
        width = student(0.05 / 2 / 8, bound.seeds + 1)  # eight were tried, four are left
        assert (bound.gain - bound.lower) / bound.standard_error == pytest.approx(width)


# several factors


def test_two_refined_factors_that_hold_together_are_both_served():
    source, taken = finish(plan_of(RATE, RANK), lambda t: planted(t, RANK_UP))
    assert states(source.state) == {"learning_rate": Word.REFINE, "lora_rank": Word.REFINE}
    assert source.state.served == {"learning_rate": 2e-3, "lora_rank": 64}
    together = source.state.combination
    assert together.name == "combination learning_rate x2, lora_rank=64"
    fresh = [trial for trial in taken if trial.stage == Stage.CONFIRMATION]
    assert [trial.arm for trial in fresh[:4]] == [
        "baseline",
        "learning_rate x2",
        "lora_rank=64",
        together.name,
    ]
    assert len(fresh) == 20


def test_two_refined_factors_that_do_not_hold_together_serve_the_better_one():
    source, _ = finish(plan_of(RATE, RANK), lambda t: planted(t, RANK_UP, together=4.0))
    assert states(source.state) == {"learning_rate": Word.REFINE, "lora_rank": Word.REFINE}
    assert source.state.served == {"lora_rank": 64}
    for finding in source.state.findings.values():
        assert texts(finding.reasons)[-1] == (
            "together with the other refined settings it does not hold; only lora_rank is served"
        )


def test_a_confirmed_factor_is_served_beside_a_refined_one():
    source, _ = finish(plan_of(RATE, RANK), lambda t: planted(t, RATE_UP))
    assert states(source.state) == {"learning_rate": Word.REFINE, "lora_rank": Word.CONFIRM}
    assert source.state.served == {"learning_rate": 2e-3, "lora_rank": 32}
    assert source.state.combination is None


def test_a_combination_that_is_one_of_its_candidates_runs_once():
    """Half the batch at equal examples has twice the steps: with twice the steps it is itself again."""
    batch = Factor(name="batch_size", values=(8, 16, 64))
    steps = Factor(name="max_steps", multiply=(0.5, 2, 4))
    truth = {"batch_size": {8: -3, 16: 1.0, 64: -3}, "max_steps": {50: -3, 200: 1.0, 400: -3}}
    source, taken = finish(plan_of(batch, steps), lambda t: planted(t, truth))
    assert source.state.combination is None
    assert len({trial.key for trial in source.state.needed}) == len(source.state.needed) == len(taken)


# failures and divergence


def test_a_failed_trial_is_counted_and_drops_its_seed_for_every_arm():
    plan = plan_of()

    def outcome(trial):
        return lost(trial) if (trial.arm, trial.seed) == ("learning_rate x4", 2) else planted(trial)

    source, taken = finish(plan, outcome)
    assert by_factor(source.state.findings)["learning_rate"].seeds == (0, 1, 3, 4)
    assert states(source.state) == {"learning_rate": Word.CONFIRM}
    counts = count_trials(source.state, source.results)
    assert counts == Counts(planned=25, completed=24, diverged=0, failed=1, waiting=0)
    assert len(taken) == 25


def test_too_many_failures_are_inconclusive_and_serve_nothing():
    source, _ = finish(plan_of(), lambda t: lost(t) if t.seed > 2 and "x4" in t.arm else planted(t))
    assert states(source.state) == {"learning_rate": Word.INCONCLUSIVE}
    assert "2 of 5 seed blocks" in texts(by_factor(source.state.findings)["learning_rate"].reasons)[0]
    assert source.state.served == {}


def test_a_sweep_whose_every_trial_failed_still_ends():
    source, taken = finish(plan_of(), lost)
    assert states(source.state) == {"learning_rate": Word.INCONCLUSIVE}
    assert (source.state.margin, source.state.served, len(taken)) == (None, {}, 25)


def test_a_diverged_arm_is_an_outcome_and_a_diverged_baseline_ends_the_question():
    source, _ = finish(plan_of(), lambda t: lost(t, Status.DIVERGED) if "x4" in t.arm else planted(t))
    assert by_factor(source.state.findings)["learning_rate"].diverged == ("learning_rate x4",)
    assert states(source.state) == {"learning_rate": Word.CONFIRM}
    source, _ = finish(plan_of(), lambda t: lost(t, Status.DIVERGED) if t.arm == "baseline" else planted(t))
    assert texts(by_factor(source.state.findings)["learning_rate"].reasons) == (
        "the baseline diverged at 5 of 5 seeds",
    )
    assert source.state.served == {}


def test_trials_on_different_hardware_are_not_compared():
    def outcome(trial):
        result = planted(trial)
        device = {"device": "cuda" if trial.seed == 4 else "cpu"}
        return TrialResult(key=result.key, status=Status.COMPLETED, final=result.final, provenance=device)

    source, _ = finish(plan_of(), outcome)
    assert texts(by_factor(source.state.findings)["learning_rate"].reasons) == (
        "the trials ran on different hardware (cpu, cuda)",
    )


def test_the_untouched_model_is_measured_in_the_studys_own_metric():
    """Bits per byte are not nats: a margin from one and the other would be nonsense."""
    plan = plan_of()
    study = Study(**{**vars(plan.study), "metric": Metric(name="eval_bits_per_byte", unit="bits per byte")})
    plan = build_plan(study)
    start = {"step": 0, "fraction": 0.0, "examples": 0, "tokens": 0, "eval_loss": 3.0}

    def outcome(bits):
        point = Measurement(**start, eval_bits_per_byte=bits)
        return lambda t: TrialResult(
            key=t.key,
            status=Status.COMPLETED,
            curve=(point,),
            final={"eval_bits_per_byte": planted(t).final["eval_loss"] / 4},
        )

    known, _ = finish(plan, outcome(0.75))
    assert known.state.margin.gained == pytest.approx(50, abs=12)
    unknown, _ = finish(plan, outcome(None))
    assert unknown.state.margin.gained is None


# the source


def test_every_trial_is_handed_out_once_even_while_others_run():
    plan = plan_of()
    source = ProcedureSource(plan)
    taken = [source.take() for _ in plan.trials]
    assert [trial.key for trial in taken] == [trial.key for trial in plan.trials]
    assert source.take() is None
    assert not source.closed


def test_the_source_grows_at_the_stage_boundary():
    plan = plan_of()
    source = ProcedureSource(plan)
    opened = []
    while (trial := source.take()) is not None:
        opened.append(source.add(planted(trial, RATE_UP)))
        if opened[-1]:
            break
    assert opened == [False] * 24 + [True]
    assert source.state.stage == Stage.CONFIRMATION
    rest = []
    while (trial := source.take()) is not None:
        rest.append(trial)
        source.add(planted(trial, RATE_UP))
    assert {trial.stage for trial in rest} == {Stage.CONFIRMATION}
    assert (len(rest), source.closed) == (10, True)


def test_the_source_s_state_is_that_of_its_results_at_every_moment():
    plan = plan_of(RATE, RANK, looks=(3, 5))
    source = ProcedureSource(plan)
    while (trial := source.take()) is not None:
        before = source.state
        opened = source.add(planted(trial, RATE_UP, sigma=0.2))
        assert source.state == state_of(plan, source.results)
        assert opened == (len(source.state.needed) > len(before.needed) or source.state.stage != before.stage)
    assert source.closed


def test_a_source_that_is_asked_to_stop_hands_out_nothing_more():
    stop = []
    source = ProcedureSource(plan_of(), should_stop=lambda: bool(stop))
    assert source.take() is not None
    stop.append(True)
    assert source.stopping
    assert source.take() is None
    assert not source.closed


def test_results_of_an_earlier_run_are_not_run_again():
    plan = plan_of()
    source = ProcedureSource(plan)
    for trial in plan.trials[:20]:
        source.add(planted(trial))
    assert [trial.key for trial in source.state.missing] == [trial.key for trial in plan.trials[20:]]
    assert source.take().key == plan.trials[20].key


# purity


@given(st.integers(0, 1000), st.sampled_from([LOW, RATE_UP, RANK_UP]))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_state_is_the_same_whatever_the_order_of_the_results(order, truth):
    plan = plan_of(RATE, RANK, looks=(3, 5))
    source, _ = finish(plan, lambda t: planted(t, truth, sigma=0.2))
    items = list(source.results.items())
    random.Random(order).shuffle(items)
    for share in (0, len(items) // 3, len(items) - 1, len(items)):
        part = dict(items[:share])
        back = dict(sorted(part.items()))
        assert state_of(plan, part) == state_of(plan, back)
    assert state_of(plan, dict(items)) == source.state


def test_results_of_other_sweeps_change_nothing():
    plan = plan_of()
    results = {trial.key: planted(trial) for trial in plan.trials}
    strangers = {
        key: TrialResult(key=key, status=Status.COMPLETED, final={"eval_loss": math.nan})
        for key in ("a", "b")
    }
    assert state_of(plan, {**strangers, **results}) == state_of(plan, results)


def test_a_factor_merged_away_is_not_judged():
    plan = plan_of(RATE, Factor(name="lora_rank", values=(32,)))
    assert factor_names(plan) == ["learning_rate"]
    levels = levels_of(plan, "learning_rate")
    assert (levels.default, levels.levels) == (1e-3, (0.25e-3, 0.5e-3, 2e-3, 4e-3))
    assert levels.ordered


def test_a_searched_winner_is_served_where_no_single_setting_replicates():
    """No single refined setting is left to hold the winner against, and that is no reason to refuse it."""
    truth = {"learning_rate": {**LOW["learning_rate"], 2e-3: 1.5, 1.7e-3: 2.0}}
    plan = plan_of(RATE, confirmation_seeds=3, refine="optuna", refine_trials=2)
    tried = (1.7e-3, 2.5e-3)
    known = Known(
        proposals=tuple(Proposal(number=n, values={"learning_rate": v}) for n, v in enumerate(tried))
    )

    def outcome(trial):
        fresh = trial.stage == Stage.CONFIRMATION and trial.arm == "learning_rate x2"
        return planted(trial, LOW if fresh else truth)  # the screened level was luck

    results = {}
    while missing := state_of(plan, results, known).missing:
        results |= {trial.key: outcome(trial) for trial in missing}
    state = state_of(plan, results, known)
    assert states(state) == {"learning_rate": Word.INCONCLUSIVE, SEARCH: Word.REFINE}
    assert state.served == {"learning_rate": 1.7e-3}


def test_the_cost_of_a_proposal_lies_between_tested_levels_one_of_which_is_zero():
    plan = plan_of(
        Factor(name="lora_dropout", values=(0.05, 0.1)), refine="optuna", refine_goal="quality and cost"
    )
    costs = {
        arm.name: CostRatio(arm=arm.name, ratio=ratio, lower=ratio, upper=ratio)
        for arm, ratio in zip(plan.levels_of("lora_dropout"), (1.21, 1.44), strict=True)
    }
    result = TrialResult(key="k", status=Status.COMPLETED, final={"eval_loss": 2.0})
    proposal = Proposal(number=0, values={"lora_dropout": 0.025})
    value, cost = objectives_of(plan, proposal, result, costs)
    assert (value, cost) == (2.0, pytest.approx(1.1))


# what an event costs


def test_a_result_in_the_middle_of_a_look_makes_nothing_anew():
    """However many trials there are: only the last one of a look goes over all of them."""
    source = ProcedureSource(plan_of(seeds=30))
    before = source.decided
    while len(source.results) < len(before.missing) - 1:
        source.add(planted(source.take()))
    assert source.decided is before
    assert len(source.state.missing) == 1
    assert source.add(planted(source.take())) is True
    assert source.decided.stage == Stage.DONE


def test_a_result_that_was_there_already_is_not_taken():
    source = ProcedureSource(plan_of())
    first, second, *_ = source.state.missing
    source.add(planted(first))
    assert source.take() == second


def test_a_cell_that_has_all_its_trials_goes_on_while_another_still_waits():
    plan = plan_of(seeds=3)
    crossed = build_plan(replace(plan.study, cross=(Cross(setting="weight_decay", values=(0.0, 0.1)),)))
    source = ProcedureSource(crossed)
    first, second = source.decided.waits
    opened = [source.add(planted(one, RATE_UP)) for one in source.state.missing if one.key in first]
    assert opened == [False] * 14 + [True]
    missing = {one.key: one.stage for one in source.state.missing}
    assert second < set(missing)
    assert {missing[key] for key in set(missing) - second} == {Stage.CONFIRMATION}


EARLY = {**CLOSE, "learning_rate": RATE_UP["learning_rate"]}  # one question has a candidate at the first look


def early(trial):
    return planted(trial, EARLY, sigma=0.2)


def test_a_candidate_of_an_earlier_look_meets_the_default_before_the_last_question_closes():
    plan = plan_of(RATE, RANK, looks=(3, 5))
    source = ProcedureSource(plan)
    while not source.state.ahead:
        source.add(early(source.take()))
    state, ahead = source.state, source.state.ahead
    assert (state.stage, {trial.seed for trial in state.missing}) == (Stage.SCREENING, {3, 4})
    assert {trial.stage for trial in ahead} == {Stage.CONFIRMATION}
    assert set(state.needed) >= set(ahead)
    taken = list(iter(source.take, None))
    assert taken == [*state.missing, *ahead], "a worker begins them when nothing else waits"
    for trial in ahead:  # they end first: no decision waits for them, and none is made by them
        assert not source.add(early(trial))
        assert source.state == state_of(plan, source.results)
    for trial in state.missing:
        source.add(early(trial))
    assert source.closed
    assert source.state == finish(plan, early)[0].state
    assert {trial.key for trial in source.state.needed} == set(source.results), "none ran in vain"


def test_what_runs_ahead_is_what_the_sweep_would_have_run():
    """Whatever the open question comes to, and whether or not its trials were there."""
    plan = plan_of(RATE, RANK, looks=(3, 5))
    for truth in (EARLY, {**RANK_UP, **{"learning_rate": RATE_UP["learning_rate"]}}, RATE_UP):
        source, ahead = ProcedureSource(plan), set()
        while not source.closed:
            source.add(planted(source.take(), truth, sigma=0.2))
            ahead |= {trial.key for trial in source.state.ahead}
        assert ahead <= {trial.key for trial in source.state.needed}


def test_a_run_that_goes_on_begins_with_the_longest_of_what_is_left():
    steps = Factor(name="max_steps", multiply=(0.5, 2, 4))
    plan = plan_of(steps, seeds=2)
    source = ProcedureSource(plan, order=longest_first)
    source.add(planted(plan.trials[0]))
    longest = max(trial.settings.max_steps for trial in plan.trials)
    assert source.take().settings.max_steps == longest


def test_where_several_run_at_a_time_the_longest_begin_first():
    """Behind the default's first trial, without which nothing can be compared."""
    steps = Factor(name="max_steps", multiply=(0.5, 2, 4))
    source = ProcedureSource(plan_of(steps, seeds=2), order=longest_first)
    taken = [source.take() for _ in range(8)]
    assert source.take() is None
    assert (taken[0].arm, taken[0].seed) == ("baseline", 0)
    lengths = [trial.settings.max_steps * trial.settings.batch_size for trial in taken[1:]]
    assert lengths == sorted(lengths, reverse=True)
    assert [trial.seed for trial in taken[1:3]] == [0, 1]


def test_the_longest_is_the_one_that_was_timed_so():
    plan = plan_of(Factor(name="batch_size", multiply=(0.5, 2)), seeds=2)
    timing = Timing(arms=tuple(arm.name for arm in plan.arms), seconds=((1.0, 0.9, 4.0),) * 5, hardware="h")
    source = ProcedureSource(plan, known=Known(timing=timing), order=longest_first)
    costs = source.decided.costs
    taken = [source.take().arm for _ in range(6)]
    assert taken[1:] == sorted(taken[1:], key=lambda arm: -(costs[arm].ratio if arm in costs else 1.0))
    assert costs[taken[1]].ratio > 1.5


def test_the_longest_of_a_crossed_study_is_told_by_the_default_of_its_own_cell():
    """Where steps are counted and where they were timed; and where the default's own trials have ended."""
    study = plan_of(Factor(name="batch_size", multiply=(0.5, 2)), seeds=2).study
    plan = build_plan(replace(study, cross=(Cross(setting="max_steps", values=(100, 1000)),)))
    arms = [arm.name for arm in plan.timed_arms]
    timing = Timing(arms=tuple(arms), seconds=((1.0,) * len(arms),) * 5, hardware="h")
    source = ProcedureSource(plan, known=Known(timing=timing), order=longest_first)
    for trial in source.state.missing:
        if trial.arm == "baseline":
            source.add(planted(trial))
    long = [trial.settings.max_steps >= 500 for trial in iter(source.take, None)]
    assert long[1:] == sorted(long[1:], reverse=True)
    assert len(set(long)) == 2


def crossed_plan(cells, **changes):
    study = plan_of(**changes).study
    decays = tuple(0.01 * cell for cell in range(cells))
    return build_plan(replace(study, cross=(Cross(setting="weight_decay", values=decays),)))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_crossed_source_s_state_is_that_of_its_results_whatever_cell_they_are_of(order):
    plan = crossed_plan(3, seeds=5, looks=(3, 5))
    source, draw = ProcedureSource(plan), random.Random(order)
    while missing := source.state.missing:
        trial = draw.choice(missing)
        if draw.random() < 0.1:
            source.add(lost(trial))
        source.add(planted(trial, RATE_UP, sigma=0.2))
        assert source.state == state_of(plan, source.results)
    assert source.closed


def test_a_cell_that_ends_is_judged_alone(monkeypatch):
    """However many cells there are: the others are not judged with it again."""
    judged = Counter()

    def counted(cell):
        judged[cell.plan.cell] += 1
        return screened(cell)

    monkeypatch.setattr("bios_sweep.procedure.machine.screened", counted)
    plan = crossed_plan(6, seeds=3)
    source, _ = finish(plan)
    assert source.closed
    assert judged == dict.fromkeys((cell.cell for cell in plan.cells), 2)
