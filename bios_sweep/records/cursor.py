"""How far a sweep was mirrored, and where it lies in MLflow. Light: MLflow itself is not needed to ask."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked


def uri_hash(uri: str) -> str:
    """A short name for a tracking store; without credentials, which may change."""
    return hashlib.sha256(masked(uri, {}).replace("***@", "").rstrip("/").encode()).hexdigest()[:12]


def cursor_file(workspace: Workspace, sweep_id: str, tracking_uri: str) -> Path:
    """The file that remembers the last entry brought over to a tracking store."""
    return workspace.sweep_dir(sweep_id) / f"mirror-{uri_hash(tracking_uri)}.json"


def read_cursor(workspace: Workspace, sweep_id: str, tracking_uri: str) -> dict[str, Any]:
    """`seq`, `experiment_id` and `run_id` of a sweep there; empty when it was never mirrored."""
    try:
        return dict(json.loads(cursor_file(workspace, sweep_id, tracking_uri).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
