"""What stands at one place of the user's data: what containers yield, and shapes make examples of.

A container (JSON lines, a table, a folder, ...) knows no examples, and a shape knows nothing of files. Both
stream: a file is never held whole for them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bios_sweep.errors import DataError

BYTES = "\0bytes"  # the one name in a value that stands for bytes of a columnar file; its value: how many


class Record(NamedTuple):
    """One record of a file.

    place: file and line, item or row, such as `train.jsonl:7`; it opens every message about the record.
    row: its fields, or why it cannot be read, a sentence that opens with the place. Such a record is yielded
    and not raised, so that what comes behind it can still be read.
    """

    place: str
    row: dict[str, Any] | DataError


def record_of(value: Any, place: str) -> Record:
    """A value that should be an object as a record."""
    if isinstance(value, dict | DataError):
        return Record(place, value)
    kind = "list" if isinstance(value, list) else type(value).__name__
    return Record(place, DataError(f"{place}: a {kind}, not an object; write one object per example"))
