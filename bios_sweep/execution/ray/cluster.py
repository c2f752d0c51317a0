"""The Ray cluster a run needs: started here or joined there."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import utils, worker
from ray.job_config import JobConfig

from bios_sweep.errors import ClusterError
from bios_sweep.execution.placement import Node, refuse_unless_fits
from bios_sweep.execution.sessions import ray_folder
from bios_sweep.paths import expanded
from bios_sweep.request import Request

PACKAGE = Path(__file__).resolve().parents[2]
OBJECT_STORE_BYTES = 100_000_000  # chosen, not measured: only small dicts travel; Ray's least is 75 MB
CONNECT_SECONDS = 5.0  # chosen, not measured: an address that does not answer by then is refused
QUIET: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
SHIELDED = (signal.SIGTERM, signal.SIGHUP)
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A session that we began. folder: of its logs and sockets; None of a cluster that was joined."""

    folder: Path | None


def open_cluster(request: Request) -> Opened | None:
    """Start or join Ray, unless this process is in a session already, which is then not ours (None).

    Raises:
        ClusterError: nothing answers at the address, or a local cluster cannot hold one trial.
    """
    if ray.is_initialized():
        return None
    with restored_signals():
        if request.address is None:
            cpus = Request(cpus_per_trial=request.cpus_per_trial)  # the rest is known when Ray is up
            refuse_unless_fits(cpus, [{"CPU": request.local_cpus}])
            return Opened(folder=_start_local(request))
        _join(request)
    return Opened(folder=None)


def close_cluster() -> None:
    """Shut down what was started, or leave what was joined.

    Ray gives each of its five processes a second to end in order, one after the other, and then kills it. Of
    those that we started none can: they block SIGTERM (`_shielded`). So they are killed at once.
    """
    node = worker._global_node  # nothing public knows the processes (Ray 2.60)
    if node is not None:
        kill = node.kill_all_processes
        node.kill_all_processes = lambda **asked: kill(**{**asked, "allow_graceful": False})
    ray.shutdown()


def nodes_alive() -> tuple[Node, ...]:
    """The joined cluster's nodes, the largest first; the same order every time."""
    listed: Any = ray.nodes  # without annotations
    alive = [node for node in listed() if node["Alive"]]
    shared = Counter(node["NodeName"] for node in alive)
    found = []
    for node in alive:
        name, id_ = node["NodeName"], node["NodeID"]
        told = name if shared[name] == 1 else f"{name} ({id_[:6]})"
        found.append(Node(id=id_, name=told, resources=node["Resources"]))
    return tuple(sorted(found, key=lambda node: (-node.resources.get("CPU", 0.0), node.id)))


@contextmanager
def restored_signals() -> Iterator[None]:
    """Leave the driver its signal handlers: ray.init takes SIGTERM, Tune takes SIGUSR1.

    Ray's ends the process at once, with status 15, and a blocked signal reaches it by way of any other
    thread. So it is not even set meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    take, utils.set_sigterm_handler = utils.set_sigterm_handler, _not_taken  # nothing public (Ray 2.60)
    try:
        yield
    finally:
        utils.set_sigterm_handler = take
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _not_taken(_handler: Callable[..., None]) -> None:
    """In the place of Ray's function, so that our own handler stays."""


def quiet_environment() -> None:
    """Switches that Ray and Tune read from the environment only; what the user set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output engine prints a banner at verbose=0
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # TensorBoard's loads torch into the driver
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # the driver's own handler asks the source to stop


def _start_local(request: Request) -> Path:
    """A cluster of our own, behind a token that lives no longer than this process; its session's folder.

    Ray listens on every interface, so an open cluster would run code for the whole network. With
    RAY_AUTH_MODE unset, ray.init of a local cluster turns token authentication on (Ray 2.60); giving
    it a token keeps it from writing one into the home directory.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with _shielded(), restored_signals(), _package_importable():  # heard late, but by our handler
        memory = OBJECT_STORE_BYTES
        begun: Any = ray.init(
            address="local",
            num_cpus=request.local_cpus,
            object_store_memory=memory,
            job_config=_apart(),
            _temp_dir=str(ray_folder()),
            **QUIET,
        )
    return Path(str(begun.address_info["session_dir"]))


class _Closed(list[str]):
    """A list that Ray adds the driver's current folder to, and that stays as it is."""

    def extend(self, _more: Iterable[str]) -> None:
        """Not done: in a worker that folder would come before all libraries, with whatever lies in it."""


def _apart() -> JobConfig:
    """A job whose workers import what is installed, and what travels with it, alone."""
    config = JobConfig()
    config._py_driver_sys_path = _Closed()
    return config


@contextmanager
def _shielded() -> Iterator[None]:
    """Have Ray's processes inherit a blocked SIGTERM and SIGHUP, as Ray itself does with SIGINT.

    `timeout`, Slurm and systemd signal the whole process group, and so does a terminal that goes away. Ray's
    head would die before the driver has left its trials at their checkpoints, and Ray ends a driver that
    misses its head, after a minute and with status 1. Ray's own shutdown kills after a second what did not
    terminate.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SHIELDED)


def _join(request: Request) -> None:
    """Join; this package and the user's modules travel to the nodes unless they have them.

    Only code travels: configurations are composed in the driver, and workers get plain values.
    """
    address = str(request.address)
    own = [str(expanded(path).absolute()) for path in request.py_modules]
    modules = [*([] if request.preinstalled else [str(PACKAGE)]), *own]
    runtime_env = {"py_modules": modules, "excludes": ["**/__pycache__/**"]} if modules else None
    try:
        if address not in ("auto", "local"):
            _probe(address)
        ray.init(address=address, runtime_env=runtime_env, job_config=_apart(), **QUIET)
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
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), *([before] if before else [])])
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
