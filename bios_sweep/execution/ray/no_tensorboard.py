"""Tune's TensorBoard logger, silenced: nobody reads its files, and loading it loads torch into the driver."""

from __future__ import annotations

from typing import Any

from ray.tune.logger import TBXLoggerCallback


class NoTensorBoard(TBXLoggerCallback):
    """Stands where Tune would otherwise put its own TensorBoard logger."""

    def __init__(self) -> None:
        """Without Tune's, which imports tensorboardX, and that torch (seconds at every start)."""

    def log_trial_start(self, trial: Any) -> None:
        """Nothing."""

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Nothing."""

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Nothing."""
