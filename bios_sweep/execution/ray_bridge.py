"""Between Tune and the driver's decisions: callbacks feed `Dispatch`, its answers go to the mailbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.exceptions import OutOfMemoryError, RayActorError

from bios_sweep.errors import BiosSweepError
from bios_sweep.execution.attempts import describe
from bios_sweep.execution.dispatch import Dispatch
from bios_sweep.execution.ray_slot import REPORT


class Bridge(tune.Callback):
    """Passes reports on, posts jobs, and remembers what ended the run early. All in the driver's thread."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._failure: Exception | None = None
        self._ended = False
        self._mailbox: Any = None
        self.stopper = _Stopper(self)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its callbacks for a restore that is never used, and ours hold the driver."""
        return {}

    def connect(self, mailbox: Any) -> None:
        """Jobs go to this actor."""
        self._mailbox = mailbox

    @property
    def over(self) -> bool:
        """Whether Tune should stop every slot now."""
        return self._ended or self._failure is not None

    @property
    def stopping(self) -> bool:
        """Whether a slot should stop after the report it has just made."""
        return self._dispatch.stopping

    def raise_failure(self) -> None:
        """Raise what ended the run early, in the words and type it had."""
        if self._failure is not None:
            raise self._failure
        if not self._ended and not self._dispatch.finished():
            raise BiosSweepError("every worker ended before the trials did")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """A slot reported."""
        self._guard(self._read, trial.config["slot"], json.loads(result[REPORT]), bool(result.get("done")))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A slot died; Tune starts it again."""
        self._guard(self._lose, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A slot died for good."""
        self._guard(self._lose, trial)

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's loop turns at least every 0.1 s, reports or not: notice stops and new trials."""
        self._guard(self._post)

    def _read(self, slot: int, report: dict[str, Any], leaves: bool) -> None:
        if "broken" in report:
            raise BiosSweepError(report["broken"])
        if "ready" in report:
            self._dispatch.ready(slot, report["ready"])
        if "item" in report:
            self._dispatch.item(slot, report["key"], report["attempt"], report["item"])
        if leaves:
            self._dispatch.left(slot)
        self._post()

    def _lose(self, trial: Any) -> None:
        self._dispatch.lost(trial.config["slot"], _cause(trial.get_pickled_error()))
        self._post()

    def _post(self) -> None:
        for worker, job in self._dispatch.assign():
            self._mailbox.put.remote(worker, job.to_dict())
        if not self._ended and self._dispatch.finished():
            self._ended = True
            self._mailbox.close.remote()

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Tune would wrap an exception in its own and lose the type."""
        if self.over:
            return
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - raised again after Tune has stopped the slots
            self._failure = error


class _Stopper(tune.Stopper):
    """Tells Tune when slots should stop."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Asked about each report, before it is recorded."""
        return self._bridge.stopping

    def stop_all(self) -> bool:
        """Asked at each turn of Tune's loop."""
        return self._bridge.over


def _cause(error: Exception | None) -> str:
    if isinstance(error, OutOfMemoryError):
        return "worker was killed because its node ran out of memory"
    if error is None or isinstance(error, RayActorError):
        return "worker died"
    return f"worker failed: {describe(error)}"
