"""What people know from Hydra programs: the configuration shown, and words completed while one is typed."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from bios_sweep.cli.completion import SCRIPTS, candidates
from bios_sweep.cli.main import main
from bios_sweep.cli.verbs import VERBS
from bios_sweep.config.compose import compose_config
from bios_sweep.config.groups import group_names, member_names
from bios_sweep.config.places import sweep_names
from tests.probe import HEAVY, loaded, verb

MINE = ("sweeps=capacity", "seeds=[0,1]", "baseline.batch_size=8")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", [("plan", "--cfg", "job"), ("run", "--cfg=job"), ("--cfg", "job")])
def test_the_configuration_is_shown_as_the_command_would_use_it_and_nothing_starts(
    words, capsys, empty_folder
):
    assert main([*words, *MINE, "model.path=/models/mine"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown == compose_config([*MINE, "model.path=/models/mine"]).values
    assert shown["model"]["path"] == "/models/mine"
    assert not list(empty_folder.iterdir())


def test_all_has_hydras_own_part_too_and_a_secret_is_masked(capsys):
    assert main(["plan", "--cfg", "all", *MINE, "tracking.uri=http://me:hunter2hunter2@host:5000"]) == 0
    told = capsys.readouterr().out
    shown = yaml.safe_load(told)
    assert {"hydra", "seeds", "baseline"} <= set(shown)
    assert "hunter2" not in told
    assert main(["plan", "--cfg", "hydra", *MINE]) == 0
    assert set(yaml.safe_load(capsys.readouterr().out)) == {"hydra"}


def test_where_things_come_from_is_told_with_who_chose_them(capsys, empty_folder):
    own = empty_folder / "mine"
    (own / "sweeps").mkdir(parents=True)
    (own / "sweeps" / "rates.yaml").write_text("factors:\n  learning_rate: {multiply: [0.5, 2]}\n")
    assert main(["plan", "--info", "sweeps=rates", "--config-dir", "mine", "model.path=/models/mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"  {own}" in lines
    assert "  sweeps=rates  (command line)" in lines
    assert "  data=embedded" in lines
    assert "  model.path is given: model=local is chosen" in lines
    assert "  sweeps/rates" in lines or "  sweeps/rates at sweeps" in lines


def test_a_word_that_is_wrong_is_refused_as_ever(capsys):
    assert main(["plan", "--cfg", "job", "sweeps=capacty"]) == 2
    assert "did you mean 'capacity'?" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["paln", "--cfg", "job"])
    assert "there is no verb 'paln' (did you mean 'plan'?)" in capsys.readouterr().err


def test_what_of_hydra_works_here_is_told(capsys):
    assert main(["--hydra-help"]) == 0
    told = capsys.readouterr().out
    assert "--cfg job|hydra|all" in told
    assert "--multirun" in told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bios-sweep re", ["rehearse ", "report ", "resume "]),
        ("bios-sweep plan --conf", ["--config-dir "]),
        ("bios-sweep plan sweeps=cap", ["sweeps=capacity ", "sweeps=capacity_by_data "]),
        ("bios-sweep sweeps=demo plan model=p", ["model=planted "]),
        ("bios-sweep run decision.margin_p", ["decision.margin_percent=", "decision.margin_points="]),
        ("bios-sweep run dec", ["decision.", "decision="]),
        ("bios-sweep run see", ["seeds="]),
        ("bios-sweep defaults me", ["merge "]),
        ("bios-sweep submit --to k", ["kuberay "]),
        ("bios-sweep completion z", ["zsh "]),
        ("bios-sweep defaults export x --to ax", ["axolotl "]),
        ("bios-sweep defaults export x --to kub", []),
        ("bios-sweep --cfg job sweeps=cap", ["sweeps=capacity ", "sweeps=capacity_by_data "]),
        ("bios-sweep plan 'sweeps=de", ["sweeps=defaults ", "sweeps=demo "]),
        ("bios-sweep plan data.path=", []),
        ("bios-sweep frobnicate ", []),
    ],
)
def test_what_may_stand_at_the_end_of_a_line_is_offered(line, expected):
    found = candidates(line)
    assert (
        found == expected if expected else not [word for word in found if word.startswith(line.split()[-1])]
    )


def test_every_verb_group_member_and_sweep_is_offered(empty_folder):
    assert {word.strip() for word in candidates("bios-sweep ")} >= set(VERBS)
    for group in group_names():
        assert candidates(f"bios-sweep plan {group}=") == [f"{group}={name} " for name in member_names(group)]
    own = empty_folder / "mine"
    (own / "sweeps").mkdir(parents=True)
    (own / "sweeps" / "rates.yaml").write_text("factors: {}\n")
    told = candidates("bios-sweep plan --config-dir mine sweeps=")
    assert told == [f"sweeps={name} " for name in sweep_names(own)]


def test_the_sweeps_of_the_workspace_are_offered_by_name(empty_folder):
    (empty_folder / "runs" / "sweeps" / "demo-1a2b").mkdir(parents=True)
    assert candidates("bios-sweep report workspace=runs --sweep ") == ["demo-1a2b "]


def test_it_is_light(empty_folder):
    packages = loaded(verb("completion", "--line", "bios-sweep plan baseline."), empty_folder)
    assert not packages & (HEAVY | {"hydra", "omegaconf", "scipy"})


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_one_that_its_shell_reads(shell, capsys, empty_folder):
    assert main(["completion", shell]) == 0
    script = empty_folder / "script"
    script.write_text(capsys.readouterr().out)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    subprocess.run([shell, "-n", script], check=True)


def test_bash_completes_behind_the_equals_sign_where_it_splits_words(empty_folder):
    (empty_folder / "bios-sweep").write_text("#!/bin/sh\nprintf '%s\\n' 'sweeps=defaults ' 'sweeps=demo '\n")
    (empty_folder / "bios-sweep").chmod(0o755)
    typed = "bios-sweep plan sweeps=de"
    ask = f"COMP_LINE='{typed}' COMP_POINT={len(typed)}\n_bios_sweep\nprintf '<%s>' \"${{COMPREPLY[@]}}\""
    told = subprocess.run(
        ["bash", "-c", SCRIPTS["bash"] + ask],
        env={"PATH": f"{empty_folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "<defaults ><demo >"
