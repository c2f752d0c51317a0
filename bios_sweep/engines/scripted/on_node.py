"""What a node has of what a script needs; called there by the preflight, by import string."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.identity import changed_file


def fingerprint(options: Mapping[str, Any]) -> str:
    """Of the files that the script was planned with, from an engine's options."""
    return hashlib.sha256(json.dumps(options["digests"], sort_keys=True).encode()).hexdigest()


def look(options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """`script`: the fingerprint where the planned files are all here, else `error`, a sentence.

    Files above `identity.READ_AGAIN_BYTES` are not looked at.
    """
    if not Path(options["cwd"]).is_dir():
        return {"script": {"error": f"there is no folder {options['cwd']}"}}
    changed = changed_file(options["digests"])
    if changed is not None:
        return {"script": {"error": f"{changed} is missing or another file"}}
    return {"script": {"found": fingerprint(options)}}
