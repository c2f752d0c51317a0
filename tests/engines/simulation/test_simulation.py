from __future__ import annotations

import json
import math
import os
import re
import statistics
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.engines.simulation.engine import CHECKPOINT, PlantedEngine
from bios_sweep.engines.simulation.truth import PlantedTruth
from bios_sweep.errors import ConfigError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Status

SETTINGS = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=32, max_steps=10)
TRUTH = {"learning_rate": {"optimum": 1e-3, "curvature": 2.0}, "lora_rank": {"optimum": 32, "curvature": 1.0}}
NOISE = {"seed_noise_percent": 3.0, "noise_percent": 0.3}
CLUSTERS = {"clusters": 20, "cluster_noise_percent": 2.0}
SCALING = {"learning_rate": {"batch_size": {"power": 0.5, "at": 8}}}
ARMS = st.builds(
    TrainingSettings,
    learning_rate=st.floats(1e-6, 1e-1),
    batch_size=st.integers(1, 1024),
    lora_rank=st.integers(1, 256),
    max_steps=st.integers(1, 5000),
)


def run(folder, settings=SETTINGS, seed=0, repeat=0, **options):
    name = f"{settings.learning_rate}-{settings.batch_size}-{settings.lora_rank}-{seed}-{repeat}"
    trial = TrialSpec(key=name, arm="arm", seed=seed, settings=settings, repeat=repeat)
    *curve, result = PlantedEngine(options).run(trial, folder / name)
    assert isinstance(result, TrialResult)
    assert tuple(curve) == result.curve
    return result


def loss(*arguments, **options):
    return run(*arguments, **options).final["eval_loss"]


def percent(truth, arm=SETTINGS, **options):
    return PlantedTruth(truth=truth, **options).percent(arm)


def spread(world, arm, seeds=400):
    return statistics.stdev(world.final_loss(arm, seed) for seed in range(seeds))


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
    assert result.status == Status.COMPLETED
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
    assert result.status == Status.DIVERGED
    assert result.cause == "learning_rate 0.5 is beyond the planted wall 0.1"
    assert result.curve[-1].step <= 5
    assert result.final["eval_loss"] > 3.0
    assert run(tmp_path, wall=0.1).status == Status.COMPLETED


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


def test_a_floor_costs_its_gain_per_halving_below_the_knee_and_nothing_above():
    rank = {"lora_rank": {"knee": 16, "gain": 3.0}}
    ranks = {r: percent(rank, replace(SETTINGS, lora_rank=r)) for r in (4, 8, 16, 32, 256)}
    assert ranks == {4: 6.0, 8: 3.0, 16: 0.0, 32: 0.0, 256: 0.0}


def test_a_ceiling_costs_per_doubling_above_the_critical_value():
    batch = {"batch_size": {"critical": 128, "cost": 0.5}}
    batches = {b: percent(batch, replace(SETTINGS, batch_size=b)) for b in (64, 128, 256, 512)}
    assert batches == {64: 0.0, 128: 0.0, 256: 0.5, 512: 1.0}


def test_steps_and_batch_count_through_the_examples_they_see():
    world = {"examples": {"knee": 800, "gain": 1.0}}
    assert percent(world, replace(SETTINGS, max_steps=100, batch_size=8)) == 0.0
    assert percent(world, replace(SETTINGS, max_steps=50, batch_size=8)) == 1.0
    assert percent(world, replace(SETTINGS, max_steps=50, batch_size=4)) == 2.0
    assert percent(world, replace(SETTINGS, max_steps=25, batch_size=32)) == 0.0


def test_a_setting_without_a_value_costs_nothing_and_moves_nothing():
    truth = {"train_examples": {"knee": 4000, "gain": 1.0}, "lora_rank": {"knee": 32, "gain": 1.0}}
    moves = {"lora_rank": {"train_examples": {"power": 0.5, "at": 1000}}}
    assert percent(truth, interactions=moves) == 0.0
    small, large = (replace(SETTINGS, train_examples=number) for number in (1000, 16_000))
    assert percent(truth, small, interactions=moves) == 2.0
    assert percent(truth, large, interactions=moves) == 2.0  # rank 128 would be enough here


@settings(deadline=None, derandomize=True)
@given(batch=st.integers(1, 4096), power=st.floats(-1, 1).map(lambda power: round(power, 4)))
def test_the_optimum_moves_with_the_power_of_the_other_setting(batch, power):
    world = PlantedTruth(
        truth={"learning_rate": {"optimum": 1e-3, "curvature": 2.0}},
        interactions={"learning_rate": {"batch_size": {"power": power, "at": 8}}},
    )
    best = replace(SETTINGS, batch_size=batch, learning_rate=1e-3 * (batch / 8) ** power)
    assert world.percent(best) == pytest.approx(0.0, abs=1e-9)
    assert world.percent(replace(best, learning_rate=2 * best.learning_rate)) == pytest.approx(2.0)


def test_the_wall_moves_with_the_batch():
    world = PlantedTruth(wall=1e-3, interactions={"wall": {"batch_size": {"power": 0.5, "at": 8}}})
    assert world.diverges(replace(SETTINGS, learning_rate=1.5e-3))
    assert not world.diverges(replace(SETTINGS, learning_rate=1.5e-3, batch_size=32))
    assert world.wall_at(replace(SETTINGS, batch_size=32)) == 2e-3


def test_the_residual_grows_towards_the_wall_as_planted():
    world = PlantedTruth(noise_percent=0.5, wall=4e-3, wall_noise=3.0)
    far, half, near = (spread(world, replace(SETTINGS, learning_rate=rate)) for rate in (1e-5, 2e-3, 4e-3))
    assert far == pytest.approx(2.0 * 0.005, rel=0.15)
    assert half == pytest.approx(2.0 * 0.005 * 1.75, rel=0.15)
    assert near == pytest.approx(2.0 * 0.005 * 4.0, rel=0.15)


@settings(deadline=None, derandomize=True)
@given(arm=ARMS, seed=st.integers(0, 2**32), noise_seed=st.integers(0, 2**32))
def test_a_loss_is_a_function_of_settings_and_seed_alone(arm, seed, noise_seed):
    options = {"truth": TRUTH, **NOISE, **CLUSTERS, "noise_seed": noise_seed}
    first, second = PlantedTruth(**options), PlantedTruth(**options)
    second.final_loss(SETTINGS, seed + 1)
    assert first.final_loss(arm, seed) == second.final_loss(arm, seed)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    options=st.fixed_dictionaries(
        {
            "truth": st.just(TRUTH),
            "wall": st.sampled_from([None, 1e-4]),
            "measurements": st.integers(1, 8),
            "clusters": st.sampled_from([0, 5]),
            **{name: st.just(value) for name, value in NOISE.items()},
        }
    ),
    arm=ARMS,
    left_after=st.integers(0, 9),
    torn=st.booleans(),
)
def test_a_trial_killed_anywhere_goes_on_to_the_same_bits(options, arm, left_after, torn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    trial = TrialSpec(key="k", arm="arm", seed=1, settings=arm)
    whole = list(PlantedEngine(options).run(trial, folder / "whole"))
    started = PlantedEngine(options).run(trial, folder / "killed")
    for _ in range(min(left_after, len(whole) - 1)):
        next(started)
    started.close()
    checkpoint = folder / "killed" / CHECKPOINT
    if torn and checkpoint.exists() and checkpoint.stat().st_size:
        checkpoint.write_bytes(checkpoint.read_bytes()[:-7])
    assert list(PlantedEngine(options).run(trial, folder / "killed")) == whole
    again = list(PlantedEngine(options).run(trial, folder / "killed"))
    assert again == whole
    points = [json.loads(line) for line in checkpoint.read_text().splitlines()]
    assert points == [point.to_dict() for point in whole[:-1]]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    arm=ARMS,
    seed=st.integers(0, 99),
    clusters=st.integers(2, 60),
    per_cluster=st.integers(1, 6),
    tokens=st.integers(1, 200),
)
def test_the_reported_loss_is_the_token_weighted_mean_of_the_held_out_examples(
    arm, seed, clusters, per_cluster, tokens, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("eval")
    options = {
        "clusters": clusters,
        "cluster_noise_percent": 2.0,
        "examples_per_cluster": per_cluster,
        "tokens_per_example": tokens,
    }
    result = run(folder, arm, seed, truth=TRUTH, **NOISE, **options)
    with np.load(folder / result.key / "eval.npz") as file:
        nats, lengths, cluster = file["nats"], file["tokens"], file["cluster"]
        shapes = {file[name].shape for name in ("nats", "tokens", "bytes", "cluster")}
    assert shapes == {(clusters * per_cluster,)}
    assert nats.dtype == np.float64
    assert (nats > 0).all()
    assert (lengths >= 1).all()
    assert sorted(set(cluster)) == list(range(clusters))
    assert result.final["eval_loss"] == float(nats.sum() / lengths.sum())


def test_without_clusters_and_after_divergence_no_held_out_losses_are_left(tmp_path):
    run(tmp_path)
    run(tmp_path, replace(SETTINGS, learning_rate=0.5), wall=0.1, clusters=4)
    assert not list(tmp_path.rglob("eval.npz"))


def test_cluster_noise_is_the_same_for_every_seed_and_differs_between_arms():
    world = PlantedTruth(**CLUSTERS)
    other = replace(SETTINGS, lora_rank=64)
    gaps = {world.final_loss(other, seed) - world.final_loss(SETTINGS, seed) for seed in range(5)}
    assert len(gaps) == 1
    assert gaps != {0.0}
    assert PlantedTruth(clusters=20).final_loss(SETTINGS, 0) == pytest.approx(2.0, rel=1e-12)


def test_cluster_noise_spreads_the_difference_of_two_arms_as_planted():
    other = replace(SETTINGS, lora_rank=64)
    worlds = [PlantedTruth(noise_seed=number, **CLUSTERS) for number in range(300)]
    gaps = [100 * (w.final_loss(other, 0) - w.final_loss(SETTINGS, 0)) / 2.0 for w in worlds]
    assert statistics.stdev(gaps) == pytest.approx(2.0 * math.sqrt(2 / 20), rel=0.15)
    assert statistics.mean(gaps) == pytest.approx(0.0, abs=0.12)


def test_the_clusters_show_the_spread_that_was_planted():
    world, other = PlantedTruth(**{**CLUSTERS, "clusters": 200}), replace(SETTINGS, lora_rank=64)
    lengths, cluster = world.evaluation.lengths, world.evaluation.cluster
    gap = world.nats(other, 0) - world.nats(SETTINGS, 0)
    by_cluster = np.bincount(cluster, gap) / np.bincount(cluster, lengths)
    assert np.std(100 * by_cluster / 2.0) == pytest.approx(2.0 * math.sqrt(2), rel=0.15)


def test_a_further_metric_has_its_own_truth_and_noise(tmp_path):
    forgetting = {"value": 0.1, "truth": {"lora_rank": {"critical": 32, "cost": 10.0}}}
    metrics = {"forgetting": forgetting, "score": {"value": 0.6, "noise_percent": 1.0}}
    results = [run(tmp_path, seed=seed, metrics=metrics) for seed in range(3)]
    assert {result.final["forgetting"] for result in results} == {0.1}
    assert len({result.final["score"] for result in results}) == 3
    larger = run(tmp_path, replace(SETTINGS, lora_rank=64), metrics=metrics)
    assert larger.final["forgetting"] == pytest.approx(0.11)
    assert larger.final["eval_loss"] == 2.0


def test_a_trial_takes_the_time_of_its_steps(tmp_path):
    result = run(tmp_path, t0_seconds=0.2, examples_per_second=16)
    assert result.wall_seconds == pytest.approx(10 * (0.2 + 8 / 16))
    assert [point.wall_seconds for point in result.curve] == pytest.approx(
        [step * 0.7 for step in range(0, 11, 2)]
    )


def test_timed_steps_spread_around_the_truth_and_are_the_same_when_timed_again():
    engine = PlantedEngine({"t0_seconds": 0.2, "examples_per_second": 640, "time_cv": 0.05})
    arms = [replace(SETTINGS, batch_size=size) for size in (128, 64, 256)]
    seconds = np.array(engine.time_steps(arms, repeats=400))
    assert seconds.shape == (400, 3)
    logs = np.log(seconds)
    assert logs.mean(axis=0) == pytest.approx(np.log([0.4, 0.3, 0.6]), abs=0.01)
    assert logs.std(axis=0) == pytest.approx([0.05] * 3, rel=0.15)
    assert engine.time_steps(arms, repeats=5) == seconds[:5].tolist()
    other = PlantedEngine({"t0_seconds": 0.2, "examples_per_second": 640, "noise_seed": 1})
    assert other.time_steps(arms, repeats=5) != seconds[:5].tolist()


def test_timing_without_a_planted_time_says_what_to_set():
    with pytest.raises(ConfigError, match="no time is planted; set t0_seconds or examples_per_second"):
        PlantedEngine({}).time_steps([SETTINGS], repeats=1)


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
        (
            {"truth": {"lora_rank": {"optimum": 8, "gain": 1}}},
            "truth.lora_rank: {'optimum': 8, 'gain': 1} is not allowed; give one of {optimum,",
        ),
        ({"truth": {"lora_rank": 3}}, "truth.lora_rank: 3 is not allowed; give one of"),
        (
            {"truth": {"lora_dropout": {"optimum": 1, "curvature": 1}}},
            "truth.lora_dropout: has no log2 distance",
        ),
        ({"truth": {"lora_rank": {"knee": True, "gain": 1}}}, "truth.lora_rank.knee: True is not allowed"),
        ({"truth": {"lora_rank": {"knee": 8, "gain": math.inf}}}, "truth.lora_rank.gain: inf is not allowed"),
        ({"interactions": SCALING}, "interactions: nothing is planted for 'learning_rate'; choose from wall"),
        (
            {"truth": TRUTH, "interactions": {"lora_rank": {"batch_size": {"power": 1}}}},
            "interactions.lora_rank.batch_size: {'power': 1} is not allowed; give {power, at}",
        ),
        ({"wall_noise": 1.0}, "wall: is missing; wall_noise and interactions.wall need one"),
        ({"wall": 0}, "wall: 0 is not allowed; it must be a finite number above 0"),
        ({"noise_percent": -1}, "noise_percent: -1 is not allowed; it must be a finite number of at least 0"),
        ({"clusters": 1}, "clusters: 1 is not allowed here; a spread needs 2 or more"),
        ({"cluster_noise_percent": 1.0}, "clusters: 0 is not allowed here"),
        ({"metrics": {"eval_loss": {"value": 1}}}, "metrics.eval_loss: is measured already"),
        ({"metrics": {"score": {"truth": {}}}}, "metrics.score.value: None is not allowed"),
        ({"metrics": {"score": {"value": 1, "worth": 2}}}, "metrics.score: unknown option 'worth'"),
        ({"examples_per_second": 0}, "examples_per_second: 0 is not allowed"),
        ({"fail": "baseline/1"}, "fail: 'baseline/1' is not allowed"),
        ({"measurements": 0}, "measurements: 0 is not allowed; a whole number of at least 1"),
    ],
)
def test_options_that_plant_nonsense_are_refused(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        PlantedEngine(options)


def sweep_of(folder, arms, seeds):
    """The words that run a sweep of arms x seeds planted trials below a folder."""
    (folder / "sweeps").mkdir()
    levels = [16 + level for level in range(arms)]  # rank 32, the default, is one of them
    sweep = f"question: How fast is it?\nfactors:\n  lora_rank: {{values: {levels}}}\n"
    (folder / "sweeps" / "many.yaml").write_text(sweep)
    words = ["run", "sweeps=many", "model=planted", "budget.max_trials=2000"]
    given = [f"decision.looks=[{seeds}]", "decision.confirmation_seeds=0"]
    return [*words, *given, f"workspace={folder / 'runs'}", "--config-dir", str(folder)]


def test_a_planted_trial_waits_for_the_disk_for_its_result_only(tmp_path, monkeypatch, capsys):
    flushes = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: flushes.append(file) or sync(file))
    words = sweep_of(tmp_path, arms=20, seeds=3)
    assert main(words) == 0, capsys.readouterr().err
    trials = len(list((tmp_path / "runs" / "trials").iterdir()))
    assert trials == 60
    assert 3 * trials <= len(flushes) < 4 * trials  # the result, its name, its line in the journal
    flushes.clear()
    assert main(words) == 0
    assert len(flushes) < 10


def test_planted_trials_run_in_this_process_unless_told_otherwise(tmp_path, capsys):
    assert main(sweep_of(tmp_path, arms=2, seeds=2)) == 0
    assert "in this process" in capsys.readouterr().out


def test_a_planted_evaluation_set_is_as_large_as_its_clusters(tmp_path):
    words = ["sweeps=aa", "model=planted", f"workspace={tmp_path}", "model.planted.clusters=30"]
    data = prepare(Invocation(overrides=tuple(words))).plan.study.scenario.data
    assert data.eval_examples == 30 * 4


@pytest.mark.slow
def test_a_thousand_trials_finish_within_twenty_seconds(tmp_path, capsys):
    words = sweep_of(tmp_path, arms=40, seeds=25)
    begin = time.monotonic()
    assert main(words) == 0, capsys.readouterr().err
    first = time.monotonic() - begin
    assert main(words) == 0
    assert len(list((tmp_path / "runs" / "trials").iterdir())) == 1000
    assert first < 20
    assert time.monotonic() - begin - first < 10
