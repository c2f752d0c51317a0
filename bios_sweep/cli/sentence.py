"""What a person is told on standard error: one line, without secrets, of a length that is read."""

from __future__ import annotations

from bios_sweep.secrecy import masked

LONGEST, HEAD, TAIL = 3_000, 1_200, 400  # characters; chosen: a screen at most


def one_line(text: str) -> str:
    """A sentence of one line; of a long one beginning and end, and how long it is."""
    line = masked(text).replace("\n", "\\n")  # of a name
    return (
        line if len(line) <= LONGEST else f"{line[:HEAD]} ... ({len(line):,} characters) ... {line[-TAIL:]}"
    )
