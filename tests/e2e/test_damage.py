"""Damage to real trials, by the command line: named, trained again, and the same bits in the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.view import open_sweep
from bios_sweep.execution.attempts import attempt_trial, load_engine
from bios_sweep.records.workspace import Workspace
from tests.conformance.tiny_model import WORDS, tiny_scenario
from tests.damage import flipped

pytestmark = pytest.mark.slow
ADAPTER = "adapter/adapter_model.safetensors"
RESUMES = 20


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """A small study of a tiny model."""
    folder = tmp_path_factory.mktemp("scenario")
    model = tiny_scenario(folder)["model_path"]
    lines = [{"prompt": f"{word} is", "completion": f" {word[::-1]}."} for word in WORDS]
    (folder / "words.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [
        "sweeps=learning_rate",
        "model=local",
        f"model.path={model}",
        "data=jsonl",
        f"data.path={folder / 'words.jsonl'}",
        "data.eval_fraction=0.3",
        "method.max_length=32",
        "cluster=inline",
        "tracking=none",
        "baseline.batch_size=4",
        "baseline.learning_rate=0.003",
        "budget.max_steps=6",
        "budget.measurements=3",
        "budget.keep_adapters=all",
        "seeds=[0,1,2]",
    ]


@pytest.fixture(scope="module")
def finished(words, tmp_path_factory) -> Path:
    """A workspace where it ran."""
    root = tmp_path_factory.mktemp("finished") / "runs"
    assert main(["run", *words, f"workspace={root}"]) == 0
    return root


def evidence(root: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{name}": path.read_bytes()
        for trial in (root / "trials").iterdir()
        for name in ("eval.npz", ADAPTER)
        if (path := trial / name).is_file()
    }


def finals(root: Path) -> dict:
    return {key: result.final for key, result in open_sweep(root).journal.results.items()}


def flip(path: Path, seed: int) -> None:
    path.write_bytes(flipped(path.read_bytes(), seed, flips=1)[0])


@pytest.mark.parametrize("name", ["result.json", "eval.npz", ADAPTER])
def test_a_flipped_bit_of_what_is_finished_is_trained_again(name, finished, words, caplog):
    before = (evidence(finished), finals(finished), open_sweep(finished).verdicts)
    path = sorted(finished.glob(f"trials/*/{name}"))[2]
    flip(path, seed=1)
    assert f"{path}: " in "".join(open_sweep(finished).damaged)
    caplog.clear()
    assert main(["run", *words, f"workspace={finished}"]) == 0
    assert f"{path}: " in caplog.text
    assert (evidence(finished), finals(finished), open_sweep(finished).verdicts) == before
    assert open_sweep(finished).damaged == ()


def test_a_flipped_bit_of_the_examples_is_mended_before_anything_trains_on_them(finished, words, caplog):
    (path,) = finished.glob("data/*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"eno", b"enp"))
    key = next((finished / "trials").iterdir())
    (key / "result.json").unlink()
    before = evidence(finished)
    assert main(["run", *words, f"workspace={finished}"]) == 0
    assert path.read_bytes() == whole
    assert f"{path}: is damaged and written again" in caplog.text
    assert evidence(finished) == before


def test_trials_resumed_from_flipped_checkpoints_end_with_the_same_bits(finished, words, tmp_path, caplog):
    plan = prepare(Invocation(overrides=(*words, f"workspace={finished}"))).plan
    scenario, trial = plan.study.scenario, plan.trials[4]
    engine = load_engine(scenario.engine, scenario.engine_options)
    straight = Workspace(finished).read_result(trial.key)
    half = attempt_trial(engine, trial, tmp_path / "half", 1)
    for _ in range(3):
        next(half)
    half.close()
    checkpoint = (tmp_path / "half" / "checkpoint.pt").read_bytes()
    for number, damaged in enumerate(flipped(checkpoint, seed=2, flips=RESUMES)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "checkpoint.pt").write_bytes(damaged)
        caplog.clear()
        *_, result = attempt_trial(engine, trial, folder, 1)
        assert result.says_the_same(straight)
        assert result.files == straight.files
        assert "the trial starts afresh" in caplog.text
