"""The Ray cluster a run needs: started or joined, and refused when it can never fit a trial."""

from __future__ import annotations

import math
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from bios_sweep.errors import ClusterError

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
OBJECT_STORE_BYTES = 100_000_000  # chosen, not measured: only small dicts travel; Ray's least is 75 MB
CONNECT_SECONDS = 5.0  # chosen, not measured: an address that does not answer by then is refused
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks of a cluster.

    address: None for an own local cluster, `auto` or `host:port` for a running one. cpus_per_trial:
    whole CPUs, also the threads of a trial. gpus_per_trial: a fraction shares one GPU (book-keeping
    only: nothing limits the memory). max_concurrent: trials at a time, None for as many as fit.
    num_cpus: size of the own local cluster, None for the CPUs this process may use.
    """

    address: str | None = None
    cpus_per_trial: int = 1
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    num_cpus: int | None = None

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

    @property
    def local_cpus(self) -> int:
        """CPUs of the own local cluster. Ray itself may miss a container's CPU set."""
        return self.num_cpus or len(os.sched_getaffinity(0))


def open_cluster(request: Request) -> bool:
    """Start or join Ray, unless this process is in a session already. Returns whether it was us.

    Raises:
        ClusterError: nothing answers at the address, or a local cluster cannot hold one trial.
    """
    if ray.is_initialized():
        return False
    with kept_signals():
        if request.address is None:
            refuse_unless_fits(replace(request, gpus_per_trial=0.0), [{"CPU": request.local_cpus}])
            _start_local(request)
        else:
            _join(request.address)
    return True


def count_slots(request: Request) -> int:
    """How many trials run at a time on the joined cluster.

    Raises:
        ClusterError: one trial fits on no node.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    slots = refuse_unless_fits(request, nodes)
    return min(slots, request.max_concurrent or slots)


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
    for name, kind, needed in (
        ("gpus_per_trial", "GPU", request.gpus_per_trial),
        ("cpus_per_trial", "CPU", request.cpus_per_trial),
    ):
        offered = max((node.get(kind, 0.0) for node in nodes), default=0.0)
        if offered < needed:
            raise ClusterError(
                f"cluster.{name}={needed:g} needs {_count(needed, kind)} per trial, {where} offers "
                f"{_count(offered, kind)}; use cluster.{name}={_largest(offered, kind)}"
            )
    cpus, gpus = _count(request.cpus_per_trial, "CPU"), _count(request.gpus_per_trial, "GPU")
    raise ClusterError(
        f"one trial needs {cpus} and {gpus} on one node, and no node offers both; "
        "lower cluster.cpus_per_trial or cluster.gpus_per_trial"
    )


@contextmanager
def kept_signals() -> Iterator[None]:
    """Give the driver its signal handlers back: ray.init takes SIGTERM, Tune takes SIGUSR1."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def quiet_environment() -> None:
    """Switches that Ray and Tune read from the environment only; what the user set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output engine prints a banner at verbose=0
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # the driver's own handler asks the source to stop


def _start_local(request: Request) -> None:
    """A cluster of our own, behind a token that lives no longer than this process.

    Ray listens on every interface, so an open cluster would run code for the whole network. With
    RAY_AUTH_MODE unset, ray.init of a local cluster turns token authentication on (Ray 2.60); giving
    it a token keeps it from writing one into the home directory.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with _package_importable(), _shielded_from_sigterm():
        ray.init(
            address="local",
            num_cpus=request.local_cpus,
            object_store_memory=OBJECT_STORE_BYTES,
            **_quiet_options(),
        )


@contextmanager
def _shielded_from_sigterm() -> Iterator[None]:
    """Have Ray's processes inherit a blocked SIGTERM, as Ray itself does with SIGINT.

    `timeout`, Slurm and systemd signal the whole process group. Ray's head would die before the driver
    has left its trials at their checkpoints, and Ray ends a driver that misses its head, after a
    minute and with status 1. Ray's own shutdown kills after a second what did not terminate.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _join(address: str) -> None:
    try:
        if address not in ("auto", "local"):
            _probe(address)
        ray.init(address=address, **_quiet_options())
    except (OSError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or ["no answer"])[0]
        raise ClusterError(
            f"cluster.address={address}: no Ray cluster could be joined there ({first}); start one with "
            "`ray start --head`, or leave the address out for a local one"
        ) from error


def _probe(address: str) -> None:
    """Ask the port first: Ray itself waits for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("the address must be auto or host:port")
    socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


@contextmanager
def _package_importable() -> Iterator[None]:
    """Local workers inherit PYTHONPATH, so they import this very package, installed or cloned."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE_PARENT), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _quiet_options() -> dict[str, Any]:
    return {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}


def _fit(request: Request, node: Mapping[str, float]) -> int:
    by_cpu = node.get("CPU", 0.0) // request.cpus_per_trial
    if not request.gpus_per_trial:
        return int(by_cpu)
    gpus = node.get("GPU", 0.0)
    if request.gpus_per_trial >= 1:
        return int(min(by_cpu, gpus // request.gpus_per_trial))
    sharers = math.floor(1.0 / request.gpus_per_trial + 1e-9)  # 1 / 0.1 must give 10
    return int(min(by_cpu, gpus * sharers))  # a fraction never spans two GPUs


def _count(number: float, kind: str) -> str:
    return f"{number:g} {kind}" if number == 1 else f"{number:g} {kind}s"


def _largest(offered: float, kind: str) -> str:
    return f"{int(offered)}" if kind == "GPU" or offered >= 1 else "1 on a machine that has a CPU to spare"
