"""The image and the compose files: what they copy exists, what they install and run is declared."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from bios_sweep.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    shlex.split(line, comments=True)
    for line in DOCKERFILE.replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def compose(name="compose.yaml"):
    return yaml.safe_load((ROOT / "docker" / name).read_text(encoding="utf-8"))


def lets_through(name):
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    return any(rule.startswith("!") and fnmatch.fnmatch(name, rule[1:]) for rule in rules)


def test_every_file_that_the_image_copies_is_there_and_reaches_the_builder():
    copied = [
        name for one in INSTRUCTIONS if one[0] == "COPY" for name in one[1:-1] if not name.startswith("--")
    ]
    assert {"pyproject.toml", "constraints.txt", "bios_sweep", "conf", "sweeps"} <= {
        Path(name).name for name in copied
    }
    for name in copied:
        assert (ROOT / name).exists(), name
        assert lets_through(Path(name).name), name
    needed = [PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"]
    assert set(needed) <= {Path(name).name for name in copied}


def test_the_extras_that_the_image_installs_are_declared_and_pinned():
    installed = re.findall(r"pip install .*-c constraints\.txt '\.\[([\w,]+)\]'", DOCKERFILE)
    assert len(installed) == 2
    for extras in installed:
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_image_runs_as_a_user_without_rights_on_a_python_that_is_supported():
    [python] = re.findall(r"ARG PYTHON=(\S+)", DOCKERFILE)
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
    words = [one[0] for one in INSTRUCTIONS]
    assert words.index("USER") < words.index("COPY")
    assert INSTRUCTIONS[words.index("USER")] == ["USER", "sweep"]


def test_services_build_targets_that_exist_and_name_only_volumes_and_services_that_do():
    targets = set(re.findall(r"(?m)^FROM \S+ AS (\w+)$", DOCKERFILE))
    known = compose()
    services = known["services"]
    assert set(compose("compose.cuda.yaml")["services"]) <= set(services)
    for service in [*services.values(), *compose("compose.cuda.yaml")["services"].values()]:
        assert service.get("build", {"target": "cpu"})["target"] in targets
        assert set(service.get("depends_on", {})) <= set(services)
        named = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert {name for name in named if name.isalpha()} <= set(known["volumes"])
    for service in services.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_the_commands_that_the_files_show_are_planned(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    text = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"--rm sweep run (.+)", text)
    ran = compose("compose.cuda.yaml")["services"]["sweep"]["command"]
    assert shown
    for words in [*(line.split() for line in shown), ran[1:]]:
        assert main(["plan", *words, f"workspace={tmp_path}"]) == 0, words


@pytest.mark.slow
def test_the_tracking_server_knows_the_options_that_it_is_given():
    options = [word.partition("=")[0] for word in compose()["services"]["mlflow"]["command"][1:]]
    shown = subprocess.run(
        [sys.executable, "-m", "mlflow", "server", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    ).stdout
    assert [option for option in options if option not in shown] == []
