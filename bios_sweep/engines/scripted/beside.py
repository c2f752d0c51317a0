"""What a script is told beside its command: the file of settings that is made for it, and variables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.checks import not_allowed
from bios_sweep.engines.scripted.command import TRIAL_DIR, Template, variable
from bios_sweep.engines.scripted.identity import is_file
from bios_sweep.engines.scripted.settings_file import TEMPLATE_KEY, FileTemplate
from bios_sweep.errors import ConfigError
from bios_sweep.secrecy import SECRET_NAME, secret_in

FILE_KEY = "method.settings_file"
VARIABLE = re.compile(r"[A-Za-z_]\w*")


def template_of(method: Mapping[str, Any], own: Sequence[str], cwd: Path) -> FileTemplate | None:
    """The file with placeholders."""
    name = method.get("settings_template")
    if name is None:
        return None
    if not isinstance(name, str) or not (cwd / name).is_file():
        raise ConfigError(
            f"{TEMPLATE_KEY}: {name!r} is no file in {cwd}; name a file with placeholders, such as "
            "lr: {learning_rate}"
        )
    try:
        text = (cwd / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{TEMPLATE_KEY}: {name} cannot be read as a text ({error})") from error
    found = secret_in(text)
    if found is not None:
        raise ConfigError(
            f"{TEMPLATE_KEY}: {name} holds {found}, and a copy of it is kept with each trial; have the "
            "script read it from the environment, which it inherits"
        )
    return FileTemplate(name=name, text=text, own=tuple(own))


def template_files(template: FileTemplate | None, cwd: Path) -> dict[str, Path]:
    """The template and the files that it names: another content of any makes other trials."""
    if template is None:
        return {}
    named = {text for text in template.scalars() if isinstance(text, str) and is_file(cwd / text)}
    return {template.name: cwd / template.name, **{name: cwd / name for name in sorted(named)}}


def settings_file_of(
    method: Mapping[str, Any], template: FileTemplate | None, own: tuple[str, ...]
) -> str | None:
    """Where a trial's copy of the template lies: by its own name in the script's folder, unless said."""
    given = method.get("settings_file")
    if template is None:
        if given is not None:
            raise ConfigError(
                f"{FILE_KEY}: is made of a template with placeholders; add {TEMPLATE_KEY}=my.yaml"
            )
        return None
    if given is None:
        return f"{{{TRIAL_DIR}}}/{Path(template.name).name}"
    return inside(FILE_KEY, given, own)


def env_of(method: Mapping[str, Any], own: tuple[str, ...]) -> dict[str, str]:
    """Variables by name, as texts."""
    given = method.get("env")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise not_allowed("method.env", given, 'variables with values, such as {LR: "{learning_rate}"}')
    texts = {}
    for name, value in given.items():
        if not isinstance(name, str) or not VARIABLE.fullmatch(name):
            raise not_allowed("method.env", name, "the name of a variable: letters, digits and _")
        if isinstance(value, Mapping) and len(value) == 1 and [*value.values()] == [None]:
            value = f"{{{next(iter(value))}}}"  # YAML's and Hydra's way to read {learning_rate}
        if not isinstance(value, str | int | float | bool):
            raise not_allowed(f"method.env.{name}", value, "a text, a number, or a placeholder")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if SECRET_NAME.search(name) and "{" not in text:
            raise ConfigError(
                f"method.env.{name}: would be kept with the plan; set it where you start, for the script "
                "inherits the environment"
            )
        texts[name] = text
        variable(name, text, own)  # checks its placeholders
    return texts


def inside(key: str, pattern: Any, own: tuple[str, ...]) -> str:
    """A path inside the script's folder, with placeholders."""
    begins = isinstance(pattern, str) and pattern.startswith(f"{{{TRIAL_DIR}}}/")
    if not begins or ".." in pattern.split("/"):
        raise ConfigError(
            f"{key}: {pattern!r} is not allowed; it begins with {{{TRIAL_DIR}}}/, for trials run at the same "
            "time must not share a file"
        )
    return Template(key=key, text=str(pattern), own=own).text
