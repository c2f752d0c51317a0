"""Which environment variables a configuration may read by `${oc.env:NAME}`.

A sweep's file may come from somebody else, and what it reads goes into plans, journals and the tracking
server: so it reads places and the like, and further names only where whoever runs the command says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from bios_sweep.errors import ConfigError

RESOLVER = "oc.env"
FURTHER = "BIOS_SWEEP_ENV"  # names with commas, set by whoever runs the command
PLACES = (
    "HOME",
    "PWD",
    "TMPDIR",
    "SCRATCH",
    "WORK",
    "PROJECT",
    "STORE",
    "DATA",
    "DATA_DIR",
    "XDG_CACHE_HOME",
)
NAMES = (
    "USER",
    "LOGNAME",
    "HOSTNAME",
    "MLFLOW_TRACKING_URI",
    "HF_HOME",
    "HF_HUB_CACHE",
    "CUDA_VISIBLE_DEVICES",
)
BEGINNINGS = ("SLURM_", "PBS_", "LSB_")  # what a scheduler tells its job


def may_be_read(name: str) -> bool:
    """Whether a configuration may read this variable."""
    further = [one.strip() for one in os.environ.get(FURTHER, "").split(",")]
    return name in (*PLACES, *NAMES, *further) or name.startswith(BEGINNINGS)


@contextmanager
def listed_variables() -> Iterator[list[str]]:
    """Have OmegaConf read variables on the list alone, by whatever name; gives the names that are read."""
    read: list[str] = []

    def listed(name: Any, *default: Any) -> Any:
        read.append(str(name))
        return _read(name, *default)

    OmegaConf.register_new_resolver(RESOLVER, listed, replace=True)
    try:
        yield read
    finally:
        OmegaConf.register_new_resolver(RESOLVER, oc.env, replace=True)


def _read(name: Any, *default: Any) -> Any:
    """As OmegaConf reads one.

    Raises:
        ConfigError: a name that is not on the list.
    """
    if not may_be_read(str(name)):
        raise ConfigError(
            f"${{oc.env:{name}}}: a configuration may not read this variable; if it is no secret, "
            f"allow it by `export {FURTHER}={name}`"
        )
    return oc.env(name, *default)
