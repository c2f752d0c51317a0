"""What a worker needs that its node may not have: the driver's environment, and files by their local path."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bios_sweep.execution.transfer.storage import TrialFiles

DATA_FILE = "data_file"  # the engine option that names the driver's file of examples
NODE_CACHE = Path(tempfile.gettempdir()) / f"bios-sweep-{os.getuid()}" / "data"


def send_data(options: Mapping[str, Any], storage: str | None) -> None:
    """Push the driver's examples, for nodes that do not see its disk; nothing without a storage.

    Raises:
        StorageError: the store failed.
    """
    file = options.get(DATA_FILE)
    if storage is not None and file:
        TrialFiles(storage).push(_key(file), {Path(file).name: Path(file)})


def bring_data(options: Mapping[str, Any], storage: str | None, cache: Path = NODE_CACHE) -> dict[str, Any]:
    """Engine options that are right on this node: examples that are not here come from the storage.

    cache: a folder of this node, shared by its workers. What the storage does not hold either stays
    missing, and the engine says so.

    Raises:
        StorageError: the store failed.
    """
    file = options.get(DATA_FILE)
    if storage is None or not file or Path(file).exists():
        return dict(options)
    TrialFiles(storage).fetch(_key(file), cache)
    brought = cache / Path(file).name
    return {**options, DATA_FILE: str(brought)} if brought.exists() else dict(options)


def _key(file: str) -> str:
    return f"data-{Path(file).stem}"
