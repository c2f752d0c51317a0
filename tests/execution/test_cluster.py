from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bios_sweep.config.compose import compose_config
from bios_sweep.config.groups import member_values
from bios_sweep.config.places import config_root
from bios_sweep.errors import ClusterError, ConfigError
from bios_sweep.execution.placement import Node, place_slots, refuse_unless_fits, waiting_line
from bios_sweep.request import COUNTS, Request, request_keys
from tests.e2e.nodes import Nodes, bare_environment

CONF = config_root() / "conf" / "cluster"
GIB = 1024.0**3
REPOSITORY = Path(__file__).resolve().parents[2]


def gpu_nodes(*gpus: int, cpus: int = 64, **more: float) -> list[Node]:
    return [
        Node(id=f"{place}", name=f"n{place}", resources={"CPU": float(cpus), "GPU": float(count), **more})
        for place, count in enumerate(gpus)
    ]


def seats(nodes, **request) -> Counter[str]:
    return Counter(node.name for node in place_slots(Request(address="auto", **request), nodes))


def test_24_gpus_hold_24_whole_trials_and_96_quarters():
    nodes = gpu_nodes(8, 8, 8)
    assert seats(nodes, gpus_per_trial=1) == {"n0": 8, "n1": 8, "n2": 8}
    assert seats(nodes, gpus_per_trial=0.25) == {"n0": 32, "n1": 32, "n2": 32}
    assert seats(nodes, gpus_per_trial=3) == {"n0": 2, "n1": 2, "n2": 2}


def test_pack_fills_a_node_before_the_next_and_spread_takes_all_in_turn():
    nodes = gpu_nodes(8, 8, 2)
    assert seats(nodes, gpus_per_trial=1, max_concurrent=10) == {"n0": 8, "n1": 2}
    assert seats(nodes, gpus_per_trial=1, max_concurrent=10, placement="spread") == {
        "n0": 4,
        "n1": 4,
        "n2": 2,
    }
    assert seats(nodes, gpus_per_trial=0.25, max_concurrent=4) == {"n0": 4}


def test_an_accelerator_and_custom_resources_decide_where_a_trial_fits():
    (first,), (_, second) = gpu_nodes(8, **{"accelerator_type:A100": 1.0}), gpu_nodes(8, 8, big=2.0)
    nodes = [first, second]
    assert seats(nodes, gpus_per_trial=1, accelerator_type="A100") == {"n0": 8}
    assert seats(nodes, gpus_per_trial=1, resources_per_trial={"big": 1}) == {"n1": 2}
    with pytest.raises(ClusterError, match="on one node, and no node offers all of it"):
        seats(nodes, gpus_per_trial=1, accelerator_type="A100", resources_per_trial={"big": 1})


@pytest.mark.parametrize(
    "request_, message",
    [
        (
            {"gpus_per_trial": 2},
            "cluster.gpus_per_trial=2 needs 2 GPUs per trial, a node of the cluster at auto offers 1 GPU; "
            "use cluster.gpus_per_trial=1",
        ),
        (
            {"accelerator_type": "H100"},
            "cluster.accelerator_type=H100: no node has one; the nodes have A100",
        ),
        (
            {"resources_per_trial": {"big": 3}},
            "cluster.resources_per_trial.big=3: a node of the cluster at auto offers 0; lower it, or start "
            "nodes with `ray start --resources`",
        ),
    ],
)
def test_what_no_node_offers_is_refused_with_needed_against_offered(request_, message):
    nodes = [node.resources for node in gpu_nodes(1, 1, **{"accelerator_type:A100": 1.0})]
    with pytest.raises(ClusterError) as refused:
        refuse_unless_fits(Request(address="auto", **request_), nodes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "values, message",
    [
        ({"placement": "near"}, "cluster.placement: 'near' is not allowed; choose from pack, spread"),
        (
            {"resources_per_trial": {"GPU": 1}},
            "cluster.resources_per_trial.GPU: is asked for by cluster.gpus_",
        ),
        ({"resources_per_trial": {"big": 0}}, "cluster.resources_per_trial.big: 0 is not allowed; a number"),
        ({"resources_per_trial": {"big": "1"}}, "cluster.resources_per_trial.big: '1' is not allowed"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(values, message):
    with pytest.raises(ConfigError) as refused:
        Request(**values)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "override, message",
    [
        ("cluster.placement=near", "cluster.placement: 'near' is not allowed; choose from pack, spread"),
        ("cluster.storage=shared", "cluster.storage: 'shared' is not allowed; an absolute folder that every"),
        (
            "cluster.preinstalled=yes_please",
            "cluster.preinstalled: 'yes_please' is not allowed; true or false",
        ),
        ("cluster.environment=HF_HOME", "cluster.environment: 'HF_HOME' is not allowed; a list of texts"),
        ("cluster.py_modules=[/nowhere/mine]", "cluster.py_modules: /nowhere/mine is not there"),
        (
            "cluster.resources_per_trial=[1]",
            "cluster.resources_per_trial: [1] is not allowed; a mapping such",
        ),
    ],
)
def test_cluster_values_of_the_wrong_kind_are_refused_before_ray_is_loaded(override, message):
    config = compose_config(["cluster=existing", override], None)
    with pytest.raises(ConfigError) as refused:
        Request(**config.values["cluster"])
    assert str(refused.value).startswith(message)


def test_memory_is_counted_and_told_in_gib():
    nodes = gpu_nodes(0, memory=64 * GIB)
    assert seats(nodes, memory_per_trial=20) == {"n0": 3}
    with pytest.raises(ClusterError) as refused:
        seats(nodes, memory_per_trial=80)
    assert str(refused.value) == (
        "cluster.memory_per_trial=80 needs 80 GiB of memory per trial, a node of the cluster at auto offers "
        "64 GiB of memory; use cluster.memory_per_trial=64"
    )
    free, total = {"CPU": 3.0, "memory": 8 * GIB}, {"CPU": 8.0, "memory": 64 * GIB}
    assert waiting_line(Request(memory_per_trial=20), free=free, total=total) == (
        "a trial needs 1 CPU and 20 GiB of memory on one node; "
        "free on all nodes together: 3 of 8 CPUs, 8 of 64 GiB of memory"
    )


def test_custom_resources_are_given_on_the_command_line():
    config = compose_config(["cluster=existing", "cluster.resources_per_trial={big: 1}"], None)
    assert Request(**config.values["cluster"]).bundle == {"CPU": 4.0, "GPU": 1.0, "big": 1.0}


def test_the_base_file_has_every_key_of_a_request_with_the_same_default():
    values = member_values("cluster", "ray")["cluster"]
    assert tuple(values) == request_keys()
    assert Request(**values) == Request(py_modules=[], environment=[])


@pytest.mark.parametrize("member", ["existing", "local_gpu"])
def test_the_other_files_say_what_differs_from_the_base(member):
    base, values = (member_values("cluster", name)["cluster"] for name in ("ray", member))
    assert tuple(values) == request_keys()
    written = {name for name in yaml.safe_load((CONF / f"{member}.yaml").read_text()) if name != "defaults"}
    assert written == {name for name in values if values[name] != base[name]}


def test_this_process_has_no_key_of_ray_and_still_hears_of_each():
    assert set(member_values("cluster", "inline")["cluster"]) == set(request_keys(COUNTS)) - {
        "max_concurrent"
    }
    config = compose_config(["cluster=inline", "cluster.max_concurrent=3", "cluster.storage=/x"])
    assert (config.values["cluster"]["max_concurrent"], config.values["cluster"]["storage"]) == (3, "/x")
    assert config.overrides == ("cluster=inline", "cluster.max_concurrent=3", "cluster.storage=/x")


def test_a_file_of_ones_own_says_what_differs(tmp_path):
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster/mine.yaml").write_text("defaults: [ray, _self_]\nmax_concurrent: 2\n")
    config = compose_config(["cluster=mine", "cluster.cpus_per_trial=3"], tmp_path)
    assert Request(**config.values["cluster"]) == Request(
        max_concurrent=2, cpus_per_trial=3, py_modules=[], environment=[]
    )


def odd_environment(folder: Path) -> dict[str, str]:
    """A really different node: another peft, an old bios_sweep in its way, and a hub cache without models."""
    packages = folder / "odd-packages"
    (packages / "bios_sweep").mkdir(parents=True)
    (packages / "bios_sweep" / "__init__.py").write_text("")
    info = packages / "peft-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: peft\nVersion: 0.0.1\n")
    return {"PYTHONPATH": str(packages), "HF_HOME": str(folder / "empty-hub")}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[tuple[Nodes, Path]]:
    """A head, a node like the driver's, and a really different one; one logical GPU each."""
    folder = tmp_path_factory.mktemp("cluster")
    with Nodes(folder, cpus=[]) as nodes:
        nodes.add(2, gpus=1)
        nodes.add(2, gpus=1, environment=odd_environment(folder))
        yield nodes, folder


def run(nodes: Nodes, folder: Path, *overrides: str, **environment: str):
    """`bios-sweep run` on the cluster from a folder of its own; (finished process, seconds)."""
    began = time.monotonic()
    command = [sys.executable, "-m", "bios_sweep", "run", "sweeps=learning_rate", "cluster=existing"]
    places = [f"cluster.address={nodes.address}", f"workspace={folder / 'ws'}", "tracking=none"]
    done = subprocess.run(
        [*command, *places, "cluster.cpus_per_trial=1", *overrides],
        cwd=folder,
        env={**bare_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, time.monotonic() - began


@pytest.mark.slow  # starts three nodes and a driver
def test_two_gpus_where_nodes_have_one_are_refused_in_ten_seconds(cluster):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done, seconds = run(*cluster, "cluster.gpus_per_trial=2")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2
    assert "cluster.gpus_per_trial=2 needs 2 GPUs per trial" in done.stderr
    assert "offers 1 GPU; use cluster.gpus_per_trial=1" in done.stderr
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    free = os.getloadavg()[0] < len(os.sched_getaffinity(0))
    assert (seconds if free else worked) < 10  # on busy cores the clock tells of others


def test_a_really_different_node_ends_the_run_with_its_red_lines_before_the_first_trial(cluster):
    nodes, folder = cluster
    done, _ = run(nodes, folder, "cluster.gpus_per_trial=0", "--json")
    assert done.returncode == 2, done.stderr
    lines = json.loads(done.stdout)["preflight"]
    assert {(line["check"], line["found"]) for line in lines if line["red"]} == {("peft", "0.0.1")}
    assert len({line["node"] for line in lines}) == 2  # the head has no CPUs for trials
    assert "peft is 0.0.1, wanted" in done.stderr
    assert "What to do" in done.stderr  # the table goes beside the JSON
    assert not (folder / "ws" / "sweeps").exists()


@pytest.mark.slow  # one more driver
def test_a_node_without_this_package_needs_it_to_travel(cluster):
    done, _ = run(*cluster, "cluster.gpus_per_trial=0", "cluster.preinstalled=true", "--json")
    assert done.returncode == 2
    red = [line for line in json.loads(done.stdout)["preflight"] if line["red"]]
    assert len({line["node"] for line in red}) == 1
    assert red[0]["way_out"] == "install bios-sweep there, or leave cluster.preinstalled=false"


def seated(nodes: Nodes, folder: Path, expected: int, **request: object) -> list[tuple[str, str]]:
    """(node, GPUs) of every worker of a run with as many trials as workers."""
    folder.mkdir()
    script = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY)!r})
from bios_sweep.execution.ray.executor import RayTuneExecutor
from bios_sweep.request import Request
from tests.conformance.sources import SETTINGS, ListSource, Log, trials
folder = Path({str(folder)!r})
source = ListSource(trials({{"baseline": SETTINGS}}, seeds=range({expected})))
log = Log(source)
request = Request(address={nodes.address!r}, **{request!r})
RayTuneExecutor(request, storage_dir=folder / "ray").run(
    source, log, engine="tests.conformance.engines:SeatedEngine",
    engine_options={{"seats": {expected}, "folder": str(folder)}}, trials_dir=folder / "trials")
assert len(log.results) == {expected}
"""
    subprocess.run([sys.executable, "-c", script], env=bare_environment(), check=True, timeout=200)
    found = [path.read_text().partition(" ") for path in folder.glob("*.seat")]
    return [(node, gpus) for node, _, gpus in found]


@pytest.mark.slow
@pytest.mark.parametrize("placement, nodes_used", [("pack", 1), ("spread", 2)])
def test_two_halves_of_a_gpu_go_where_the_placement_says(cluster, tmp_path, placement, nodes_used):
    found = seated(cluster[0], tmp_path / "run", 2, gpus_per_trial=0.5, max_concurrent=2, placement=placement)
    assert [gpus for _, gpus in found] == ["0", "0"]
    assert len({node for node, _ in found}) == nodes_used


@pytest.fixture(scope="module")
def gpu_cluster(tmp_path_factory) -> Iterator[Nodes]:
    """24 logical GPUs on three nodes."""
    with Nodes(tmp_path_factory.mktemp("gpus"), cpus=[]) as nodes:
        for _ in range(3):
            nodes.add(8, gpus=8)
        yield nodes


@pytest.mark.slow  # 24 workers on two cores
def test_24_whole_gpus_go_to_24_trials(gpu_cluster, tmp_path):
    found = seated(gpu_cluster, tmp_path / "run", 24, gpus_per_trial=1)
    assert sorted(Counter(node for node, _ in found).values()) == [8, 8, 8]
    assert len(set(found)) == 24


@pytest.mark.slow  # 8 workers, packed
def test_eight_quarters_share_two_gpus_of_one_node(gpu_cluster, tmp_path):
    found = seated(gpu_cluster, tmp_path / "run", 8, gpus_per_trial=0.25, max_concurrent=8)
    assert sorted(Counter(found).values()) == [4, 4]
    assert len({node for node, _ in found}) == 1
