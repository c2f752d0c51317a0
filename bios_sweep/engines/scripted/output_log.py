"""What a script writes, kept in the trial's folder: without secrets, and never more than a disk can bear."""

from __future__ import annotations

import codecs
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from bios_sweep.secrecy import masked

MOST_BYTES = 10_000_000  # of a stream that are kept from its beginning; chosen, not measured
TAIL_LINES = 1000  # of its end, where the tracebacks of all ranks are, and what came after; chosen
LONGEST_LINE = 65_536  # characters that are waited for before a line is taken as it is


class OutputLog:
    """One stream of a script: gives back its lines, writes them down, remembers the last ones."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._written = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def __enter__(self) -> OutputLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def feed(self, chunk: bytes) -> list[str]:
        """Take bytes in; the lines they complete. A progress bar's carriage returns end lines too."""
        text = self._rest + self._decoder.decode(chunk, final=not chunk)
        *lines, self._rest = text.replace("\r", "\n").split("\n")
        if self._rest and (not chunk or len(self._rest) > LONGEST_LINE):
            lines, self._rest = [*lines, self._rest], ""
        for line in lines:
            self._keep(line)
        return lines

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, without secrets."""
        return tuple(self._tail)

    def close(self) -> None:
        """Write the end of a stream that was cut, and close the file."""
        if self._file.closed:
            return
        if self._written > MOST_BYTES:
            cut = "\n".join(("... (cut here; the last lines follow)", *self._tail))
            self._file.write(cut.encode())
        self._file.close()

    def _keep(self, line: str) -> None:
        shown = masked(line)
        self._tail.append(shown)
        if self._written <= MOST_BYTES:
            self._file.write(shown.encode() + b"\n")
            self._file.flush()
            self._written += len(shown) + 1
