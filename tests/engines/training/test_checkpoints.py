"""A trial that is killed at any step, between measurements too, goes on to the same numbers to the bit."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
import torch

from bios_sweep.engines.training.checkpoint import (
    BEFORE,
    FILE,
    Checkpoint,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.data import write_dataset
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.loop import Training
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialSpec

CPU = torch.device("cpu")
STEPS, OFTEN = 6, 1e-9
SETTINGS = TrainingSettings(
    learning_rate=2e-3, batch_size=6, lora_rank=4, max_steps=STEPS, max_length=48, lora_dropout=0.1
)
SPEC = TrialSpec(key="k", arm="baseline", seed=3, settings=SETTINGS)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    data = embedded_examples(8)
    data = replace(data, train=data.train[:40])
    file = tmp_path_factory.mktemp("data") / "data.jsonl"
    write_dataset(data, file)
    return LoraEngine(
        {
            "model_path": "embedded:base_model", "data_file": str(file), "data_fingerprint": data.fingerprint,
            "measurements": 2, "checkpoint_minutes": OFTEN,
        }
    )  # fmt: skip


def outcome(engine, directory):
    *_, result = engine.run(SPEC, directory)
    weights = (directory / "adapter" / "adapter_model.safetensors").read_bytes()
    points = [replace(point, wall_seconds=0.0) for point in result.curve]
    return points, dict(result.final), result.tokens, weights


@pytest.fixture(scope="module")
def straight(engine, tmp_path_factory):
    return outcome(engine, tmp_path_factory.mktemp("straight"))


class KilledError(BaseException):
    """What ends a process, as no engine may catch it."""


def kill_in_step(monkeypatch, step):
    descend = Training._descend

    def dying(self, batch):
        if self.step == step:
            raise KilledError
        return descend(self, batch)

    monkeypatch.setattr(Training, "_descend", dying)


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_in_any_step_it_goes_on_from_the_one_before(engine, straight, tmp_path, monkeypatch, step):
    kill_in_step(monkeypatch, step)
    with pytest.raises(KilledError):
        list(engine.run(SPEC, tmp_path))
    kept = load_checkpoint(tmp_path, f"k of engine {engine.version}", CPU)
    assert kept.step == step, "no step is lost"
    monkeypatch.undo()
    assert outcome(engine, tmp_path) == straight
    assert not (tmp_path / FILE).exists()
    assert not (tmp_path / BEFORE).exists()


@pytest.mark.parametrize("step", [2, 4, 5])
def test_the_checkpoint_before_takes_over_where_the_newest_is_damaged(
    engine, straight, tmp_path, monkeypatch, step, caplog
):
    kill_in_step(monkeypatch, step)
    with pytest.raises(KilledError):
        list(engine.run(SPEC, tmp_path))
    raw = bytearray((tmp_path / FILE).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / FILE).write_bytes(raw)
    assert load_checkpoint(tmp_path, f"k of engine {engine.version}", CPU).step == step - 1
    assert "not used, the trial goes on from the one before" in caplog.text
    monkeypatch.undo()
    assert outcome(engine, tmp_path) == straight


def test_without_minutes_there_are_checkpoints_at_measurements_alone(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "_options", replace(engine._options, checkpoint_minutes=None))
    kill_in_step(monkeypatch, STEPS - 1)
    with pytest.raises(KilledError):
        list(engine.run(SPEC, tmp_path))
    assert load_checkpoint(tmp_path, f"k of engine {engine.version}", CPU).step == STEPS // 2


def test_a_checkpoint_is_never_whole_in_memory(tmp_path):
    """Python's own allocations are traced; torch's storages are not, so what is seen are copies."""
    weights = {"a": torch.arange(8_000_000, dtype=torch.float32)}
    large = Checkpoint(step=3, tokens=1, wall_seconds=0.0, curve=(), weights=weights, optimizer={}, nats=2.5)
    tracemalloc.start()
    save_checkpoint(tmp_path, "me", large)
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    back = load_checkpoint(tmp_path, "me", CPU)
    loading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / FILE).stat().st_size > 32_000_000
    assert max(saving, loading) < 12_000_000
    assert torch.equal(back.weights["a"], weights["a"])
    assert (back.step, back.nats) == (3, 2.5)
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_step_is_told_in_the_trial_s_log(engine, tmp_path):
    list(engine.run(SPEC, tmp_path))
    lines = [line.split("  ", 1)[1] for line in (tmp_path / "training.log").read_text().splitlines()]
    assert [line.split("  ")[0] for line in lines] == [
        "measured at step 0: eval_loss " + lines[0].split()[-1],
        *(f"step {step}/6" for step in (1, 2, 3)),
        lines[4],
        *(f"step {step}/6" for step in (4, 5, 6)),
        lines[8],
    ]
    assert lines[8].startswith("measured at step 6: eval_loss ")
    _, loss, rate, speed = lines[1].split("  ")
    assert (loss.split()[0], rate) == ("loss", "lr 2.000e-03")
    assert speed.endswith(" tokens/s")
