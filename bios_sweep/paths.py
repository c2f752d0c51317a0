"""Paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(given: str | os.PathLike[str]) -> Path:
    """A path with `~` and `~name` as folders; where there is no such user it is a name as any other.

    `Path.expanduser` raises there, of which a shell and `os.path` make a file called `~notes.jsonl`.
    """
    return Path(os.path.expanduser(given))  # noqa: PTH111 - see above
