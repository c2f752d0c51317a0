"""How long and how deep an input may be: beyond, its readers take for ever, or all memory, or give up.

A YAML file of a few hundred bytes can stand for billions of values (aliases of aliases), a word of a command
line can be nested deeper than any reader recurses. Nobody means such an input.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.errors import ConfigError

LONGEST_WORD = 100_000  # characters of an override; chosen: a command line's word has at most 131 072
LONGEST_NAME = 255  # of a word without a value: what a file system allows
DEEPEST = 20  # brackets inside one another; chosen: our own files have five
MOST_DIGITS = 300  # of a whole number: a float holds no more
MOST_BYTES = 1_000_000  # of a config file; chosen: ours have a few thousand
MOST_ALIASES = 50  # chosen: who shares parts of a file by hand does so a few times
DIGITS = re.compile(rf"\d{{{MOST_DIGITS},}}")
OPENING, CLOSING = "[{(", "]})"


def require_modest_word(word: str) -> None:
    """Refuse an override that nobody typed.

    Raises:
        ConfigError: it is too long, nested too deep, or holds a number of too many digits.
    """
    key, equals, value = word.partition("=")
    if len(word) > LONGEST_WORD or (not equals and len(word) > LONGEST_NAME):
        raise ConfigError(f"{key[:40]}...: a word of {len(word):,} characters is no override")
    if len(key) > LONGEST_NAME:
        raise ConfigError(f"{key[:40]}...: a key of {len(key):,} characters is not allowed")
    if key in ("sweeps",) and len(value) > LONGEST_NAME and "/" not in value:
        raise ConfigError(f"{key}: a name of {len(value):,} characters is not allowed")
    if DIGITS.search(value):
        raise ConfigError(f"{key}: a number of {MOST_DIGITS} digits and more is not allowed")
    if _depth(value) > DEEPEST:
        raise ConfigError(f"{key}: brackets are nested more than {DEEPEST} deep, which is not allowed")


def require_modest_file(path: Path) -> None:
    """Refuse a config file that is none, before it is read whole.

    Raises:
        ConfigError: it is no regular file, too large, nested too deep, or full of aliases.
        OSError: it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path}: is no regular file")
    if status.st_size > MOST_BYTES:
        raise ConfigError(f"{path}: {status.st_size:,} bytes are too many; at most {MOST_BYTES:,} are read")
    text = path.read_text(encoding="utf-8")
    if DIGITS.search(text):
        raise ConfigError(f"{path}: a number of {MOST_DIGITS} digits and more is not allowed")
    _require_modest_yaml(path, text)


def _require_modest_yaml(path: Path, text: str) -> None:
    """By the file's events, which are not put together to anything; what is no YAML its reader will say."""
    depth = aliases = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            if depth > DEEPEST:
                raise ConfigError(f"{path}: is nested more than {DEEPEST} deep, which is not allowed")
            if aliases > MOST_ALIASES:
                raise ConfigError(
                    f"{path}: has more than {MOST_ALIASES} aliases (*name), which is not allowed"
                )
    except (yaml.YAMLError, RecursionError):
        return


def _depth(value: str) -> int:
    deepest = depth = 0
    for letter in value:
        depth += (letter in OPENING) - (letter in CLOSING)
        deepest = max(deepest, depth)
    return deepest
