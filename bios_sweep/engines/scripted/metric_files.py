"""Files in which trainers leave their metrics: JSON, a Trainer's state, CSV, TensorBoard's and W&B's.

The name tells what a file is; its content is read, and nothing of it is run.
"""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.event_files import EVENTS, WANDB, tensorboard_entries, wandb_entries
from bios_sweep.engines.scripted.readings import Reading, reading_of, reading_of_values

LONGEST_FILE = 100_000_000  # bytes; a larger one is no list of metrics
LONGEST_WATCHED = 5_000_000  # bytes; chosen: a larger one is read at the end alone, not at each change
STATE_FILE = "trainer_state.json"  # transformers.TrainerState, with `log_history`
CSV_FILE = "metrics.csv"  # of Lightning's CSVLogger
# What trainers leave without being asked, in the order in which it counts: exact numbers with steps first.
LEFT_BEHIND: Mapping[str, str] = {
    f"**/{STATE_FILE}": "the state that a Trainer left",
    f"**/{CSV_FILE}": "the table that a CSVLogger left",
    f"**/{EVENTS}*": "TensorBoard's event files",
    f"**/*{WANDB}": "the offline run of Weights & Biases",
    "**/all_results.json": "the results that a script left",
    "**/eval_results.json": "the results that a script left",
}


def readings_in(path: Path, *, growing: bool = False) -> list[Reading]:
    """The readings of a file with metrics, in their order.

    growing: it is still written, and only what its rest cannot change is wanted.

    Raises:
        ValueError: it is too large for a list of metrics, or to be read so often; growing, it is half a list
            or half an object, or no JSON at all; or it is no file of its name's kind.
        OSError: it cannot be read.
    """
    most = LONGEST_WATCHED if growing else LONGEST_FILE
    if path.stat().st_size > most:
        raise ValueError(f"{path.name} has more than {most} bytes")
    if path.name.startswith(EVENTS):
        return _of_records(tensorboard_entries(path.read_bytes()))
    if path.suffix == WANDB:
        return _of_records(wandb_entries(path.read_bytes()))
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if growing and path.suffix == ".csv":
        text = text[: text.rfind("\n") + 1]
    if path.suffix == ".csv":
        return _read(csv.DictReader(text.splitlines()))
    return _of_json(text, growing=growing)


def _of_json(text: str, *, growing: bool) -> list[Reading]:
    """JSON lines, one object, a list of objects, or a Trainer's state."""
    try:
        whole: Any = json.loads(text)
    except (ValueError, RecursionError):
        if not growing:
            return list(filter(None, map(reading_of, text.splitlines())))
        lines = text[: text.rfind("\n") + 1].splitlines()
        return _read(json.loads(line) for line in lines if line.strip())
    if isinstance(whole, Mapping) and isinstance(whole.get("log_history"), list):
        whole = whole["log_history"]
    return _read(iter(whole if isinstance(whole, list) else [whole]))


def _of_records(entries: Iterator[Any]) -> list[Reading]:
    """Of a damaged file a field may be anything, also where its message can be read."""
    try:
        return _read(entries)
    except (TypeError, AttributeError, IndexError, KeyError, OverflowError, struct.error) as error:
        raise ValueError("it is damaged, or another kind of file") from error


def _read(entries: Iterator[Any]) -> list[Reading]:
    return list(filter(None, map(reading_of_values, entries)))
