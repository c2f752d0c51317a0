"""Processes of ours import nothing from the folder in which somebody typed a command."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

from bios_sweep.execution.ray.cluster import _apart
from bios_sweep.interpreter import python, with_package

PACKAGE = Path(__file__).parents[1] / "bios_sweep"
STARTED = re.compile(r"\[\s*sys\.executable,(?!\s*\"-[PI]\")")
SHADOWS = ("click", "mlflow", "numpy", "pandas", "random", "ray", "torch", "uvicorn", "yaml")
PLANTED = ("run", "sweeps=aa", "model=planted", "cluster=ray", "seeds=[0,1]", "tracking=sqlite")


@pytest.fixture
def folder(tmp_path):
    """Of somebody who calls files as libraries are called."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('the file {name}.py of a user')\n")
    return tmp_path


def test_every_interpreter_of_ours_is_started_apart():
    assert STARTED.search('[sys.executable, "-m", "mlflow"]')
    assert [str(file) for file in PACKAGE.rglob("*.py") if STARTED.search(file.read_text())] == []


def test_a_process_finds_this_package_and_no_file_beside_it(folder):
    code = "import random, bios_sweep; print(bios_sweep.__file__)"
    said = subprocess.check_output(python("-c", code), cwd=folder, env=with_package({}), text=True)
    assert Path(said.strip()).parent == PACKAGE


def test_a_worker_of_ray_is_told_no_folder_of_the_driver():
    job = _apart()
    job._py_driver_sys_path.extend(["/where/somebody/typed"])  # as ray.init does
    assert list(job._get_proto_job_config().py_driver_sys_path) == []


@pytest.mark.slow
def test_a_sweep_runs_on_ray_and_is_shown_in_a_folder_of_files_that_are_called_as_libraries(folder):
    ours = python("-m", "bios_sweep")
    ran = subprocess.run([*ours, *PLANTED], cwd=folder, env=with_package(), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with subprocess.Popen([*ours, "ui"], cwd=folder, env=with_package(), stdout=subprocess.PIPE) as shown:
        try:
            assert b"http://127.0.0.1" in shown.stdout.readline()
        finally:
            shown.send_signal(signal.SIGTERM)
