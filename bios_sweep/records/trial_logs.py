"""What a trial wrote down while it ran: the files of each attempt, found, followed, and put together.

An attempt writes into the trial's folder. What an earlier one left there is set aside before the next begins,
so that each can be read; of many the latest are kept.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bios_sweep.secrecy import masked
from bios_sweep.study.trials import LOGS

EARLIER = "earlier"  # folder of a trial's folder: earlier/1, earlier/2, ... by attempt
MOST_EARLIER = 5  # attempts whose logs are kept beside the latest one's; chosen
CHUNK = 1 << 20  # bytes that are read at once
HEAD_BYTES, TAIL_BYTES = 100_000, 400_000  # of a file, in the one text for trackers; chosen


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One file of one attempt. name: one of `LOGS`. size: bytes."""

    attempt: int
    name: str
    path: Path
    size: int


def set_aside(folder: Path) -> None:
    """Make way for another attempt in a trial's folder: what is there belongs to the one before."""
    there = [folder / name for name in LOGS if (folder / name).is_file()]
    if not there:
        return
    earlier = _numbered(folder)
    place = folder / EARLIER / str(max(earlier, default=0) + 1)
    with suppress(OSError):  # a log is no reason for a trial to fail
        place.mkdir(parents=True)
        for path in there:
            path.rename(place / path.name)
    for number in sorted(earlier)[: max(0, len(earlier) + 1 - MOST_EARLIER)]:
        shutil.rmtree(earlier[number], ignore_errors=True)


def logs_in(folder: Path) -> tuple[LogFile, ...]:
    """All that is there and says something, attempt by attempt, each as its files are best read."""
    earlier = _numbered(folder)
    places = [*sorted(earlier.items()), (max(earlier, default=0) + 1, folder)]
    found = []
    for attempt, place in places:
        for name in LOGS:
            with suppress(OSError):
                size = (place / name).stat().st_size
                if size:
                    found.append(LogFile(attempt=attempt, name=name, path=place / name, size=size))
    return tuple(found)


def _numbered(folder: Path) -> dict[int, Path]:
    home = folder / EARLIER
    there = home.iterdir() if home.is_dir() else iter(())
    return {int(path.name): path for path in there if path.name.isdecimal() and path.is_dir()}


@dataclass
class LogTail:
    """Reads what is new in a trial's logs, each time it is asked, in whole lines."""

    folder: Path
    _read: dict[tuple[int, str], int] = field(default_factory=dict)

    def news(self, *, last: bool = False) -> Iterator[tuple[LogFile, str]]:
        """Texts as they stand there, without secrets. last: nothing more comes, half a line counts too."""
        for log in logs_in(self.folder):
            place = self._read.get((log.attempt, log.name), 0)
            with suppress(OSError), log.path.open("rb") as file:
                file.seek(place if log.size >= place else 0)
                while chunk := file.read(CHUNK):
                    whole = _whole_lines(chunk, last=last)
                    place = file.tell() - len(chunk) + whole
                    self._read[log.attempt, log.name] = place
                    if not whole:
                        break
                    yield log, masked(chunk[:whole].decode("utf-8", errors="replace"))
                    file.seek(place)


def _whole_lines(chunk: bytes, *, last: bool) -> int:
    """Bytes of it to show now: its whole lines, and of a line longer than a chunk its whole characters."""
    full = len(chunk) == CHUNK
    whole = chunk.rfind(b"\n") + 1
    if last and not full:
        return len(chunk)
    return whole or (_whole_characters(chunk) if full else 0)


def _whole_characters(chunk: bytes) -> int:
    """Up to the last character of UTF-8 that may be cut off, which has four bytes at most."""
    for back in range(1, 5):
        if chunk[-back] & 0xC0 != 0x80:  # no byte that continues a character
            return len(chunk) - back if chunk[-back] >= 0xC0 else len(chunk)
    return len(chunk)


def last_lines(text: str, count: int) -> str:
    """The last so many lines of a log."""
    return "".join(text.splitlines(keepends=True)[-count:])


def text_of(folder: Path) -> str:
    """All of it as one text, for where files are looked at one by one; of long ones beginning and end."""
    parts = []
    for log in logs_in(folder):
        parts += [
            f"==> {log.name}, attempt {log.attempt} <==\n",
            masked(_shortened(log)).rstrip("\n"),
            "\n\n",
        ]
    return "".join(parts)


def _shortened(log: LogFile) -> str:
    with suppress(OSError), log.path.open("rb") as file:
        if log.size <= HEAD_BYTES + TAIL_BYTES:
            return file.read().decode("utf-8", errors="replace")
        head = file.read(HEAD_BYTES).decode("utf-8", errors="replace")
        file.seek(-TAIL_BYTES, os.SEEK_END)
        tail = file.read().decode("utf-8", errors="replace")
        left = log.size - HEAD_BYTES - TAIL_BYTES
        return f"{head}\n... ({left:,} bytes are left out here; all of it is in {log.path})\n{tail}"
    return ""
