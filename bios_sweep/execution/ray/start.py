"""Before the slots work: room for a worker, and what each node has.

Where others fill the cluster we wait for room and say so: Ray itself waits without a word.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pkgutil import resolve_name
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bios_sweep.errors import BiosSweepError
from bios_sweep.execution.attempts import set_environment
from bios_sweep.execution.gpus import unusable
from bios_sweep.execution.placement import Node, waiting_line
from bios_sweep.execution.preflight import ALWAYS, inspect
from bios_sweep.execution.transfer.node_options import send_data
from bios_sweep.execution.transfer.storage import TrialFiles
from bios_sweep.request import Request
from bios_sweep.secrecy import masked

CAPACITY_SECONDS = 30.0  # between two lines; chosen, not measured: where there is room a worker starts sooner
HERE_SECONDS = 5.0  # chosen: the mailbox is on this machine
ANSWER_SECONDS = 600.0  # chosen: the first hash of a 140 GB model from a network disk takes minutes
DOWNLOAD_SECONDS = 6 * 3600.0  # where nodes may download the model; chosen: 140 GB at 7 MB/s
remote: Any = ray.remote  # half annotated


class CapacityWatch(tune.Callback):
    """Tells every 30 s of a run that no worker has started yet, until one has.

    A worker that has started has asked the mailbox for its environment; the engine that it then builds may
    take its time.
    """

    def __init__(self, request: Request, mailbox: Any) -> None:
        self._request, self._mailbox = request, mailbox
        self._began = self._looked = time.monotonic()
        self._started = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its callbacks for a restore that is never used."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's loop turns at least every 0.1 s."""
        now = time.monotonic()
        if self._started or now - self._looked < CAPACITY_SECONDS:
            return
        self._looked = now
        with suppress(ray.exceptions.RayError):  # a mailbox that died ends the run, but not here
            self._started = ray.get(self._mailbox.started.remote(), timeout=HERE_SECONDS)
            if not self._started:
                _tell(self._request, now - self._began)


def _tell(request: Request, seconds: float) -> None:
    """One line on standard error, where it disturbs neither JSON nor the live table."""
    line = waiting_line(request, free=ray.available_resources(), total=ray.cluster_resources())
    sys.stderr.write(f"bios-sweep: waiting for a worker for {seconds:.0f} s: {line}\n")
    sys.stderr.flush()


def look_on_nodes(
    nodes: Sequence[Node], facts: Mapping[str, Any], environment: Mapping[str, str]
) -> list[dict[str, Any]]:
    """`preflight.inspect` on each node, in a fresh process with the workers' environment, all at once.

    A node that cannot answer gives `{"node", "error"}`. Takes no resources, so that a node whose GPUs
    are busy is looked at too.
    """
    downloads = facts.get("options", {}).get("model_download")
    return _asked(_look, nodes, environment, dict(facts), DOWNLOAD_SECONDS if downloads else ANSWER_SECONDS)


def gpus_on_nodes(
    nodes: Sequence[Node], looker: str, environment: Mapping[str, str]
) -> tuple[dict[str, Any], ...]:
    """What a looker finds on each node, all of it; see `ports.Executor.gpus`.

    Raises:
        ClusterError: a node that has nothing a trial could use, or cannot answer.
    """
    answers = _asked(_look_for_gpus, nodes, environment, looker)
    for answer in answers:
        if "error" in answer:
            raise unusable(f"node {answer['node']}", answer["error"])
    return tuple(gpu for answer in answers for gpu in answer["gpus"])


def _asked(
    look: Callable[..., dict[str, Any]],
    nodes: Sequence[Node],
    environment: Mapping[str, str],
    facts: Any,
    seconds: float = ANSWER_SECONDS,
) -> list[dict[str, Any]]:
    """What each node answers, with its name."""
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = remote(num_cpus=0, max_calls=1, max_retries=1, scheduling_strategy=there)(look)
        asked[node.name] = task.remote(dict(environment), facts)
    _, late = ray.wait(list(asked.values()), num_returns=len(asked), timeout=seconds)
    for reference in late:
        ray.cancel(reference, force=True)
    return [
        {"node": name, "error": f"no answer in {seconds:g} s"}
        if reference in late
        else {**_answer(reference), "node": name}
        for name, reference in asked.items()
    ]


def _look(environment: dict[str, str], facts: dict[str, Any]) -> dict[str, Any]:
    set_environment(environment)
    return inspect(facts)


def _look_for_gpus(environment: dict[str, str], looker: str) -> dict[str, Any]:
    set_environment(environment)
    try:
        return {"gpus": list(resolve_name(looker)())}
    except BiosSweepError as error:
        return {"error": masked(str(error))}


def _answer(reference: Any) -> dict[str, Any]:
    try:
        return dict(ray.get(reference))
    except ray.exceptions.RayError as error:
        return {"error": _first_reason(str(error))}


def _first_reason(text: str) -> str:
    """The last line that names an exception: Ray's own text begins with a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if "Error: " in line]
    return masked((named or lines or ["no answer"])[-1])


@contextmanager
def left_for_nodes(wanted: Mapping[str, Any], files: str) -> Iterator[dict[str, Any]]:
    """Leave what nodes need where they should find it; gives the facts for `preflight.inspect`.

    files: the address where trial files are kept. A small file there proves that all see the same place,
    and not a folder of their own with the same name.

    Raises:
        StorageError: the driver cannot write there.
    """
    store = TrialFiles(files)
    place, content = f"preflight-{uuid.uuid4().hex}", uuid.uuid4().hex
    send_data(wanted["options"], files)
    store.leave(place, content.encode())
    try:
        yield {
            "packages": [name for name in wanted["versions"] if name not in ALWAYS],
            "files": files,
            "place": place,
            "content": content,
            "options": dict(wanted["options"]),
            "looker": wanted["looker"],
            "gpu_looker": wanted["gpu_looker"],
        }
    finally:
        store.drop(place)
