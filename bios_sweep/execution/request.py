"""What one trial asks of a cluster, where it fits, and where it should go. Pure: of Ray, only its words."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bios_sweep.errors import ClusterError

PACK, SPREAD = "pack", "spread"
PLACEMENTS = (PACK, SPREAD)
OWN_KEYS = {"CPU": "cpus_per_trial", "GPU": "gpus_per_trial"}
ACCELERATOR = "accelerator_type:"  # Ray's resource of every node with such a GPU
A_TRACE = 0.001  # of a node's one `accelerator_type:X`: what Ray itself asks for, so that it never runs out


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks of a cluster.

    address: None for an own local cluster, `auto` or `host:port` for a running one. cpus_per_trial:
    whole CPUs, also the threads of a trial. gpus_per_trial: a fraction shares one GPU (book-keeping
    only: nothing limits the memory). accelerator_type: Ray's name of a GPU model, such as `A100`.
    resources_per_trial: amounts of resources that nodes were given names for. max_concurrent: trials at
    a time, None for as many as fit. placement: where fewer trials run than fit, `pack` fills a node
    before the next, `spread` takes all nodes in turn. num_cpus: size of the own local cluster, None for
    the CPUs this process may use. preinstalled: whether nodes have this very package; else it travels.
    py_modules: more folders or files that travel, for code of the user.
    """

    address: str | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float = 0.0
    accelerator_type: str | None = None
    resources_per_trial: Mapping[str, float] = field(default_factory=dict)
    max_concurrent: int | None = None
    placement: str = PACK
    num_cpus: int | None = None
    preinstalled: bool = False
    py_modules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cpus_per_trial", "max_concurrent", "num_cpus"):
            value = getattr(self, name)
            if value is None and name != "cpus_per_trial":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ClusterError(f"cluster.{name}: {value!r} is not allowed; a whole number of at least 1")
        gpus = self.gpus_per_trial
        if isinstance(gpus, bool) or not isinstance(gpus, int | float) or not 0 <= gpus < float("inf"):
            raise ClusterError(
                f"cluster.gpus_per_trial: {gpus!r} is not allowed; 0, a fraction, or whole GPUs"
            )
        if gpus > 1 and gpus != int(gpus):
            raise ClusterError(f"cluster.gpus_per_trial: {gpus:g} is not allowed; above 1 only whole GPUs")
        if self.address is not None and "://" in self.address:
            raise ClusterError(
                f"cluster.address: {self.address!r} is not supported; "
                "use auto on a node of the cluster, or host:port"
            )
        for name, amount in self.resources_per_trial.items():
            _refuse_amount(name, amount)
        if self.placement not in PLACEMENTS:
            raise ClusterError(
                f"cluster.placement: {self.placement!r} is not allowed; choose from {', '.join(PLACEMENTS)}"
            )

    @property
    def bundle(self) -> dict[str, float]:
        """What one trial takes, by Ray's names; nothing that is zero."""
        amounts = {"CPU": float(self.cpus_per_trial), "GPU": float(self.gpus_per_trial)}
        if self.accelerator_type is not None:
            amounts[_accelerator(self.accelerator_type)] = A_TRACE
        amounts |= {name: float(amount) for name, amount in self.resources_per_trial.items()}
        return {name: amount for name, amount in amounts.items() if amount}

    @property
    def local_cpus(self) -> int:
        """CPUs of the own local cluster. Ray itself may miss a container's CPU set."""
        return self.num_cpus or len(os.sched_getaffinity(0))


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node that lives. name: its address, with a part of its id where several share one."""

    id: str
    name: str
    resources: Mapping[str, float]


def slots_on(request: Request, node: Node) -> int:
    """Trials that fit on an otherwise empty node at a time."""
    return _fit(request, node.resources)


def place_slots(request: Request, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Where each trial slot should start: as many as run at a time, by the request's placement.

    A wish, not a chain: when the node dies, its slot starts where there is room.

    Raises:
        ClusterError: one trial fits on no node.
    """
    slots = refuse_unless_fits(request, [node.resources for node in nodes])
    room = {node.id: slots_on(request, node) for node in nodes}
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
    slots = sum(_fit(request, node) for node in nodes)
    if slots:
        return slots
    where = "the local machine" if request.address is None else f"a node of the cluster at {request.address}"
    for name, kind in (("gpus_per_trial", "GPU"), ("cpus_per_trial", "CPU")):
        needed, offered = request.bundle.get(kind, 0.0), _most(kind, nodes)
        if offered < needed:
            raise ClusterError(
                f"cluster.{name}={needed:g} needs {_count(needed, kind)} per trial, {where} offers "
                f"{_count(offered, kind)}; use cluster.{name}={_largest(offered, kind)}"
            )
    if request.accelerator_type and not _most(_accelerator(request.accelerator_type), nodes):
        there = sorted(
            {name.partition(":")[2] for node in nodes for name in node if name.startswith(ACCELERATOR)}
        )
        raise ClusterError(
            f"cluster.accelerator_type={request.accelerator_type}: no node has one; "
            f"the nodes have {', '.join(there) or 'none that Ray knows'}"
        )
    for name, needed in request.resources_per_trial.items():
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
    left = [
        f"{free.get(name, 0.0):g} of {_told(name, total.get(name, 0.0))}"
        for name in request.bundle
        if not name.startswith(ACCELERATOR)
    ]
    return f"a trial needs {needed} on one node; free on all nodes together: {', '.join(left)}"


def _refuse_amount(name: str, amount: object) -> None:
    if name in OWN_KEYS:
        raise ClusterError(f"cluster.resources_per_trial.{name}: is asked for by cluster.{OWN_KEYS[name]}")
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not number or not 0 < float(str(amount)) < math.inf:
        raise ClusterError(f"cluster.resources_per_trial.{name}: {amount!r} is not allowed; a number above 0")


def _fit(request: Request, resources: Mapping[str, float]) -> int:
    fits = [
        int(resources.get(name, 0.0) / needed + 1e-9)
        for name, needed in request.bundle.items()
        if name != "GPU"
    ]
    gpus = resources.get("GPU", 0.0)
    if request.gpus_per_trial >= 1:
        fits.append(int(gpus // request.gpus_per_trial))
    elif request.gpus_per_trial:
        sharers = math.floor(1.0 / request.gpus_per_trial + 1e-9)  # 1 / 0.1 must give 10
        fits.append(int(gpus * sharers))  # a fraction never spans two GPUs
    return min(fits)


def _accelerator(name: str) -> str:
    return f"{ACCELERATOR}{name}"


def _most(kind: str, nodes: Sequence[Mapping[str, float]]) -> float:
    return max((node.get(kind, 0.0) for node in nodes), default=0.0)


def _count(number: float, kind: str) -> str:
    return f"{number:g} {kind}" if number == 1 else f"{number:g} {kind}s"


def _largest(offered: float, kind: str) -> str:
    return f"{int(offered)}" if kind == "GPU" or offered >= 1 else "1 on a machine that has a CPU to spare"


def _told(name: str, amount: float) -> str:
    if name.startswith(ACCELERATOR):
        return f"the accelerator {name.removeprefix(ACCELERATOR)}"
    return _count(amount, name) if name in ("CPU", "GPU") else f"{amount:g} {name}"
