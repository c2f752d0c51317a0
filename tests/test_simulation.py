from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest

from bios_sweep.errors import ConfigError
from bios_sweep.settings import TrainingSettings
from bios_sweep.simulation.engine import PlantedEngine
from bios_sweep.study.trials import COMPLETED, DIVERGED, TrialResult, TrialSpec

SETTINGS = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=32, max_steps=10)
TRUTH = {"learning_rate": {"optimum": 1e-3, "curvature": 2.0}, "lora_rank": {"optimum": 32, "curvature": 1.0}}
NOISE = {"seed_noise_percent": 3.0, "noise_percent": 0.3}


def run(folder, settings=SETTINGS, seed=0, repeat=0, **options):
    name = f"{settings.learning_rate}-{settings.lora_rank}-{seed}-{repeat}"
    trial = TrialSpec(key=name, arm="arm", seed=seed, settings=settings, repeat=repeat)
    *curve, result = PlantedEngine(options).run(trial, folder / name)
    assert isinstance(result, TrialResult)
    assert tuple(curve) == result.curve
    return result


def loss(*arguments, **options):
    return run(*arguments, **options).final["eval_loss"]


def test_the_loss_rises_by_the_curvature_per_squared_doubling_from_the_optimum(tmp_path):
    assert loss(tmp_path, truth=TRUTH) == 2.0
    doubled = replace(SETTINGS, learning_rate=2e-3)
    assert loss(tmp_path, doubled, truth=TRUTH) == pytest.approx(2.0 * 1.02)
    far = replace(SETTINGS, learning_rate=0.25e-3, lora_rank=64)
    assert loss(tmp_path, far, truth=TRUTH) == pytest.approx(2.0 * (1 + 0.02 * 4 + 0.01))


def test_the_curve_falls_from_the_untouched_loss_to_the_final_one(tmp_path):
    result = run(tmp_path, measurements=5, t0_seconds=0.5)
    losses = [point.eval_loss for point in result.curve]
    assert [point.step for point in result.curve] == [0, 2, 4, 6, 8, 10]
    assert losses == sorted(losses, reverse=True)
    assert (losses[0], losses[-1]) == (3.0, 2.0)
    assert result.status == COMPLETED
    assert result.wall_seconds == 5.0
    assert result.curve[-1].examples == 80
    assert result.final["eval_bits_per_byte"] == 2.0 / math.log(2) / 4


def test_an_aa_twin_has_an_effect_of_exactly_0(tmp_path):
    for seed in range(5):
        first, twin = (loss(tmp_path, seed=seed, repeat=repeat, **NOISE) for repeat in (0, 1))
        assert first == twin


def test_arms_share_the_seed_noise_so_that_pairing_removes_it(tmp_path):
    other = replace(SETTINGS, lora_rank=64)
    first = [loss(tmp_path, seed=seed, **NOISE) for seed in range(60)]
    second = [loss(tmp_path, other, seed=seed, **NOISE) for seed in range(60)]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    assert statistics.stdev(first) == pytest.approx(2.0 * 0.03, rel=0.25)
    assert statistics.stdev(differences) == pytest.approx(2.0 * 0.003 * math.sqrt(2), rel=0.25)


def test_another_noise_seed_draws_another_world(tmp_path):
    assert loss(tmp_path / "a", noise_seed=0, **NOISE) != loss(tmp_path / "b", noise_seed=1, **NOISE)


def test_a_learning_rate_beyond_the_wall_diverges_halfway_with_a_cause(tmp_path):
    result = run(tmp_path, replace(SETTINGS, learning_rate=0.5), wall=0.1)
    assert result.status == DIVERGED
    assert result.cause == "learning_rate 0.5 is beyond the planted wall 0.1"
    assert result.curve[-1].step <= 5
    assert result.final["eval_loss"] > 3.0
    assert run(tmp_path, wall=0.1).status == COMPLETED


def test_a_trial_left_halfway_replays_its_measurements_and_goes_on(tmp_path):
    trial = TrialSpec(key="k", arm="arm", seed=0, settings=SETTINGS)
    whole = list(PlantedEngine(NOISE).run(trial, tmp_path / "whole"))
    started = PlantedEngine(NOISE).run(trial, tmp_path / "killed")
    assert [next(started) for _ in range(3)] == whole[:3]
    started.close()
    assert list(PlantedEngine(NOISE).run(trial, tmp_path / "killed")) == whole


def test_a_planted_failure_comes_after_the_first_measurement(tmp_path):
    trial = TrialSpec(key="k", arm="arm", seed=3, settings=SETTINGS)
    items = PlantedEngine({"fail": {"arm/3": "out of luck"}}).run(trial, tmp_path)
    assert next(items).step == 0
    with pytest.raises(RuntimeError, match=r"^out of luck$"):
        next(items)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"los": 2.0}, "unknown option 'los' of the planted engine; allowed: truth, loss"),
        ({"truth": {"rank": {"optimum": 1, "curvature": 1}}}, "truth: 'rank' is no setting"),
        (
            {"truth": {"lora_rank": {"optimum": 0, "curvature": 1}}},
            "truth.lora_rank.optimum: 0 is not allowed; it must be a finite number above 0",
        ),
        ({"truth": {"schedule": {"optimum": 1, "curvature": 1}}}, "truth.schedule: has no log2 distance"),
        ({"measurements": 0}, "measurements: 0 is not allowed; a whole number of at least 1"),
    ],
)
def test_options_that_plant_nonsense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        PlantedEngine(options)
