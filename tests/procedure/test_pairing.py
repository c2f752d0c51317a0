"""What the report says of a script's arms that moved nothing."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.procedure.pairing import copied_seeds, pairing_lines
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Cross, Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status
from tests.scenarios import PLANTED

SCENARIO = replace(PLANTED, repeatable=False)


def crossed(*more):
    return build_plan(
        Study(
            name="s",
            question="q",
            scenario=SCENARIO,
            baseline=TrainingSettings(learning_rate=5e-4, batch_size=128, lora_rank=32, max_steps=1000),
            factors=(Factor(name="lora_rank", values=(16, 64), claims=("optimum",)),),
            cross=(Cross(setting="weight_decay", values=(0.0, 0.1)), *more),
            seeds=(0, 1),
            decision=DecisionRule(looks=(2,)),
        )
    )


def told(trial, value):
    point = Measurement(step=1000, fraction=1.0, examples=0, tokens=0, eval_loss=value)
    return TrialResult(
        key=trial.key, status=Status.COMPLETED, curve=(point,), final={"eval_loss": value}, provenance={}
    )


def test_an_arm_of_a_crossed_study_is_compared_with_its_own_cell_s_baseline():
    plan = crossed()
    trials = [trial for cell in plan.cells for trial in cell.trials]
    # Where the decay is 0.1 everything is worse, and rank 16 changes nothing there.
    results = {
        trial.key: told(
            trial,
            2.0
            + 0.1 * trial.seed
            + 5 * trial.settings.weight_decay
            + 0.02 * (trial.settings.lora_rank == 64)
            + 0.01 * (trial.settings.lora_rank == 16 and trial.settings.weight_decay == 0.0),
        )
        for trial in trials
    }
    unmoved = [line for line in pairing_lines(plan, results) if "exactly the baseline's" in line]
    assert len(unmoved) == 1
    assert unmoved[0].startswith("lora_rank=16 @ weight_decay=0.1: exactly the baseline's eval_loss")


def test_a_crossed_setting_that_moves_nothing_is_no_arm_that_moved_nothing():
    plan = crossed()
    trials = [trial for cell in plan.cells for trial in cell.trials]
    results = {
        trial.key: told(trial, 2.0 + 0.1 * trial.seed + 0.001 * trial.settings.lora_rank) for trial in trials
    }
    told_lines = pairing_lines(plan, results)
    assert not [line for line in told_lines if "exactly the baseline's" in line]
    assert told_lines[-1] == (
        "weight_decay (crossed): the baseline's eval_loss is exactly the same with 0.0, 0.1 at every seed; "
        "does the script use weight_decay?"
    )


def test_of_two_crossed_settings_the_one_that_moves_nothing_is_named():
    plan = crossed(Cross(setting="adam_beta2", values=(0.95, 0.99)))
    trials = [trial for cell in plan.cells for trial in cell.trials]
    results = {trial.key: told(trial, 2.0 + 0.1 * trial.seed + trial.settings.adam_beta2) for trial in trials}
    named = [line for line in pairing_lines(plan, results) if "(crossed)" in line]
    assert len(named) == 1
    assert named[0].startswith("weight_decay (crossed)")


def test_a_crossed_setting_without_results_yet_is_not_told_of():
    assert not [line for line in pairing_lines(crossed(), {}) if "(crossed)" in line]


def test_a_baseline_that_is_0_at_every_seed_ignores_none_where_another_arm_differs():
    plan = crossed().cells[0]
    constant = {trial.key: told(trial, 0.0) for trial in plan.trials}
    assert "ignores the seed" in str(copied_seeds(plan, plan.trials, constant, "eval_loss"))
    solved = {
        trial.key: told(trial, 0.1 * trial.seed * (trial.settings.lora_rank == 64)) for trial in plan.trials
    }
    assert copied_seeds(plan, plan.trials, solved, "eval_loss") is None
