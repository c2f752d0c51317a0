"""An arm that is shown to gain less than what matters runs no more, and all else goes on as planned."""

from __future__ import annotations

import dataclasses

import pytest

from bios_sweep.decision.finding import Margin
from bios_sweep.decision.statement import EXCLUDED
from bios_sweep.procedure.cell import Cell
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.screening import excluded_arms
from bios_sweep.procedure.state import Known
from bios_sweep.report.content.verdict_rows import Ways, verdicts_of
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.factors import Factor, Nuisance
from bios_sweep.vocabulary import Stage, Status, Word
from tests.answers import by_factor
from tests.procedure.planted import finish, lost, plan_of, planted, states

NEAR = {"learning_rate": {0.25e-3: -4, 0.5e-3: -3, 2e-3: 0.45, 4e-3: -4}}  # one level too near the margin
OUT = ("learning_rate x0.25", "learning_rate x0.5", "learning_rate x4")
LEFT = ("baseline", "learning_rate x2")


def near(trial):
    return planted(trial, NEAR, sigma=0.2)


def screened_of(taken):
    return [trial for trial in taken if trial.stage == Stage.SCREENING]


def seeds_of(taken):
    found = {}
    for trial in screened_of(taken):
        found.setdefault(trial.arm, []).append(trial.seed)
    return found


def test_an_excluded_arm_runs_no_further_seeds_and_the_others_do():
    source, taken = finish(plan_of(looks=(3, 5)), near)
    found = seeds_of(taken)
    assert {arm: len(seeds) for arm, seeds in found.items()} == {
        **dict.fromkeys(OUT, 3),
        **dict.fromkeys(LEFT, 5),
    }
    bounds = {bound.arm: bound for bound in by_factor(source.state.screening)["learning_rate"].bounds}
    assert {arm: bound.seeds for arm, bound in bounds.items()} == {
        **dict.fromkeys(OUT, 3),
        "learning_rate x2": 5,
    }


def test_its_bound_is_that_of_its_last_look_and_it_still_tells_of_the_noise():
    plan = plan_of(looks=(3, 5))
    results = {trial.key: near(trial) for trial in plan.trials}
    first = {trial.key: near(trial) for trial in plan.trials if trial.seed < 3}
    before = {b.arm: b for b in by_factor(state_of(plan, first).screening)["learning_rate"].bounds}
    after = {b.arm: b for b in by_factor(state_of(plan, results).screening)["learning_rate"].bounds}
    assert all(after[arm] == before[arm] for arm in OUT)
    left = after["learning_rate x2"]
    middle = sorted(before[arm].spread for arm in OUT)[1]
    assert left.noise == pytest.approx(max((2 * middle + 4 * left.spread) / 6, left.spread))


def test_the_verdict_names_the_excluded_arms_and_their_seeds():
    plan = plan_of(looks=(3, 5))
    source, _ = finish(plan, near)
    (verdict,) = verdicts_of(plan, source.state, source.results, Ways())
    assert EXCLUDED(arms="x0.25 (3 seeds), x0.5 (3 seeds), x4 (3 seeds)") in verdict.reasons
    assert {row.arm: row.seeds for row in verdict.levels} == {**dict.fromkeys(OUT, 3), "learning_rate x2": 5}


def test_a_default_is_confirmed_once_the_last_arm_is_excluded_too():
    truth = {"learning_rate": {**NEAR["learning_rate"], 2e-3: 0.05}}
    source, taken = finish(plan_of(seeds=8, looks=(3, 8)), lambda t: planted(t, truth, sigma=0.2))
    assert states(source.state) == {"learning_rate": Word.CONFIRM}
    assert len(screened_of(taken)) == 5 * 3 + 2 * 5
    (verdict,) = verdicts_of(plan_of(seeds=8, looks=(3, 8)), source.state, source.results, Ways())
    assert "3 to 8 paired seeds" in verdict.sentence


def test_the_bracket_keeps_an_excluded_level_that_was_not_seen_to_be_worse():
    truth = {"learning_rate": {0.25e-3: -4, 0.5e-3: -0.15, 2e-3: 0.35, 4e-3: -4}}
    source, taken = finish(plan_of(looks=(3, 5)), lambda t: planted(t, truth, sigma=0.15))
    assert len(seeds_of(taken)["learning_rate x0.5"]) == 3
    assert by_factor(source.state.screening)["learning_rate"].bracket == (0.25e-3, 4e-3)


def test_a_failed_trial_of_the_arms_that_still_run_is_what_the_gate_counts():
    """One of eight seeds is lost to the arms that run on; the excluded ones lost none of theirs."""
    plan = plan_of(seeds=8, looks=(3, 8))
    source, _ = finish(plan, lambda t: lost(t) if (t.arm, t.seed) == ("learning_rate x2", 6) else near(t))
    finding = by_factor(source.state.screening)["learning_rate"]
    assert finding.seeds == (0, 1, 2, 3, 4, 5, 7)


def test_an_open_arm_that_diverges_later_leaves_the_excluded_ones_to_confirm():
    plan = plan_of(looks=(3, 5))

    def outcome(trial):
        late = trial.arm == "learning_rate x2" and trial.seed >= 3
        return lost(trial, Status.DIVERGED) if late else near(trial)

    source, _ = finish(plan, outcome)
    finding = by_factor(source.state.findings)["learning_rate"]
    assert (finding.state, finding.diverged) == (Word.CONFIRM, ("learning_rate x2",))


def test_the_trials_are_the_same_whatever_the_order_they_end_in_and_after_a_restart():
    plan = plan_of(looks=(3, 5))
    _, taken = finish(plan, near)
    everything = {trial.key: near(trial) for trial in plan.trials}  # other sweeps ran them all
    whole = state_of(plan, everything)
    assert {trial.key for trial in whole.needed} == {trial.key for trial in taken}
    half = {trial.key: near(trial) for trial in taken[:17]}  # in the middle of the second look
    assert [trial.key for trial in state_of(plan, half).missing] == [t.key for t in taken[17:19]]


def test_an_arm_that_the_margin_of_a_later_look_does_not_exclude_runs_again():
    plan = plan_of(looks=(3, 5))
    first = {trial.key: near(trial) for trial in plan.trials if trial.seed < 3}
    state = state_of(plan, first)
    ((question, finding),) = state.findings.items()
    cell = Cell(plan=plan, results=first, known=Known(), tried=4)
    wide, narrow = (Margin(percent=percent, absolute=0.01, gained=None) for percent in (0.5, -3.4))
    assert set(excluded_arms(cell, question, finding, wide)) == set(OUT)
    assert set(excluded_arms(cell, question, finding, narrow)) < set(OUT)


@pytest.mark.parametrize(
    "factor", [Factor(name="batch_size", values=(8, 16, 64)), Factor(name="lora_rank", values=(8, 16, 64))]
)
def test_claims_that_compare_levels_with_each_other_exclude_nothing(factor):
    plan = plan_of(factor, looks=(3, 5))
    _, taken = finish(plan, lambda t: planted(t, {}, sigma=1.0))
    seeds = {len(seeds) for arm, seeds in seeds_of(taken).items() if arm.startswith(factor.name)}
    assert seeds == {5}


def test_the_rungs_of_a_ladder_are_not_excluded_alone():
    factor = Factor(
        name="weight_decay",
        values=(0.05, 0.1),
        nuisance=Nuisance(setting="learning_rate", multiply=(0.5, 1, 2)),
    )
    truth = {"weight_decay": {0.05: -4.0, 0.1: 0.45}}
    _, taken = finish(plan_of(factor, looks=(3, 5)), lambda t: planted(t, truth, sigma=0.3))
    assert {len(seeds) for seeds in seeds_of(taken).values()} == {5}


def test_under_version_1_every_arm_of_an_open_question_runs_on():
    plan = plan_of(looks=(3, 5), version=1)
    truth = {"learning_rate": {**NEAR["learning_rate"], 2e-3: 0.2}}
    source, taken = finish(plan, lambda trial: planted(trial, truth, sigma=0.2))
    assert len(screened_of(taken)) == 25
    assert by_factor(source.state.screening)["learning_rate"].bounds[0].pooled
    kept = plan.study.to_dict()["decision"]
    del kept["version"]  # as such a sweep's plan has it
    assert DecisionRule.from_dict(kept) == plan.study.decision
    assert plan.hash != plan_of(looks=(3, 5)).hash
    assert "version" not in plan.study.decision.identity()
    assert dataclasses.replace(plan.study.decision, version=2).identity()["version"] == 2
