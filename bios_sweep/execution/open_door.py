"""Whether Ray lets in whoever reaches its ports: it listens on every interface, and runs what it is sent."""

from __future__ import annotations

from collections.abc import Mapping

from bios_sweep.request import INLINE, Request

MODE, TOKEN, DISABLED = "RAY_AUTH_MODE", "token", "disabled"
TAKE_IT_BACK = f"unset {MODE}, and our own Ray takes a token for as long as the run lasts"
ON_ALL_NODES = f"export {MODE}={TOKEN} on all its nodes and here, where others reach this network"


def open_door(request: Request, environment: Mapping[str, str]) -> str | None:
    """A warning where somebody has turned Ray's tokens off; None where nobody has, or Ray is not used."""
    if request.executor == INLINE or environment.get(MODE) != DISABLED:
        return None
    way_out = ON_ALL_NODES if request.joins else TAKE_IT_BACK
    return f"{MODE}={DISABLED}: whoever reaches Ray's ports on this network can run code as you; {way_out}"
