"""Reading a journal: whole, as it grows, or as what it adds up to. Damage is named with file and line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bios_sweep.errors import StorageError
from bios_sweep.paths import open_regular, read_regular
from bios_sweep.records.chain import CHAIN, Link, Reached, end_file, read_end
from bios_sweep.records.replay import Entry, replay
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.sealed import DamagedError

HEAD = ("seq", "time", "kind", CHAIN)
WAY_OUT = (
    "restore the file from a copy, or move it away and run the sweep again, which takes finished trials from "
    "their own folders"
)

_log = logging.getLogger(__name__)


class JournalTail:
    """Reads what was added since the last look, whole lines only; a journal not yet there is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._reached = Reached(end=None)

    def read(self) -> tuple[Entry, ...]:
        """The new entries, in order.

        Raises:
            StorageError: a whole line is damaged, with file and line.
        """
        if not self._path.exists():
            return ()
        with open_regular(self._path) as file:
            file.seek(self._offset)
            lines, size = whole_lines(file.read())
        entries, self._reached = _parse(self._path, lines, self._reached)
        self._offset += size
        return entries


def read_journal(path: Path) -> tuple[Entry, ...]:
    """Every whole entry; a torn last line is passed over, for its writer may still be at it.

    Raises:
        StorageError: the file is missing, or damaged elsewhere, with file and line.
    """
    end = end_of(path)  # before the journal, which a driver may be writing
    try:
        content = read_regular(path)
    except FileNotFoundError:
        what = "no journal; the sweep has not started" if end is None else f"is gone; {WAY_OUT}"
        raise StorageError(f"{path}: {what}") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); {WAY_OUT}") from error
    return followed(path, whole_lines(content)[0], end)[0]


def read_state(path: Path) -> SweepState:
    """What a journal adds up to; of one that is not there yet, nothing.

    Raises:
        StorageError: it is damaged, with the file.
    """
    begun = path.exists() or end_file(path).exists()
    return added_up(path, read_journal(path)) if begun else SweepState()


def whole_lines(content: bytes) -> tuple[list[bytes], int]:
    """The complete lines and their size in bytes; what follows the last line end is torn."""
    size = content.rfind(b"\n") + 1
    return content[:size].split(b"\n")[:-1], size


def added_up(path: Path, entries: Iterable[Entry]) -> SweepState:
    """What the entries of a journal add up to.

    Raises:
        StorageError: one of them makes no sense, with the file.
    """
    try:
        return replay(entries)
    except StorageError as error:
        raise StorageError(f"{path}: {error}; {WAY_OUT}") from error


def end_of(path: Path) -> Link | None:
    """Where the journal ended when it was closed last; a mark that is damaged is told and made again."""
    try:
        return read_end(path)
    except DamagedError as error:
        _log.warning("%s: %s; the next run of the sweep writes it again", end_file(path), error)
        return None


def followed(path: Path, lines: list[bytes], end: Link | None) -> tuple[tuple[Entry, ...], Link]:
    """All entries of a journal that is whole up to its end, and the link after the last one."""
    entries, reached = _parse(path, lines, Reached(end=end))
    try:
        reached.require_end()
    except DamagedError as error:
        raise StorageError(f"{path}: {error}; {WAY_OUT}") from error
    return entries, reached.link


def _parse(path: Path, lines: list[bytes], reached: Reached) -> tuple[tuple[Entry, ...], Reached]:
    """Entries of further lines, and what is reached by them."""
    entries = []
    for number, line in enumerate(lines, start=reached.link.lines + 1):
        try:
            reached = reached.follow(line)
            entry = entry_of(json.loads(line))
        except DamagedError as error:
            raise StorageError(f"{path}:{number}: {error}; {WAY_OUT}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{path}:{number}: no journal entry ({error}); {WAY_OUT}") from error
        if entry.seq != number:
            raise StorageError(f"{path}:{number}: entry {entry.seq} where {number} belongs; {WAY_OUT}")
        entries.append(entry)
    return tuple(entries), reached


def entry_of(values: Mapping[str, Any]) -> Entry:
    """The entry that a line holds."""
    fields = {name: value for name, value in values.items() if name not in HEAD}
    entry = Entry(seq=values["seq"], time=values["time"], kind=values["kind"], fields=fields)
    datetime.fromisoformat(entry.time)
    return entry
