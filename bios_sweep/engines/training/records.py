"""The seam between containers and shapes: how bytes become records, and what a record says.

A container (JSON lines, a table, a folder, ...) yields records one by one and knows no examples; a shape
makes an example of a record and knows nothing of files. Both stream: a file is never held whole for them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bios_sweep.errors import DataError


class Record(NamedTuple):
    """What stands at one place of the user's data.

    place: file and line, or row, such as `train.jsonl:7`; it opens every message about the record.
    row: its fields, or why it cannot be read, a sentence that opens with the place. Such a record is yielded
    and not raised, so that what comes behind it can still be read.
    """

    place: str
    row: dict[str, Any] | DataError
