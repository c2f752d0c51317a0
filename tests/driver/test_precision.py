"""`method.dtype=auto` is decided once, by the GPUs of the workers and never by the driver's."""

from __future__ import annotations

import json
import os

import pytest

from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.driver import session
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.precision import common_dtype
from bios_sweep.driver.prepare import Prepared, prepare_config
from bios_sweep.errors import ClusterError
from bios_sweep.study.design import Study
from bios_sweep.study.plan import Plan, build_plan

WORDS = (
    "sweeps=learning_rate",
    "seeds=[0,1]",
    "tracking=none",
    "data.path=my.jsonl",
    "decision.scope=evaluation",
)
ONE_GPU = ("cluster=inline", "cluster.gpus_per_trial=1")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"What is {i}?", "completion": f" The number {i}."} for i in range(40)]
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def here(folder):
    """Put a GPU of that name into this machine."""

    def install(name: str) -> None:
        tool = folder / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\necho '0, GPU-0aaaa, {name}'\n")
        tool.chmod(0o755)

    return install


def prepared(*words: str) -> Prepared:
    return prepare_config(compose_config([*WORDS, *words]), Invocation(verb="run"))


def dtypes(plan: Plan) -> set[str]:
    return {trial.settings.dtype for trial in plan.trials}


def newest() -> list[dict[str, object]]:
    return [{"name": "A", "free": 9, "total": 9, "bfloat16": True}] * 2


def mixed() -> list[dict[str, object]]:
    return [*newest(), {"name": "old", "free": 9, "total": 9, "bfloat16": False}]


def asking(monkeypatch, looker) -> None:
    monkeypatch.setattr(session, "GPU_LOOKER", f"tests.driver.test_precision:{looker.__name__}")


def test_on_cpus_it_is_float32_and_changes_no_key():
    auto, given = prepared("cluster=inline"), prepared("cluster=inline", "method.dtype=float32")
    assert auto.precision.known
    assert [trial.key for trial in auto.plan.trials] == [trial.key for trial in given.plan.trials]
    assert auto.plan.sweep_id == given.plan.sweep_id
    assert auto.warnings == given.warnings


@pytest.mark.parametrize(("name", "dtype"), [("NVIDIA H100 80GB HBM3", "bfloat16"), ("Tesla T4", "float32")])
def test_the_gpu_of_this_machine_tells_by_its_name(here, name, dtype):
    here(name)
    planned = prepared("cluster=local_gpu")
    assert (planned.precision.known, dtypes(planned.plan)) == (True, {dtype})
    assert dtypes(prepared("cluster=inline").plan) == {"float32"}, "trials on CPUs do not ask a GPU"


def test_a_plan_that_cannot_ask_says_so(here, capsys):
    here("NVIDIA Z999")
    assert main(["plan", *WORDS, "cluster=local_gpu", "--json"]) == 0
    [said] = [note for note in json.loads(capsys.readouterr().out)["notes"] if "not yet known" in note]
    assert said.startswith("method.dtype=auto is not yet known: run asks the workers' GPUs")
    here("Tesla T4")
    joined = prepared("cluster=existing")
    assert not joined.precision.known, "the driver's own GPU says nothing of a cluster's"
    assert dtypes(prepared("cluster=existing", "cluster.accelerator_type=T4").plan) == {"float32"}


@pytest.mark.parametrize(("looker", "dtype"), [(newest, "bfloat16"), (mixed, "float32")])
def test_a_run_takes_what_all_of_the_workers_gpus_have(monkeypatch, looker, dtype):
    asking(monkeypatch, looker)
    decided, found = session._decided(prepared(*ONE_GPU))
    assert (dtypes(decided.plan), decided.precision.known) == ({dtype}, True)
    assert found == tuple(looker())
    assert common_dtype([]) == "float32"


def test_a_sweep_that_has_begun_keeps_its_format(monkeypatch):
    """On whatever it goes on, or half of the arms would be compared with the other half in another format."""
    asking(monkeypatch, mixed)
    first, _ = session._decided(prepared(*ONE_GPU))
    first.workspace.write_plan(first.plan.sweep_id, {"study": first.plan.study.to_dict()})
    asking(monkeypatch, newest)
    again, asked = session._decided(prepared(*ONE_GPU))
    assert (again.plan.sweep_id, dtypes(again.plan), asked) == (first.plan.sweep_id, {"float32"}, ())


def test_a_format_that_is_given_is_not_asked_for(monkeypatch):
    asking(monkeypatch, mixed)
    given, found = session._decided(prepared(*ONE_GPU, "method.dtype=bfloat16"))
    assert (dtypes(given.plan), found) == ({"bfloat16"}, ())


def test_trials_in_bfloat16_are_trained_anew_since_their_numbers_changed_and_others_are_not(monkeypatch):
    """An adapter's products were float32 before; a plan that was kept then has the keys of then."""
    of_then = "cluster=inline", "method.dtype=bfloat16"
    now = prepared(*of_then).plan
    kept = now.study.to_dict()
    assert kept["scenario"].pop("format_versions") == {"bfloat16": "bfloat16 2"}
    then = build_plan(Study.from_dict(kept))
    assert not {trial.key for trial in now.trials} & {trial.key for trial in then.trials}
    assert build_plan(Study.from_dict(now.study.to_dict())).sweep_id == now.sweep_id != then.sweep_id
    plain = prepared("cluster=inline").plan
    assert "format_versions" not in plain.study.to_dict()["scenario"]
    asking(monkeypatch, mixed)
    on_gpu, _ = session._decided(prepared(*ONE_GPU))
    assert dtypes(on_gpu.plan) == {"float32"}
    assert [trial.key for trial in on_gpu.plan.trials] == [trial.key for trial in plain.trials]


def test_a_torch_that_does_not_match_the_driver_is_no_silent_run_on_cpus(capsys):
    """This machine's torch sees no GPU: what a build without CUDA, or one newer than the driver, sees."""
    with pytest.raises(
        ClusterError, match=r"this machine: torch \S+ sees no GPU: .+; install the torch build"
    ):
        session._decided(prepared(*ONE_GPU))
    assert main(["run", *WORDS, *ONE_GPU, "method.dtype=bfloat16"]) == 2
    assert "sees no GPU" in capsys.readouterr().err
