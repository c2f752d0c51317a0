"""Settings that a script reads from a file or from variables: written for each trial as readers want them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import pytest
import yaml

from bios_sweep.engines.scripted.command import values_of
from bios_sweep.engines.scripted.engine import CommandEngine
from bios_sweep.engines.scripted.launchers import launched_with, shared_by_trials
from bios_sweep.engines.scripted.settings_file import FileTemplate, decimal
from bios_sweep.errors import ConfigError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialSpec
from tests.engines.scripted.trials import TRIAL

FOLDER = '/tmp/runs #1: it\'s "a" {b}/out'
OWN = {"optimizer": "adamw", "smooth": 0.0, "packing": True, "word": "no", "name": "a: b"}
VALUES = values_of(
    TrainingSettings(learning_rate=1e-5, batch_size=8, lora_rank=4, max_steps=20, own=OWN), 3, FOLDER
)
AS_READ = {
    "lr": 1e-5, "bs": 8, "seed": 3, "optim": "adamw", "smooth": 0.0, "packing": True, "word": "no",
    "out": FOLDER,
}  # fmt: skip


def template(name, text):
    return FileTemplate(name=name, text=text, own=tuple(OWN))


@pytest.mark.parametrize(
    "name, text, reader",
    [
        (
            "c.yaml",
            "lr: {learning_rate}   # swept, {not ours}\nbs: {batch_size}\nseed: {seed}\noptim: {optimizer}\n"
            "smooth: {smooth}\npacking: {packing}\nword: {word}\nout: {trial_dir}\n",
            yaml.safe_load,
        ),
        (
            "c.yml",
            'lr: "{learning_rate}"\nbs: "{batch_size}"\nseed: \'{seed}\'\noptim: "{optimizer}"\n'
            'smooth: "{smooth}"\npacking: "{packing}"\nword: \'{word}\'\nout: "{trial_dir}"\n',
            yaml.safe_load,
        ),
        (
            "c.json",
            '{"lr": {learning_rate}, "bs": {batch_size}, "seed": {seed}, "optim": {optimizer},\n'
            ' "smooth":{smooth},"packing":{packing},"word": {word}, "out": {trial_dir}}',
            json.loads,
        ),
        (
            "c.json",
            '{"lr": "{learning_rate}", "bs": "{batch_size}", "seed": "{seed}", "optim": "{optimizer}",'
            '"smooth": "{smooth}", "packing": "{packing}", "word": "{word}", "out": "{trial_dir}"}',
            json.loads,
        ),
        (
            "c.toml",
            "lr = {learning_rate}\nbs = {batch_size}\nseed = {seed}\noptim = {optimizer}\nsmooth = {smooth}\n"
            'packing = {packing}\nword = {word}\nout = "{trial_dir}"\n',
            tomllib.loads,
        ),
    ],
)  # fmt: skip
def test_every_value_is_read_as_it_was_meant(name, text, reader):
    file = template(name, text)
    file.require_read(VALUES)
    assert reader(file.filled(VALUES)) == AS_READ


def test_flow_lists_and_nested_maps_are_filled_and_everything_else_stays():
    text = (
        "optim: {lr: {learning_rate}, betas: [0.9, {adam_beta2}]}\n"
        "- {lora_rank}\nchat: '{{ bos_token }}{% for m in messages %}{{m}}{% endfor %}'\n"
        'format: "[INST] {instruction} [/INST]"\nnone: "{instruction}"\nliteral: {{seed}}\r\n'
        "tag: !mine {lora_rank}"
    )
    assert template("c.txt", text).filled(VALUES) == (
        "optim: {lr: 1.0e-05, betas: [0.9, 0.95]}\n"
        "- 4\nchat: '{{ bos_token }}{% for m in messages %}{{m}}{% endfor %}'\n"
        'format: "[INST] {instruction} [/INST]"\nnone: "{instruction}"\nliteral: {seed}\r\ntag: !mine 4'
    )


@pytest.mark.parametrize("number", [1e-5, 5e-324, 1e22, 0.1, 2.0, 1.5e-7, -1e-6, 123456789.0])
def test_a_number_is_one_to_every_reader(number):
    text = decimal(number)
    assert yaml.safe_load(f"a: {text}") == tomllib.loads(f"a = {text}") == json.loads(f'{{"a": {text}}}')
    assert yaml.safe_load(text) == float(text) == number


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("c.yaml", "a: 1\nlr: {lr}", r"line 2: \{lr\} is no placeholder \(did you mean \{learning_rate\}"),
        ("c.yaml", "out: x/{trail_dir}/y", r"did you mean \{trial_dir\}"),
        ("c.json", '{"a": {foo}}', r"\{foo\} is no placeholder; allowed are learning_rate, .*literal brace"),
    ],
)  # fmt: skip
def test_a_name_that_can_only_be_meant_as_a_placeholder_is_refused(name, text, message):
    with pytest.raises(ConfigError, match=message):
        template(name, text)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("c.yaml", "out: a{trial_dir}", r"\{trial_dir\} of c.yaml would be read as something else"),
        ("c.json", '{"lr": {learning_rate},}', "c.json cannot be read as JSON once it is filled"),
        ("c.toml", "out = '{trial_dir}'", "cannot be read as TOML"),
        ("c.yaml", "a: [{seed}", "cannot be read as YAML once it is filled: while parsing"),
    ],
)
def test_a_value_that_would_be_read_otherwise_is_refused(name, text, message):
    with pytest.raises(ConfigError, match=message):
        template(name, text).require_read(VALUES)


PRINTS_ITS_FILE = (
    "import json, os, sys\nfound = json.load(open(sys.argv[1]))\n"
    "print(json.dumps({'step': 20, 'eval_loss': found['lr'], 'rank': float(os.environ['RANK_'])}))\n"
)


def test_each_trial_has_its_own_file_and_its_own_variables(tmp_path):
    (tmp_path / "train.py").write_text(PRINTS_ITS_FILE)
    (tmp_path / "my.json").write_text('{"lr": {learning_rate}, "self": "{settings_file}"}')
    engine = CommandEngine(
        {
            "run": f"{sys.executable} -S train.py {{settings_file}}",
            "cwd": str(tmp_path),
            "metric": "eval_loss",
            "template": "my.json",
            "settings_file": "{trial_dir}/conf/{seed}.json",
            "env": {"RANK_": "{lora_rank}"},
        }
    )
    result = list(engine.run(TRIAL, tmp_path / "trial"))[-1]
    assert result.final == {"eval_loss": 1e-5, "rank": 8.0}, result.cause
    [left] = (tmp_path / "trial" / "output" / "conf").iterdir()
    assert json.loads(left.read_text()) == {"lr": 1e-5, "self": str(left)}


def test_launchers_of_processes_get_a_port_of_their_own_and_name_each_rank():
    assert launched_with("python train.py --my-torchrun-x", "1") == {}
    assert launched_with("torchrun --nproc_per_node 2 train.py", "41001") == {
        "MASTER_PORT": "41001", "PET_MASTER_PORT": "41001", "PET_TEE": "3",
    }  # fmt: skip
    assert "PET_TEE" not in launched_with("python -m torch.distributed.run --tee 1 train.py", "41001")


def test_what_trials_at_one_time_would_share_is_warned_of():
    hydra = {"train.py": "import hydra\n@hydra.main(config_path='conf')\n"}
    [line] = shared_by_trials("python train.py lr={learning_rate}", hydra)
    assert "train.py is a Hydra script" in line
    assert shared_by_trials("python train.py hydra.run.dir={trial_dir}", hydra) == []
    [line] = shared_by_trials("accelerate launch --num_processes 2 train.py", {"train.py": ""})
    assert "--main_process_port {free_port}" in line
    assert shared_by_trials("accelerate launch --main_process_port {free_port} train.py", {}) == []


@pytest.mark.slow
def test_trials_under_torchrun_do_not_meet_and_the_first_rank_is_read(tmp_path):
    (tmp_path / "train.py").write_text(
        "import json, os, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "dist.barrier()\n"
        "print(json.dumps({'step': 20, 'eval_loss': 1.5 + dist.get_rank()}))\n"
        "dist.destroy_process_group()\n"
    )
    run = f"{sys.executable} -m torch.distributed.run --nproc_per_node 2 train.py"
    engines = [
        CommandEngine({"run": run, "cwd": str(tmp_path), "metric": "eval_loss"}).run(
            TrialSpec(**{**vars(TRIAL), "key": key}), tmp_path / key
        )
        for key in ("a", "b")
    ]
    first, second = engines
    begun = next(first)  # its processes hold their port while the second's start
    assert begun.eval_loss == 1.5
    assert [point.eval_loss for point in list(second)[-1].curve] == [1.5]
    assert [point.eval_loss for point in list(first)[-1].curve] == [1.5]


def test_yaml_of_pyyaml_alone_reads_what_is_left(tmp_path):
    """In a process that has only PyYAML, as a script's has."""
    file = tmp_path / "c.yaml"
    file.write_text(template("c.yaml", "lr: {learning_rate}\n").filled(VALUES))
    code = "import sys, yaml; print(type(yaml.safe_load(open(sys.argv[1]))['lr']).__name__)"
    answer = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, check=True, env=dict(os.environ)
    )
    assert answer.stdout.decode().strip() == "float"


def test_an_interpolation_of_the_readers_own_is_left_alone():
    found = template("c.yaml", "lr: {learning_rate}\nopt:\n  lr: ${learning_rate}\n  s: ${{seed}}\n")
    assert "  lr: ${learning_rate}\n  s: ${seed}\n" in found.filled(VALUES)
    assert found.names == ("learning_rate",)


def test_a_comment_carries_no_setting_and_is_never_refused():
    found = template(
        "c.yaml", "# {learning_rat} of {max_steps}\nlr: {learning_rate} # {seed}\nx: 'a #{name}'\n"
    )
    assert found.names == ("learning_rate", "name")
    found.require_read(VALUES)


@pytest.mark.parametrize(
    "odd", ["!!bool x", "!!timestamp x", "!!int x", "!!float x", "!!binary é", "!!int ''"]
)
def test_a_value_that_is_not_what_its_tag_says_is_refused_by_the_templates_name(odd):
    with pytest.raises(ConfigError, match=r"c\.yaml cannot be read as YAML"):
        template("c.yaml", f"lr: {{learning_rate}}\nx: {odd}\n").require_read(VALUES)
