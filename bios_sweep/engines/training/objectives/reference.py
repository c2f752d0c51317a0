"""The reference of preference training: what the untouched model gives every answer, found once per node.

It is kept beside the tokenised examples and sealed as these are. Who needs it while another process finds it
waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bios_sweep.engines.training.kept import kept_folder, mapped
from bios_sweep.engines.training.loop import evaluate, evaluation_set
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.table import TokenTable

FILE, KIND = "nats", "float64"
BLOCK = 4096  # sequences that are tensors at a time; chosen


def reference_nats(base: BaseModel, table: TokenTable, size: int, identity: Mapping[str, Any]) -> np.ndarray:
    """Summed nats of the answers of every row by the model as it stands, shape (rows,), mapped.

    The model must have no adapter on. size: sequences of the longest's length in a batch. identity: all that
    decides the numbers beside the table's tokens.

    Raises:
        StorageError: the node's cache cannot be written.
    """

    def write(folder: Path) -> dict[str, Any]:
        blocks = [table[start : start + BLOCK] for start in range(0, len(table), BLOCK)]
        nats = [evaluate(base, evaluation_set(block, size, base.device)).nats for block in blocks]
        (folder / FILE).write_bytes(np.concatenate(nats).astype(KIND).tobytes())
        return {"rows": len(table)}

    told = {"tokens": table.name, "size": size, **identity}
    folder, _ = kept_folder("reference", "the reference's log-probabilities", told, write)
    return mapped(folder / FILE, KIND)
