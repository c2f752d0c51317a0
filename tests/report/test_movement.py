"""Whether the best level moves, as it is told: over looks that set levels aside, and at open ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bios_sweep.decision.drift import Drift, Place
from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.procedure.machine import state_of
from bios_sweep.report.content.movement import _speed as speed
from bios_sweep.report.content.movement import movement_rows
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Cross, Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.vocabulary import Status, Word
from tests.scenarios import PLANTED, PUBLISH

BASELINE = TrainingSettings(learning_rate=5e-4, batch_size=128, lora_rank=32, max_steps=1000)
WORLD = {
    "truth": {"learning_rate": {"optimum": 1e-3, "curvature": 0.8}},
    "noise_percent": 0.5,
    "seed_noise_percent": 1.0,
}


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """A crossed ladder with two looks, run by the planted engine; (plan, state, results)."""
    study = Study(
        name="asked",
        question="Does it move?",
        scenario=PLANTED,
        baseline=BASELINE,
        factors=(Factor(name="learning_rate", multiply=(0.125, 0.25, 0.5, 2)),),
        cross=(Cross(setting="lora_rank", values=(16, 32, 64)),),
        seeds=(0, 1, 2, 3, 4),
        decision=DecisionRule(looks=(3, 5), confirmation_seeds=0, **PUBLISH),
    )
    folder, engine = tmp_path_factory.mktemp("crossed"), PlantedEngine(WORLD)
    plan, results = build_plan(study), {}
    while (state := state_of(plan, results)).missing:
        for trial in state.missing:
            *_, results[trial.key] = engine.run(trial, folder / trial.key)
    return plan, state, results


def test_a_look_that_sets_levels_aside_leaves_the_movement_to_the_seeds_of_all(crossed):
    plan, state, results = crossed
    ran = [sum(one.seed == 4 and one.key in results for one in cell.trials) for cell in plan.cells]
    assert any(0 < arms < 5 for arms in ran), "some level ran no more at the second look"
    (row,) = movement_rows(plan, state, results)
    assert [cell.at for cell in row.cells] == [16, 32, 64]
    assert row.seeds == 3
    assert "3 seeds" in row.sentence


def test_a_cell_that_cannot_be_judged_is_named_with_its_reason(crossed):
    plan, state, results = crossed
    lost = {trial.key for trial in plan.cells[0].trials if trial.seed > 0}
    failed = {
        key: replace(one, status=Status.FAILED, final={}) if key in lost else one
        for key, one in results.items()
    }
    (row,) = movement_rows(plan, state, failed)
    assert (row.verdict, row.cells) == (Word.INCONCLUSIVE, ())
    assert row.sentence == (
        "inconclusive: whether the best learning_rate moves with lora_rank is not told: "
        "at lora_rank 32 every level ended at 1 of 3 seeds"
    )


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((None, None), "its movement is not bounded: the grids end before the brackets do"),
        ((None, 1.5), "per doubling of lora_rank the best one is multiplied by at most x1.50"),
        ((0.5, None), "per doubling of lora_rank the best one is multiplied by at least x0.50"),
        ((0.5, 1.5), "per doubling of lora_rank the best one is multiplied by x0.50 to x1.50"),
    ],
)
def test_an_end_that_stays_open_is_said_in_words(ends, told):
    place = Place(at=8.0, low=None, high=None, best=1.0, losses={}, margin=None)
    found = Drift(
        word=Word.INCONCLUSIVE, places=(place,), moves=False, per_doubling=ends, bent=False, seeds=3
    )
    assert speed("lora_rank", found) == told
