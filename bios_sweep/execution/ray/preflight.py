"""The preflight on a Ray cluster: the same look on every node where a trial may run, all at once."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bios_sweep.execution.placement import Node
from bios_sweep.execution.preflight import ALWAYS, inspect
from bios_sweep.execution.transfer.node_options import send_data
from bios_sweep.execution.transfer.storage import TrialFiles
from bios_sweep.secrecy import keep_secret, masked

ANSWER_SECONDS = 600.0  # chosen: the first hash of a 140 GB model from a network disk takes minutes


def look_on_nodes(
    nodes: Sequence[Node], facts: Mapping[str, Any], environment: Mapping[str, str]
) -> list[dict[str, Any]]:
    """`preflight.inspect` on each node, in a fresh process with the workers' environment.

    A node that cannot answer gives `{"node", "error"}`. Takes no resources, so that a node whose GPUs
    are busy is looked at too.
    """
    asked = {_ask(node, facts, environment): node for node in nodes}
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
    for reference in late:
        ray.cancel(reference, force=True)
    silent = [{"node": asked[one].name, "error": f"no answer in {ANSWER_SECONDS:g} s"} for one in late]
    answers = [_answer(reference, asked[reference]) for reference in done]
    return sorted([*answers, *silent], key=lambda answer: [node.name for node in nodes].index(answer["node"]))


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


def _ask(node: Node, facts: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    decorate: Any = ray.remote
    task = decorate(num_cpus=0, max_calls=1, max_retries=1, scheduling_strategy=there)(_look)
    return task.remote(dict(facts), dict(environment))


def _look(facts: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    os.environ.update(environment)
    keep_secret(environment)
    return inspect(facts)


def _answer(reference: Any, node: Node) -> dict[str, Any]:
    try:
        return {**ray.get(reference), "node": node.name}
    except ray.exceptions.RayError as error:
        return {"node": node.name, "error": _first_reason(str(error))}


def _first_reason(text: str) -> str:
    """The last line that names an exception: Ray's own text begins with a traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if "Error: " in line]
    return masked((named or lines or ["no answer"])[-1])
