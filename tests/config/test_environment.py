"""Which environment variables a configuration may read: places, and what whoever runs the command allows."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.config.environment import FURTHER
from bios_sweep.errors import ConfigError


def path_of(word):
    return compose_config([f"data.eval_path={word}"]).values["data"]["eval_path"]


@pytest.mark.parametrize("name", ["SCRATCH", "HOME", "SLURM_TMPDIR", "HF_HOME"])
def test_a_place_is_read(name, monkeypatch):
    monkeypatch.setenv(name, "/somewhere")
    assert path_of(f"${{oc.env:{name}}}/b") == "/somewhere/b"


@pytest.mark.parametrize(
    "word",
    ["${oc.env:MY_KEY}", "${oc.env:MY_KEY,none}", "${oc.env:${oc.env:SLURM_WHICH}}"],
)
def test_another_variable_is_refused_by_name_however_it_is_written(word, monkeypatch):
    monkeypatch.setenv("MY_KEY", "hush")
    monkeypatch.setenv("SLURM_WHICH", "MY_KEY")
    with pytest.raises(
        ConfigError, match=r"MY_KEY.*may not read this.*export BIOS_SWEEP_ENV=MY_KEY"
    ) as refusal:
        path_of(word)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("word", ["${oc.env:AWS_THING}", "${oc.${data.how}:AWS_THING}"])
def test_a_sweep_file_of_somebody_else_cannot_send_a_secret_anywhere(word, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AWS_THING", "hush")
    (tmp_path / "theirs.yaml").write_text(
        f"# @package _global_\nworkspace: '/tmp/{word}'\ndata: {{how: env}}\n"
        "sweeps: {question: q, factors: {lora_rank: {values: [8]}}}\n"
    )
    assert main(["plan", f"sweeps={tmp_path}/theirs.yaml"]) == 2
    told = capsys.readouterr()
    assert "AWS_THING" in told.err
    assert "hush" not in told.err + told.out


def test_whoever_runs_the_command_may_allow_more(monkeypatch):
    monkeypatch.setenv("MY_DATA", "/data")
    monkeypatch.setenv(FURTHER, "OTHER, MY_DATA")
    assert path_of("${oc.env:MY_DATA}") == "/data"


def test_other_users_of_omegaconf_in_this_process_are_left_alone(monkeypatch):
    monkeypatch.setenv("MY_KEY", "theirs")
    compose_config([])
    with pytest.raises(ConfigError):
        path_of("${oc.env:MY_KEY}")
    assert OmegaConf.create({"a": "${oc.env:MY_KEY}"}).a == "theirs"
