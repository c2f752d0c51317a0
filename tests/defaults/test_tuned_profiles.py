"""Values per profile, from claims through a run to the file and back."""

from __future__ import annotations

import dataclasses
import json

import pytest

import bios_sweep
from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.defaults.measured import reasons
from bios_sweep.defaults.tuned_file import evidence_hash
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import to_json
from bios_sweep.settings import TrainingSettings
from tests.defaults.entries import KEY, PROVENANCE, verdict

CLAIMS = (
    *("run", "sweeps=batch_size", "model=planted", "cluster=inline", "decision.looks=[5]", "--json"),
    "decision.purpose=publish",
)
# Half the batch is better, twice the batch saves time; training longer helps more than either.
WORLD = (
    "model.planted.noise_percent=0.1",
    "model.planted.truth.batch_size={critical: 64, cost: 0.8}",
    "model.planted.truth.examples={knee: 1000000, gain: 2}",
    "model.planted.truth.learning_rate.optimum=0.00049082",
)


def finished(root, capsys, *words):
    code = main([*CLAIMS, *words, f"workspace={root}"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def sweep(tmp_path, capsys):
    answer = finished(tmp_path, capsys, *WORLD)
    return answer, bios_sweep.open(tmp_path)


def verdict_of(answer, claim):
    (found,) = [one for one in answer["verdicts"] if one["claim"] == claim]
    return found


def test_quality_and_speed_have_values_of_their_own(sweep):
    answer, view = sweep
    tuned = view.tuned_defaults
    for profile in ("quality", "speed"):
        verdict = verdict_of(answer, profile)
        start = TrainingSettings.from_dict(answer["baseline"])
        assert tuned.settings(start, profile).batch_size == verdict["served"]
        assert answer["profiles"][profile]["batch_size"] == verdict["served"]
    assert tuned.values == {"batch_size": 128}
    assert set(tuned.profiles) == {"quality", "speed"}
    assert verdict_of(answer, "quality")["served"] == 64
    assert verdict_of(answer, "speed")["served"] == 256


def test_the_file_comes_back_as_it_was_and_a_view_sees_the_run_s_costs(sweep):
    answer, view = sweep
    path = view.folder / "bios_defaults.json"
    assert defaults.read_tuned(path).to_dict() == view.tuned_defaults.to_dict()
    assert {"batch_size", "batch_size (quality)", "batch_size (speed)"} <= set(view.tuned_defaults.evidence)
    assert to_json(view.verdicts) == answer["verdicts"]
    assert verdict_of(answer, "speed")["cost_ratio"] < 1


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    content["evidence_hash"] = evidence_hash(content)
    path.write_text(json.dumps(content))
    return path


def test_a_profile_changed_by_hand_is_refused(sweep):
    _, view = sweep
    path = view.folder / "bios_defaults.json"
    whole = path.read_text()
    path.write_text(whole.replace('"batch_size": 256\n', '"batch_size": 512\n'))
    assert path.read_text() != whole
    with pytest.raises(DefaultsError, match="512 is not what its verdict stands for"):
        defaults.read_tuned(path)
    path.write_text(whole)
    changed(path, lambda content: content["profiles"].update(cheap={"batch_size": 256}))
    with pytest.raises(DefaultsError, match="'cheap' is not allowed"):
        defaults.read_tuned(path)


def test_a_file_from_before_there_were_profiles_is_read(sweep):
    _, view = sweep
    old = changed(view.folder / "bios_defaults.json", lambda content: content.pop("profiles"))
    assert defaults.read_tuned(old).profiles == {}


def test_the_minimum_serves_nothing(tmp_path, capsys):
    answer = finished(
        tmp_path,
        capsys,
        "sweeps=duration",
        "sweeps.factors.max_steps.multiply=[0.1,0.5,2]",
    )
    assert verdict_of(answer, "minimum")["verdict"] == "confirm"
    assert verdict_of(answer, "minimum")["served"] is None
    assert "minimum" not in answer["profiles"]
    assert answer["served"] == {"max_steps": 1000}


def test_a_study_of_nothing_that_is_served_leaves_no_file_and_takes_none_away(tmp_path, capsys):
    words = ("sweeps=duration", "decision.looks=[3]", "sweeps.factors.max_steps.multiply=[0.1,0.5,2]")
    minimum = (*words, "+sweeps.factors.max_steps.claims=[minimum]")
    alone = finished(tmp_path, capsys, *minimum)
    file = bios_sweep.open(tmp_path).folder / "bios_defaults.json"
    assert (alone["files"]["defaults"], file.exists()) == (None, False)
    assert alone["no_file"] == "the study asks for nothing that is served, only for the minimum"
    both = finished(tmp_path, capsys, *words)
    assert (both["sweep_id"], both["files"]["defaults"]) == (alone["sweep_id"], str(file))
    again = finished(tmp_path, capsys, *minimum)  # asks nothing new: the word that stands is told
    assert (again["files"]["defaults"], file.exists()) == (str(file), True)


def test_a_world_without_a_clock_leaves_cost_open_and_fails_nothing(tmp_path, capsys):
    answer = finished(
        tmp_path, capsys, "model.planted.t0_seconds=0", "model.planted.examples_per_second=null"
    )
    for claim in ("balanced", "speed"):
        verdict = verdict_of(answer, claim)
        assert verdict["verdict"] == "inconclusive"
        assert "the cost was not measured" in " ".join(verdict["reasons"])
    assert (
        finished(tmp_path, capsys, "model.planted.t0_seconds=0", "model.planted.examples_per_second=null")[
            "verdicts"
        ]
        == answer["verdicts"]
    )


BATCH_128 = TrainingSettings(learning_rate=5e-4, batch_size=128, lora_rank=32, max_steps=1000)


def confirmed(factor, default, **more):
    return verdict(factor, "confirm", default, default, [default // 2, default * 2], **more)


def tuned_at_128(*verdicts, **more):
    key = dataclasses.replace(KEY, batch_size=128, max_steps=1000)
    return defaults.build_tuned(key=key, verdicts=verdicts, baseline=BATCH_128, provenance=PROVENANCE, **more)


@pytest.mark.parametrize("batch_size", [64, 128, 256])
def test_tuned_steps_are_those_of_the_batch_size_they_were_measured_at(batch_size):
    start = dataclasses.replace(BATCH_128, batch_size=batch_size, max_steps=70)
    steps = confirmed("max_steps", 1000, claim="enough")
    both = tuned_at_128(confirmed("batch_size", 128, claim="balanced"), steps).settings(start)
    assert (both.batch_size, both.max_steps) == (128, 1000)
    alone = tuned_at_128(steps).settings(start)
    assert (alone.batch_size, alone.batch_size * alone.max_steps) == (batch_size, 128_000)


def test_steps_and_a_batch_size_that_were_refined_together_stay_as_they_were_tried():
    batch = verdict("batch_size", "refine", 128, 256, [64, 256])
    steps = verdict("max_steps", "refine", 1000, 400, [400, 2000])
    tuned = tuned_at_128(batch, steps, served={"batch_size": 256, "max_steps": 400})
    assert tuned.settings(dataclasses.replace(BATCH_128, batch_size=32)).max_steps == 400


def test_a_reason_says_from_what_the_steps_were_scaled_and_what_was_held():
    start = dataclasses.replace(BATCH_128, batch_size=64)
    tuned = tuned_at_128(confirmed("max_steps", 1000, claim="enough"))
    why = reasons(tuned, tuned.settings(start), "balanced", "here")["max_steps"]
    assert why.rule == "confirm: 1000; 2000: as many examples, at batch size 64"
    assert why.confidence == "extrapolated"
    held = tuned_at_128(confirmed("batch_size", 128, claim="balanced", hold="steps"))
    why = reasons(held, held.settings(start), "balanced", "here")["max_steps"]
    assert why.rule == "1000: as many steps as before"
    assert why.evidence == "batch sizes were compared at equal steps"
