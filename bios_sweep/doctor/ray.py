"""Ray as a run would use it: started here with a worker, or joined where it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from bios_sweep.doctor.child import NoAnswerError, ask
from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.execution.open_door import MODE, ON_ALL_NODES, TOKEN
from bios_sweep.jsonable import to_json
from bios_sweep.request import INLINE, Request

LOOK = "bios_sweep.execution.ray.first_look:look"
WAY_OUT = "see /tmp/ray/session_latest/logs; cluster=inline runs without Ray"


def ray_lines(request: Request) -> Iterator[Line]:
    """Starting it takes seconds."""
    if request.executor == INLINE:
        yield ok("Ray", "not used (cluster=inline)")
        return
    if find_spec("ray") is None:
        return  # among the missing packages
    try:
        found = ask(LOOK, to_json(request))
    except NoAnswerError as error:
        yield red("Ray", f"looking at it {error}", WAY_OUT)
        return
    if found["problem"]:
        way_out = "`ray status` there tells more" if request.joins else WAY_OUT
        yield red("Ray", found["problem"], way_out)
        return
    yield _nodes(request, found)
    yield _login(request)


def _nodes(request: Request, found: dict[str, Any]) -> Line:
    nodes = found["nodes"]
    amounts = [node["resources"] for node in nodes]
    cpus, gpus = (sum(amount.get(kind, 0) for amount in amounts) for kind in ("CPU", "GPU"))
    if request.address is None:
        return ok("Ray", f"{found['version']} starts here, and so does a worker")
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    seen = f"{found['version']}, {request.address}: {count}, {cpus:g} CPUs, {gpus:g} GPUs"
    return ok("Ray", f"{seen}; `run` looks at each node before the first trial")


def _login(request: Request) -> Line:
    """An open cluster runs code for whoever reaches it; Ray listens on every interface."""
    mode = os.environ.get(MODE)
    if mode == TOKEN:
        return ok(MODE, TOKEN)
    if request.address is None and mode is None:
        return ok(MODE, "not set: our own Ray takes a token that lives as long as the run")
    found = "not set" if mode is None else mode
    return warning(MODE, f"{found}: Ray may run code for whoever reaches its ports", ON_ALL_NODES)
