"""The seam between containers and shapes."""

from __future__ import annotations

from bios_sweep.containers.record import Record

__all__ = ["Record"]
