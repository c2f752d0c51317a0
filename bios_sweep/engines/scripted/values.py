"""`method.*` of a scripted method as one validated value: what is run, on which files, and how it is read."""

from __future__ import annotations

import difflib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.checks import is_positive, not_allowed, truth
from bios_sweep.engines.scripted.beside import (
    env_of,
    inside,
    settings_file_of,
    template_files,
    template_of,
)
from bios_sweep.engines.scripted.command import (
    ASSIGNMENT,
    ELSEWHERE,
    SEED,
    SETTINGS_FILE,
    TRIAL_DIR,
    CommandTemplate,
    behind_starters,
    script_named,
    variable,
)
from bios_sweep.engines.scripted.function import OwnFunction
from bios_sweep.engines.scripted.identity import callable_file, command_files, imported_files, input_files
from bios_sweep.engines.scripted.lines import PATTERN_KEY, pattern_of
from bios_sweep.engines.scripted.metric_files import STATE_FILE
from bios_sweep.engines.scripted.settings_file import TEMPLATE_KEY, FileTemplate
from bios_sweep.errors import ConfigError
from bios_sweep.method import Runner
from bios_sweep.own_settings import Own
from bios_sweep.secrecy import secret_in
from bios_sweep.settings import require_free, setting_names

NEEDED = ("metric", "inputs", "time_limit_seconds", "resumes")
LONGEST_SECONDS = 1e9  # thirty years: the clocks that are waited on hold no more than ten times that
# In the Trainer's output folder, or in its last checkpoint.
STATE_PATTERN = f"{{{TRIAL_DIR}}}/**/{STATE_FILE}"


@dataclass(frozen=True, kw_only=True)
class Script:
    """A user's script.

    run: the command's text, or `module:function`. command: None for a callable. files: those that decide
    what it does, by the names they are given. own: names of the settings that only it knows. settings_file:
    where a trial's copy of `template` lies, with placeholders. env: variables that it is given, with
    placeholders.
    """

    run: str
    command: CommandTemplate | None
    files: Mapping[str, Path]
    metric: str
    metrics_file: str | None
    pattern: str | None
    time_limit_seconds: float | None
    resumes: bool
    own: tuple[str, ...]
    template: FileTemplate | None = None
    settings_file: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def shell(self) -> bool:
        """Whether a shell reads the command."""
        return self.command is not None and self.command.shell

    @property
    def carried(self) -> tuple[str, ...] | None:
        """The settings that its placeholders carry; None for a callable, which gets them all."""
        if self.command is None:
            return None
        return tuple(name for name in self.placeholders if name in (*setting_names(), *self.own))

    @property
    def placeholders(self) -> tuple[str, ...]:
        """All that it is told by, in command, settings file and variables; each once."""
        command = () if self.command is None else self.command.names
        file = () if self.template is None else self.template.names
        env = (name for key, text in self.env.items() for name in variable(key, text, self.own).names)
        return tuple(dict.fromkeys((*command, *file, *env)))

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
        told = {"run": run, "metric": self.metric, "metrics_file": self.metrics_file}
        later = {"pattern": self.pattern, "settings_file": self.settings_file, "env": dict(self.env)}
        return told | {name: value for name, value in later.items() if value}  # where there were none before

    @property
    def in_our_environment(self) -> bool:
        """Whether it runs on this very Python installation, whose packages then decide its numbers."""
        if self.command is None:
            return True
        commands = map(behind_starters, self.command.commands)
        programs = [shutil.which(words[0]) for words in commands if words]
        return any(found and Path(found).parent == Path(sys.executable).parent for found in programs)


def script_of(method: Mapping[str, Any], cwd: Path, function: OwnFunction | None = None) -> Script:
    """The script that the values of `method` describe, found in the folder `cwd`.

    function: was handed over instead of its import path.

    Raises:
        ConfigError: a value that is missing or not allowed; the message names its key.
    """
    _check(method)
    settings = method.get("settings")
    if not isinstance(settings, Mapping | None):
        raise ConfigError(
            f"method.settings: {settings!r} is not allowed; names with values, such as {{optimizer: adamw}}"
        )
    own = tuple(Own(settings))
    require_free(own)
    if function is not None:
        run, command, files = function.name, None, dict(function.files)
    elif method["runner"] == Runner.PYTHON:
        if not isinstance(method.get("callable"), str):
            raise ConfigError("method.callable: missing; for example method.callable=my_package.train:trial")
        run, command = method["callable"], None
        files = {run: callable_file(run, cwd)}
    else:
        command = _command(method, own)
        _require_script(command, cwd)
        run = command.text
        files = command_files([word for part in command.commands for word in part], cwd)
    template = template_of(method, own, cwd)
    named = files | template_files(template, cwd) | input_files(method["inputs"], cwd)
    words = () if command is None else (word for part in command.commands for word in part)
    script = Script(
        run=run,
        command=command,
        files=named if function is not None else named | imported_files(named, words, cwd),
        metric=method["metric"],
        metrics_file=_metrics_file(method, own),
        pattern=_pattern(method),
        time_limit_seconds=method["time_limit_seconds"],
        resumes=method["resumes"],
        own=own,
        template=template,
        settings_file=settings_file_of(method, template, own),
        env=env_of(method, own),
    )
    if command is not None:
        _require_heard(script)
    return script


def _check(method: Mapping[str, Any]) -> None:
    missing = [name for name in NEEDED if name not in method]
    if missing:
        raise ConfigError(f"method.{missing[0]}: is missing; method={method['runner']} needs it")
    if not isinstance(method["metric"], str) or not method["metric"].strip():
        raise not_allowed("method.metric", method["metric"], "the name of a metric")
    for key in ("shell", "resumes"):
        truth(f"method.{key}", method.get(key, False))
    if not isinstance(method["inputs"], list):
        raise ConfigError(f"method.inputs: {method['inputs']!r} is not a list of files")
    limit = method["time_limit_seconds"]
    if limit is not None and not (is_positive(limit) and limit <= LONGEST_SECONDS):
        allowed = f"a number above 0, at most {LONGEST_SECONDS:g}, or null"
        raise not_allowed("method.time_limit_seconds", limit, allowed)


def _command(method: Mapping[str, Any], own: Sequence[str]) -> CommandTemplate:
    """The command, which must hear of the seed and of every setting of its own."""
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
    for program in () if command.shell else (command.words[0], *behind_starters(command.words)[:1]):
        if "{" not in program and shutil.which(program) is None:
            raise ConfigError(
                f"method.command: there is no program {program!r} here that could be started"
                f"{_instead_of(program)}"
            )
    return command


def _require_heard(script: Script) -> None:
    """The script must hear of the seed, of every setting of its own, and of the file that is made for it."""
    told, command = script.placeholders, script.command
    assert command is not None  # a callable gets all
    where = "method.command" if script.template is None else f"method.command and {script.template.name}"
    has = "has no" if script.template is None else "have no"
    if SEED not in told:
        raise ConfigError(
            f"{where}: {has} {{seed}}, so every replicate would be the same run; add it as the script "
            'spells it, or as a variable: "env SEED={seed} python train.py ..."'
        )
    for name in script.own:
        if name not in told:
            raise ConfigError(
                f"method.settings.{name}: {where} {has} {{{name}}}, so the script would never hear "
                f"of it; add --{name} {{{name}}} as the script spells it, or leave it out"
            )
    if script.template is not None and not {SETTINGS_FILE, TRIAL_DIR} & set(command.names):
        raise ConfigError(
            "method.command: has no {settings_file}, so the script would never see the file that is made of "
            f"{script.template.name}; for example python train.py {{settings_file}}"
        )
    if script.template is None and SETTINGS_FILE in told:
        raise ConfigError(f"{TEMPLATE_KEY}: missing; {{settings_file}} is a trial's own copy of it, filled")


def _instead_of(program: str) -> str:
    if ASSIGNMENT.match(program):
        return f"; write env {program} ..., or method.shell=true"
    python = "python3" if shutil.which("python3") else sys.executable
    return f"; write {python}" if program == "python" else ""


def _require_script(command: CommandTemplate, cwd: Path) -> None:
    """A mistyped name would fail in every trial. A shell also looks for a script among its programs."""
    for words in command.commands:
        if any(word in ELSEWHERE for word in words):
            return
        name = script_named(words)
        if name is None or (cwd / name).is_file() or shutil.which(name):
            continue
        folder = (cwd / name).parent
        there = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        close = difflib.get_close_matches(Path(name).name, sorted(there), n=1)
        meant = f"; did you mean {Path(name).parent / close[0]}?" if close else ""
        raise ConfigError(f"method.command: there is no file {name!r} in {cwd}{meant}")


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
    return inside("method.metrics_file" if given else "method.trainer_state", pattern, own)


def _pattern(method: Mapping[str, Any]) -> str | None:
    """A regular expression that can be used, or None."""
    text = method.get("pattern")
    if text is None:
        return None
    if not isinstance(text, str) or not text:
        raise not_allowed(PATTERN_KEY, text, r"a regular expression, such as 'val loss (?P<value>[\d.]+)'")
    if method.get("metrics_file") or method.get("trainer_state"):
        raise ConfigError(
            f"{PATTERN_KEY}: reads the script's output, and a file is named too; leave one of the two out"
        )
    pattern_of(text, method["metric"])
    return text
