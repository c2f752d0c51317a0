"""One stream of a script as a file: masked, readable, and of bearable length whatever is written."""

from __future__ import annotations

import codecs
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bios_sweep.engines.scripted.tracebacks import COLOUR
from bios_sweep.secrecy import masked

MOST_BYTES = 10_000_000  # of a stream that are kept from its beginning; chosen, not measured
TAIL_LINES = 1000  # of its end, where the tracebacks of all ranks are, and what came after; chosen
TAIL_CHARACTERS = 1_000_000  # of those lines; chosen
LONGEST_LINE = 65_536  # characters that are waited for before a line is taken as it is
BAR_SECONDS = 10.0  # chosen: how often the state of a bar that goes on and on is kept
ENDS = re.compile(r"[\r\n]")
# What would change a terminal, or make a text look binary: all control characters but the tab.
CONTROLS = dict.fromkeys((*range(9), *range(10, 32), 127))


class OutputLog:
    """One stream of a script: its lines are given back, and kept without secrets.

    A line that is drawn over, as a progress bar is, is given back each time and kept as it was last.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = path.open("wb")
        self._clock = clock
        self._written = self._lines = self._kept = self._bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = self._drawn = ""
        self._told = clock()
        self._tail: deque[str] = deque()
        self._size = 0  # characters in it

    @property
    def tail(self) -> list[str]:
        """The last lines."""
        return list(map(_shown, self._tail))

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes in; the lines they complete. A progress bar's carriage returns end lines too."""
        self._bytes += len(chunk)
        text = self._rest + self._decoder.decode(chunk, final=not chunk)
        lines, place = [], 0
        for end in ENDS.finditer(text):
            line, place = text[place : end.start()], end.end()
            lines.append(line)
            self._drawn = line or self._drawn
            if end[0] == "\n" or self._clock() - self._told > BAR_SECONDS:
                self._keep()
        self._rest = text[place:]
        if self._rest and (not chunk or len(self._rest) > LONGEST_LINE):
            lines.append(self._rest)
            self._drawn, self._rest = self._rest, ""
            self._keep()
        return lines

    def close(self) -> None:
        """Write what was drawn last, of a stream that was cut its end, and close the file."""
        if self._file.closed:
            return
        if self._drawn:
            self._keep()
        if self._written > MOST_BYTES:
            behind = self._lines - self._kept
            left = behind - len(self._tail)
            if left > 0:
                mark = f"... ({left:,} lines are left out here; the stream had {self._bytes:,} bytes)"
                self._file.write(mark.encode() + b"\n")
            last = self.tail[-behind:] if behind else []
            self._file.write("".join(f"{line}\n" for line in last).encode())
        self._file.close()

    def _keep(self) -> None:
        """Take the line that stands, as it is now."""
        line, self._drawn, self._told = self._drawn, "", self._clock()
        self._lines += 1
        self._tail.append(line)
        self._size += len(line)
        while len(self._tail) > TAIL_LINES or (self._size > TAIL_CHARACTERS and len(self._tail) > 1):
            self._size -= len(self._tail.popleft())
        if self._written <= MOST_BYTES:
            content = _shown(line).encode() + b"\n"
            self._file.write(content)
            self._file.flush()
            self._kept += 1
            self._written += len(content)


def _shown(line: str) -> str:
    """A line as it is kept."""
    return masked(COLOUR.sub("", line) if "\x1b" in line else line).translate(CONTROLS)
