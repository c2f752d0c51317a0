"""A stand-in: the files are there."""

from pathlib import Path
from typing import Any


def load_dataset(kind: str, data_files: dict[str, str], cache_dir: str) -> dict[str, Any]:
    """The lines of each split."""
    assert kind == "json"
    return {name: Path(file).read_text(encoding="utf-8").splitlines() for name, file in data_files.items()}
