"""The evaluation by cluster that trials left behind (`eval.npz`), as the statistics read it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from bios_sweep.decision.clusters import ClusterSums, cluster_sums
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.trials import EVALUATION_FILE


class ClusterReader:
    """Trial key -> its evaluation summed by cluster, or None where no file tells it."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, ClusterSums] = {}

    def __call__(self, key: str) -> ClusterSums | None:
        """The sums of a trial that has ended; a file that cannot be read counts as absent."""
        found = self._known.get(key) or read_sums(self._workspace.trial_dir(key) / EVALUATION_FILE)
        if found is not None:
            self._known[key] = found
        return found


def read_sums(path: Path) -> ClusterSums | None:
    """The sums of one file, or None where it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return cluster_sums(file["nats"], file["tokens"], file["cluster"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
