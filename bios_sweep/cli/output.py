"""Standard output and standard error that may go away without ending what writes to them.

A sweep of days outlives the `| head` that read its first line, the terminal it was started in, and a disk
that is full for an hour. So an error of writing is heard here, at the lowest level, and nowhere else: what
prints above it (print, rich's live table, warnings, loggers, Python's own flush at exit) never sees one.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

STORAGE_FAILED = 4
STANDARD = (0, 1, 2)  # descriptors


class Output:
    """A context manager: inside, nothing that is written to the standard streams raises an `OSError`.

    goes_on: the command works on without a listener (`run`). A reader that left (`| head`) had what it wanted
    and changes no exit code. A stream that cannot be written (a full disk) lacks something that somebody will
    miss: it is told once on standard error, and the command fails unless it goes on. Streams that were
    replaced (by a test, by a notebook) are left alone.
    """

    def __init__(self) -> None:
        self.goes_on = False
        self._lost: OSError | None = None
        self._streams: dict[str, tuple[TextIO | None, TextIO]] = {}  # name in sys -> before, ours

    def __enter__(self) -> Output:
        """Take the streams over; a closed descriptor is opened on nothing, or the next file would get it."""
        for number in STANDARD:
            _fill(number)
        if not os.environ.get("COLUMNS", "80").strip("0"):  # no width is known; rich would print nothing
            del os.environ["COLUMNS"]
        for name, number, told in (("stdout", 1, self._lost_output), ("stderr", 2, None)):
            stream = getattr(sys, name)
            ours = stream is getattr(sys, f"__{name}__")
            if ours and (stream is None or isinstance(stream, io.TextIOWrapper)):
                self._streams[name] = (stream, _patient(stream, number, told))
                setattr(sys, name, self._streams[name][1])
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left, and give the streams back."""
        for name, (before, ours) in self._streams.items():
            ours.flush()
            if getattr(sys, name) is ours:
                setattr(sys, name, before)

    def code(self, code: int) -> int:
        """The exit code, once all is written: an answer that nobody can read is no success."""
        for _, ours in self._streams.values():
            ours.flush()
        if self._lost is None or self.goes_on:
            return code
        return code or STORAGE_FAILED

    def _lost_output(self, error: OSError) -> None:
        if error.errno != errno.EPIPE:
            self._lost = error
            rest = "; the run goes on without it" if self.goes_on else ""
            self._tell(f"standard output cannot be written ({error.strerror}){rest}")
        elif self.goes_on:
            self._tell("nobody reads standard output any more; the run goes on (`bios-sweep status`)")

    def _tell(self, text: str) -> None:
        """Not through `sys.stderr`: a live table passes that on to the very stream that was lost."""
        stream = self._streams["stderr"][1] if "stderr" in self._streams else sys.stderr
        stream.write(f"bios-sweep: {text}\n")
        stream.flush()


class PatientFile(io.FileIO):
    """A descriptor that takes whatever is written. told: hears the first error.

    Behind a pipe without a reader comes no other: the descriptor is turned to nothing, for all that hold it.
    Any other error may pass, so what comes later is tried again.
    """

    def __init__(self, number: int, told: Callable[[OSError], None] | None) -> None:
        super().__init__(number, "w", closefd=False)
        self._told = told

    def write(self, data: Any) -> int:
        """All of it, or none; the number of bytes says all."""
        whole = memoryview(data).cast("B")
        done = 0
        while done < len(whole):
            try:
                written = super().write(whole[done:])
            except OSError as error:
                self._lose(error)
                break
            if written is None:  # a pipe that does not block, and is full
                select.select([], [self], [])
            done += written or 0
        return len(whole)

    def _lose(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
        told, self._told = self._told, None
        if told is not None:
            told(error)


def _patient(stream: io.TextIOWrapper | None, number: int, told: Callable[[OSError], None] | None) -> TextIO:
    """A stream like the one that was there; None: it was closed when Python started.

    What its encoding has no character for is written as an escape.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open as long as the process
    stream.flush()
    file = PatientFile(number, told)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _fill(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, number)
        if nothing != number:
            os.close(nothing)
        os.set_inheritable(number, True)
