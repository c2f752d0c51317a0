"""A file per sweep, `jsonl:///FOLDER`: one run a line, for whoever reads tables and has no MLflow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import StorageError, TrackingError
from bios_sweep.mirror.content import RunContent, child_content, has_run, parent_content
from bios_sweep.ports import Recorder
from bios_sweep.records.reading import JournalTail
from bios_sweep.records.replay import advance
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.workspace import Workspace
from bios_sweep.trouble import Trouble, TroubleError


@dataclass(frozen=True)
class JsonLinesTracker:
    """A `ports.Tracker`: a folder that holds `SWEEP_ID.jsonl`, written anew as the sweep goes on."""

    uri: str
    workspace: Workspace

    def file(self, sweep_id: str) -> Path:
        """The sweep's file."""
        return Path(unquote(urlsplit(self.uri).path)) / f"{sweep_id}.jsonl"

    def check(self, experiment: str = "") -> None:
        """Refuse a folder that is not there or cannot be written, before anything is started."""
        if trouble := self.trouble(experiment):
            raise TroubleError(trouble)

    def trouble(self, experiment: str = "") -> Trouble | None:
        """What is wrong with the folder; there are no experiments here."""
        folder = self.file("any").parent
        if not urlsplit(self.uri).netloc and folder.is_dir() and os.access(folder, os.W_OK):
            return None
        mend = "make the folder, or give jsonl:///ABSOLUTE/FOLDER"
        return Trouble(where=self.uri, what="is no folder to write in", mend=mend)

    def knows(self, sweep_id: str) -> bool:
        """Whether the sweep has a file here."""
        return self.file(sweep_id).exists()

    def load(self) -> None:
        """Nothing: files need no more than what is here."""

    def has(self, sweep_id: str, last_entry: int) -> bool:
        """Whether the file tells everything up to `last_entry` of the sweep's journal."""
        try:
            first = self.file(sweep_id).read_text(encoding="utf-8").partition("\n")[0]
            return bool(json.loads(first)["entry"] == last_entry)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def recorder(self, sweep_id: str, experiment: str) -> Recorder:
        """Writes the file; there are no experiments here."""
        from bios_sweep.mirror.recorder import JournalRecorder  # its locks come with the extra [run]

        follower = _Follower(self.file(sweep_id), self.workspace.journal_file(sweep_id))
        return JournalRecorder(self.workspace, sweep_id, self.uri, follower)

    def link(self, sweep_id: str, options: str) -> str:
        """One line: where to look at the sweep."""
        return f"runs: {self.file(sweep_id)}"


class _Follower:
    errors = (TrackingError,)
    more = False

    def __init__(self, file: Path, journal: Path) -> None:
        self.shown = str(file)
        self._file = file
        self._tail = JournalTail(journal)
        self._state = SweepState()
        self._written = 0

    def trouble(self, error: Exception) -> Trouble:
        mend = "free some space, or let this user write there"
        return Trouble(where=self.shown, what="cannot be written", mend=mend, until="it can be written")

    def recheck(self) -> None:
        self._written = 0

    forget = recheck

    def catch_up(self, *, alive: bool) -> None:
        for entry in self._tail.read():
            self._state = advance(self._state, entry)
        if self._state.facts and self._state.seq > self._written:
            lines = (f"{json.dumps(run)}\n" for run in self._runs(alive=alive))
            try:
                write_atomically(self._file, "".join(lines))
            except StorageError as error:  # the other side's folder, not the workspace's: tried again
                raise TrackingError(str(error)) from error
            self._written = self._state.seq

    def _runs(self, *, alive: bool) -> Iterator[dict[str, Any]]:
        """The sweep's own line first."""
        yield {"entry": self._state.seq, **_plain(parent_content(self._state, alive=alive))}
        for trial in self._state.trials.values():
            if has_run(trial):
                yield _plain(child_content(self._state, trial, "", alive=alive))


def _plain(run: RunContent) -> dict[str, Any]:
    """A run as columns; metrics: the last value of each; arms: the table of a sweep that has a verdict."""
    return {
        "run": run.name,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "params": dict(run.params),
        "metrics": {point.key: point.value for point in run.points},
        "tags": {**run.birth, **run.tags},
        **({"arms": list(run.arms)} if run.arms else {}),
    }
