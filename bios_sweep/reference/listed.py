"""All keys of `conf/` with what may stand there, and those that are about some words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.config.keys import Key, read_conf
from bios_sweep.errors import InputError
from bios_sweep.jsonable import FLAT
from bios_sweep.own_settings import near
from bios_sweep.reference.declared import kinds
from bios_sweep.reference.kinds import Kind, kind_of_default
from bios_sweep.settings import KNOWN, key_of


@dataclass(frozen=True, kw_only=True)
class ListedKey:
    """A key in one option's file.

    path: dotted. option: `group=name` of the file, empty for what is there in any case. value: the default as
    the file says it. comment: what it is, in a sentence.
    """

    path: str
    option: str
    value: str
    comment: str
    kind: Kind = field(metadata=FLAT)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What `keys` answers."""

    keys: tuple[ListedKey, ...]


def listed_keys(conf: Path) -> tuple[ListedKey, ...]:
    """Every key in the order of the files; a comment that one option lacks is that of another one's file."""
    keys = [key for option in read_conf(conf) for key in option.keys]
    told = {key.path: key.comment for key in reversed(keys) if key.comment}
    return tuple(
        ListedKey(
            path=key.path,
            option=key.option,
            value=key.value,
            comment=key.comment or told.get(key.path, ""),
            kind=kind_of(key),
        )
        for key in keys
    )


def kind_of(key: Key) -> Kind:
    """As it is declared, else as its default is: a user's own file may say what no class of ours knows."""
    return kinds(key.option).get(key.path) or kind_of_default(yaml.safe_load(key.value))


def keys_about(keys: Sequence[ListedKey], words: Sequence[str]) -> tuple[ListedKey, ...]:
    """Those whose name, option, sentence or choices have every word, or that trackers call by it.

    Raises:
        InputError: none has, with the nearest names.
    """
    aliases = {key_of(name): facts.aliases for name, facts in KNOWN.items() if facts.group}
    wanted = [word.lower() for word in words]
    found = tuple(key for key in keys if all(_has(key, word, aliases.get(key.path, ())) for word in wanted))
    if not found:
        misspelt = next((word for word in wanted if not any(_has(key, word, ()) for key in keys)), "")
        names = [key.path if "." in misspelt else key.path.rpartition(".")[2] for key in keys]
        meant = near(misspelt, list(dict.fromkeys(names))) if misspelt else ""
        raise InputError(f"no key is about {' '.join(words)!r}{meant}; `bios-sweep keys` lists all")
    return found


def _has(key: ListedKey, word: str, aliases: Sequence[str]) -> bool:
    text = " ".join((key.path, key.option, key.comment, *key.kind.choices)).lower()
    return word in text or word in aliases
