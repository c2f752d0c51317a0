"""A command with placeholders, `python train.py --lr {learning_rate}`: its words, and what they mean.

Without a shell the text is split into words first and values are put in afterwards, so that no value is
ever split or read as syntax. With a shell every value is quoted. Nothing is run to read it.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from string import Formatter
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.settings import KNOWN, TrainingSettings, setting_names
from bios_sweep.study.design import EPOCHS

SEED = "seed"
TRIAL_DIR = "trial_dir"
SETTINGS_FILE = "settings_file"  # where the trial's own copy of method.settings_template lies
FREE_PORT = "free_port"  # of the node, for a launcher whose processes talk to each other
SHELL = "/bin/sh"
OPERATORS = ";|&<>()"  # of a shell
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# Programs that start the command behind their own words -> options whose value is a word of its own
# (coreutils, util-linux and the shells' own words).
STARTERS: Mapping[str, tuple[str, ...]] = {
    "env": ("-u", "--unset", "-C", "--chdir", "-S", "--split-string"),
    "nice": ("-n", "--adjustment"),
    "ionice": ("-c", "-n", "--class", "--classdata"),
    "timeout": ("-k", "--kill-after", "-s", "--signal"),
    "stdbuf": ("-i", "-o", "-e"),
    "nohup": (),
    "setsid": (),
    "time": ("-f", "-o"),
    "exec": ("-a",),
}
# Programs that read a script here, in this folder; what follows `docker run` may lie anywhere.
READERS = re.compile(r"(python|pypy)[\d.]*|sh|bash|dash|zsh|torchrun|accelerate|deepspeed")
NAMED_OTHERWISE = re.compile(r"-[A-Za-z]*[mc]")  # behind it comes a module, or code
ELSEWHERE = ("cd", "pushd", "-C", "--chdir")  # what follows is read in another folder
EPOCH_NAMES = (EPOCHS, "epoch", "num_train_epochs", "num_epochs", "n_epochs", "max_epochs")
SCRIPTS = (".py", ".sh")


def known_placeholders(own: Sequence[str] = ()) -> tuple[str, ...]:
    """All names that a placeholder may have. own: settings of one's own."""
    return tuple(dict.fromkeys((*setting_names(), SEED, TRIAL_DIR, SETTINGS_FILE, FREE_PORT, *own)))


def meant(name: str, allowed: Sequence[str]) -> str:
    """What a name that is no placeholder may stand for, as a question; empty where nobody knows."""
    if name.lower() in EPOCH_NAMES:
        return (
            f" ({{{EPOCHS}}} is one where they are held equal: add budget.hold=epochs and budget.epochs=3, "
            "or as many as it is; the script's own steps then follow from them)"
        )
    own = {alias: setting for setting, facts in KNOWN.items() for alias in facts.aliases}
    near = own.get(name.lower()) or next(iter(difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)), "")
    return f" (did you mean {{{near}}}?)" if near else ""


@dataclass(frozen=True, kw_only=True)
class Template:
    """One text with placeholders. key: where it was configured, for messages. own: settings of one's own."""

    key: str
    text: str
    own: Sequence[str] = ()

    def __post_init__(self) -> None:
        allowed = known_placeholders(self.own)
        for name in self.names:
            if name not in allowed:
                raise ConfigError(
                    f"{self.key}: {{{name}}} is no placeholder{meant(name, allowed)}; allowed are "
                    f"{', '.join(allowed)} (a literal brace is written {{{{ or }}}})"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders, each once, in the order they are first used."""
        return tuple(dict.fromkeys(name for _, name in self.parts() if name is not None))

    def parts(self) -> list[tuple[str, str | None]]:
        """The text as literals, each with the placeholder after it.

        Raises:
            ConfigError: a brace without its partner, or a placeholder with a format.
        """
        try:
            parsed = list(Formatter().parse(self.text))
        except ValueError as error:
            raise ConfigError(f"{self.key}: {error}; a literal brace is written {{{{ or }}}}") from error
        for _, name, form, conversion in parsed:
            if form or conversion:
                raise ConfigError(f"{self.key}: {{{name}:...}} has a format; write {{{name}}}")
        return [(literal, name) for literal, name, _, _ in parsed]

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with its values."""
        return "".join(literal + ("" if name is None else values[name]) for literal, name in self.parts())


def variable(name: str, text: str, own: Sequence[str]) -> Template:
    """The value of a variable, with placeholders."""
    return Template(key=f"method.env.{name}", text=text, own=own)


@dataclass(frozen=True, kw_only=True)
class CommandTemplate:
    """What to start for a trial. shell: hand the text to /bin/sh, with every value quoted."""

    text: str
    shell: bool = False
    own: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ConfigError(
                'method.command: missing; for example "python train.py --lr {learning_rate} --seed {seed}"'
            )
        for word in self.words:
            self._template(word)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the text, placeholders unfilled; the whole text as one word for a shell.

        Raises:
            ConfigError: a quotation mark without its partner.
        """
        if self.shell:
            return (self.text,)
        try:
            return tuple(shlex.split(self.text))
        except ValueError as error:
            raise ConfigError(f"method.command: {str(error).lower()}; check its quotation marks") from error

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders in the command."""
        return self._template("\n".join(self.words)).names

    @property
    def commands(self) -> list[list[str]]:
        """The commands in it, as far as a shell's text can be read without one."""
        return (shell_commands(self.text) if self.shell else []) or [list(self.words)]

    def argv(self, values: Mapping[str, str]) -> list[str]:
        """The words to start, with the values of a trial."""
        if not self.shell:
            return [self._template(word).filled(values) for word in self.words]
        quoted = {name: shlex.quote(value) for name, value in values.items()}
        return [SHELL, "-c", self._template(self.text).filled(quoted)]

    def _template(self, text: str) -> Template:
        return Template(key="method.command", text=text, own=self.own)


def values_of(settings: TrainingSettings, seed: int, trial_dir: str, **more: Any) -> dict[str, Any]:
    """Every placeholder's value. more: others, which a setting of one's own of that name goes before."""
    own = {name: getattr(settings, name) for name in settings.names}
    return {**more, **own, SEED: seed, TRIAL_DIR: trial_dir}


def written(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as texts of a command: numbers in the shortest form that reads back to the same number."""
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def require_carried(changed: Mapping[str, Sequence[str]], carried: Sequence[str], *, hold: str) -> None:
    """Refuse a variation that the script would never hear of: it could change nothing.

    changed: arm -> settings in which it differs from the baseline. hold: what is held equal, for the advice.

    Raises:
        ConfigError: a setting that no placeholder carries.
    """
    for arm, names in changed.items():
        for name in names:
            if name in carried or (name == "max_steps" and hold == "epochs" and len(names) > 1):
                continue  # the steps that so many epochs come to: the script counts them itself
            advice = ""
            if name == "max_steps" and "batch_size" in names:
                advice = (
                    f" (another batch size takes other steps to hold {hold} equal; or budget.hold=steps, "
                    "or, of a script that counts epochs, budget.hold=epochs with {epochs})"
                )
            raise ConfigError(
                f"{arm}: method.command has no {{{name}}}, so this variation would change nothing; "
                f"add --{name} {{{name}}} as the script spells it{advice}"
            )


def shell_commands(text: str) -> list[list[str]]:
    """The simple commands a shell would see; split at spaces where quotation marks are open."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    reader.whitespace_split, reader.commenters = True, ""
    try:
        words = list(reader)
    except ValueError:
        words = text.split()
    commands: list[list[str]] = [[]]
    for word in words:
        bare = word.strip(OPERATORS)
        if bare:
            commands[-1].append(bare)
        if bare != word:
            commands.append([])
    return [command for command in commands if command]


def shell_words(text: str) -> list[str]:
    """The words a shell would see, without its operators."""
    return [word for command in shell_commands(text) for word in command]


def behind_starters(words: Sequence[str]) -> list[str]:
    """The command itself: without assignments, `env X=1`, `nice -n 5`, `timeout 60` and their like."""
    rest = list(words)
    while rest:
        name = PurePath(rest[0]).name
        if ASSIGNMENT.match(rest[0]):
            del rest[0]
        elif name in STARTERS:
            del rest[0]
            while rest and rest[0].startswith("-"):
                del rest[: 2 if rest[0] in STARTERS[name] else 1]
            del rest[: name == "timeout"]  # how long
        else:
            break
    return rest


def script_named(words: Sequence[str]) -> str | None:
    """The script file that a command hands to an interpreter or a launcher; None where none is named so."""
    command = behind_starters(words)
    if not command or not READERS.fullmatch(PurePath(command[0]).name):
        return None
    for word in command[1:]:
        if NAMED_OTHERWISE.fullmatch(word):
            return None
        if word.endswith(SCRIPTS) and not word.startswith("-"):
            return None if "{" in word or "$" in word else word
    return None
