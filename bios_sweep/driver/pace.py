"""How often the disk is looked at for what people ask of a run."""

from __future__ import annotations

import math
import time

LOOK_SECONDS = 0.5  # chosen: nobody waits long, and a file system on a network is asked twice a second


class Pace:
    """Often asked whether it is time for another look, and twice a second it is."""

    def __init__(self) -> None:
        self._looked = -math.inf

    def due(self) -> bool:
        """Whether the last look is long ago; the next one begins now, then."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        return True
