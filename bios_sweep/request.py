"""`Request`: the only list of the keys of `cluster.*`, each with its default, its check and who reads it.

It is made once, from the composed configuration, and passed whole to whatever runs or launches trials.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from bios_sweep.checks import Check, at_least_zero, one_of, or_null, positive, require, truth, whole
from bios_sweep.errors import ConfigError
from bios_sweep.paths import expanded

RAY, INLINE = "ray", "inline"
EXECUTORS = (RAY, INLINE)
PACK, SPREAD = "pack", "spread"
PLACEMENTS = (PACK, SPREAD)
AUTO, CPU, CUDA = "auto", "cpu", "cuda"
DEVICES = (AUTO, CPU, CUDA)

LIKELY_SHARERS = 2  # trials on a GPU whose memory is not known; chosen

# What `cluster=inline` makes of a key: it counts, it is named as without effect, or the command is refused.
COUNTS, NAMED, REFUSED = "counts", "named", "refused"

ACCELERATOR = "accelerator_type:"  # Ray's resource of every node with such a GPU
A_TRACE = 0.001  # of a node's one `accelerator_type:X`: what Ray itself asks for, so that it never runs out


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of Ray's that a key of ours asks for. unit: what 1 of the key is to Ray."""

    key: str
    one: str
    many: str
    unit: float = 1.0

    def words(self, amount: float) -> str:
        """An amount of Ray's as people say it: `2 GPUs`."""
        number = amount / self.unit
        return f"{number:g} {self.one if number == 1 else self.many}"


RESOURCES = {
    "CPU": Resource(key="cpus_per_trial", one="CPU", many="CPUs"),
    "GPU": Resource(key="gpus_per_trial", one="GPU", many="GPUs"),
    "memory": Resource(key="memory_per_trial", one="GiB of memory", many="GiB of memory", unit=1024**3),
}


def _key(default: Any, check: Check, *, inline: str = NAMED) -> Any:
    return field(default=default, metadata={"check": check, "inline": inline})


def _a(kind: type, allowed: str) -> Check:
    return or_null(lambda key, value: require(isinstance(value, kind), key, value, allowed))


def _gpus(key: str, value: Any) -> Any:
    """`auto` is a number before a request is made of it, see `request_of`."""
    return value if value == AUTO else at_least_zero(key, value)


def _storage(key: str, value: Any) -> Any:
    """A relative folder would be another one in every worker."""
    everywhere = value is None or (isinstance(value, str) and (value.startswith("/") or "://" in value))
    allowed = "an absolute folder that every node sees, or an address such as s3://BUCKET/DIR"
    return require(everywhere, key, value, allowed)


def _texts(key: str, value: Any) -> Any:
    texts = isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value)
    return require(texts, key, value, "a list of texts")


def _modules(key: str, value: Any) -> Any:
    for path in _texts(key, value):
        if not expanded(path).exists():
            raise ConfigError(f"{key}: {path} is not there; a folder or a file of Python code")
    return value


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks of a cluster.

    executor: `ray`, or `inline` for this process, one trial after another. address: None for an own local
    cluster, `auto` or `host:port` for a running one. num_cpus: size of the own local cluster, None for the
    CPUs this process may use. cpus_per_trial: whole CPUs, also the threads of a trial. gpus_per_trial: a
    fraction shares one GPU (book-keeping only: nothing limits the memory), `auto` as many trials as its
    memory holds. memory_per_trial: GiB of a node's
    memory, counted as CPUs are; 0: not counted. accelerator_type: Ray's name of a
    GPU model, such as `A100`. resources_per_trial: amounts of resources that nodes were given names for.
    max_concurrent: trials at a time, None for as many as fit. placement: where fewer trials run than fit,
    `pack` fills a node before the next, `spread` takes all nodes in turn. storage: where trial files follow
    their trial, None for the workspace, which every node then must see. preinstalled: whether nodes have
    this very package; else it travels. py_modules: more folders or files that travel, for code of the user.
    environment: names of variables that workers get with the driver's values. max_attempts: tries of a
    trial whose worker dies. price_per_gpu_hour: in whatever currency, told where a cost is. device: where
    our own training computes; `auto` follows gpus_per_trial.
    """

    executor: str = _key(RAY, partial(one_of, allowed=EXECUTORS), inline=COUNTS)
    address: str | None = _key(None, _a(str, "give auto or host:port, or null"), inline=REFUSED)
    num_cpus: int | None = _key(None, or_null(whole))
    cpus_per_trial: int = _key(1, whole, inline=COUNTS)
    gpus_per_trial: float = _key(0, _gpus, inline=COUNTS)
    memory_per_trial: float = _key(0, at_least_zero)
    accelerator_type: str | None = _key(None, _a(str, "a name such as A100, or null"), inline=REFUSED)
    resources_per_trial: Mapping[str, float] | None = _key(
        None, _a(Mapping, "a mapping such as {big: 1}, or null"), inline=REFUSED
    )
    max_concurrent: int | None = _key(None, or_null(whole), inline=COUNTS)
    placement: str = _key(PACK, partial(one_of, allowed=PLACEMENTS))
    storage: str | None = _key(None, _storage)
    preinstalled: bool = _key(False, truth)
    py_modules: Sequence[str] = _key((), _modules)
    environment: Sequence[str] = _key((), _texts)
    max_attempts: int = _key(3, whole)
    price_per_gpu_hour: float | None = _key(None, or_null(positive))
    device: str = _key(AUTO, partial(one_of, allowed=DEVICES), inline=COUNTS)

    def __post_init__(self) -> None:
        for one in fields(self):
            one.metadata["check"](f"cluster.{one.name}", getattr(self, one.name))
        if self.executor == RAY:
            self._check_what_ray_takes()

    def _check_what_ray_takes(self) -> None:
        gpus, address = self.gpus_per_trial, self.address
        if gpus > 1 and gpus != int(gpus):
            raise ConfigError(f"cluster.gpus_per_trial: {gpus:g} is not allowed; above 1 only whole GPUs")
        if address is not None and "://" in address:
            raise ConfigError(
                f"cluster.address: {address!r} is not supported; "
                "use auto on a node of the cluster, or host:port"
            )
        for name, amount in (self.resources_per_trial or {}).items():
            key = f"cluster.resources_per_trial.{name}"
            if name in RESOURCES:
                raise ConfigError(f"{key}: is asked for by cluster.{RESOURCES[name].key}")
            positive(key, amount)

    @property
    def joins(self) -> bool:
        """Whether trials run on a cluster that is there already, with nodes beside this one."""
        return self.executor == RAY and self.address is not None

    @property
    def bundle(self) -> dict[str, float]:
        """What one trial takes, by Ray's names; nothing that is zero."""
        amounts = {name: float(getattr(self, one.key) * one.unit) for name, one in RESOURCES.items()}
        if self.accelerator_type is not None:
            amounts[f"{ACCELERATOR}{self.accelerator_type}"] = A_TRACE
        amounts |= {name: float(amount) for name, amount in (self.resources_per_trial or {}).items()}
        return {name: amount for name, amount in amounts.items() if amount}

    @property
    def sharers(self) -> int:
        """Trials that share one GPU."""
        share = self.gpus_per_trial
        return math.floor(1.0 / share + 1e-9) if 0 < share < 1 else 1  # 1 / 0.1 must give 10

    @property
    def local_cpus(self) -> int:
        """CPUs of the own local cluster. Ray itself may miss a container's CPU set."""
        return self.num_cpus or len(os.sched_getaffinity(0))

    @property
    def expected_workers(self) -> int:
        """Trials at a time on this machine by its CPUs; an estimate, for `plan` starts no cluster."""
        if self.executor == INLINE:
            return 1
        fit = max(1, self.local_cpus // self.cpus_per_trial)
        return min(fit, self.max_concurrent or fit)

    @property
    def trial_device(self) -> str:
        """`auto` follows the request: a trial that asked for no GPU must not take one."""
        return (CUDA if self.gpus_per_trial else CPU) if self.device == AUTO else self.device


def request_of(cluster: Mapping[str, Any], sharers: int = LIKELY_SHARERS) -> Request:
    """The request of composed values. sharers: of one GPU, where `gpus_per_trial` leaves it to us."""
    share = cluster["gpus_per_trial"]
    return Request(**{**cluster, "gpus_per_trial": 1.0 / sharers if share == AUTO else share})


def request_keys(inline: str | None = None) -> tuple[str, ...]:
    """The keys of `cluster.*`; only those of which `cluster=inline` makes this, where it is given."""
    return tuple(one.name for one in fields(Request) if inline in (None, one.metadata["inline"]))
