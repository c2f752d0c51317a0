"""A configuration by its words: as Hydra composes it, or as it is known to.

Loading Hydra and composing take half of what a command needs that only reads a sweep, and give the same
values for the same words and the same files. What came of them is kept in the user's cache, under all that
decides it: the words, the content of every file that Hydra may read for them, and the code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bios_sweep.config.composed import Config
from bios_sweep.config.places import config_root, user_paths
from bios_sweep.engines.training.cache import cache_folder, read_json_cache, write_json_cache
from bios_sweep.paths import resolved
from bios_sweep.secrecy import secret_in, texts

FOLDER = "composed"
MOST_KEPT = 64  # chosen: 6 kB each
OTHERS = ("hydra", "omegaconf", "yaml")  # whose code decides, too
CHOICE = re.compile(r"[+~]*(sweeps|model|data)=.*[/~.]")  # a file by its path, or a name that may be one
PLAIN_FOLDER = re.compile(r"workspace=\.{0,2}/[\w./-]*")
NAMES_FILES = re.compile(r"\bdefaults[\"']?\s*:|\$\{")  # what such a file reads stands anywhere


def composed(overrides: Sequence[str], config_dir: Path | None = None) -> Config:
    """The configuration of a command line; see `compose_config`."""
    others, folder = _apart(overrides)
    file = _place(others, config_dir)
    known = _known(read_json_cache(file))
    if known is not None:
        return _in_workspace(known, overrides, folder)
    from bios_sweep.config.compose import compose_config  # Hydra: a fifth of a second

    config = compose_config(overrides, config_dir)
    secret = any(secret_in(text) for _, text in texts(config.values))
    read = folder is None or (config.values["workspace"] == folder and _word(folder) in config.composed_of)
    if file is not None and not config.variables and not secret and read:
        _keep(file, config)
    return config


def _apart(overrides: Sequence[str]) -> tuple[list[str], str | None]:
    """The words, of `workspace=FOLDER` the key alone, and the folder, on which no other value depends.

    None where there is no such word, more than one, or one that Hydra might read otherwise.
    """
    named = [word for word in overrides if "workspace" in word]
    if len(named) != 1 or not PLAIN_FOLDER.fullmatch(named[0]):
        return list(overrides), None
    return ["workspace" if word == named[0] else word for word in overrides], named[0].partition("=")[2]


def _word(folder: str) -> str:
    return f"workspace='{folder}'"  # as it is handed to Hydra


def _in_workspace(known: Config, overrides: Sequence[str], folder: str | None) -> Config:
    if folder is None:
        return replace(known, overrides=tuple(overrides))
    words = (_word(folder) if word.startswith("workspace=") else word for word in known.composed_of)
    values = {**known.values, "workspace": folder}
    return replace(known, values=values, overrides=tuple(overrides), composed_of=tuple(words))


def _place(overrides: Sequence[str], config_dir: Path | None) -> Path | None:
    """The file of what these words come to; None where more decides, or a word is secret."""
    folder = cache_folder()
    if folder is None or any(CHOICE.match(word) or "${" in word or secret_in(word) for word in overrides):
        return None
    files = [file for root in user_paths(config_dir) for file in sorted(root.glob("*/*.yaml"))]
    try:
        own = [(str(file), file.read_text(encoding="utf-8")) for file in files]
    except (OSError, ValueError):  # Hydra says what is the matter
        return None
    if any(NAMES_FILES.search(text) for _, text in own):
        return None
    own_folder = None if config_dir is None else str(resolved(config_dir))
    decides = [_code(), _shipped(config_root()), list(overrides), own_folder, own]
    return folder / FOLDER / f"{hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]}.json"


@cache
def _shipped(root: Path) -> str:
    """Of the content of our own files."""
    digest = hashlib.sha256()
    for path in sorted([*(root / "conf").rglob("*.yaml"), *(root / "sweeps").rglob("*.yaml")]):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def _code() -> str:
    """Of the state of the code that composes: ours by size and time, Hydra's by that of its first file."""
    return json.dumps([[file.name, *_stamp(file)] for file in _deciding()])


def _deciding() -> Iterator[Path]:
    package = Path(__file__).parents[1]
    yield from sorted([*package.glob("*.py"), *(package / "config").glob("*.py"), Path(__file__)])
    yield package / "study" / "margins.py"
    yield from (Path(spec.origin) for name in OTHERS if (spec := find_spec(name)) and spec.origin)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _known(kept: Any) -> Config | None:
    """What was kept; None where nothing was, or it is damaged."""
    try:
        return Config(
            values=dict(kept["values"]),
            sweep=kept["sweep"],
            overrides=(),
            composed_of=tuple(kept["composed_of"]),
            members=dict(kept["members"]),
            chooser=dict(kept["chooser"]),
            notes=tuple(kept["notes"]),
        )
    except (TypeError, KeyError, ValueError):
        return None


def _keep(file: Path, config: Config) -> None:
    """Keep it, unless JSON would change it; of many the oldest are dropped."""
    value = {
        "values": config.values,
        "sweep": config.sweep,
        "composed_of": config.composed_of,
        "members": config.members,
        "chooser": config.chooser,
        "notes": config.notes,
    }
    try:
        same = _known(json.loads(json.dumps(value)))
    except (TypeError, ValueError):
        return
    if same is None or repr(same.values) != repr(dict(config.values)):  # by repr: 1, 1.0 and true are equal
        return
    write_json_cache(file, value)
    with suppress(OSError):
        kept = sorted(file.parent.glob("*.json"), key=lambda one: one.stat().st_mtime)
        for old in kept[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
