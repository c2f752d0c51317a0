"""SQLite's locks are not to be relied on over a network: such a store is refused before a write."""

from __future__ import annotations

from pathlib import Path

import pytest

from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow import asked, tracker
from bios_sweep.mounts import Mount


def test_a_store_on_a_network_file_system_is_refused_by_name(tmp_path, monkeypatch):
    mounts = {"nfs4": "server:/home", "lustre": "mds@tcp:/scratch"}
    for kind, source in mounts.items():
        there = Mount(point=Path("/shared"), kind=kind, source=source)
        monkeypatch.setattr(asked, "mount_of", lambda file, there=there: there)
        with pytest.raises(InputError, match=rf"mlflow\.db is on {kind} \({source} at /shared\), a network"):
            tracker.check_tracking(f"sqlite:///{tmp_path}/mlflow.db", None)
    assert not list(tmp_path.iterdir())


def test_a_disk_of_this_machine_is_taken(tmp_path):
    tracker.check_tracking(f"sqlite:///{tmp_path}/mlflow.db", None)
