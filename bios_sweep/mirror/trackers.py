"""Which tracker an address means. Another tracker is a module beside this one and a line here.

A `ports.Tracker` checks its address and links into it; its recorder is a `recorder.JournalRecorder` over a
`recorder.Follower` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from bios_sweep.mirror.json_lines import JsonLinesTracker
from bios_sweep.mirror.mlflow.tracker import MlflowTracker
from bios_sweep.ports import Tracker
from bios_sweep.records.workspace import Workspace

TRACKERS: Mapping[str, Callable[[str, Workspace], Tracker]] = {"jsonl": JsonLinesTracker}


def tracker_of(uri: str, workspace: Workspace) -> Tracker:
    """By the address's scheme; every other one is MLflow's, which refuses what it does not know."""
    return TRACKERS.get(urlsplit(uri).scheme, MlflowTracker)(uri, workspace)
