"""The words that a file, a report or a command line may hold, said once. Standard library only.

They are text wherever they go (JSON, f-strings, a comparison with what was read), and a typo is an error.
"""

from __future__ import annotations

from enum import StrEnum


class Goal(StrEnum):
    """What a user may want of a setting; a tuned file has a profile for each."""

    QUALITY = "quality"
    BALANCED = "balanced"
    SPEED = "speed"
