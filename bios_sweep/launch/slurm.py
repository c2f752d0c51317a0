"""An sbatch file: `ray symmetric-run` starts Ray on every node, runs the study on the first, and ends Ray.

Arguments of `ray symmetric-run` as in Ray 2.60 (ray/scripts/symmetric_run.py); directives as in
https://slurm.schedmd.com/sbatch.html.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bios_sweep import checks
from bios_sweep.errors import ConfigError
from bios_sweep.launch import job_values
from bios_sweep.launch.study_command import StudyCommand

PORT = 6379  # Ray's own default port of the head
NODES_WAIT_SECONDS = 300  # chosen, not measured: Ray's own 30 s are short for a shared file system
LATE_SECONDS = 60  # a signal may come that much earlier than asked for (sbatch's documentation of --signal)
STOPPED = 143  # what `bios-sweep run` ends with when it was asked to stop and more is to do
ENGINES = ("pyxis", "apptainer")
TIME = r"(\d+-)?\d{1,3}:\d{2}:\d{2}"


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """conf/submit/slurm.yaml, checked. The comments there and docs/submit.md say what each is for."""

    nodes: int
    cpus_per_node: int
    gpus_per_node: int
    gpu_type: str | None
    memory: str | None
    time: str
    partition: str | None
    account: str | None
    qos: str | None
    exclusive: bool
    requeue: bool
    max_requeues: int
    notice_seconds: int
    venv: str | None
    container: str | None
    container_engine: str
    container_mounts: tuple[str, ...]
    environment: dict[str, str]
    setup: tuple[str, ...]
    directives: tuple[str, ...]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> SlurmOptions:
        """The options of a composed group.

        Raises:
            ConfigError: a value is not allowed; the message names its key.
        """
        given = job_values.fields("slurm", values, tuple(field.name for field in fields(cls)))
        given["environment"] = job_values.environment("submit.environment", given["environment"])
        for name in ("container_mounts", "setup", "directives"):
            given[name] = checks.listed(f"submit.{name}", given[name])
        return cls(**given)

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("cpus_per_node", 1), ("gpus_per_node", 0), ("max_requeues", 0)):
            checks.whole(f"submit.{name}", getattr(self, name), least)
        checks.whole("submit.notice_seconds", self.notice_seconds, 1)
        for name in ("exclusive", "requeue"):
            checks.truth(f"submit.{name}", getattr(self, name))
        for name in ("gpu_type", "partition", "account", "qos"):
            if getattr(self, name) is not None:
                checks.matching(
                    f"submit.{name}",
                    getattr(self, name),
                    job_values.NAME,
                    "a name of letters, digits and _.@+-",
                )
        if self.memory is not None:
            checks.matching("submit.memory", self.memory, r"\d+[KMGT]", "a size per node such as 64G")
        checks.matching("submit.time", self.time, TIME, "a quoted text such as '24:00:00' or '2-00:00:00'")
        if self.venv is not None:
            checks.line("submit.venv", self.venv)
        self._check_container()
        for number, text in enumerate(self.setup):
            checks.line(f"submit.setup[{number}]", text)
        for number, text in enumerate(self.directives):
            checks.matching(
                f"submit.directives[{number}]",
                text,
                r"--[a-z][a-z-]*(=[^\s\"'\\#]+)?",
                "an option of sbatch such as --constraint=a100",
            )

    @property
    def seconds(self) -> int:
        """The time limit."""
        days, _, clock = self.time.rpartition("-")
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds

    @property
    def memory_gib(self) -> float | None:
        """GiB of a node; None for the partition's default, and for all of it, which Slurm writes as 0."""
        return (job_values.gibibytes(f"{self.memory}i") or None) if self.memory else None

    def _check_container(self) -> None:
        checks.one_of("submit.container_engine", self.container_engine, ENGINES)
        if self.container is not None:
            checks.line("submit.container", self.container)
        if self.container is not None and self.venv is not None:
            raise ConfigError("submit.venv: is given beside submit.container; use one of the two")
        for number, mount in enumerate(self.container_mounts):
            checks.matching(
                f"submit.container_mounts[{number}]",
                mount,
                f"{job_values.PATH}(:{job_values.PATH})?(:ro)?",
                "absolute paths such as /data or /host/data:/data:ro",
            )


def sbatch_file(command: StudyCommand, options: SlurmOptions) -> str:
    """The file that `sbatch` takes.

    Raises:
        ConfigError: no trial fits on a node.
    """
    command.require_fit(
        cpus=options.cpus_per_node,
        gpus=options.gpus_per_node,
        memory=options.memory_gib,
        keys=("submit.cpus_per_node", "submit.gpus_per_node"),
    )
    parts = (
        ["#!/bin/bash", "# Written by `bios-sweep submit --to slurm`; docs/submit.md explains every line."],
        [f"#SBATCH {text}" for text in _directives(command, options)],
        ["", *_environment(command, options)],
        ["", *_notice(command)],
        ["", *_step(command, options)],
        ["", *_end(options)],
    )
    return "\n".join(text for part in parts for text in part) + "\n"


def _directives(command: StudyCommand, options: SlurmOptions) -> list[str]:
    texts = [
        f"--job-name={command.name}",
        f"--output={command.name}-%j.out",
        "--open-mode=append",
        f"--nodes={options.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={options.cpus_per_node}",
        *_gpus(options),
        f"--time={options.time}",
        f"--signal=B:TERM@{options.notice_seconds}",
        "--requeue" if options.requeue else "--no-requeue",
    ]
    if options.exclusive:
        texts.append("--exclusive")
    if options.memory:
        texts.append(f"--mem={options.memory}")
    for name in ("partition", "account", "qos"):
        if getattr(options, name):
            texts.append(f"--{name}={getattr(options, name)}")
    return [*texts, *options.directives]


def _gpus(options: SlurmOptions) -> list[str]:
    if not options.gpus_per_node:
        return []
    kind = f"{options.gpu_type}:" if options.gpu_type else ""
    return [f"--gpus-per-node={kind}{options.gpus_per_node}"]


def _environment(command: StudyCommand, options: SlurmOptions) -> list[str]:
    """A token made by the job: without one, whoever reaches the head's port runs code as this user."""
    lines = [f"cd -- {shlex.quote(command.folder)} || exit 2", *options.setup]
    if options.venv:
        lines.append(f"source {shlex.quote(options.venv.rstrip('/') + '/bin/activate')} || exit 2")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in options.environment.items()]
    return [
        *lines,
        "unset RAY_ADDRESS",
        f"export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT={NODES_WAIT_SECONDS} RAY_USAGE_STATS_ENABLED=0",
        "RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \\n')",
        "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN",
    ]


def _notice(command: StudyCommand) -> list[str]:
    """Slurm tells this shell before it ends the job; the study then leaves at its trials' checkpoints."""
    return [
        "notices=0",
        "stop_at_checkpoints() {",
        "  notices=$((notices + 1))",
        f"  touch -- {shlex.quote(command.stop_file)}",
        "}",
        "trap stop_at_checkpoints TERM",
    ]


def _step(command: StudyCommand, options: SlurmOptions) -> list[str]:
    ray = [f"--num-cpus={options.cpus_per_node}", f"--num-gpus={options.gpus_per_node}"]
    return [
        'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "ended=$(mktemp)",
        "{",
        '  srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \\',
        f"    {shlex.join([f'--cpus-per-task={options.cpus_per_node}', *_gpus(options)])} \\",
        *(f"    {shlex.join(part)} \\" for part in _container(command, options)),
        f'    ray symmetric-run --address "$head:{PORT}" --min-nodes "$SLURM_JOB_NUM_NODES" \\',
        f"    {' '.join(ray)} -- \\",
        f"    {command.shell}",
        '  echo "$?" > "$ended"',
        "} &",
        "step=$!",
    ]


def _container(command: StudyCommand, options: SlurmOptions) -> list[list[str]]:
    if options.container is None:
        return []
    mounts = options.container_mounts
    if options.container_engine == "pyxis":
        mounted = [f"--container-mounts={','.join(_both(mount) for mount in mounts)}"] if mounts else []
        return [
            [
                f"--container-image={options.container}",
                f"--container-workdir={command.folder}",
                *mounted,
            ]
        ]
    nvidia = ["--nv"] if options.gpus_per_node else []
    binds = [word for mount in mounts for word in ("--bind", mount)]
    return [["apptainer", "exec", *nvidia, "--pwd", command.folder, *binds, options.container]]


def _both(mount: str) -> str:
    """Pyxis wants source and target; `/data` alone means the same path on both sides."""
    paths = mount.removesuffix(":ro")
    return mount if ":" in paths else f"{paths}:{mount}"


def _end(options: SlurmOptions) -> list[str]:
    """A signal interrupts `wait`; only the step's own end counts. Then, perhaps, once more.

    The status comes from a file: bash 5.2 loses it (`wait` says 255) where the step ends while a trap runs.
    """
    lines = [
        'while kill -0 "$step" 2> /dev/null; do wait "$step"; done',
        'status=$(cat "$ended")',
        'rm -f -- "$ended"',
    ]
    if options.requeue and options.max_requeues:
        late = max(0, options.seconds - options.notice_seconds - 2 * LATE_SECONDS)
        lines += [
            f'if [ "$status" = {STOPPED} ] && [ "$notices" -gt 0 ] && [ "$SECONDS" -ge {late} ] \\',
            f'  && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {options.max_requeues} ]; then',
            '  scontrol requeue "$SLURM_JOB_ID"',
            "fi",
        ]
    return [*lines, 'exit "${status:-1}"']
