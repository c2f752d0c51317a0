"""Where the trials of a request fit on the nodes of a cluster, and where they should go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bios_sweep.errors import ClusterError
from bios_sweep.request import ACCELERATOR, PACK, RESOURCES, Request


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node that lives. name: its address, with a part of its id where several share one."""

    id: str
    name: str
    resources: Mapping[str, float]


def place_slots(request: Request, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Where each trial slot should start: as many as run at a time, by the request's placement.

    A wish, not a chain: when the node dies, its slot starts where there is room.

    Raises:
        ClusterError: one trial fits on no node.
    """
    slots = refuse_unless_fits(request, [node.resources for node in nodes])
    room = {node.id: slots_on(request, node.resources) for node in nodes}
    if request.placement == PACK:
        seats = [
            node for node in sorted(nodes, key=lambda node: -room[node.id]) for _ in range(room[node.id])
        ]
    else:
        rounds = max(room.values())
        seats = [node for turn in range(rounds) for node in nodes if turn < room[node.id]]
    return tuple(seats[: request.max_concurrent or slots])


def refuse_unless_fits(request: Request, nodes: Sequence[Mapping[str, float]]) -> int:
    """The trials that fit on the nodes at a time; a trial never spans two nodes.

    nodes: resources per node, such as {"CPU": 8.0, "GPU": 1.0}.

    Raises:
        ClusterError: none fits; names what one trial needs and the most that one node offers.
    """
    slots = sum(slots_on(request, node) for node in nodes)
    if slots:
        return slots
    where = "the local machine" if request.address is None else f"a node of the cluster at {request.address}"
    for kind, own in reversed(RESOURCES.items()):
        needed, offered = request.bundle.get(kind, 0.0), _most(kind, nodes)
        if offered < needed:
            raise ClusterError(
                f"cluster.{own.key}={needed / own.unit:g} needs {own.words(needed)} per trial, "
                f"{where} offers {own.words(offered)}; "
                f"use cluster.{own.key}={_largest(offered / own.unit, kind)}"
            )
    if request.accelerator_type and not _most(f"{ACCELERATOR}{request.accelerator_type}", nodes):
        there = sorted(
            {name.partition(":")[2] for node in nodes for name in node if name.startswith(ACCELERATOR)}
        )
        raise ClusterError(
            f"cluster.accelerator_type={request.accelerator_type}: no node has one; "
            f"the nodes have {', '.join(there) or 'none that Ray knows'}"
        )
    for name, needed in (request.resources_per_trial or {}).items():
        if _most(name, nodes) < needed:
            raise ClusterError(
                f"cluster.resources_per_trial.{name}={needed:g}: {where} offers {_most(name, nodes):g}; "
                "lower it, or start nodes with `ray start --resources`"
            )
    together = [_told(name, amount) for name, amount in request.bundle.items()]
    raise ClusterError(
        f"one trial needs {' and '.join(together)} on one node, and no node offers "
        f"{'both' if len(together) == 2 else 'all of it'}; lower cluster.cpus_per_trial or "
        "cluster.gpus_per_trial"
    )


def waiting_line(request: Request, *, free: Mapping[str, float], total: Mapping[str, float]) -> str:
    """What one trial needs and what the cluster has of it. free, total: amounts by Ray's names, all nodes."""
    needed = " and ".join(_told(name, amount) for name, amount in request.bundle.items())
    units = {name: one.unit for name, one in RESOURCES.items()}
    left = [
        f"{free.get(name, 0.0) / units.get(name, 1.0):g} of {_told(name, total.get(name, 0.0))}"
        for name in request.bundle
        if not name.startswith(ACCELERATOR)
    ]
    return f"a trial needs {needed} on one node; free on all nodes together: {', '.join(left)}"


def slots_on(request: Request, resources: Mapping[str, float]) -> int:
    """Trials that fit at a time on an otherwise empty node with these resources."""
    fits = [
        int(resources.get(name, 0.0) / needed + 1e-9)
        for name, needed in request.bundle.items()
        if name != "GPU"
    ]
    gpus = resources.get("GPU", 0.0)
    if request.gpus_per_trial >= 1:
        fits.append(int(gpus // request.gpus_per_trial))
    elif request.gpus_per_trial:
        fits.append(int(gpus * request.sharers))  # a fraction never spans two GPUs
    return min(fits)


def _most(kind: str, nodes: Sequence[Mapping[str, float]]) -> float:
    return max((node.get(kind, 0.0) for node in nodes), default=0.0)


def _largest(offered: float, kind: str) -> str:
    return f"{int(offered)}" if kind != "CPU" or offered >= 1 else "1 on a machine that has a CPU to spare"


def _told(name: str, amount: float) -> str:
    if name.startswith(ACCELERATOR):
        return f"the accelerator {name.removeprefix(ACCELERATOR)}"
    return RESOURCES[name].words(amount) if name in RESOURCES else f"{amount:g} {name}"
