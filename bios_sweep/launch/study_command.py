"""The command that a cluster runs for a study, whichever way it is launched."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from bios_sweep import checks
from bios_sweep.errors import ConfigError
from bios_sweep.request import Request

LONGEST_NAME = 47  # https://github.com/ray-project/kuberay: a longer RayJob name is refused since 1.4


@dataclass(frozen=True, kw_only=True)
class StudyCommand:
    """A study ready to be launched.

    words: the command, `bios-sweep run ...`, one argument each. folder: where its relative paths start,
    absolute. workspace: absolute. stop_file: a file whose presence asks the driver to stop. request: what one
    trial needs on one node.
    """

    sweep_id: str
    words: tuple[str, ...]
    folder: str
    workspace: str
    stop_file: str
    request: Request

    def __post_init__(self) -> None:
        for word in self.words:
            checks.line("the command", word)
        for name in ("folder", "workspace", "stop_file"):
            checks.line(name, getattr(self, name))

    @property
    def shell(self) -> str:
        """The command quoted for a POSIX shell."""
        return shlex.join(self.words)

    @property
    def name(self) -> str:
        """The sweep's id in the letters that Slurm, Kubernetes and a file system all take."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.sweep_id.lower()).strip("-")
        stem, _, digest = plain.rpartition("-")
        room = LONGEST_NAME - len(digest) - len("bios--")
        return f"bios-{stem[:room].rstrip('-')}-{digest}"

    def require_fit(self, *, cpus: int, gpus: int, memory: float | None, keys: tuple[str, str]) -> None:
        """Refuse nodes on which no trial would ever start. keys: those of the nodes' CPUs and GPUs.

        memory: GiB of a node; None where nobody said.

        Raises:
            ConfigError: needed against offered.
        """
        for name, needed, offered, key in (
            ("gpus_per_trial", self.request.gpus_per_trial, gpus, keys[1]),
            ("cpus_per_trial", self.request.cpus_per_trial, cpus, keys[0]),
        ):
            if needed > offered:
                raise ConfigError(
                    f"{key}: {offered} per node is offered but cluster.{name}={needed:g} is needed by one "
                    f"trial; raise {key} or lower cluster.{name}"
                )
        needed = self.request.memory_per_trial
        if memory is not None and needed > memory:
            raise ConfigError(
                f"submit.memory: {memory:g} GiB per node are offered but "
                f"cluster.memory_per_trial={needed:g} is needed by one trial; "
                "raise submit.memory or lower cluster.memory_per_trial"
            )
