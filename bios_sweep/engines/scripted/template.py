"""A command with placeholders, `python train.py --lr {learning_rate}`, and the words it becomes for a trial.

Without a shell the text is split into words first and values are put in afterwards, so that no value is
ever split or read as syntax. With a shell every value is quoted.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.settings import TrainingSettings, setting_names

SEED = "seed"
TRIAL_DIR = "trial_dir"
SHELL = "/bin/sh"

Part = tuple[str, str | None]  # a literal, and the placeholder after it


def allowed_names() -> tuple[str, ...]:
    """What a placeholder may name beside the script's own settings: any setting, the seed, its folder."""
    return (*setting_names(), SEED, TRIAL_DIR)


@dataclass(frozen=True, kw_only=True)
class Template:
    """One text with placeholders. key: where it was configured, for messages. own: settings of one's own."""

    key: str
    text: str
    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            allowed = (*allowed_names(), *self.own)
            if name not in allowed:
                raise ConfigError(
                    f"{self.key}: {{{name}}} is no placeholder; allowed are {', '.join(allowed)} "
                    "(a literal brace is written {{ or }})"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders, each once, in the order they are first used."""
        return tuple(dict.fromkeys(name for _, name in self.parts() if name is not None))

    def parts(self) -> list[Part]:
        """The text as literals and placeholders.

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


@dataclass(frozen=True, kw_only=True)
class CommandTemplate:
    """What to start for a trial. shell: hand the text to /bin/sh, with every value quoted."""

    text: str
    shell: bool = False
    own: tuple[str, ...] = ()

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

    def argv(self, values: Mapping[str, str]) -> list[str]:
        """The words to start, with the values of a trial."""
        if not self.shell:
            return [self._template(word).filled(values) for word in self.words]
        quoted = {name: shlex.quote(value) for name, value in values.items()}
        return [SHELL, "-c", self._template(self.text).filled(quoted)]

    def _template(self, text: str) -> Template:
        return Template(key="method.command", text=text, own=self.own)


def written(settings: TrainingSettings, seed: int, trial_dir: str) -> dict[str, str]:
    """Every placeholder's value as text: numbers in the shortest form that reads back to the same number."""
    values: dict[str, Any] = {name: getattr(settings, name) for name in settings.names}
    values |= {SEED: seed, TRIAL_DIR: trial_dir}
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
            if name in carried:
                continue
            advice = ""
            if name == "max_steps" and "batch_size" in names:
                advice = f" (another batch size takes other steps to hold {hold} equal; or budget.hold=steps)"
            raise ConfigError(
                f"{arm}: method.command has no {{{name}}}, so this variation would change nothing; "
                f"add --{name} {{{name}}} as the script spells it{advice}"
            )
