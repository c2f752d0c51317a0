"""Who drives a workspace, as a value: what the lock's file holds. The lock itself needs `filelock`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who drives a workspace."""

    pid: int | None = None
    host: str = "unknown host"
    sweep_id: str = "unknown"
    started: str = "unknown time"

    def __str__(self) -> str:
        """`process 7 (sweep demo-1)`."""
        return f"process {self.pid} (sweep {self.sweep_id})"
