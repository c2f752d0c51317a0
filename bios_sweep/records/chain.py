"""Lines that are bound to all that stand before them, and a mark of how far their file had come.

A journal is appended to for days. Each of its lines ends with a digest over itself and the one before, so
that no byte of the file can change unseen; a line costs the same however many there are. What a chain cannot
tell is that its end is missing: so the owner leaves a sealed mark beside the file when it has finished with
it. Lines of earlier versions carry no digest. They are bound by the first line that does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.paths import read_regular
from bios_sweep.sealed import DamagedError, opened_json, sealed_json

CHAIN = "chain"
BYTES = 8  # of a digest; chosen: damage is met by chance once in 2e19
BOUND = re.compile(rb',"chain":"([0-9a-f]{16})"}\Z')
WHITE = b" \t\r"  # what editors and copies between systems put before the end of a line
SUFFIX = ".end"


@dataclass(frozen=True)
class Link:
    """How far a chain has come. digest: over all lines. lines: how many. bound: whether they say it."""

    digest: str = ""
    lines: int = 0
    bound: bool = False

    def add(self, text: str) -> tuple[bytes, Link]:
        """The line for a JSON object, with its end, and the link after it. text: compact, not empty."""
        after = self._after(text.encode(), bound=True)
        return f'{text[:-1]},"{CHAIN}":"{after.digest}"}}\n'.encode(), after

    def follow(self, line: bytes) -> Link:
        """The link after a line that was read, without its end.

        Raises:
            DamagedError: it is not as it was written, or does not follow the line before it.
        """
        found = BOUND.search(line)
        if found is None:
            if is_bound(line.rstrip(WHITE)):
                raise DamagedError("its line end was changed")
            if self.bound:
                raise DamagedError("has lost its checksum")
            return self._after(line, bound=False)
        after = self._after(line[: found.start()] + b"}", bound=True)
        if found[1].decode() != after.digest:
            raise DamagedError("does not match its checksum, which covers the lines before it")
        return after

    def _after(self, line: bytes, *, bound: bool) -> Link:
        digest = blake2b(line, digest_size=BYTES, key=self.digest.encode()).hexdigest()
        return Link(digest=digest, lines=self.lines + 1, bound=bound)


def is_bound(line: bytes) -> bool:
    """Whether a line says what it is bound to; those of earlier versions do not."""
    return BOUND.search(line) is not None


def end_file(path: Path) -> Path:
    """The mark beside a file of lines."""
    return path.with_name(path.name + SUFFIX)


def leave_end(path: Path, link: Link) -> None:
    """Say beside a file how far it has come; its owner does so when it has finished with it.

    Raises:
        StorageError: the folder cannot be written.
    """
    text = sealed_json({"lines": link.lines, CHAIN: link.digest}, _label(path))
    write_atomically(end_file(path), text)


def read_end(path: Path) -> Link | None:
    """How far a file had come when its owner last finished with it; None where nobody said so.

    Raises:
        DamagedError: the mark is not as it was written.
    """
    try:
        values, sealed = opened_json(read_regular(end_file(path)), _label(path))
        end = Link(digest=values[CHAIN], lines=values["lines"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError) as error:
        raise DamagedError(f"cannot be understood ({error})") from error
    if not sealed:
        raise DamagedError("has lost its checksum")
    return end


@dataclass(frozen=True)
class Reached:
    """Holds lines that are read to the mark of their file. end: the mark, None where there is none."""

    end: Link | None
    link: Link = Link()

    def follow(self, line: bytes) -> Reached:
        """After one more line.

        Raises:
            DamagedError: as `Link.follow`, and where the mark was made over other lines.
        """
        link = self.link.follow(line)
        if self.end is not None and link.lines == self.end.lines and link.digest != self.end.digest:
            raise DamagedError(f"is not what stood there when {SUFFIX} was written")
        return Reached(self.end, link)

    def require_end(self) -> None:
        """After the last line.

        Raises:
            DamagedError: lines are missing that were there when the mark was made.
        """
        if self.end is not None and self.link.lines < self.end.lines:
            raise DamagedError(
                f"is cut off: it has {self.link.lines} whole lines, and had {self.end.lines} when it was left"
            )


def _label(path: Path) -> str:
    return f"end of {path.name}"
