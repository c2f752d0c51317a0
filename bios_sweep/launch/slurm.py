"""An sbatch file: `ray symmetric-run` starts Ray on every node, runs the study on the first, and ends Ray.

Arguments of `ray symmetric-run` as in Ray 2.60 (ray/scripts/symmetric_run.py); directives as in
https://slurm.schedmd.com/sbatch.html.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from bios_sweep.checks import line, one_of, or_null, truth, whole
from bios_sweep.errors import ConfigError
from bios_sweep.launch.job import PATH, JobOptions, StudyCommand, each, environment, form, gibibytes, option

PORT = 6379  # Ray's own default port of the head
NODES_WAIT_SECONDS = 300  # chosen, not measured: Ray's own 30 s are short for a shared file system
LATE_SECONDS = 60  # a signal may come that much earlier than asked for (sbatch's documentation of --signal)
STOPPED = 143  # what `bios-sweep run` ends with when it was asked to stop and more is to do
NAME = or_null(form(r"[A-Za-z0-9][A-Za-z0-9_.@+-]*", "a name of letters, digits and _.@+-"))
TIME = form(r"(\d+-)?\d{1,3}:\d{2}:\d{2}", "a quoted text such as '24:00:00' or '2-00:00:00'")
MOUNT = form(f"{PATH}(:{PATH})?(:ro)?", "absolute paths such as /data or /host/data:/data:ro")
DIRECTIVE = form(r"--[a-z][a-z-]*(=[^\s\"'\\#]+)?", "an option of sbatch such as --constraint=a100")


@dataclass(frozen=True, kw_only=True)
class SlurmOptions(JobOptions):
    """conf/submit/slurm.yaml, checked. The comments there and docs/submit.md say what each is for."""

    group = "slurm"
    nodes: int = option(whole)
    cpus_per_node: int = option(whole)
    gpus_per_node: int = option(partial(whole, least=0))
    gpu_type: str | None = option(NAME)
    memory: str | None = option(or_null(form(r"\d+[KMGT]", "a size per node such as 64G")))
    time: str = option(TIME)
    partition: str | None = option(NAME)
    account: str | None = option(NAME)
    qos: str | None = option(NAME)
    exclusive: bool = option(truth)
    requeue: bool = option(truth)
    max_requeues: int = option(partial(whole, least=0))
    notice_seconds: int = option(whole)
    venv: str | None = option(or_null(line))
    container: str | None = option(or_null(line))
    container_engine: str = option(partial(one_of, allowed=("pyxis", "apptainer")))
    container_mounts: tuple[str, ...] = option(each(MOUNT))
    environment: Mapping[str, str] = option(environment)
    setup: tuple[str, ...] = option(each(line))
    directives: tuple[str, ...] = option(each(DIRECTIVE))

    def __post_init__(self) -> None:
        if self.container is not None and self.venv is not None:
            raise ConfigError("submit.venv: is given beside submit.container; use one of the two")

    @property
    def seconds(self) -> int:
        """The time limit."""
        days, _, clock = self.time.rpartition("-")
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds

    @property
    def memory_gib(self) -> float:
        """GiB of a node; infinite for the partition's default, and for all of it, which Slurm writes as 0."""
        return (gibibytes(f"{self.memory}i") if self.memory else 0.0) or math.inf


def sbatch_file(command: StudyCommand, options: SlurmOptions) -> str:
    """The file that `sbatch` takes.

    Raises:
        ConfigError: no trial fits on a node.
    """
    command.require_fit(
        gpus=options.gpus_per_node, cpus=options.cpus_per_node, memory=options.memory_gib, ending="_per_node"
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
        mounted = [f"--container-mounts={','.join(map(_both, mounts))}"] if mounts else []
        return [[f"--container-image={options.container}", f"--container-workdir={command.folder}", *mounted]]
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
