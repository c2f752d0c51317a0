"""What a machine with GPUs should hear before it trains: GPUs that no trial uses, and what float32 costs.

Nothing is changed: `cluster.gpus_per_trial` is the user's, and so is a given `method.dtype`. `plan` and a
run here look at this machine; a run on a joined cluster asks Ray what its nodes have.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.execution.gpus import find_gpus, memory_of, peak_of
from bios_sweep.execution.placement import Node, slots_on
from bios_sweep.request import ACCELERATOR, CPU, CUDA, INLINE, RAY, Request
from bios_sweep.settings import BFLOAT16, FLOAT32
from bios_sweep.study.scenario import Scenario

TF32 = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"  # the one way to TF32 that needs no code


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The GPUs of the place where trials run. names: distinct; counts: nodes as Ray counts them."""

    names: tuple[str, ...]
    nodes: tuple[Node, ...]
    place: str = "here"

    @property
    def count(self) -> int:
        """GPUs on all nodes."""
        return int(sum(node.resources.get("GPU", 0.0) for node in self.nodes))

    @property
    def words(self) -> str:
        """`2 GPUs (NVIDIA L4)`."""
        names = f" ({', '.join(self.names)})" if self.names else ""
        return f"{self.count} GPU{'' if self.count == 1 else 's'}{names}"


def gpus_of_this_machine(request: Request) -> Offer | None:
    """What this machine has; None where trials run on a cluster that `plan` does not join."""
    if request.joins:
        return None
    gpus = find_gpus()
    here = Node(id="", name="here", resources={"CPU": float(request.local_cpus), "GPU": float(len(gpus))})
    return Offer(names=tuple(dict.fromkeys(gpu.name for gpu in gpus)), nodes=(here,))


def gpus_of_nodes(nodes: Sequence[Node]) -> Offer:
    """What the nodes of a joined cluster have, by Ray's names of their GPUs."""
    with_gpus = [node for node in nodes if node.resources.get("GPU")]
    kinds = dict.fromkeys(
        name for node in with_gpus for name in node.resources if name.startswith(ACCELERATOR)
    )
    names = tuple(kind.removeprefix(ACCELERATOR) for kind in kinds)
    return Offer(names=names, nodes=tuple(nodes), place="on the cluster")


def sizes_of(offer: Offer | None, request: Request) -> dict[str, int]:
    """Bytes of memory per kind of GPU that trials may run on, as far as their names tell."""
    names = () if offer is None else offer.names
    if not names and request.accelerator_type is not None:
        names = (request.accelerator_type,)
    sizes = {name: memory_of(name) for name in names}
    return {name: size for name, size in sizes.items() if size is not None}


def gpu_warnings(prepared: Prepared, offer: Offer | None) -> list[str]:
    """Sentences on unused GPUs and on a slow precision. offer: None where the GPUs are not known.

    Planted trials compute nothing, so they hear nothing.
    """
    scenario, request = prepared.plan.study.scenario, prepared.request
    if scenario.engine != LORA_ENGINE and not scenario.method.scripted:
        return []
    return [*_unused(scenario, request, offer), *_precision(prepared, offer)]


def _unused(scenario: Scenario, request: Request, offer: Offer | None) -> list[str]:
    gpus, device = request.gpus_per_trial, scenario.engine_options.get("device")
    if gpus and device == CPU:
        return [
            f"trials take GPUs (cluster.gpus_per_trial={gpus:g}) and train on the CPU, for cluster.device is "
            "cpu; leave it auto"
        ]
    if offer is None or not offer.count:
        return []
    there = f"{offer.words} {_is(offer.count)} {offer.place}"
    them = "it" if offer.count == 1 else "them"
    if device == CPU:
        return [f"{there} and no trial uses {them}; {_way(request)}"]
    if scenario.method.scripted:
        uncounted = (
            f"{there} and cluster.gpus_per_trial is 0: Ray hands out none, so scripts that run at a time "
            f"leave {them} unused or share the first; add cluster.gpus_per_trial=1"
        )
        return [] if gpus or request.executor == INLINE else [uncounted]
    used = _used(request, offer)
    if used >= offer.count:
        return []
    return [f"{used} of {offer.words} {offer.place} {_is(used)} used: {_held_by(request)}"]


def _way(request: Request) -> str:
    if request.address is None and (build := _torch_without_gpus()):
        return f"torch {build} is a build without GPUs: install another, then add cluster.gpus_per_trial=1"
    local = request.executor == RAY and request.address is None
    way = "choose cluster=local_gpu (trials share a GPU) or " if local else ""
    device = " and leave cluster.device auto" if request.device == CPU else ""
    return f"{way}add cluster.gpus_per_trial=1{device}"


def _torch_without_gpus() -> str:
    """The version of a torch that cannot use a GPU, as its own name says; else nothing."""
    with suppress(PackageNotFoundError):
        if (installed := version("torch")).endswith("+cpu"):
            return installed
    return ""


def _used(request: Request, offer: Offer) -> int:
    """GPUs that trials take when as many run as fit."""
    if request.executor == INLINE:
        return 1
    share = request.gpus_per_trial
    if not share:
        return sum(bool(node.resources.get("GPU")) for node in offer.nodes)  # all take a node's first
    counted = request
    if not request.joins:  # of this machine only its CPUs and GPUs are known
        counted = Request(cpus_per_trial=request.cpus_per_trial, gpus_per_trial=share)
    room = [slots_on(counted, node.resources) for node in offer.nodes]
    limit = request.max_concurrent
    if limit is not None and sum(room) > limit:
        room = [limit]
    return sum(math.ceil(trials / request.sharers) if share < 1 else int(trials * share) for trials in room)


def _held_by(request: Request) -> str:
    """What keeps trials from the other GPUs, and the way out."""
    if request.executor == INLINE:
        return "cluster=inline runs one trial at a time; choose cluster=local_gpu"
    if not request.gpus_per_trial:
        return "cluster.gpus_per_trial is 0, so that Ray hands out none; add cluster.gpus_per_trial=1"
    if request.max_concurrent is not None:
        return f"cluster.max_concurrent is {request.max_concurrent}; raise it, or leave it out"
    return (
        f"each trial takes cluster.cpus_per_trial={request.cpus_per_trial} and "
        f"cluster.gpus_per_trial={request.gpus_per_trial:g}; take fewer CPUs, or GPUs that divide evenly"
    )


def _precision(prepared: Prepared, offer: Offer | None) -> list[str]:
    scenario, request = prepared.plan.study.scenario, prepared.request
    if not _on_gpu(scenario, request, offer):
        return []
    names = offer.names if offer is not None else ()
    if not names and request.accelerator_type is not None:
        names = (request.accelerator_type,)
    slow = {name for name in names if (peak := peak_of(name)) is not None and peak.bfloat16 is None}
    dtype = prepared.plan.study.baseline.dtype
    if dtype == BFLOAT16:
        return [
            f"method.dtype=bfloat16: {name} has no bfloat16 arithmetic of its own, so it is slower there "
            "than float32; add method.dtype=float32"
            for name in names
            if name in slow
        ]
    decided = scenario.engine == LORA_ENGINE and not prepared.precision.given
    if dtype != FLOAT32 or decided or os.environ.get(TF32) == "1":
        return []
    return [_cost(name) for name in names or ("a GPU",) if name not in slow]


def _on_gpu(scenario: Scenario, request: Request, offer: Offer | None) -> bool:
    if offer is not None and not offer.count:
        return False
    if scenario.engine == LORA_ENGINE:
        return bool(scenario.engine_options["device"] == CUDA)
    reads_dtype = scenario.carried is not None and "dtype" in scenario.carried
    return reads_dtype and bool(request.gpus_per_trial or offer is not None)


def _cost(name: str) -> str:
    peak = peak_of(name)
    if peak is None or peak.ratio is None:
        cost = "is several times slower than bfloat16 on most GPUs"
    else:
        cost = (
            f"is up to {peak.ratio:.2g} times slower than bfloat16 (arithmetic peaks {peak.float32:g} and "
            f"{peak.bfloat16:g} TFLOP/s, by the data sheet; TF32 is off)"
        )
    return f"method.dtype=float32 on {name} {cost}; method.dtype=bfloat16 is the way out"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
