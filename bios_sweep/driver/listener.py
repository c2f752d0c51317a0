"""Who hears of a run while it goes on. The driver prints nothing itself."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from bios_sweep.ports import PreflightLine, TrialEvent
from bios_sweep.study.trials import TrialSpec


class View(Protocol):
    """Where the progress of trials is shown."""

    def stage(self, name: str, planned: int, finished: int) -> None:
        """The sweep now needs `planned` trials in all, of which `finished` have a result."""
        ...

    def event(self, event: TrialEvent, spec: TrialSpec) -> None:
        """Something happened to a trial."""
        ...


class Listener(Protocol):
    """What a run tells on its way, in the order in which it happens."""

    def warn(self, text: str) -> None:
        """A sentence on what was chosen for the user, or counts for nothing."""
        ...

    def say(self, text: str) -> None:
        """A line on what comes next."""
        ...

    def preflight(self, lines: tuple[PreflightLine, ...]) -> None:
        """What was looked at on the nodes; a red line ends the run after this."""
        ...

    def watch(
        self, *, planned: int, workers: str, title: str, judged_on: str, trials_dir: Path
    ) -> AbstractContextManager[View]:
        """Trials run inside; see `report.text.progress.LiveView`."""
        ...
