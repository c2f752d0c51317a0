"""The ledger of a workspace: who asked which question when, append-only, every line sealed.

What a study may say depends on how often its question was asked before (docs/statistics.md, item 10), and the
folders of those studies may be gone by then. A line that is not as it was written is an error and no gap. The
one that is cut off at the end was being written when the power went: its study is found by its own journal.
How far the ledger had come stands beside it (`chain`), so that whole lines cannot be missing unseen either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bios_sweep.atomic import sync
from bios_sweep.errors import StorageError
from bios_sweep.paths import read_regular
from bios_sweep.procedure.looks import Look
from bios_sweep.records.chain import Reached, end_file, leave_end, read_end
from bios_sweep.sealed import DamagedError, opened_json, sealed_json

LOOK = "look"
WAY_OUT = (
    "restore the file from a copy, or move it and its .end away: the looks of the sweeps that are still in "
    "the workspace are then found by their journals, those of deleted ones are lost"
)


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One line. seq: from 1 without gaps. time: UTC, ISO 8601."""

    seq: int
    time: str
    look: Look


def read_ledger(path: Path) -> tuple[LedgerEntry, ...]:
    """Every entry, the first one first; none where there is no ledger yet.

    Raises:
        StorageError: a line is not as it was written, with file and line, or lines are missing.
    """
    return _parsed(path, _whole(path))[0]


def append_looks(path: Path, looks: Iterable[Look]) -> None:
    """Write down the looks that the ledger does not say already. Only the workspace's owner may.

    A study that is finished again with other words (failed trials ran at last) has a further entry, which
    counts instead of its first.

    Raises:
        StorageError: the ledger is damaged, or cannot be written.
    """
    lines = _whole(path)
    entries, reached = _parsed(path, lines)
    said = {(entry.look.sweep, entry.look.question): entry.look for entry in entries}
    new = [look for look in looks if said.get((look.sweep, look.question)) != look]
    if not new:
        return
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    texts = [
        sealed_json({"seq": seq, "time": now, "kind": LOOK, "look": look.to_dict()}, _label(seq))
        for seq, look in enumerate(new, start=len(lines) + 1)
    ]
    try:
        with path.open("ab") as file:
            file.truncate(sum(map(len, lines)))
            file.write("".join(texts).encode())
            file.flush()
            os.fsync(file.fileno())
        sync(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror}); free the disk and run again"
        ) from error
    for text in texts:
        reached = reached.follow(text.encode())
    leave_end(path, reached.link)


def _label(seq: int) -> str:
    return f"ledger entry {seq}"


def _whole(path: Path) -> list[bytes]:
    """The whole lines, with their ends."""
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror})") from error
    return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)


def _parsed(path: Path, lines: Iterable[bytes]) -> tuple[tuple[LedgerEntry, ...], Reached]:
    """The entries, and how far they go, which is no less than the mark beside the ledger says."""
    try:
        reached = Reached(end=read_end(path))
    except DamagedError as error:
        raise StorageError(f"{end_file(path)}: {error}; delete it, or restore it from a copy") from error
    entries = []
    for seq, line in enumerate(lines, start=1):
        entries.append(_entry(path, seq, line))
        reached = reached.follow(line)
    try:
        reached.require_end()
    except DamagedError as error:
        raise StorageError(f"{path}: {error}; {WAY_OUT}") from error
    return tuple(entries), reached


def _entry(path: Path, seq: int, line: bytes) -> LedgerEntry:
    try:
        values, sealed = opened_json(line, _label(seq))
        if not sealed or values["seq"] != seq or values["kind"] != LOOK:
            raise DamagedError("is no entry of this place")
        return LedgerEntry(seq=seq, time=values["time"], look=Look.from_dict(values["look"]))
    except (DamagedError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(f"{path}:{seq}: {error}; {WAY_OUT}") from error
