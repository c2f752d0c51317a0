"""What a node's own environment says of its GPUs, for nodes that have logical ones."""

from __future__ import annotations

import json
import os
from typing import Any

SAID = "GPUS_OF_THIS_NODE"


def said() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(os.environ[SAID])
    return found
