"""Two Ray nodes with logical GPUs: what trials compute in, and what does not fit, is theirs to say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.nodes import Nodes, bare_environment
from tests.execution.node_gpus import SAID
from tests.execution.test_cluster import REPOSITORY, seated

pytestmark = pytest.mark.slow  # starts three nodes and drivers
GIB = 1024**3
LIMIT = 1500  # seconds until a driver that hangs is ended; one that works ends by itself, however slowly


def gpu(name: str, free: float, *, bfloat16: bool) -> dict[str, object]:
    return {"name": name, "free": int(free * GIB), "total": 80 * GIB, "bfloat16": bfloat16}


NEW, OLD = gpu("H100", 79, bfloat16=True), gpu("V100", 79, bfloat16=False)
FULL = gpu("A100", 0.1, bfloat16=True)


@pytest.fixture(scope="module", params=[(NEW, FULL), (NEW, OLD)], ids=["one is full", "one is old"])
def nodes(request, tmp_path_factory) -> Iterator[tuple[Nodes, tuple[dict[str, object], ...]]]:
    with Nodes(tmp_path_factory.mktemp("nodes"), cpus=[]) as made:
        for found in request.param:
            made.add(4, gpus=2, environment={SAID: json.dumps([found, found]), "PYTHONPATH": str(REPOSITORY)})
        yield made, request.param


DRIVE = f"""
import json, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from bios_sweep.driver import place, session
session.GPU_LOOKER = place.GPU_LOOKER = "tests.execution.node_gpus:said"
from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare_config
verb, *words = sys.argv[1:]
decide = session._decided
def told(prepared):
    assert not prepared.precision.known
    decided, found = decide(prepared)
    formats = sorted({{trial.settings.dtype for trial in decided.plan.trials}})
    print("DECIDED", json.dumps([formats, sorted(gpu["name"] for gpu in found)]), flush=True)
    return decided, found
session._decided = told  # a run decides once, and tells us what
if verb == "run":
    sys.exit(main(["run", *words, "--json"]))
told(prepare_config(compose_config(words), Invocation(verb="run")))
"""


def test_the_number_format_is_the_workers_and_a_node_without_memory_is_refused_by_name(nodes, tmp_path):
    made, there = nodes
    words = [
        "sweeps=learning_rate", "seeds=[0,1]", "cluster=existing", f"cluster.address={made.address}",
        "cluster.gpus_per_trial=1", f"workspace={tmp_path / 'ws'}", "tracking=none",
        "decision.scope=evaluation",
    ]  # fmt: skip
    verb = "run" if FULL in there else "decide"  # no GPU is here that a trial could train on
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, verb, *words], env=bare_environment(), cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=LIMIT,
    )  # fmt: skip
    said = [line[8:] for line in done.stdout.splitlines() if line.startswith("DECIDED ")]
    assert said, done.stderr
    dtype = "bfloat16" if all(one["bfloat16"] for one in there) else "float32"
    assert json.loads(said[0]) == [[dtype], sorted(str(one["name"]) for one in there for _ in range(2))]
    if FULL not in there:
        return
    assert done.returncode == 2, done.stderr
    told = done.stdout.partition("\n")[2]
    assert told, done.stderr
    lines = json.loads(told)["preflight"]
    lacks = [line for line in lines if line["red"] and line["check"] == "free GPU memory"]
    assert [line["found"] for line in lacks] == ["0.1 GiB on the fullest"]
    assert lacks[0]["node"] in done.stderr
    assert not (tmp_path / "ws" / "sweeps").exists(), "nothing has started"


def test_every_worker_takes_the_device_that_ray_gave_it(nodes, tmp_path):
    found = seated(nodes[0], tmp_path / "run", 4, gpus_per_trial=1)
    assert len(set(found)) == 4
    assert {number for _, number in found} == {"0", "1"}
    assert len({node for node, _ in found}) == 2
