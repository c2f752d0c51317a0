"""Which adapters stay on the disk: those of the recommended arm, unless told otherwise."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.paths import read_regular
from bios_sweep.records.workspace import REMOVED_MARK, Workspace
from bios_sweep.sealed import DamagedError, opened_json, sealed_json
from bios_sweep.study.trials import ADAPTER_FOLDER

RECOMMENDED, ALL, NONE = "recommended", "all", "none"
SWEEP_ID = re.compile(r"[^{}\"]+-[0-9a-f]{8}")
POLICIES = (RECOMMENDED, ALL, NONE)
KEPT_MARK = "kept-by"  # the sweeps that want the adapter: one shared by sweeps stays while one of them does
UNKNOWN = "unknown"  # who wants it where the mark is damaged: it stays, for nobody can say that it may go

_log = logging.getLogger(__name__)


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
        _write_owners(folder, [*owners, sweep_id])


def _discard(folder: Path, sweep_id: str) -> None:
    others = [owner for owner in _owners(folder) if owner != sweep_id]
    if others:
        _write_owners(folder, others)
    else:
        discard_adapter(folder, sweep_id)


def discard_adapter(folder: Path, whose: str) -> None:
    """Free an adapter that nobody keeps. whose: policy it was; said first, or half of it would be damage.

    A link that stands in its place frees nothing and is somebody's: it stays.
    """
    if (folder / ADAPTER_FOLDER).is_symlink():
        return
    (folder / KEPT_MARK).unlink(missing_ok=True)
    if (folder / ADAPTER_FOLDER).is_dir():
        (folder / REMOVED_MARK).write_text(f"{whose}\n", encoding="utf-8")
        shutil.rmtree(folder / ADAPTER_FOLDER, ignore_errors=True)


def _has_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_FOLDER).is_dir() and not (folder / REMOVED_MARK).exists()


def _owners(folder: Path) -> list[str]:
    try:
        return owners_of(folder)
    except DamagedError as error:
        _log.warning("%s: %s; the adapter is kept", folder / KEPT_MARK, error)
        return [UNKNOWN]


def owners_of(folder: Path) -> list[str]:
    """The sweeps for which a trial's adapter is kept. Earlier versions wrote one a line, unsealed.

    Raises:
        DamagedError: the mark is not as it was written.
    """
    mark = folder / KEPT_MARK
    if not mark.is_file():
        return []
    content = read_regular(mark)
    ids = content.decode(errors="replace").split()
    if ids and all(SWEEP_ID.fullmatch(name) for name in ids):
        return ids
    values, sealed = opened_json(content, _label(folder))
    if not sealed:
        raise DamagedError("has lost its checksum")
    return list(values["sweeps"])


def _write_owners(folder: Path, owners: list[str]) -> None:
    write_atomically(folder / KEPT_MARK, sealed_json({"sweeps": owners}, _label(folder)))


def _label(folder: Path) -> str:
    return f"who keeps the adapter of {folder.name}"
