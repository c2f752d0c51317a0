"""Which adapters stay on the disk: those of the recommended arm, unless told otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from bios_sweep.records.workspace import REMOVED_MARK, Workspace
from bios_sweep.study.trials import ADAPTER_FOLDER

RECOMMENDED, ALL, NONE = "recommended", "all", "none"
POLICIES = (RECOMMENDED, ALL, NONE)
KEPT_MARK = "kept-by"  # one sweep id a line: a trial shared by sweeps stays while one of them wants it


def keep_adapters(
    workspace: Workspace, sweep_id: str, *, keys: Iterable[str], recommended: Iterable[str], policy: str
) -> dict[str, Path]:
    """Apply the policy to a finished sweep's trials; returns the recommended adapters that are there."""
    every, best = set(keys), set(recommended)
    wanted = {ALL: every, NONE: set[str](), RECOMMENDED: best}[policy]
    for key in wanted:
        _mark(workspace.trial_dir(key), sweep_id)
    for key in every - wanted:
        _discard(workspace.trial_dir(key), sweep_id)
    found = {key: workspace.trial_dir(key) for key in sorted(best & wanted)}
    return {key: folder / ADAPTER_FOLDER for key, folder in found.items() if _has_adapter(folder)}


def _mark(folder: Path, sweep_id: str) -> None:
    owners = _owners(folder)
    if folder.is_dir() and sweep_id not in owners:
        (folder / KEPT_MARK).write_text("\n".join([*owners, sweep_id]) + "\n", encoding="utf-8")


def _discard(folder: Path, sweep_id: str) -> None:
    others = [owner for owner in _owners(folder) if owner != sweep_id]
    if others:
        (folder / KEPT_MARK).write_text("\n".join(others) + "\n", encoding="utf-8")
    else:
        (folder / KEPT_MARK).unlink(missing_ok=True)
        if (folder / ADAPTER_FOLDER).is_dir():  # said first: half an adapter, or none, is then no damage
            (folder / REMOVED_MARK).write_text(f"{sweep_id}\n", encoding="utf-8")
            shutil.rmtree(folder / ADAPTER_FOLDER, ignore_errors=True)


def _has_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_FOLDER).is_dir() and not (folder / REMOVED_MARK).exists()


def _owners(folder: Path) -> list[str]:
    mark = folder / KEPT_MARK
    return mark.read_text(encoding="utf-8").split() if mark.is_file() else []
