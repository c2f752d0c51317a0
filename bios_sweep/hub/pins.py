"""At which commit a workspace first used a repository: later commands keep to it, though its branch moved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.hub.cache import COMMIT, unpinned

FILE = "hub.json"


def pins_of(root: Path) -> dict[str, str]:
    """`KIND ORG/NAME` -> commit; nothing where the workspace has used none."""
    try:
        found = json.loads((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): commit for name, commit in found.items() if COMMIT.fullmatch(str(commit))}


def keep_pins(root: Path, used: Mapping[str, str]) -> None:
    """Remember what a run uses: kind -> `ORG/NAME@COMMIT`, empty for none. The latest one counts."""
    before = pins_of(root)
    split = [(kind, unpinned(text)) for kind, text in used.items()]
    now = {**before, **{f"{kind} {name}": commit for kind, (name, commit) in split if commit}}
    if now != before:
        write_atomically(root / FILE, json.dumps(now, indent=1, sort_keys=True) + "\n")
