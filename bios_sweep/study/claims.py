"""What a default may claim of itself, by setting; every verdict is about one claim."""

from __future__ import annotations

from typing import Any

REPEAT = "repeat"  # the A/A factor: the same settings run again under another name
FEW_STEPS = 100  # Bios guide: 100 steps are the minimum; a trial below it is flagged

OPTIMUM, BALANCED, QUALITY, SPEED = "optimum", "balanced", "quality", "speed"
ENOUGH, MINIMUM, IDENTICAL = "enough", "minimum", "identical"

# role of each default and what it may claim of itself; a setting not listed claims to be an optimum
ROLES = {"batch_size": "trade-off", "lora_rank": "enough", "max_steps": "enough", REPEAT: "control"}
CLAIMS = {
    "batch_size": (BALANCED, QUALITY, SPEED),
    "lora_rank": (ENOUGH,),
    "max_steps": (ENOUGH, MINIMUM),
    REPEAT: (IDENTICAL,),
}
FOR_ALL = (OPTIMUM, BALANCED, ENOUGH)  # claims whose value holds whatever matters most
COST_CLAIMS = (BALANCED, SPEED, ENOUGH)  # weigh loss against the measured cost of a step


def claimed_level(claim: str, default: Any) -> Any | None:
    """The level that a claim is about where that is not the default itself.

    The guide's batch sizes 64 for quality and 256 for speed are half and twice its balance of 128; its
    minimum is 100 steps.
    """
    if claim == QUALITY:
        return default // 2
    if claim == SPEED:
        return default * 2
    return FEW_STEPS if claim == MINIMUM else None
