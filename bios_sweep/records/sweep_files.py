"""The files that finished sweeps left in a folder and below it."""

from __future__ import annotations

from pathlib import Path

STORED = "artifacts"  # where MLflow keeps its copy of a run's files: EXPERIMENT/RUN/artifacts/FILE


def left_by_sweeps(folder: Path, name: str) -> list[Path]:
    """Files of that name, sorted; without the copies in a tracking store, which are no further sweeps."""
    found = folder.rglob(name)
    return sorted(file for file in found if STORED not in file.relative_to(folder).parts[:-1])
