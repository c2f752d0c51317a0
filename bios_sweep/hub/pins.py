"""At which commit a workspace first used a repository: later commands keep to it, though its branch moved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError
from bios_sweep.hub.cache import COMMIT, unpinned
from bios_sweep.paths import read_regular
from bios_sweep.sealed import DamagedError, opened_json, sealed_json

FILE = "hub.json"
LABEL = "commits of a workspace"


def pins_of(root: Path) -> dict[str, str]:
    """`KIND ORG/NAME` -> commit; nothing where the workspace has used none.

    Raises:
        StorageError: the file is not as it was written: a commit that it names may be another.
    """
    try:
        found = opened_json(read_regular(root / FILE), LABEL, indent=1)[0]
    except OSError:
        return {}
    except DamagedError as error:
        raise StorageError(
            f"{root / FILE}: {error}; restore it from a copy, or delete it: models and data sets are then "
            "taken at their newest commits, and trials on others are not reused"
        ) from error
    return {str(name): commit for name, commit in found.items() if COMMIT.fullmatch(str(commit))}


def keep_pins(root: Path, used: Mapping[str, str]) -> None:
    """Remember what a run uses: kind -> `ORG/NAME@COMMIT`, empty for none. The latest one counts."""
    before = pins_of(root)
    split = [(kind, unpinned(text)) for kind, text in used.items()]
    now = {**before, **{f"{kind} {name}": commit for kind, (name, commit) in split if commit}}
    if now != before:
        write_atomically(root / FILE, sealed_json(dict(sorted(now.items())), LABEL, indent=1))
