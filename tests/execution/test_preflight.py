from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from bios_sweep.assets import base_model_path
from bios_sweep.driver.place import SWEEP_ID, TRACKING_URI, require_ready, worker_environment
from bios_sweep.engines.scripted import identity
from bios_sweep.engines.scripted.identity import digests_of
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.data import write_dataset
from bios_sweep.engines.training.facts import describe_model
from bios_sweep.engines.training.on_node import gpus
from bios_sweep.errors import BiosSweepError, ClusterError, ConfigError
from bios_sweep.execution.preflight import GIB, inspect, judge, own_versions
from bios_sweep.execution.transfer.storage import TrialFiles
from bios_sweep.ports import PreflightLine
from bios_sweep.report.text.listener import folded, print_preflight
from bios_sweep.request import Request

LOOK = "bios_sweep.engines.training.on_node:look"


def two_gpus() -> list[dict[str, object]]:
    """A looker for GPUs, by import string."""
    return [
        {"name": "H100", "free": 70 * GIB, "total": 80 * GIB},
        {"name": "H100", "free": 3 * GIB, "total": 80 * GIB},
    ]


def broken_gpus() -> list[dict[str, object]]:
    raise RuntimeError("no driver\nand a long trace")


examples = cache(embedded_examples)  # reading the standard library's docstrings takes a second


@pytest.fixture
def study(tmp_path):
    """(facts of a good node, what is wanted) of a small study; the driver has left its file in the store."""
    dataset = examples(8)
    file = tmp_path / "examples.jsonl"
    write_dataset(dataset, file)
    model = shutil.copytree(base_model_path(), tmp_path / "model")
    store = tmp_path / "store"
    TrialFiles(str(store)).leave("mark", b"driver")
    facts = {
        "packages": ["numpy", "no-such-package"],
        "files": str(store),
        "place": "mark",
        "content": "driver",
        "options": {"model_path": str(model), "data_file": str(file)},
        "looker": LOOK,
        "gpu_looker": "tests.execution.test_preflight:two_gpus",
    }
    wanted = {
        "versions": own_versions(["numpy"]),
        "files": str(store),
        "material": {"model": describe_model(str(model)).fingerprint, "data": dataset.fingerprint},
        "ways_out": {"model": "copy the model"},
        "gpu_count": 2,
        "gpu_bytes": 2 * GIB,
    }
    return facts, wanted


def looked(facts, wanted, name="node-1") -> tuple[PreflightLine, ...]:
    return judge([{**inspect(facts), "node": name}], wanted)


def red(lines) -> list[str]:
    return [line.check for line in lines if line.red]


def test_a_node_like_the_driver_is_ready(study):
    lines = looked(*study)
    assert red(lines) == []
    assert [line.check for line in lines] == [
        "python",
        "bios_sweep",
        "numpy",
        "trial files",
        "model",
        "data",
        "GPUs",
        "free GPU memory",
    ]


def test_another_version_of_a_package_is_found(study):
    facts, wanted = study
    (line,) = [one for one in looked(facts, {**wanted, "versions": {"numpy": "1.0"}}) if one.check == "numpy"]
    assert (line.red, line.wanted) == (True, "1.0")
    assert line.way_out == "pip install numpy==1.0 there"


def test_a_package_that_is_not_there_is_absent(study):
    facts, wanted = study
    lines = looked(facts, {**wanted, "versions": {"no-such-package": "2.0"}})
    assert [line.found for line in lines if line.red] == ["absent"]


def test_the_same_version_with_other_code_is_found(study):
    facts, wanted = study
    other = {"bios_sweep": own_versions([])["bios_sweep"].replace("(", "(f")}
    assert red(looked(facts, {**wanted, "versions": other})) == ["bios_sweep"]


def test_a_patch_of_python_is_the_same_python_and_a_minor_version_is_another():
    def line(found):
        answer = {"node": "n", "versions": {"python": found}, "files": {}, "material": {}, "gpus": {}}
        wanted = {"versions": {"python": "3.11.4"}, "files": "", "material": {}, "ways_out": {}}
        return judge([answer], {**wanted, "gpu_count": 0, "gpu_bytes": 0})[0]

    assert not line("3.11.9").red
    assert line("3.12.4").red


def test_other_data_are_found(study, tmp_path):
    facts, wanted = study
    write_dataset(examples(9), tmp_path / "other.jsonl")
    facts["options"]["data_file"] = str(tmp_path / "other.jsonl")
    assert red(looked(facts, wanted)) == ["data"]


def test_data_that_are_nowhere_are_found_in_a_sentence(study):
    facts, wanted = study
    facts["options"]["data_file"] = "/nowhere/examples.jsonl"
    (line,) = [line for line in looked(facts, wanted) if line.red]
    assert line.check == "data"
    assert "/nowhere/examples.jsonl" in line.found


def test_a_missing_model_and_one_with_other_weights_are_found(study):
    facts, wanted = study
    model = Path(facts["options"]["model_path"])
    config = model / "config.json"
    config.write_text(config.read_text() + "\n")
    assert [line.check for line in looked(facts, wanted) if line.red] == ["model"]
    shutil.rmtree(model)
    (line,) = [line for line in looked(facts, wanted) if line.red]
    assert "no such folder" in line.found
    assert line.way_out == "copy the model"


def test_a_script_that_is_another_or_nowhere_on_the_node_is_found(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("print(1)\n")
    options = {"cwd": str(tmp_path), "digests": digests_of([script])}
    assert identity.look(options) == {"script": {"found": identity.fingerprint(options)}}
    script.write_text("print(2)\n")
    assert identity.look(options) == {"script": {"error": f"{script} is missing or another file"}}
    script.unlink()
    assert "error" in identity.look(options)["script"]
    assert identity.look({**options, "cwd": "/nowhere"})["script"]["error"] == "there is no folder /nowhere"


def test_a_storage_that_cannot_be_written_is_found(study, tmp_path):
    facts, wanted = study
    (tmp_path / "file").write_text("")
    (line,) = [one for one in looked({**facts, "files": str(tmp_path / "file" / "store")}, wanted) if one.red]
    assert line.check == "trial files"
    assert "NotADirectoryError" in line.found


def test_a_folder_of_the_same_name_that_is_not_the_drivers_is_found(study, tmp_path):
    facts, wanted = study
    (tmp_path / "own").mkdir()
    (line,) = [one for one in looked({**facts, "files": str(tmp_path / "own")}, wanted) if one.red]
    assert (line.check, line.found) == ("trial files", "not what the driver sees there")


def test_the_fullest_gpu_decides_whether_there_is_memory(study):
    facts, wanted = study
    (line,) = [one for one in looked(facts, {**wanted, "gpu_bytes": 4 * GIB}) if one.red]
    assert (line.check, line.wanted) == ("free GPU memory", "4.0 GiB on each")
    assert line.found == "3.0 GiB on the fullest"


def test_a_node_with_too_few_gpus_or_without_a_driver_is_found(study):
    facts, wanted = study
    assert red(looked(facts, {**wanted, "gpu_count": 4})) == ["GPUs"]
    broken = {**facts, "gpu_looker": "tests.execution.test_preflight:broken_gpus"}
    (line,) = [line for line in looked(broken, wanted) if line.red]
    assert (line.check, line.found) == ("GPUs", "RuntimeError: no driver")


def test_a_study_that_needs_neither_model_nor_gpu_looks_at_neither(study):
    facts, wanted = study
    lines = looked(
        {**facts, "looker": "", "gpu_looker": ""}, {**wanted, "material": {}, "gpu_count": 0, "gpu_bytes": 0}
    )
    assert [line.check for line in lines][-1] == "trial files"
    assert red(lines) == []


def test_a_node_that_cannot_answer_is_red_and_says_what_to_do(study):
    _, wanted = study
    missing = {"node": "node-2", "error": "ModuleNotFoundError: No module named 'bios_sweep.execution'"}
    (line,) = judge([missing], wanted)
    assert line.red
    assert line.way_out == "install bios-sweep there, or leave cluster.preinstalled=false"
    assert "logs" in judge([{"node": "n", "error": "no answer in 600 s"}], wanted)[0].way_out


def line(node, check="torch", *, found="2.13.0", red=False):
    return PreflightLine(node=node, check=check, wanted="2.13.0", found=found, red=red, way_out="do it")


def test_nodes_that_found_the_same_share_a_row_and_red_rows_come_last():
    lines = [line("a", found="2.0", red=True), line("b"), line("c"), line("a", "peft"), line("b", "peft")]
    rows = [(nodes, one.check, one.red) for nodes, one in folded(lines)]
    assert rows == [(["b", "c"], "torch", False), (["a", "b"], "peft", False), (["a"], "torch", True)]


def test_the_table_names_node_check_wanted_found_and_the_way_out():
    console = Console(width=80, record=True)
    print_preflight([line("10.0.0.1"), line("10.0.0.2", found="2.0", red=True)], console)
    text = console.export_text()
    assert "10.0.0.2 torch 2.13.0 2.0" in " ".join(text.split())
    assert "- do it" in text
    print_preflight([], console)
    assert console.export_text().count("torch") == 0


def test_one_red_line_ends_the_command_and_names_the_node():
    require_ready((line("a"),))
    with pytest.raises(ClusterError, match=r"^node b is not ready: torch is 2.0, wanted 2.13.0; do it$") as e:
        require_ready((line("a"), line("b", found="2.0", red=True)))
    assert e.value.exit_code == 2
    with pytest.raises(ClusterError, match=r"\(2 red lines on 1 nodes?\)"):
        require_ready((line("b", found="2.0", red=True), line("b", "peft", red=True)))


def environment(*, uri=None, environ, **cluster):
    request = Request(**{"address": "head:6379", **cluster})
    return worker_environment(request, sweep_id="lr-1", tracking_uri=uri, environ=environ)


def test_workers_get_the_sweeps_id_and_what_was_named_and_nothing_else():
    environ = {"HF_HOME": "/data/hf", "HF_TOKEN": "hf_secret", "MLFLOW_TRACKING_TOKEN": "secret"}
    found = environment(environ=environ, **{"environment": ["HF_HOME"]})
    assert found == {SWEEP_ID: "lr-1", "HF_HOME": "/data/hf"}


def test_workers_are_told_a_tracking_server_with_what_opens_it():
    environ = {"MLFLOW_TRACKING_TOKEN": "secret", "MLFLOW_RUN_ID": "9"}
    found = environment(environ=environ, uri="https://tracking")
    assert found == {SWEEP_ID: "lr-1", TRACKING_URI: "https://tracking", "MLFLOW_TRACKING_TOKEN": "secret"}


def test_workers_are_told_nothing_of_a_store_that_only_the_driver_may_write():
    assert environment(environ={}, uri="sqlite:////ws/mlflow.db") == {SWEEP_ID: "lr-1"}


@pytest.mark.parametrize(
    "uri", ["sqlite:///mlflow.db", "sqlite:////ws/mlflow.db", "file:./mlruns", "./mlruns"]
)
def test_a_file_as_tracking_store_of_workers_on_other_nodes_is_refused(uri):
    environ = {"MLFLOW_TRACKING_URI": uri}
    with pytest.raises(ConfigError, match=r"names a file, another one on every node; start `mlflow server`"):
        environment(environ=environ, **{"environment": ["MLFLOW_TRACKING_URI"]})
    assert environment(environ=environ, address=None, **{"environment": ["MLFLOW_TRACKING_URI"]})


def test_a_named_variable_that_is_not_set_is_refused():
    with pytest.raises(ConfigError, match=r"^cluster.environment: HF_HOME is not set here; export it"):
        environment(environ={}, **{"environment": ["HF_HOME"]})


@pytest.mark.slow  # loads torch in a process of its own
def test_the_gpus_of_this_machine_are_listed_with_their_memory_and_none_where_there_is_none():
    if not Path("/dev/nvidia0").exists():
        with pytest.raises(BiosSweepError, match=r"torch \S+ sees no GPU: "):
            gpus()
        return
    found = gpus()
    assert all(isinstance(gpu["bfloat16"], bool) for gpu in found)
    assert all(0 < gpu["free"] <= gpu["total"] for gpu in found)


def test_what_a_node_answers_holds_no_secrets(monkeypatch):
    from bios_sweep.execution.preflight import _tried

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI=")

    def look():
        raise ValueError("signed with wJalr/XUtn+FEMI=")

    assert _tried(look) == {"error": "ValueError: signed with ***"}
