"""Python processes of ours, which import nothing from the folder in which somebody typed a command.

A file `click.py` or a folder `datasets/` of a user's own would else stand before the library of that name.
What is the user's, a script or a function, is looked for in that folder by whoever calls it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]  # of the package, which need not be installed
APART = {"PYTHONSAFEPATH": "1"}  # as `-P`, for a process that starts others of its own


def python(*words: str) -> list[str]:
    """The command line of this interpreter. words: `-m`, `-c` or a file, and what follows it."""
    return [sys.executable, "-P", *words]


def with_package(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment, else this process's, in which this package is found."""
    inherited = dict(os.environ if environment is None else environment)
    paths = (str(HOME), inherited.get("PYTHONPATH"))
    return {**inherited, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
