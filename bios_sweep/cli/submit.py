"""`submit`: this study as an sbatch file, a KubeRay RayJob or a `ray job submit`; sent only when told.

The default writes the file and says the command, since a job costs a quota or money and every cluster has
a house rule or two: the file is there to be read, kept and changed. `--send` submits it as well.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.cli.answer import invocation_of
from bios_sweep.driver.planned import planned
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.errors import ClusterError, ConfigError, InputError
from bios_sweep.launch.kuberay import KubeRayOptions, rayjob_manifest
from bios_sweep.launch.rayjob import RayJobOptions, job_script, job_words
from bios_sweep.launch.slurm import SlurmOptions, sbatch_file
from bios_sweep.launch.study_command import StudyCommand
from bios_sweep.records.retention import check_policy
from bios_sweep.request import RAY
from bios_sweep.secrecy import secret_in

SHARED = (
    "the workspace {workspace} must be on storage that every node sees under that path; so must the model "
    "and the data"
)
JOB_SERVER = "; on the head, `pip install 'bios-sweep[cluster]'` brings Ray's job server"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STANDARD_ERROR = 2  # the descriptor: a child cannot write to a replaced sys.stderr
NOT_OF_THE_STUDY = ("submit", "workspace", "cluster.address", "cluster.num_cpus")
PATHS = (("data", "path"), ("data", "eval_path"), ("model", "path"))


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A text to be written, and the command that submits it. follows: it stays to the job's end."""

    text: str
    words: tuple[str, ...]
    follows: bool = False


def run(args: Namespace) -> int:
    """Check the study as `plan` does, then write, print or send."""
    prepared = prepare(invocation_of(_as_run_there(args)))
    summary = planned(prepared).summary
    check_policy(prepared.config.values["budget"]["keep_adapters"])
    tracking_of(prepared.config, prepared.workspace)
    command = _command(args, prepared)
    file = (args.file or Path(f"{command.name}{_suffix(args.to)}")).absolute()
    submission = _submission(args, prepared, command, file)
    if args.send:
        _require_program(submission.words[0])
    if not args.dry_run:
        _write(file, submission.text)
    answer = {
        "to": args.to,
        "sweep_id": command.sweep_id,
        "entrypoint": command.shell,
        "workspace": command.workspace,
        "file": None if args.dry_run else str(file),
        "submit_with": shlex.join(submission.words),
        "submitted": None,
        "trials": summary.trials,
        "to_run": summary.to_run,
        "notes": [SHARED.format(workspace=command.workspace), *summary.notes],
        "warnings": [*summary.warnings, *_replaced(args.overrides)],
        "content": submission.text,
    }
    if not args.json:
        _tell(args, answer)
    if args.send:
        answer["submitted"] = _follow(submission.words) if submission.follows else _send(submission.words)
    if args.json or args.send:
        print(json.dumps(answer, indent=1) if args.json else answer["submitted"])
    return 0


def _as_run_there(args: Namespace) -> Namespace:
    """The overrides that the cluster will see, with the group of options: what is checked is what will run.

    Raises:
        InputError: two flags or overrides that contradict each other.
    """
    if args.dry_run and (args.send or args.file):
        raise InputError("--dry-run writes and sends nothing; leave out --send and --file, or leave it out")
    if "submit" in map(_key, args.overrides):
        raise ConfigError(f"submit: is chosen by --to {args.to}; leave the override out")
    overrides = [f"submit={args.to}", *args.overrides, *_cluster(args.overrides)]
    return Namespace(**{**vars(args), "overrides": overrides})


def _cluster(overrides: Sequence[str]) -> list[str]:
    """The Ray that will be there; a cluster group of the user's own choice keeps its resources."""
    chosen = [] if "cluster" in map(_key, overrides) else ["cluster=existing"]
    return [*chosen, "cluster.address=auto"]


def _replaced(overrides: Sequence[str]) -> list[str]:
    """What was typed of the Ray to join: the job has its own, or is handed to the one of `submit.address`."""
    typed = [word.partition("=") for word in overrides if _key(word) == "cluster.address"]
    return [
        f"cluster.address={address} has no effect: the job runs on the Ray that it finds where it starts"
        for _, _, address in typed
        if address != "auto"
    ]


def _command(args: Namespace, prepared: Prepared) -> StudyCommand:
    """`bios-sweep run` with the study's overrides, the cluster's own Ray and an absolute workspace.

    Raises:
        ConfigError: what cannot run there, or a secret, which would be kept in a file and shown by tools.
    """
    if prepared.request.executor != RAY:
        raise ConfigError(
            f"cluster.executor: {prepared.request.executor} runs in one process; "
            "leave cluster=... out for submit"
        )
    study = [word for word in args.overrides if _of_the_study(_key(word))]
    folder = [] if args.config_dir is None else ["--config-dir", _folder_there(args)]
    words = ["bios-sweep", "run", *study, *_cluster(study), _workspace(args, prepared), *folder]
    for word in words:
        secret = secret_in(word)
        if secret:
            raise ConfigError(
                f"{_key(word)}: holds {secret}, which would be written into the file; leave it out and give "
                "it to the job as docs/submit.md says"
            )
    _require_found_there(args, prepared)
    return StudyCommand(
        sweep_id=prepared.plan.sweep_id,
        words=tuple(words),
        folder=str(Path.cwd()),
        workspace=str(prepared.workspace.root),
        stop_file=str(prepared.workspace.stop_file),
        request=prepared.request,
    )


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _of_the_study(key: str) -> bool:
    return not any(key == name or key.startswith(f"{name}.") for name in NOT_OF_THE_STUDY)


def _workspace(args: Namespace, prepared: Prepared) -> str:
    """The override, absolute. A Ray job's own working directory is deleted with the job.

    Raises:
        ConfigError: a relative folder for `rayjob`, or a path that Hydra would read as something else.
    """
    given = Path(str(prepared.config.values["workspace"])).expanduser()
    root = str(prepared.workspace.root)
    if args.to == "rayjob" and not given.is_absolute():
        raise ConfigError(
            f"workspace: {given} is relative and would lie in the job's own folder, which Ray deletes; give "
            "an absolute path on storage that every node sees"
        )
    if re.fullmatch(r"[\w./@+-]+", root):
        return f"workspace={root}"
    if "'" in root or "\\" in root or "${" in root:
        raise ConfigError(f"workspace: {root!r} holds a quote, a backslash or ${{; choose a simpler path")
    return f"workspace='{root}'"


def _folder_there(args: Namespace) -> str:
    folder: Path = args.config_dir
    inside = args.to == "rayjob" and not folder.is_absolute()
    return str(folder if inside else folder.absolute())


def _require_found_there(args: Namespace, prepared: Prepared) -> None:
    """Slurm starts in this folder, a Ray job in its working_dir, a pod in its image's.

    Raises:
        ConfigError: a relative path that would be looked for in another folder.
    """
    values = prepared.config.values
    if args.to == "slurm" or (args.to == "rayjob" and values["submit"].get("working_dir")):
        return
    local = [(f"{group}.{name}", values[group].get(name)) for group, name in PATHS]
    for key, path in [*local, ("--config-dir", args.config_dir)]:
        if path and not Path(str(path)).is_absolute() and Path(str(path)).exists():
            way = "give an absolute path" + (" or submit.working_dir" if args.to == "rayjob" else "")
            raise ConfigError(f"{key}: {path} is relative, and the job starts in another folder; {way}")


def _submission(args: Namespace, prepared: Prepared, command: StudyCommand, file: Path) -> Submission:
    values: dict[str, Any] = prepared.config.values["submit"]
    follows = False
    if args.to == "slurm":
        text = sbatch_file(command, SlurmOptions.from_values(values))
        words: tuple[str, ...] = ("sbatch", str(file))
    elif args.to == "kuberay":
        text = rayjob_manifest(command, KubeRayOptions.from_values(values))
        words = ("kubectl", "create", "-f", str(file))
    else:
        options = RayJobOptions.from_values(values)
        text, words, follows = job_script(command, options), job_words(command, options), options.wait
    for number, line in enumerate(text.splitlines(), 1):
        secret = secret_in(line)
        if secret:
            raise ConfigError(f"submit: line {number} of the file would hold {secret}; see docs/submit.md")
    return Submission(text=text, words=words, follows=follows)


def _suffix(to: str) -> str:
    return {"slurm": ".sbatch", "kuberay": ".yaml", "rayjob": ".sh"}[to]


def _write(file: Path, text: str) -> None:
    """Never over another text: somebody may have edited it.

    Raises:
        InputError: the file is there and differs.
    """
    if file.exists() and (not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != text):
        raise InputError(f"{file}: is there and differs; remove it, or choose another with --file")
    write_atomically(file, text)


def _require_program(name: str) -> None:
    if shutil.which(name) is None:
        raise InputError(f"`{name}` is not on this machine; leave out --send and submit where it is")


def _send(words: Sequence[str]) -> str:
    """Submit, and return what the scheduler answered, without the colours that Ray gives to files as well.

    Raises:
        ClusterError: it refused.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = COLOUR.sub("", done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        way = JOB_SERVER if "Failed to connect to Ray" in said else ""
        raise ClusterError(f"`{words[0]}` refused the job ({said.rstrip('.')}); nothing was started{way}")
    return COLOUR.sub("", done.stdout.strip())


def _follow(words: Sequence[str]) -> str:
    """Submit and stay until the job ends. Its log goes to standard error, live.

    Raises:
        ClusterError: it was refused, failed or was stopped; the log above says which.
    """
    status = subprocess.run(words, stdout=STANDARD_ERROR, check=False).returncode
    if status:
        raise ClusterError(
            f"`{words[0]}` ended with status {status}: the job was refused or did not end well, as the lines "
            "above say; the same command goes on with what is left"
        )
    return "the job ended well"


def _tell(args: Namespace, answer: dict[str, Any]) -> None:
    for warning in answer["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)  # standard output may be the file itself
    if args.dry_run:
        print(answer["content"], end="")
        return
    print(f"{answer['to_run']} trials to run of sweep {answer['sweep_id']}")
    for note in answer["notes"]:
        print(f"note: {note}")
    print(f"wrote {answer['file']}", flush=True)  # before the lines of a job that is followed
    if not args.send:
        print(f"submit it with: {answer['submit_with']}")
