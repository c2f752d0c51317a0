"""`bios_defaults.json`: written whole or not at all, and believed only after every check.

The evidence hash covers everything but itself, so that a value changed by hand is refused: whoever
wants other values has no evidence for them and should set them as settings.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bios_sweep.atomic import require_folder, write_atomically
from bios_sweep.checks import is_whole
from bios_sweep.defaults.tuned import TunedDefaults, TunedKey
from bios_sweep.defaults.tuned_checks import checked_tuned, require_names
from bios_sweep.errors import ConfigError, DefaultsError
from bios_sweep.method import Objective
from bios_sweep.paths import read_regular

SCHEMA_VERSION = 2  # it added the objective to the key
OF_SFT = 1  # of files without another objective than sft: there is nothing in them that version 1 lacks
FILE_NAME = "bios_defaults.json"
MOST_BYTES = 100_000_000  # chosen: a collection of thousands of studies has a few million
LARGEST_WHOLE = 2**63 - 1  # what other readers of JSON can hold
PARTS = ("schema_version", "key", "values", "evidence", "provenance", "baseline", "evidence_hash")
COLLECTION_PARTS = ("schema_version", "entries")
OPTIONAL_PARTS = ("profiles", "told", "metric", "withdrawn", "damaged")  # not in files of the first versions


def write_tuned(path: str | os.PathLike[str], tuned: TunedDefaults) -> Path:
    """Write the file atomically and return its path: readers see the old file or the new one.

    Raises:
        DefaultsError: the values would not be accepted back by `read_tuned`.
        StorageError: the folder cannot be written.
    """
    return _written(Path(path), _hashed(tuned, _version([tuned])))


def write_entries(path: str | os.PathLike[str], entries: Sequence[TunedDefaults]) -> Path:
    """Write a collection, sorted by key, atomically; return its path.

    Raises:
        DefaultsError: two entries for one key, or an entry that would not be accepted back.
        StorageError: the folder cannot be written.
    """
    version = _version(entries)
    content = [_hashed(entry, version) for entry in sorted(entries, key=lambda entry: entry.key.words)]
    for entry in content:
        del entry["schema_version"]
    return _written(Path(path), {"schema_version": version, "entries": content})


def _hashed(tuned: TunedDefaults, version: int) -> dict[str, Any]:
    content = {"schema_version": version, **tuned.to_dict()}
    return {**content, "evidence_hash": evidence_hash(content)}


def _written(target: Path, content: Mapping[str, Any]) -> Path:
    text = decimal_json(content) + "\n"
    parse_entries(text, where=str(target))
    require_folder(target)
    write_atomically(target, text)
    return target


def _version(entries: Sequence[TunedDefaults]) -> int:
    """The oldest version whose readers take nothing for something else: version 1 took all for sft."""
    return OF_SFT if all(entry.key.objective == Objective.SFT for entry in entries) else SCHEMA_VERSION


def read_tuned(path: str | os.PathLike[str]) -> TunedDefaults:
    """Read and check a tuned-defaults file.

    Raises:
        DefaultsError: missing, not JSON, another or newer schema, a value out of range or without a
            confirmed or refined verdict, or a file that was changed after it was written.
    """
    entries = read_entries(path)
    if len(entries) != 1:
        raise DefaultsError(f"{path}: holds {len(entries)} entries, not one; look one up by its model")
    return entries[0]


def read_entries(path: str | os.PathLike[str]) -> tuple[TunedDefaults, ...]:
    """Read and check a file of one study or a collection.

    Raises:
        DefaultsError: as `read_tuned`, and two entries for one key.
    """
    try:
        text = read_regular(Path(path), MOST_BYTES).decode()
    except OSError as error:
        raise DefaultsError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DefaultsError(f"{path}: is not UTF-8 text") from error
    return parse_entries(text, where=str(path))


def parse_entries(text: str, *, where: str) -> tuple[TunedDefaults, ...]:
    """The entries of a file: the one of a study, or those of a collection, each with a hash of its own.

    Raises:
        DefaultsError: as `read_tuned`, and two entries for one key.
    """
    try:
        content = _object(text)
        if "entries" not in content:
            return (_entry(content),)
        require_names(content, COLLECTION_PARTS, COLLECTION_PARTS, "the file")
        return _collection(content)
    except (DefaultsError, ConfigError) as error:
        raise DefaultsError(f"{where}: {error}") from error


def evidence_hash(content: Mapping[str, Any]) -> str:
    """`sha256:...` over the canonical text of everything in the file but the hash itself."""
    covered = {name: value for name, value in content.items() if name != "evidence_hash"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def decimal_json(value: Any, indent: str = "") -> str:
    """JSON with every number as a decimal (0.00005, never 5e-05): some YAML readers take that for text.

    Raises:
        DefaultsError: a number that is not finite; JSON has none.
    """
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        lines = (f"{inner}{json.dumps(name)}: {decimal_json(item, inner)}" for name, item in value.items())
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(decimal_json(item, inner) for item in value) + "]"
    if isinstance(value, float):
        return _decimal(value)
    return json.dumps(value)


def _decimal(value: float) -> str:
    if not math.isfinite(value):
        raise DefaultsError(f"{value!r} is no number that JSON can hold")
    text = format(Decimal(repr(value)), "f")
    return text if "." in text else text + ".0"


def _object(text: str) -> dict[str, Any]:
    """The file's object, of a schema version that is known here; its parts are not looked at yet."""
    try:
        content = json.loads(
            text, object_pairs_hook=_no_repeats, parse_constant=_number, parse_float=_number, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise DefaultsError(f"is not JSON ({error})") from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise DefaultsError("is no tuned-defaults file: it has no schema_version")
    version = content["schema_version"]
    if not is_whole(version) or version < 1:
        raise DefaultsError(f"schema_version {version!r} is not allowed; this version reads {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise DefaultsError(
            f"schema_version {version} is newer than {SCHEMA_VERSION}, the last one known here; "
            "update bios-sweep"
        )
    return content


def _entry(content: Mapping[str, Any]) -> TunedDefaults:
    require_names(content, (*PARTS, *OPTIONAL_PARTS), PARTS, "the file")
    tuned = checked_tuned(content)
    if content["evidence_hash"] != evidence_hash(content):
        raise DefaultsError(
            "evidence_hash does not match: the file was changed after it was written; "
            "run the sweep again to write it anew"
        )
    return tuned


def _collection(content: Mapping[str, Any]) -> tuple[TunedDefaults, ...]:
    """Every entry; two for one key are refused, for a look-up could not tell which to believe."""
    if not isinstance(content["entries"], list):
        raise DefaultsError(f"entries: is {content['entries']!r}; it must be a list")
    found: list[TunedDefaults] = []
    seen: dict[TunedKey, int] = {}
    for number, entry in enumerate(content["entries"], 1):
        try:
            if not isinstance(entry, dict):
                raise DefaultsError(f"is {entry!r}; it must be an object")
            found.append(_entry({"schema_version": content["schema_version"], **entry}))
        except (DefaultsError, ConfigError) as error:
            raise DefaultsError(f"entry {number}: {error}") from error
        key = found[-1].key
        if seen.setdefault(key, number) != number:
            raise DefaultsError(f"entries {seen[key]} and {number} are for one key ({key.words}); keep one")
    return tuple(found)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise DefaultsError(f"{name!r} is given twice")
    return dict(pairs)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DefaultsError(f"{text} is no number that JSON can hold")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if abs(value) > LARGEST_WHOLE:
        raise DefaultsError(f"a whole number of {len(text)} digits is out of range")
    return value
