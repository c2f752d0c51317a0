"""A study as a job that runs elsewhere: the command there, the text that launches it, and how it is sent."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.config.sweep_file import key_set_by
from bios_sweep.config.typed import written
from bios_sweep.driver.invocation import FLAG, Invocation
from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.errors import ClusterError, ConfigError, InputError
from bios_sweep.launch.job import StudyCommand
from bios_sweep.launch.kuberay import KubeRayOptions, rayjob_manifest
from bios_sweep.launch.rayjob import RayJobOptions, job_script, job_words
from bios_sweep.launch.slurm import SlurmOptions, sbatch_file
from bios_sweep.paths import expanded
from bios_sweep.request import RAY
from bios_sweep.secrecy import secret_in

JOB_SERVER = "; on the head, `pip install 'bios-sweep[cluster]'` brings Ray's job server"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # Ray gives it to files as well
STANDARD_ERROR = 2  # the descriptor: a child cannot write to a replaced sys.stderr
ADDRESS = "cluster.address"
NOT_OF_THE_STUDY = ("submit", "workspace", ADDRESS, "cluster.num_cpus")
PATHS = (("data", "path"), ("data", "eval_path"), ("model", "path"))
SUFFIXES = {"slurm": ".sbatch", "kuberay": ".yaml", "rayjob": ".sh"}


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job that can be written and sent.

    text: of `file`. words: the command that submits it. follows: it stays to the job's end. warnings: what
    was typed and has no effect there.
    """

    command: StudyCommand
    file: Path
    text: str
    words: tuple[str, ...]
    follows: bool
    warnings: tuple[str, ...]

    def write(self) -> None:
        """Never over another text: somebody may have edited it.

        Raises:
            InputError: the file is there and differs.
        """
        file = self.file
        there = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None
        if file.exists() and there != self.text:
            raise InputError(f"{file}: is there and differs; remove it, or choose another with --file")
        write_atomically(file, self.text)

    def send(self) -> str:
        """Submit, and return what the scheduler answered; a job that is followed tells its log meanwhile.

        Raises:
            ClusterError: it was refused, or a job that was followed did not end well.
        """
        if self.follows:
            status = subprocess.run(self.words, stdout=STANDARD_ERROR, check=False).returncode
            if status:
                raise ClusterError(
                    f"`{self.words[0]}` ended with status {status}: the job was refused or did not end well, "
                    "as the lines above say; the same command goes on with what is left"
                )
            return "the job ended well"
        done = subprocess.run(self.words, capture_output=True, text=True, check=False)
        if done.returncode:
            said = COLOUR.sub("", done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            way = JOB_SERVER if "Failed to connect to Ray" in said else ""
            raise ClusterError(
                f"`{self.words[0]}` refused the job ({said.rstrip('.')}); nothing was started{way}"
            )
        return COLOUR.sub("", done.stdout.strip())


def asked_of_job(asked: Invocation, to: str) -> Invocation:
    """What the job will see, with its group of options: what is checked is what will run.

    A cluster group of the user's own choice keeps its resources; the Ray is the one that will be there.

    Raises:
        ConfigError: the group of options was chosen, too.
    """
    groups = [key_set_by(word) for word in asked.overrides]
    if "submit" in groups:
        raise ConfigError(f"submit: is chosen by --to {to}; leave the override out")
    cluster = [] if "cluster" in groups else ["cluster=existing"]
    return replace(asked, overrides=(f"submit={to}", *asked.overrides, *cluster, f"{ADDRESS}=auto"))


def submission(prepared: Prepared, *, to: str, file: Path | None = None, sent: bool = False) -> Submission:
    """The job of a study. to: `slurm`, `kuberay` or `rayjob`. file: where its text goes, by default here.

    sent: it will be, from this machine.

    Raises:
        InputError: what cannot run there, or a secret, which would be kept in a file and shown by tools.
    """
    tracking_of(prepared.config, prepared.workspace)
    command = _command(prepared, to)
    place = (file or Path(f"{command.name}{SUFFIXES[to]}")).absolute()
    text, words, follows = _launched(command, to, place, prepared.config.values["submit"])
    for number, line in enumerate(text.splitlines(), 1):
        secret = secret_in(line)
        if secret:
            raise ConfigError(f"submit: line {number} of the file would hold {secret}; see docs/submit.md")
    if sent and shutil.which(words[0]) is None:
        raise InputError(f"`{words[0]}` is not on this machine; leave out --send and submit where it is")
    typed = [word.partition("=") for word in prepared.invocation.overrides if key_set_by(word) == ADDRESS]
    warnings = tuple(
        f"{ADDRESS}={address} has no effect: the job runs on the Ray that it finds where it starts"
        for _, _, address in typed
        if address != "auto"
    )
    return Submission(command=command, file=place, text=text, words=words, follows=follows, warnings=warnings)


def _launched(
    command: StudyCommand, to: str, file: Path, values: Mapping[str, Any]
) -> tuple[str, tuple[str, ...], bool]:
    """The text, the command that submits it, and whether that stays."""
    if to == "slurm":
        return sbatch_file(command, SlurmOptions.from_values(values)), ("sbatch", str(file)), False
    if to == "kuberay":
        manifest = rayjob_manifest(command, KubeRayOptions.from_values(values))
        return manifest, ("kubectl", "create", "-f", str(file)), False
    options = RayJobOptions.from_values(values)
    return job_script(command, options), job_words(command, options), options.wait


def _command(prepared: Prepared, to: str) -> StudyCommand:
    """`bios-sweep run` with the study's overrides, the job's own Ray and an absolute workspace."""
    if prepared.request.executor != RAY:
        raise ConfigError(
            f"cluster.executor: {prepared.request.executor} runs in one process; "
            "leave cluster=... out for submit"
        )
    study = prepared.invocation.without(NOT_OF_THE_STUDY)
    words = ["bios-sweep", "run", *study.overrides, f"{ADDRESS}=auto", _workspace(prepared, to)]
    if folder := study.config_dir:
        words += [FLAG, str(folder if to == "rayjob" else folder.absolute())]
    for word in words:
        secret = secret_in(word)
        if secret:
            raise ConfigError(
                f"{key_set_by(word)}: holds {secret}, which would be written into the file; leave it out and "
                "give it to the job as docs/submit.md says"
            )
    _require_found_there(prepared, to)
    return StudyCommand(
        sweep_id=prepared.plan.sweep_id,
        words=tuple(words),
        folder=str(Path.cwd()),
        workspace=str(prepared.workspace.root),
        stop_file=str(prepared.workspace.stop_file),
        request=prepared.request,
    )


def _workspace(prepared: Prepared, to: str) -> str:
    """The override, absolute. A Ray job's own working directory is deleted with the job."""
    given = expanded(str(prepared.config.values["workspace"]))
    root = str(prepared.workspace.root)
    if to == "rayjob" and not given.is_absolute():
        raise ConfigError(
            f"workspace: {given} is relative and would lie in the job's own folder, which Ray deletes; give "
            "an absolute path on storage that every node sees"
        )
    return written("workspace", root)


def _require_found_there(prepared: Prepared, to: str) -> None:
    """Slurm starts in this folder, a Ray job in its working_dir, a pod in its image's."""
    values = prepared.config.values
    if to == "slurm" or (to == "rayjob" and values["submit"].get("working_dir")):
        return
    given = [(f"{group}.{name}", values[group].get(name)) for group, name in PATHS]
    local = [(key, one) for key, path in given for one in (path if isinstance(path, list) else [path])]
    for key, path in [*local, (FLAG, prepared.invocation.config_dir)]:
        if path and not Path(str(path)).is_absolute() and Path(str(path)).exists():
            way = "give an absolute path" + (" or submit.working_dir" if to == "rayjob" else "")
            raise ConfigError(f"{key}: {path} is relative, and the job starts in another folder; {way}")
