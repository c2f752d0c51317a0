"""`method.*` of a scripted method as one validated value: what is run, on which files, and how it is read."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.checks import is_positive, not_allowed, truth
from bios_sweep.engines.scripted.function import OwnFunction
from bios_sweep.engines.scripted.identity import callable_file, command_files, input_files
from bios_sweep.engines.scripted.readings import STATE_FILE
from bios_sweep.engines.scripted.template import SEED, TRIAL_DIR, CommandTemplate, Template
from bios_sweep.engines.scripted.words import (
    ASSIGNMENT,
    behind_starters,
    script_named,
    shell_commands,
    starts_elsewhere,
)
from bios_sweep.errors import ConfigError
from bios_sweep.method import Runner
from bios_sweep.own_settings import Own
from bios_sweep.secrecy import secret_in
from bios_sweep.settings import require_free, setting_names

NEEDED = ("metric", "inputs", "time_limit_seconds", "resumes")
STATE_PATTERN = (
    f"{{{TRIAL_DIR}}}/**/{STATE_FILE}"  # in the Trainer's output folder, or in its last checkpoint
)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A user's script.

    run: the command's text, or `module:function`. command: None for a callable. files: those that decide what
    it does, by the names they are given. own: names of the settings that only it knows.
    """

    runner: Runner
    run: str
    command: CommandTemplate | None
    files: Mapping[str, Path]
    metric: str
    metrics_file: str | None
    time_limit_seconds: float | None
    resumes: bool
    own: tuple[str, ...]

    @property
    def shell(self) -> bool:
        """Whether a shell reads the command."""
        return self.command is not None and self.command.shell

    @property
    def carried(self) -> tuple[str, ...] | None:
        """The settings that its placeholders carry; None for a callable, which gets them all."""
        if self.command is None:
            return None
        return tuple(name for name in self.command.names if name in (*setting_names(), *self.own))

    @property
    def label(self) -> str:
        """What it is called where nobody has named it: its first file, or its program."""
        return next((path.name for path in self.files.values()), self.run.split()[0])

    @property
    def identity(self) -> dict[str, Any]:
        """What of the configuration decides a trial's result, beside settings and files.

        Spaces between the words of a command change nothing.
        """
        run = self.run if self.command is None else list(self.command.words)
        return {"run": run, "metric": self.metric, "metrics_file": self.metrics_file}

    @property
    def in_our_environment(self) -> bool:
        """Whether it runs on this very Python installation, whose packages then decide its numbers."""
        if self.command is None:
            return True
        programs = [
            shutil.which(words[0]) for part in _commands(self.command) if (words := behind_starters(part))
        ]
        return any(found and Path(found).parent == Path(sys.executable).parent for found in programs)


def script_of(method: Mapping[str, Any], cwd: Path, function: OwnFunction | None = None) -> Script:
    """The script that the values of `method` describe, found in the folder `cwd`.

    function: was handed over instead of its import path.

    Raises:
        ConfigError: a value that is missing or not allowed; the message names its key.
    """
    _check(method)
    own = _own(method.get("settings"))
    run, command = _run(method, own) if function is None else (function.name, None)
    if command is not None:
        _require_heard(own, command)
        _require_script(command, cwd)
    return Script(
        runner=Runner(method["runner"]),
        run=run,
        command=command,
        files=_files(method, command, cwd, function),
        metric=method["metric"],
        metrics_file=_metrics_file(method, own),
        time_limit_seconds=method["time_limit_seconds"],
        resumes=method["resumes"],
        own=own,
    )


def _own(settings: Any) -> tuple[str, ...]:
    if not isinstance(settings, Mapping | None):
        raise ConfigError(
            f"method.settings: {settings!r} is not allowed; names with values, such as {{optimizer: adamw}}"
        )
    own = tuple(Own(settings))
    require_free(own)
    return own


def _require_heard(own: Sequence[str], command: CommandTemplate) -> None:
    for name in own:
        if name not in command.names:
            raise ConfigError(
                f"method.settings.{name}: method.command has no {{{name}}}, so the script would never hear "
                f"of it; add --{name} {{{name}}} as the script spells it, or leave it out"
            )


def _check(method: Mapping[str, Any]) -> None:
    missing = [name for name in NEEDED if name not in method]
    if missing:
        raise ConfigError(f"method.{missing[0]}: is missing; method={method['runner']} needs it")
    if not isinstance(method["metric"], str) or not method["metric"].strip():
        raise not_allowed("method.metric", method["metric"], "the name of a metric")
    for key in ("shell", "resumes"):
        truth(f"method.{key}", method.get(key, False))
    limit = method["time_limit_seconds"]
    if limit is not None and not is_positive(limit):
        raise not_allowed("method.time_limit_seconds", limit, "a number above 0, or null")


def _run(method: Mapping[str, Any], own: tuple[str, ...]) -> tuple[str, CommandTemplate | None]:
    """What is run: a command's text with the command, or the callable's import path."""
    if method["runner"] == Runner.PYTHON:
        if not isinstance(method.get("callable"), str):
            raise ConfigError("method.callable: missing; for example method.callable=my_package.train:trial")
        return method["callable"], None
    text = method.get("command")
    if text is not None and not isinstance(text, str):
        raise not_allowed("method.command", text, "a text")
    command = CommandTemplate(text=text or "", shell=method.get("shell", False), own=own)
    found = secret_in(command.text)
    if found is not None:
        raise ConfigError(
            f"method.command: holds {found}, which would be kept with the plan; pass it in the environment, "
            "which the script inherits"
        )
    if SEED not in command.names:
        raise ConfigError(
            "method.command: has no {seed}, so every replicate would be the same run; add it as the script "
            'spells it, or as a variable: "env SEED={seed} python train.py ..."'
        )
    _require_program(command)
    return command.text, command


def _require_program(command: CommandTemplate) -> None:
    words = (command.words[0], *behind_starters(command.words)[:1])
    for program in () if command.shell else words:
        if "{" not in program and shutil.which(program) is None:
            raise ConfigError(
                f"method.command: there is no program {program!r} here that could be started"
                f"{_instead_of(program)}"
            )


def _instead_of(program: str) -> str:
    if ASSIGNMENT.match(program):
        return f"; write env {program} ..., or method.shell=true"
    if program != "python":
        return ""
    return f"; write {'python3' if shutil.which('python3') else sys.executable}"


def _require_script(command: CommandTemplate, cwd: Path) -> None:
    """A mistyped name would fail in every trial. A shell also looks for a script among its programs."""
    for words in _commands(command):
        if starts_elsewhere(words):
            return
        name = script_named(words)
        if name is None or (cwd / name).is_file() or shutil.which(name):
            continue
        folder = (cwd / name).parent
        there = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        close = difflib.get_close_matches(Path(name).name, sorted(there), n=1)
        meant = f"; did you mean {Path(name).parent / close[0]}?" if close else ""
        raise ConfigError(f"method.command: there is no file {name!r} in {cwd}{meant}")


def _commands(command: CommandTemplate) -> list[list[str]]:
    """The commands in it, as far as a shell's text can be read without one."""
    return (shell_commands(command.text) if command.shell else []) or [list(command.words)]


def _files(
    method: Mapping[str, Any], command: CommandTemplate | None, cwd: Path, function: OwnFunction | None
) -> dict[str, Path]:
    inputs = method["inputs"]
    if not isinstance(inputs, list):
        raise ConfigError(f"method.inputs: {inputs!r} is not a list of files")
    if function is not None:
        return dict(function.files) | input_files(inputs, cwd)
    if command is None:
        return {method["callable"]: callable_file(method["callable"], cwd)} | input_files(inputs, cwd)
    words = [word for part in _commands(command) for word in part]
    return command_files(words, cwd) | input_files(inputs, cwd)


def _metrics_file(method: Mapping[str, Any], own: tuple[str, ...]) -> str | None:
    """The pattern of the file with the metrics, inside the script's folder; None for standard output."""
    given, state = method.get("metrics_file"), method.get("trainer_state")
    if given and state:
        raise ConfigError("method.metrics_file and method.trainer_state are both given; choose one")
    if state is True:
        return STATE_PATTERN
    pattern = given or state or None
    if pattern is None:
        return None
    key = "method.metrics_file" if given else "method.trainer_state"
    inside = isinstance(pattern, str) and pattern.startswith(f"{{{TRIAL_DIR}}}/")
    if not inside or ".." in pattern.split("/"):
        raise ConfigError(
            f"{key}: {pattern!r} is not allowed; it begins with {{{TRIAL_DIR}}}/, for trials run at the same "
            "time must not share a file"
        )
    return Template(key=key, text=str(pattern), own=own).text
