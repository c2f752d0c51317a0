"""A GPU that is there and not used is said, and so is what float32 costs on it. None is needed to test it.

`nvidia-smi` is a script on PATH that prints what the real one prints, `/proc`, `/dev` and `/sys` are folders.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import time
from functools import cache
from pathlib import Path

import pytest
import yaml

from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.config.composed import Config
from bios_sweep.driver import gpus as gpu_advice
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare_config
from bios_sweep.execution import gpus
from bios_sweep.execution.gpus import PEAKS, find_gpus, peak_of
from bios_sweep.execution.placement import Node

ONE_SET = "decision.scope=evaluation"  # the file is too small to speak of others of its kind
HERE = ("sweeps=learning_rate", "seeds=[0,1]", "tracking=none", "data.path=my.jsonl", "data=jsonl", ONE_SET)
H100, L4, T4 = "NVIDIA H100 80GB HBM3", "NVIDIA L4", "Tesla T4"
FLOAT32 = (
    "method.dtype=float32 on NVIDIA H100 80GB HBM3 is up to 15 times slower than bfloat16 (arithmetic peaks "
    "67 and 989 TFLOP/s, by the data sheet; TF32 is off); method.dtype=bfloat16 is the way out"
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Put these GPUs into this machine."""
    monkeypatch.chdir(tmp_path)
    for name in ("CUDA_VISIBLE_DEVICES", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    rows = [{"prompt": f"What is {i}?", "completion": f" The number {i}."} for i in range(40)]
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "train.py").write_text("")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")

    def install(*names: str) -> None:
        rows = "\n".join(f"{place}, GPU-{place}aaaa, {name}" for place, name in enumerate(names))
        program(bin_ / "nvidia-smi", f"cat <<'END'\n{rows}\nEND\n" if names else "exit 9\n")

    return install


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)


@cache
def composed(groups: tuple[str, ...]) -> Config:
    return compose_config([*HERE, *groups])


def with_values(config: Config, words: list[str]) -> Config:
    """Overrides of values without another composition, which costs the most of a plan."""
    values = copy.deepcopy(dict(config.values))
    for word in words:
        key, _, value = word.partition("=")
        group, _, name = key.partition(".")
        values[group][name] = yaml.safe_load(value)
    return dataclasses.replace(config, values=values)


@pytest.fixture
def warnings(machine):
    def plan(*words: str) -> list[str]:
        groups = tuple(word for word in words if not word.startswith(("cluster.", "method.dtype")))
        config = with_values(composed(groups), [word for word in words if word not in groups])
        prepared = prepare_config(config, Invocation(verb="plan"))
        there = gpu_advice.gpus_of_this_machine(prepared.request)
        return [*prepared.warnings, *gpu_advice.gpu_warnings(prepared, there)]

    return plan


def test_plan_prints_it_and_has_it_in_its_json(machine, capsys):
    machine(H100)
    words = ("cluster=local_gpu", "method.dtype=float32")
    assert main(["plan", *HERE, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [FLOAT32]
    assert main(["plan", *HERE, *words]) == 0
    assert (
        "- method.dtype=float32 on NVIDIA H100 80GB HBM3 is up to 15 times slower" in capsys.readouterr().out
    )


@pytest.mark.parametrize("cluster", ["cluster=ray", "cluster=inline"])
def test_a_gpu_that_no_trial_uses_is_said(machine, warnings, monkeypatch, cluster):
    monkeypatch.setattr(gpu_advice, "version", lambda name: "2.13.0+cu130")
    machine(H100)
    [said] = warnings(cluster)
    local = "choose cluster=local_gpu (trials share a GPU) or " if cluster == "cluster=ray" else ""
    assert said == f"1 GPU ({H100}) is here and no trial uses it; {local}add cluster.gpus_per_trial=1"
    machine(L4, L4)
    assert "2 GPUs (NVIDIA L4) are here and no trial uses them; " in warnings(cluster)[0]


def test_a_torch_without_gpus_is_said_with_it(machine, warnings, monkeypatch):
    monkeypatch.setattr(gpu_advice, "version", lambda name: "2.13.0+cpu")
    machine(H100)
    assert "torch 2.13.0+cpu is a build without GPUs: install another, then add" in warnings()[0]


def test_no_gpu_is_no_word(machine, warnings):
    machine()
    assert warnings() == warnings("cluster=inline") == warnings("method.dtype=bfloat16") == []


def test_float32_on_a_gpu_is_said_with_what_it_costs_at_most(machine, warnings):
    machine(H100)
    given = "method.dtype=float32"
    assert warnings("cluster=local_gpu", given) == [FLOAT32]
    assert warnings("cluster=inline", "cluster.gpus_per_trial=1", given) == [FLOAT32]
    assert warnings("cluster=local_gpu", "method.dtype=bfloat16") == warnings("cluster=local_gpu") == []
    machine("NVIDIA Z999")
    assert (
        "float32 on NVIDIA Z999 is several times slower than bfloat16 on most GPUs; "
        in (warnings("cluster=local_gpu", given)[0])
    )


def test_a_gpu_without_bfloat16_is_left_at_float32(machine, warnings):
    machine(T4)
    assert warnings("cluster=local_gpu") == []
    assert (
        "Tesla T4 has no bfloat16 arithmetic of its own"
        in (warnings("cluster=local_gpu", "method.dtype=bfloat16")[0])
    )


def test_gpus_that_stay_idle_beside_others_are_counted(machine, warnings):
    machine(*[H100] * 4)
    words = ("cluster=local_gpu", "method.dtype=bfloat16", "cluster.num_cpus=4", "cluster.gpus_per_trial=1")
    [said] = warnings(*words)
    assert said.startswith(f"2 of 4 GPUs ({H100}) here are used: each trial takes cluster.cpus_per_trial=2")
    [said] = warnings(*words, "cluster.max_concurrent=1")
    assert said.endswith("here is used: cluster.max_concurrent is 1; raise it, or leave it out")
    assert warnings(*words, "cluster.cpus_per_trial=1") == []
    [said] = warnings("cluster=inline", "cluster.gpus_per_trial=1", "method.dtype=bfloat16")
    assert said.startswith("1 of 4 GPUs")
    assert "cluster=inline runs one trial at a time" in said


def test_gpus_that_are_taken_and_not_trained_on_are_said(machine, warnings):
    machine(H100)
    [said] = warnings("cluster=local_gpu", "cluster.device=cpu")
    assert said.startswith("trials take GPUs (cluster.gpus_per_trial=0.5) and train on the CPU")


def test_a_script_hears_that_it_is_handed_no_gpu(machine, warnings):
    machine(H100)
    script = ("data=named", "data.path=null", "data.eval_examples=null", "baseline.learning_rate=1e-3")
    command = "method.command=python3 train.py --dtype {dtype} --lr {learning_rate} --seed {seed}"
    words = ("method=command", *script)
    said = warnings(*words, command)
    assert any("cluster.gpus_per_trial is 0: Ray hands out none" in line for line in said)
    assert FLOAT32 in said
    assert warnings(*words, command.replace("--dtype {dtype} ", ""), "cluster=inline") == []


def test_planted_trials_hear_of_no_gpu(machine, warnings):
    machine(H100)
    assert warnings("data=planted", "data.path=null", "data.eval_examples=1000", "model=planted") == []


def test_a_cluster_that_plan_does_not_join_is_known_by_its_wish_alone(machine, warnings):
    machine(L4)
    assert (
        "float32 on A100 is up to 16 times"
        in warnings("cluster=existing", "cluster.accelerator_type=A100", "method.dtype=float32")[0]
    )
    assert (
        "float32 on a GPU is several times slower" in warnings("cluster=existing", "method.dtype=float32")[0]
    )
    assert warnings("cluster=existing", "cluster.gpus_per_trial=0") == []


def test_the_gpus_of_a_joined_cluster_are_those_that_its_nodes_have():
    nodes = [
        Node(id="a", name="a", resources={"CPU": 8.0}),
        Node(id="b", name="b", resources={"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0}),
        Node(id="c", name="c", resources={"CPU": 8.0, "GPU": 1.0, "accelerator_type:L4": 1.0}),
    ]
    assert gpu_advice.gpus_of_nodes(nodes).words == "3 GPUs (H100, L4)"


def test_a_tool_that_does_not_answer_costs_a_moment_only(machine, warnings, tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "TOOL_SECONDS", 0.2)
    program(tmp_path / "bin/nvidia-smi", "exec sleep 60\n")
    began = time.monotonic()
    assert find_gpus(root=tmp_path) == ()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("", ""), ("-1", ""), ("NoDevFiles", ""), ("0", "a"), ("2,0", "ca"), ("0,9,1", "a"), (" 1,2 ", "bc"),
        ("GPU-1aaaa", "b"), ("GPU-2", "c"), ("GPU-", ""), ("MIG-1", "a"),
    ],
)  # fmt: skip
def test_what_is_hidden_is_not_there(machine, tmp_path, value, seen):
    machine("a", "b", "c")
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": value}
    assert "".join(gpu.name for gpu in find_gpus(environ, tmp_path)) == seen


def test_without_the_tool_the_drivers_folder_tells_what_is_also_a_device(tmp_path):
    for minor in (0, 1):
        file = tmp_path / f"proc/driver/nvidia/gpus/0000:0{minor}:00.0/information"
        file.parent.mkdir(parents=True)
        file.write_text(f"Model: \t\t {L4}\nGPU UUID: \t GPU-{minor}b\nDevice Minor: \t {minor}\n")
    (tmp_path / "dev").mkdir()
    assert find_gpus({"PATH": ""}, tmp_path) == ()  # a container sees the folder of its host
    (tmp_path / "dev/nvidia1").touch()
    [gpu] = find_gpus({"PATH": ""}, tmp_path)
    assert (gpu.name, gpu.uuid) == (L4, "GPU-1b")


def test_the_devices_of_amds_driver_are_counted_without_its_cpus(tmp_path):
    for number, units in enumerate((0, 304, 304)):
        file = tmp_path / f"sys/class/kfd/kfd/topology/nodes/{number}/properties"
        file.parent.mkdir(parents=True)
        file.write_text(f"cpu_cores_count 0\nsimd_count {units}\n")
    assert find_gpus({"PATH": ""}, tmp_path) == ()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kfd").touch()
    assert len(find_gpus({"PATH": ""}, tmp_path)) == 2
    assert len(find_gpus({"PATH": "", "HIP_VISIBLE_DEVICES": "1"}, tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "float32", "bfloat16"),
    [
        ("NVIDIA H100 80GB HBM3", 67, 989), ("NVIDIA H100 PCIe", 51, 756), ("NVIDIA H200 NVL", 60, 835),
        ("NVIDIA H200", 67, 989), ("NVIDIA A100-SXM4-80GB", 19.5, 312), ("A100", 19.5, 312),
        ("NVIDIA L4", 30.3, 121), ("NVIDIA L40S", 91.6, 362), ("Tesla V100-SXM2-32GB", 15.7, None),
        ("NVIDIA GeForce RTX 4090", 82.6, 165), ("NVIDIA RTX A6000", 38.7, 154.8),
    ],
)  # fmt: skip
def test_a_name_has_the_peaks_of_its_own_model(name, float32, bfloat16):
    peak = peak_of(name)
    assert peak is not None
    assert (peak.float32, peak.bfloat16) == (float32, bfloat16)


def test_other_names_have_none_and_no_model_has_float32_the_faster():
    assert peak_of("NVIDIA GeForce RTX 4090 Laptop GPU") is None
    assert peak_of("NVIDIA A10G") is None
    assert all(peak.ratio is None or peak.ratio >= 1.9 for _, peak in PEAKS)
