"""The wheel: what is inside, and that it works away from the clone, also with the base install alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bios_sweep.cli.main import EXTRA_MODULES

ROOT = Path(__file__).resolve().parents[1]
# Installed in place of the finder that looks through sys.path, so that a missing package looks just so.
BLOCKER = f"""
import sys
from importlib.machinery import PathFinder

BLOCKED = {(*EXTRA_MODULES, "optuna", "datasets", "safetensors", "jinja2", "cloudpickle")!r}

class WithoutExtra(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            return None
        return super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *args, **kwargs):
        found = super().find_distributions(*args, **kwargs)
        return [one for one in found if one.metadata["Name"].lower() not in BLOCKED]

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutExtra
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    _python(["-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds the installed package alone; its dependencies come from the environment."""
    target = tmp_path_factory.mktemp("installed")
    _python(
        ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    )
    return target


@pytest.fixture(scope="module")
def base_only(installed, tmp_path_factory):
    """A folder to put first on the path: it makes the packages of the extra [run] impossible to import."""
    folder = tmp_path_factory.mktemp("base_only")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return folder


def _python(words: list[str], *, cwd: Path | None = None, path: tuple[Path, ...] = (), code: int = 0):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "XDG_CACHE_HOME": f"{cwd or ROOT}.cache",  # beside the folder
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        [sys.executable, "-P", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def _verb(*words: str, cwd: Path, path: tuple[Path, ...], code: int = 0):
    script = f"import sys; from bios_sweep.cli import main; sys.exit(main({list(words)!r}))"
    return _python(["-c", script], cwd=cwd, path=path, code=code)


def test_the_wheel_holds_all_that_is_read_at_run_time(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "sweeps"):
        for file in (ROOT / folder).rglob("*.yaml"):
            assert f"bios_sweep/{file.relative_to(ROOT)}" in names
    kept = ("assets/base_model/*", "assets/*.txt", "**/*.json", "**/*.py", "py.typed")
    for file in {found for pattern in kept for found in (ROOT / "bios_sweep").glob(pattern)}:
        assert str(file.relative_to(ROOT)) in names


def test_the_wheel_holds_nothing_foreign(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"bios_sweep"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db", ".jsonl"))]
    assert len(names) == len(set(names))


def test_the_installed_package_is_not_the_clone(installed, tmp_path):
    shown = _python(["-c", "import bios_sweep; print(bios_sweep.__file__)"], cwd=tmp_path, path=(installed,))
    assert Path(shown.stdout.strip()).is_relative_to(installed)


def test_an_installed_wheel_plans_in_an_empty_folder(installed, tmp_path):
    shown = _verb("plan", "sweeps=learning_rate", "--json", cwd=tmp_path, path=(installed,))
    plan = json.loads(shown.stdout)
    assert plan["arms"][0]["arm"] == "baseline"
    assert plan["tokens"] > 0
    assert (
        "learning_rate"
        in _verb("defaults", "show", "meta-llama/Llama-3.1-8B", cwd=tmp_path, path=(installed,)).stdout
    )
    assert not (tmp_path / "bios_runs").exists()


def test_an_installed_wheel_runs_a_sweep(installed, tmp_path):
    words = ("run", "sweeps=aa", "model=planted", "cluster=inline", "seeds=[0,1]")
    assert "repeat" in _verb(*words, cwd=tmp_path, path=(installed,)).stdout
    assert "repeat" in _verb("report", cwd=tmp_path, path=(installed,)).stdout


def test_the_blocker_blocks(base_only, tmp_path):
    failed = _python(["-c", "import filelock"], cwd=tmp_path, path=(base_only,), code=1)
    assert "No module named 'filelock'" in failed.stderr


def test_the_base_install_alone_imports_plans_and_shows_defaults(installed, base_only, tmp_path):
    path = (base_only, installed)
    _python(["-c", "import bios_sweep, bios_sweep.defaults, bios_sweep.driver.view"], cwd=tmp_path, path=path)
    assert "40 to run" in _verb("plan", "sweeps=learning_rate", cwd=tmp_path, path=path).stdout
    shown = _verb("defaults", "show", "meta-llama/Llama-3.1-8B", cwd=tmp_path, path=path).stdout
    assert "learning_rate" in shown
    assert "report" in _verb("--help", cwd=tmp_path, path=path).stdout


@pytest.mark.parametrize("verb", ["run", "sync"])
def test_a_verb_without_its_extra_says_so_in_one_sentence(installed, base_only, tmp_path, verb):
    refused = _verb(verb, "sweeps=aa", "model=planted", cwd=tmp_path, path=(base_only, installed), code=2)
    (sentence,) = refused.stderr.strip().splitlines()
    assert sentence.startswith(f"bios-sweep: `bios-sweep {verb}` needs ray, mlflow, torch")
    assert sentence.endswith("install them with pip install 'bios-sweep[run]'")
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_of_a_base_install_says_what_is_missing_and_the_pip_line(installed, base_only, tmp_path):
    told = _verb("doctor", cwd=tmp_path, path=(base_only, installed), code=2)
    assert told.stderr == ""
    red = [line for line in told.stdout.splitlines() if line.startswith("red")]
    assert " missing: cloudpickle, datasets, filelock, " in red[0]
    assert [line.split()[1:3] for line in red] == [["packages", "missing:"], ["torch", "missing"]]
    assert told.stdout.count("pip install 'bios-sweep[run]'") == 2
    assert list(tmp_path.iterdir()) == []


def test_the_base_install_alone_reports_a_sweep_run_elsewhere(installed, base_only, tmp_path):
    words = ("run", "sweeps=aa", "model=planted", "cluster=inline", "seeds=[0,1]")
    _verb(*words, cwd=tmp_path, path=(installed,))
    assert "repeat" in _verb("report", cwd=tmp_path, path=(base_only, installed)).stdout
