"""What a light command may import, seen in `sys.modules` of a fresh process."""

from __future__ import annotations

import tomllib

import pytest

from tests.probe import HEAVY, ROOT, loaded, loaded_after_each, verb

OWN = "bios_sweep"
NO_STATS = "\nimport sys\nassert not {'scipy.stats', 'scipy.optimize'} & set(sys.modules)\n"  # half a second


def pure_rooms() -> tuple[list[str], set[str]]:
    """The rooms that the import contract calls pure, and the frameworks it forbids them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = next(one for one in contracts if one["name"] == "the pure rooms touch no framework")
    return pure["source_modules"], set(pure["forbidden_modules"])


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """What the interpreter loads by itself, through .pth files of the environment."""
    return loaded("", tmp_path_factory.mktemp("idle"))


def test_the_probe_sees_a_heavy_import(tmp_path):
    assert "matplotlib" in loaded("import matplotlib", tmp_path)
    assert "numpy" in loaded("from numpy import linalg", tmp_path)


def test_the_probe_fails_when_the_code_does(tmp_path):
    with pytest.raises(AssertionError):
        loaded(verb("plan", "sweeps=none"), tmp_path)
    with pytest.raises(AssertionError):
        loaded("import scipy.stats" + NO_STATS, tmp_path)


@pytest.mark.parametrize("module", ["bios_sweep", "bios_sweep.defaults"])
def test_the_package_and_its_defaults_need_the_standard_library_only(tmp_path, idle, module):
    use = "import bios_sweep.defaults as d; d.recommend('meta-llama/Llama-3.1-8B', examples=50_000)"
    code = f"import {module}" + (f"\n{use}" if module.endswith("defaults") else "")
    assert loaded(code, tmp_path) - idle == {OWN}


def test_every_module_of_the_pure_rooms_loads_without_a_framework(tmp_path):
    rooms, frameworks = pure_rooms()
    walk = "[one.name for one in pkgutil.walk_packages(getattr(found, '__path__', ()), room + '.')]"
    code = (
        f"import pkgutil\nfrom importlib import import_module\nfor room in {rooms}:\n"
        f"    found = import_module(room)\n    for name in {walk}:\n        import_module(name)"
    )
    assert not loaded(code, tmp_path) & frameworks


def test_help_loads_the_standard_library_only(tmp_path, idle):
    helps = (["--help"], ["--version"], ["plan", "--help"], ["run", "--help"])
    for words, packages in zip(
        helps, loaded_after_each([verb(*one) for one in helps], tmp_path), strict=True
    ):
        assert packages - idle == {OWN}, words


def test_auditing_a_table_loads_nothing_heavy_and_no_hydra(tmp_path):
    (tmp_path / "t.csv").write_text("arm,seed,value\nbaseline,0,1\nbaseline,1,2\nb,0,3\nb,1,5\n")
    assert not loaded(verb("report", "--from-csv", "t.csv") + NO_STATS, tmp_path) & (
        HEAVY | {"hydra", "omegaconf"}
    )


PLANNED = "import bios_sweep\nassert bios_sweep.plan(sweeps='learning_rate').to_run\n"
READ = "import bios_sweep\nassert bios_sweep.open('bios_runs', 'aa').verdicts\n"
LIGHT = {
    "plan": verb("plan", "sweeps=learning_rate"),
    "plan --json": verb("plan", "sweeps=demo", "--json"),
    "a plan from Python": PLANNED,
    "init": verb("init", "--yes"),
    "keys": verb("keys", "margin"),
    "submit": verb(
        "submit", "--to", "kuberay", "--dry-run", "sweeps=demo", "submit.image=x", "submit.claims={c: /}"
    ),
    "defaults show": verb("defaults", "show", "meta-llama/Llama-3.1-8B"),
    "defaults export": verb("defaults", "export", "meta-llama/Llama-3.1-8B", "--to", "trl"),
    "report": verb("report"),
    "suggest": verb("suggest"),
    "status": verb("status", "--json"),
    "a view": READ,
    "rehearse": verb("rehearse", "sweeps=first_night", "--sweeps", "2"),
}


def test_verbs_that_train_nothing_load_nothing_heavy(tmp_path):
    """One after another in one process: the first that loads something is the one that is named."""
    loaded(verb("run", "sweeps=aa", "model=planted", "cluster=inline", "seeds=[0,1]"), tmp_path)
    codes = [code if name == "rehearse" else code + NO_STATS for name, code in LIGHT.items()]
    seen = loaded_after_each(codes, tmp_path)
    assert {name: packages & HEAVY for name, packages in zip(LIGHT, seen, strict=True)} == {
        name: set() for name in LIGHT
    }
