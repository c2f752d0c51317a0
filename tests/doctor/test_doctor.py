"""What `doctor` says of this machine, and of machines that lack something.

The lookers are real: a real MLflow server, a port where nobody is, a read-only folder, a process that hangs.
`nvidia-smi` is a script on PATH, mount tables and limits of containers are files.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.doctor import child, diagnose
from bios_sweep.doctor.accelerators import Machine, accelerator_lines, gpus_on_bus
from bios_sweep.doctor.child import NoAnswerError, ask
from bios_sweep.doctor.files import workspace_lines
from bios_sweep.doctor.machine import RELEASED, Memory, clock_line, machine_lines, memory
from bios_sweep.doctor.model import hub_line, model_line
from bios_sweep.doctor.ray import ray_lines
from bios_sweep.doctor.software import pinned_versions, requirements, software_lines
from bios_sweep.doctor.tracking import tracking_lines
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.memory import need_of
from bios_sweep.execution.gpus import find_gpus, gpu_states
from bios_sweep.mirror.mlflow.schema import installed
from bios_sweep.mounts import mount_of
from bios_sweep.records.lock import DriverLock
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import Request
from tests.e2e.nodes import Nodes
from tests.json_schemas import wrong

GIB = 1024**3
L4, H100 = "NVIDIA L4", "NVIDIA H100 80GB HBM3"
LOCAL_GPU = Request(gpus_per_trial=0.5)
TORCH = {"version": "2.13.0", "cuda": "13.0", "gpus": [], "problem": ""}
DRIVER_TOO_OLD = "The NVIDIA driver on your system is too old (found version 11040)"


def told(lines):
    """Check -> (state, found), of lines whose names are distinct."""
    lines = list(lines)
    assert len({line.check for line in lines}) == len(lines)
    assert all(line.way_out for line in lines if line.state != "ok")
    return {line.check: (str(line.state), line.found) for line in lines}


# --- the verb


@pytest.fixture(scope="module")
def here(tmp_path_factory, tracking_server):
    """One real look at this machine, with a server and without a Ray."""
    folder = tmp_path_factory.mktemp("doctor")
    words = ["cluster=inline", f"workspace={folder / 'runs'}", f"tracking.uri={tracking_server.url}"]
    before = sorted(folder.rglob("*"))
    output = folder.with_suffix(".json")
    code = _printed(["doctor", *words, "--json"], output)
    assert sorted(folder.rglob("*")) == before
    return code, json.loads(output.read_text())


def _printed(words, file):
    from contextlib import redirect_stdout

    with file.open("w") as output, redirect_stdout(output):
        return main(words)


def test_a_machine_that_trains_these_tests_has_no_red_line(here):
    code, answer = here
    assert wrong("doctor", answer) == ""
    assert [line for line in answer["lines"] if line["state"] == "red"] == []
    assert (code, answer["red"]) == (0, 0)
    assert answer["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_server_tells_its_version_and_is_asked_for_the_time(here):
    from importlib.metadata import version

    lines = {line["check"]: line["found"] for line in here[1]["lines"]}
    assert lines["tracking"].endswith(f": MLflow {version('mlflow')}, answers and lets us read")
    assert lines["torch"].startswith(version("torch"))
    assert lines["Ray"] == "not used (cluster=inline)"
    assert lines["clock"].startswith("20")


@pytest.fixture
def quick(monkeypatch):
    """Without the processes that load torch and MLflow: what they find is tested by itself."""
    monkeypatch.setattr(diagnose, "_torch", lambda: ({**TORCH, "cuda": None}, ""))
    monkeypatch.setattr(diagnose, "_mlflow", lambda uri: [])


def test_a_red_line_is_exit_code_2_and_says_the_way_out(quick, tmp_path, capsys):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        code = main(["doctor", "cluster=inline", f"workspace={tmp_path}", f"tracking.uri={uri}"])
    shown = capsys.readouterr().out.splitlines()
    place = next(place for place, line in enumerate(shown) if line.startswith("red"))
    assert code == 2
    assert shown[place].split()[:2] == ["red", "tracking"]
    assert f"{uri} cannot be reached" in shown[place]
    assert "-> start the server, or leave tracking.uri out" in shown[place + 1]
    assert shown[-1].startswith("1 red")


def test_overrides_that_a_run_refuses_are_refused_in_one_sentence(capsys):
    assert main(["doctor", "cluster.gpu_per_trial=1"]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "did you mean 'cluster.gpus_per_trial'?" in sentence


# --- processes of their own


def test_a_library_that_hangs_is_a_line_and_is_killed(tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    (tmp_path / "hanging.py").write_text(
        f"import os, pathlib, threading\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        "threading.Event().wait()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"^did not come back within 2 s$"):
        ask("hanging:look", seconds=2)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    "text, why",
    [
        ("import os; os.abort()", r"^crashed \(SIGABRT\)$"),
        ("raise ImportError('libcudart.so.13: no such file')", r"^failed \(ImportError: libcudart"),
    ],
)
def test_a_library_that_crashes_or_does_not_load_is_a_line(tmp_path, monkeypatch, text, why):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NoAnswerError, match=why):
        ask("bios_sweep.doctor.child:load", "broken")


def test_a_torch_that_crashes_is_a_red_line(tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    torch, why = diagnose._torch()
    machine = Machine(gpus=(), states=None, on_bus=0, hidden="", torch=torch, why=why)
    state, found = told(accelerator_lines(machine, Request(), 0))["torch"]
    assert (state, found) == ("red", "loading it and what trains with it crashed (SIGABRT)")


def test_what_a_library_prints_is_not_taken_for_the_answer(tmp_path, monkeypatch):
    (tmp_path / "loud.py").write_text("print('[1, 2]', end='')\ndef look(): return {'found': 3}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert ask("loud:look") == {"found": 3}
    assert child.MARK not in "[1, 2]"


# --- versions


def test_the_floors_are_those_of_the_package_and_pinned_versions_are_pinned():
    needed = requirements()
    assert needed["torch"].contains("2.13.0")
    assert not needed["torch"].contains("2.10")
    assert "hydra-core" in needed
    assert "pytest" not in needed
    assert set(needed) - {"jinja2"} <= set(pinned_versions())


def test_missing_old_and_untested_packages_are_told_apart():
    needed = {name: SpecifierSet(">=2.13") for name in ("torch", "ray", "mlflow", "peft")}
    versions = {"torch": "2.13.0+cu130", "ray": None, "mlflow": "2.9", "peft": "3.0"}
    lines = list(software_lines(versions, needed, {"torch": "2.13.0", "peft": "2.14"}))
    assert told(lines) == {
        "Python": ("ok", lines[0].found),
        "packages": ("red", "missing: ray"),
        "mlflow": ("red", "2.9; supported is >=2.13"),
        "peft": ("warning", "3.0; a later major version than the tested 2.14"),
        "versions": ("ok", "torch 2.13.0+cu130"),
    }
    ways = {line.check: line.way_out for line in lines}
    assert ways["packages"] == "pip install 'bios-sweep[run]'"
    assert ways["mlflow"] == "pip install 'mlflow>=2.13'"


# --- GPUs


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """An `nvidia-smi` that answers what it is asked for, as the real one does with `nounits`."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(*gpus: str) -> None:
        """gpus: `uuid, total, free, driver, mode, name`; none: the driver does not answer."""
        states = "\n".join(gpus)
        names = "\n".join(f"{n}, {gpu.split(', ')[0]}, {gpu.split(', ', 5)[5]}" for n, gpu in enumerate(gpus))
        (tmp_path / "nvidia-smi").write_text(
            '#!/bin/sh\ncase "$*" in\n*nounits*) ;;\n*) exit 2 ;;\nesac\n'
            f"case \"$*\" in\n*=index,uuid,name*) cat <<'END'\n{names}\nEND\n;;\n"
            f"*memory.free*) cat <<'END'\n{states}\nEND\n;;\nesac\n"
            if gpus
            else "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n"
        )
        (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def machine(**seen):
    """What torch and the bus say beside the `nvidia-smi` on PATH."""
    values = {
        "gpus": find_gpus(),
        "states": gpu_states(),
        "on_bus": 0,
        "hidden": "",
        "torch": TORCH,
        "why": "",
    }
    return Machine(**{**values, **seen})


TWO = (
    f"GPU-a, 23034, 22500, 580.65.06, Default, {L4}",
    f"GPU-b, 81559, 2000, 580.65.06, Default, {H100}",
)
SEEN = {**TORCH, "gpus": [{"name": L4}, {"name": H100}]}


def test_each_gpu_is_told_with_its_memory_and_what_torch_makes_of_them(smi):
    smi(*TWO)
    assert told(accelerator_lines(machine(torch=SEEN), LOCAL_GPU, 0)) == {
        "GPU 0": ("ok", "NVIDIA L4, 22.0 GiB of 22.5 GiB free"),
        "GPU 1": ("warning", "NVIDIA H100 80GB HBM3, 2.0 GiB of 79.6 GiB free"),
        "GPU driver": ("ok", "NVIDIA 580.65.06"),
        "torch": ("ok", "2.13.0, built for 13.0, computes on 2 GPUs"),
    }


def test_a_gpu_that_cannot_hold_its_trials_is_red(smi):
    smi(*TWO)
    state, found = told(accelerator_lines(machine(torch=SEEN), LOCAL_GPU, 16 * GIB))["GPU 1"]
    assert (state, found.partition("; ")[2]) == ("red", "its trials take 16.0 GiB at the very least")


def test_gpus_that_no_trial_uses_are_a_warning(smi):
    smi(*TWO)
    assert told(accelerator_lines(machine(torch=SEEN), Request(), 0))["device"][0] == "warning"


def test_a_gpu_for_one_process_cannot_be_shared(smi):
    smi(f"GPU-a, 23034, 22500, 580.65.06, Exclusive_Process, {L4}")
    one = {**TORCH, "gpus": [{"name": L4}]}
    state, found = told(accelerator_lines(machine(torch=one), LOCAL_GPU, 1))["GPU 0"]
    assert (state, found) == (
        "red",
        "NVIDIA L4, in compute mode Exclusive_Process, and 2 trials are to share it",
    )
    whole = replace(LOCAL_GPU, gpus_per_trial=1)
    assert told(accelerator_lines(machine(torch=one), whole, 1))["GPU 0"][0] == "ok"


def test_only_visible_gpus_are_told(smi, monkeypatch):
    smi(*TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [state.name for state in gpu_states()] == [H100]


@pytest.mark.parametrize("request_", [LOCAL_GPU, Request(), Request(device="cuda")])
def test_a_torch_that_the_driver_does_not_match_is_red(smi, request_):
    smi(TWO[0])
    lines = list(accelerator_lines(machine(torch={**TORCH, "problem": DRIVER_TOO_OLD}), request_, 0))
    state, found = told(lines)["torch"]
    assert state == "red"
    assert found == f"2.13.0, built for 13.0, sees 0 of 1 GPUs under driver 580.65.06: {DRIVER_TOO_OLD}"
    assert "install a driver for CUDA 13.0" in lines[-1].way_out
    assert "cluster.device=cpu" in lines[-1].way_out


def test_a_torch_without_cuda_beside_a_gpu_is_red_unless_the_cpu_is_asked_for(smi):
    smi(TWO[0])
    cpu = {**TORCH, "cuda": None}
    assert told(accelerator_lines(machine(torch=cpu), Request(), 0))["torch"][0] == "red"
    asked = Request(device="cpu")
    assert told(accelerator_lines(machine(torch=cpu), asked, 0))["torch"][0] == "warning"
    assert told(accelerator_lines(machine(torch=TORCH), asked, 0))["torch"][0] == "ok"


def test_a_gpu_on_the_bus_that_no_driver_shows_is_red(smi, tmp_path):
    for name, vendor, kind in (
        ("a", "0x10de", "0x030200"),
        ("b", "0x10de", "0x040300"),
        ("c", "0x8086", "0x030000"),
    ):
        (tmp_path / "pci" / name).mkdir(parents=True)
        (tmp_path / "pci" / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / "pci" / name / "class").write_text(f"{kind}\n")
    assert gpus_on_bus(tmp_path / "pci") == 1
    assert gpus_on_bus(tmp_path / "none") == 0
    smi()
    bare = machine(gpus=(), states=None, on_bus=1)
    assert [state for state, _ in told(accelerator_lines(bare, Request(), 0)).values()] == ["red", "red"]
    asked = told(accelerator_lines(bare, Request(device="cpu"), 0))
    assert [state for state, _ in asked.values()] == ["warning", "ok"]


def test_trials_meant_for_a_gpu_are_red_where_there_is_none():
    bare = Machine(gpus=(), states=None, on_bus=0, hidden="", torch=TORCH, why="")
    assert [state for state, _ in told(accelerator_lines(bare, LOCAL_GPU, 0)).values()] == ["red", "red"]
    assert [state for state, _ in told(accelerator_lines(bare, Request(), 0)).values()] == ["ok", "warning"]
    hidden = replace(bare, hidden="CUDA_VISIBLE_DEVICES=''")
    assert told(accelerator_lines(hidden, LOCAL_GPU, 0))["GPUs"] == (
        "red",
        "none is visible (CUDA_VISIBLE_DEVICES='')",
    )


def test_a_cluster_elsewhere_has_gpus_of_its_own():
    bare = Machine(gpus=(), states=None, on_bus=1, hidden="", torch=TORCH, why="")
    far = Request(address="head:6379", gpus_per_trial=1)
    assert {state for state, _ in told(accelerator_lines(bare, far, 0)).values()} == {"warning"}


# --- memory, CPUs, clock


def limits(root, total, free, **files):
    (root / "proc").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {total} kB\nMemFree: 1 kB\nMemAvailable: {free} kB\n")
    (root / "sys/fs/cgroup/memory").mkdir(parents=True)
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")).write_text(f"{text}\n")
    return memory(root)


def test_a_containers_limit_is_the_memory_that_counts(tmp_path):
    whole = Memory(total=64 * GIB, free=60 * GIB)
    machine_ = (64 * 1024**2, 60 * 1024**2)
    assert limits(tmp_path / "none", *machine_) == whole
    v2 = {"memory_dot_max": 4 * GIB, "memory_dot_current": GIB}
    assert limits(tmp_path / "v2", *machine_, **v2) == Memory(total=4 * GIB, free=3 * GIB, limited=True)
    assert limits(tmp_path / "max", *machine_, memory_dot_max="max") == whole
    v1 = {"memory__memory_dot_limit_in_bytes": 2 * GIB, "memory__memory_dot_usage_in_bytes": GIB}
    assert limits(tmp_path / "v1", *machine_, **v1) == Memory(total=2 * GIB, free=GIB, limited=True)
    unlimited = {"memory__memory_dot_limit_in_bytes": 9223372036854771712}
    assert limits(tmp_path / "v1max", *machine_, **unlimited) == whole
    assert memory(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "free, needed, state",
    [(40 * GIB, 4 * GIB, "ok"), (8 * GIB, 4 * GIB, "warning"), (4 * GIB, 4 * GIB, "red"), (4 * GIB, 0, "ok")],
)
def test_memory_is_held_against_what_the_trials_need_at_the_least(free, needed, state):
    seen = Memory(total=64 * GIB, free=free)
    lines = list(machine_lines(Request(num_cpus=4), needed, seen, None))
    assert told(lines)["memory"][0] == state
    if state == "warning":
        assert "add cluster.max_concurrent=1" in [line.way_out for line in lines]


def test_small_shared_memory_and_too_few_cpus_are_told():
    lines = told(machine_lines(Request(num_cpus=2, cpus_per_trial=4), 0, None, 64 * 1024**2))
    assert lines["shared memory"][0] == "warning"
    assert lines["CPUs"] == ("red", "2, and a trial takes 4")
    inline = machine_lines(Request(executor="inline"), 0, None, 64 * 1024**2)
    assert "shared memory" not in told(inline)


def test_a_clock_in_the_past_or_apart_from_the_server_is_told():
    now = RELEASED + 1e6
    assert clock_line(None, now).state == "ok"
    assert clock_line(now + 5, now).state == "ok"
    assert clock_line(None, 0.0).state == "red"
    line = clock_line(now + 3600, now)
    assert (line.state, "3600 s behind the tracking server's" in line.found) == ("warning", True)


# --- the workspace

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / {root}/shared rw,relatime shared:2 - nfs4 server:/export rw,vers=4.2
24 22 0:6 / {root}/with\\040space rw - tmpfs tmpfs rw
25 22 0:7 / {root}/over rw - ext4 /dev/sdb1 rw
26 22 0:8 / {root}/over rw - fuse.sshfs me@host:/data rw
27 22 0:9 / {root}/layer rw - overlay overlay rw
28 22 0:9 / {root}/iso ro - fuse.squashfuse squashfuse ro
a line of another kind
"""


@pytest.fixture
def mounts(tmp_path):
    root = tmp_path.resolve()
    (root / "table").write_text(TABLE.format(root=root))
    for name in ("shared", "with space", "over", "layer", "iso", "sharedness"):
        (root / name).mkdir()
    return lambda name: mount_of(root / name, root / "table")


@pytest.mark.parametrize(
    "name, kind, network",
    [
        ("shared/deep/and/absent", "nfs4", True),
        ("sharedness", "ext4", False),
        ("with space", "tmpfs", False),
        ("over", "fuse.sshfs", True),
        ("layer", "overlay", False),
        ("iso", "fuse.squashfuse", False),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_its_last_and_nearest_mount(mounts, name, kind, network):
    mount = mounts(name)
    assert (mount.kind, mount.network) == (kind, network)


def test_the_kernel_is_asked_where_nothing_else_is_given(tmp_path):
    assert mount_of(tmp_path) is not None
    assert mount_of(tmp_path, tmp_path / "absent") is None


def test_memory_and_a_containers_own_layer_are_warnings(mounts, tmp_path):
    for name, state in (("with space", "warning"), ("layer", "warning"), ("shared", "ok"), ("x", "ok")):
        assert told(workspace_lines(tmp_path, mounts(name), ray=False))["file system"][0] == state


def test_a_folder_that_cannot_be_written_is_red(tmp_path):
    there = Path("/proc/self")  # read-only also for root
    state, found = told(workspace_lines(there / "runs", None, ray=False))["workspace"]
    assert state == "red"
    assert found.startswith("/proc/self/runs cannot be written (")
    state, found = told(workspace_lines(tmp_path / "new", None, ray=True))["workspace"]
    assert (state, found) == ("ok", f"{tmp_path / 'new'}, to be made, can be written")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_we_may_not_look_into_is_red_and_no_error(quick, capsys):
    assert main(["doctor", "cluster=inline", "workspace=/proc/1/root/runs"]) == 2
    red = [line for line in capsys.readouterr().out.splitlines() if line.startswith("red")]
    assert "/proc/1/root/runs cannot be written (" in red[0]
    assert red[-1].split()[1] == "tracking"


def test_a_disk_that_does_not_answer_is_a_line_and_is_not_touched(quick, tmp_path, monkeypatch):
    (tmp_path / "dead_disk.py").write_text("import threading\ndef look(path): threading.Event().wait()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(diagnose, "ANSWERS", "dead_disk:look")
    monkeypatch.setattr(diagnose, "DISK_SECONDS", 1.0)
    found = diagnose.diagnose(Invocation(overrides=("cluster=inline", f"workspace={tmp_path / 'runs'}")))
    lines = told(found.lines)
    state, text = lines["workspace"]
    assert (state, text) == ("red", f"the disk of {tmp_path / 'runs'} did not come back within 1 s")
    assert not {"file system", "tracking"} & lines.keys()


def test_a_workspace_that_somebody_drives_is_told(quick, tmp_path):
    workspace = Workspace(tmp_path / "runs")
    overrides = ("cluster=inline", f"workspace={workspace.root}", "tracking=none")
    with DriverLock(workspace, "demo-1"):
        state, text = told(diagnose.diagnose(Invocation(overrides=overrides)).lines)["workspace in use"]
    assert state == "warning"
    assert text.startswith(f"process {os.getpid()} (sweep demo-1) has it on ")
    assert "workspace in use" not in told(diagnose.diagnose(Invocation(overrides=overrides)).lines)


# --- tracking


def look_at(tmp_path, *words):
    config = compose_config([f"workspace={tmp_path / 'runs'}", *words])
    workspace = Workspace(tmp_path / "runs")
    lines, _ = tracking_lines(tracking_of(config, workspace), workspace)
    return told(lines)


def store(file, revision, *, table="experiments"):
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(f"CREATE TABLE {table} (name TEXT)")
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    return f"tracking.uri=sqlite:///{file}"


def test_a_store_is_told_by_its_tables_and_stays_as_it_is(tmp_path):
    known, head = installed()
    older = min(known - {head})
    for revision, state, words in (
        (head, "ok", f"tables at {head}, can be written"),
        (older, "warning", f"has the tables of an older MLflow (at {older})"),
        ("ffff00001111", "red", "was made by a newer MLflow"),
    ):
        file = tmp_path / f"{revision}.db"
        uri = store(file, revision)
        content = file.read_bytes()
        found = look_at(tmp_path, uri)["tracking"]
        assert found[0] == state
        assert words in found[1]
        assert file.read_bytes() == content
    foreign = look_at(tmp_path, store(tmp_path / "foreign.db", "abc", table="songs"))["tracking"]
    assert "another program" in foreign[1]
    assert foreign[0] == "red"


def test_a_store_that_somebody_writes_to_is_told_and_a_run_would_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("bios_sweep.mirror.mlflow.schema.WAIT_SECONDS", 0.1)
    uri = store(tmp_path / "busy.db", installed()[1])
    with closing(sqlite3.connect(tmp_path / "busy.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        state, found = look_at(tmp_path, uri)["tracking"]
    assert (state, "busy.db is locked by another process" in found) == ("warning", True)


def test_sqlite_on_a_network_file_system_is_refused_by_name(tmp_path, mounts, monkeypatch):
    monkeypatch.setattr("bios_sweep.doctor.tracking.mount_of", lambda file: mounts("shared"))
    state, found = look_at(tmp_path)["tracking"]
    assert state == "red"
    assert f"on nfs4 (server:/export at {tmp_path.resolve()}/shared), a network file system" in found
    assert look_at(tmp_path, "tracking=none") == {"tracking": ("ok", "off")}


def test_a_port_that_is_taken_is_told(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr("bios_sweep.doctor.tracking.UI_PORT", taken.getsockname()[1])
        assert look_at(tmp_path)["port of `ui`"][0] == "warning"


def test_a_folder_of_files_is_a_tracker_too(tmp_path):
    assert look_at(tmp_path, f"tracking.uri=jsonl://{tmp_path}")["tracking"][0] == "ok"
    assert look_at(tmp_path, f"tracking.uri=jsonl://{tmp_path}/none")["tracking"][0] == "red"


# --- Ray, model, hub


def test_an_address_where_no_ray_is_is_red():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        state, found = told(ray_lines(Request(address=address)))["Ray"]
    assert state == "red"
    assert found.startswith(f"cluster.address={address}: no Ray cluster could be joined there (")


@pytest.mark.slow  # starts two nodes
def test_a_cluster_is_joined_and_told_with_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with Nodes(tmp_path, cpus=[]) as nodes:
        nodes.add(3, gpus=1)
        far = Request(address=nodes.address, cpus_per_trial=1, gpus_per_trial=1)
        lines = told(ray_lines(far))
        assert f", {nodes.address}: 2 nodes, 3 CPUs, 1 GPUs; " in lines["Ray"][1]
        assert (lines["Ray"][0], lines["RAY_AUTH_MODE"][0]) == ("ok", "warning")
        state, found = told(ray_lines(replace(far, gpus_per_trial=2)))["Ray"]
    assert state == "red"
    assert found.startswith("cluster.gpus_per_trial=2 needs 2 GPUs per trial, a node of the cluster at ")


@pytest.mark.slow
@pytest.mark.parametrize("mode, state", [(None, "ok"), ("disabled", "warning")])
def test_ray_is_started_here_with_a_worker(monkeypatch, mode, state):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    lines = told(ray_lines(Request(num_cpus=1)))
    assert lines["Ray"][0] == "ok"
    assert lines["RAY_AUTH_MODE"][0] == state


def test_what_a_trial_needs_is_the_trainers_own_model_of_bytes():
    """Weights alone would let a long example or a large rank pass."""
    config = json.loads((base_model_path() / "config.json").read_text())
    shape = shape_of(config, 295_392)

    def needed(request, *words):
        return model_line(compose_config(list(words)).values, request)[1]

    def least(tokens, rank, dtype, *, twice):
        load = Load(tokens=tokens, batch=1, rank=rank, dtype=dtype)
        return need_of(shape, load, 1, checkpointing=twice).total

    on_cpu, on_gpu = Request(), Request(gpus_per_trial=1)
    assert needed(on_cpu) == least(512, 32, "float32", twice=False)
    assert needed(on_gpu) == least(512, 32, "bfloat16", twice=True)
    assert needed(on_gpu, "method.max_length=4096") == least(4096, 32, "bfloat16", twice=True)
    assert needed(on_gpu, "baseline.lora_rank=128") == least(512, 128, "bfloat16", twice=True)
    plain = ("method.activation_checkpointing=false", "method.dtype=float32")
    assert needed(on_gpu, *plain) == least(512, 32, "float32", twice=False)
    seen = Memory(total=8 * GIB, free=4 * GIB)
    assert told(machine_lines(on_gpu, 6 * GIB, seen, None))["memory"][0] == "ok", "it lies on the GPU"
    assert told(machine_lines(on_cpu, 6 * GIB, seen, None))["memory"][0] == "red"


def test_the_model_that_a_run_would_load_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    line, needed = model_line(compose_config([]).values, Request())
    assert (line.state, line.found) == ("ok", "the embedded one, 295,392 parameters")
    assert needed > 4 * 295_392
    line, needed = model_line(compose_config(["model.path=org/none"]).values, Request())
    assert (line.state, needed) == ("red", 0)
    assert "hf download org/none" in line.found
    assert "unset HF_HUB_OFFLINE to download" in line.way_out
    assert model_line(compose_config(["model=planted"]).values, Request()) == (None, 0)
    assert model_line(compose_config(["model=local"]).values, Request())[0].state == "red"
    assert hub_line().found.endswith("offline (HF_HUB_OFFLINE)")
    assert hub_line().found.startswith(f"{tmp_path}/hub, not there yet, ")
