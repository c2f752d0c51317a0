"""The journal: append-only, numbered, flushed to the disk; the truth about a sweep.

The driver is its only writer. Everything else (status, report, the mirror in MLflow) reads it, so a
process that dies between any two lines loses nothing but the line it had not finished. A line that
counts (a trial ended, a verdict) is on the disk before the call that wrote it returns. What a resumed
trial says again anyway (it started, it measured) may wait for the next flush, at most for
`FLUSH_SECONDS`: only a power cut could lose it, and trials of a millisecond need not wait for the disk.
Every line is bound to those before it, and a sweep that was closed leaves a mark of its end (`chain`), so
that no byte of the file can change, or be missing, unseen.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bios_sweep.atomic import sync
from bios_sweep.errors import StorageError
from bios_sweep.paths import read_regular
from bios_sweep.ports import ENDED, LEFT, MEASURED, RETRIED, STARTED, TrialEvent
from bios_sweep.records.chain import end_file, leave_end
from bios_sweep.records.lines import ended_fields, measured_fields, planned_fields
from bios_sweep.records.reading import added_up, end_of, entry_of, followed, whole_lines
from bios_sweep.records.replay import advance
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.secrecy import masked
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec, plain

REPEATED = ("started", "measured")  # a trial that goes on from its checkpoint says these again
LINE = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
FLUSH_SECONDS = 0.5  # chosen: what a power cut may cost; real trials measure less often than that


class Journal:
    """Writes a sweep's journal and knows at every moment what it adds up to (`state`).

    Each method writes one line, and none when the line would say nothing new: the same command run
    again leaves the file as it is. A last line torn by a crash is cut off here.

    Raises:
        StorageError: the file is damaged otherwise, with file and line, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._flushed = time.monotonic()
        self._said: set[str] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _forget_end(path)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            content = read_regular(path)
        except OSError as error:
            raise StorageError(f"{path}: cannot be opened for writing ({error.strerror})") from error
        try:
            lines, self._size = whole_lines(content)
            entries, self._link = followed(path, lines, end_of(path))
            self.state: SweepState = added_up(path, entries)
            os.ftruncate(self._file, self._size)
            sync(path.parent)
        except (OSError, StorageError):
            os.close(self._file)
            raise

    def __enter__(self) -> Journal:
        """For `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the file; every line is on the disk then."""
        try:
            os.fsync(self._file)
        except OSError as broken:
            raise StorageError(f"{self.path}: cannot be flushed to the disk ({broken.strerror})") from broken
        finally:
            os.close(self._file)

    def opened(self, facts: Mapping[str, Any]) -> None:
        """What the sweep is about (`sweep_facts`); written again only when it changed."""
        if plain(facts) != self.state.facts:
            self._append("opened", facts=facts)

    def planned(self, specs: Iterable[TrialSpec]) -> None:
        """Trials that belong to the sweep from now on; known ones are left out."""
        new = [spec for spec in specs if spec.key not in self.state.trials]
        if new:
            self._append("planned", **planned_fields(new))

    def reused(self, result: TrialResult) -> None:
        """The result of a planned trial was there already; copied in, so that each journal is whole."""
        if not self._has(result):
            self._append("reused", **ended_fields(result, self._seen(result.key)))

    def started(self, key: str, worker: str = "") -> None:
        """A trial begins on a worker (again, after a retry or in a later run)."""
        self._append("started", key=key, worker=worker)

    def measured(self, key: str, measurement: Measurement) -> None:
        """A point of the curve; a resumed trial replays its points, which are not written twice."""
        trial, new = self.state.trials.get(key), plain(measurement.to_dict())
        known = () if trial is None else (point for point in trial.curve if point.step == measurement.step)
        if all(plain(point.to_dict()) != new for point in known):
            short = {"key": key} if trial is None else measured_fields(trial.spec, new)
            self._append("measured", **short)

    def retried(self, key: str, cause: str, failure: str = "") -> None:
        """An attempt was lost (worker or node died); the trial goes on elsewhere."""
        self._append("retried", key=key, cause=masked(cause), failure=failure)

    def left(self, key: str) -> None:
        """A trial stays at its checkpoint: nobody wants it any more, for its arm was stopped by hand."""
        self._append("left", key=key)

    def by_hand(self, arm: str, *, stopped: bool, why: str = "") -> None:
        """Somebody stopped an arm, or took it up again. why: where this was not asked of this very sweep."""
        if self.state.by_hand.get(arm, False) != stopped:
            self._append("by_hand", arm=arm, stopped=stopped, **({"why": why} if why else {}))

    def ended(self, result: TrialResult) -> None:
        """A trial is over. Written last, after its result.json, so that it is never said too early."""
        result = replace(result, cause=masked(result.cause))
        if not self._has(result):
            self._append("ended", **ended_fields(result, self._seen(result.key)))

    def record(self, event: TrialEvent) -> None:
        """The line for an executor's event."""
        if event.kind == STARTED:
            self.started(event.key, event.worker)
        elif event.kind == MEASURED and event.measurement is not None:
            self.measured(event.key, event.measurement)
        elif event.kind == RETRIED:
            self.retried(event.key, event.cause, event.failure)
        elif event.kind == LEFT:
            self.left(event.key)
        elif event.kind == ENDED and event.result is not None:
            self.ended(event.result)
        else:
            raise StorageError(f"event {event.kind!r} of trial {event.key} is none, or lacks what it reports")

    def adapter_kept(self, key: str, folder: Path) -> None:
        """The adapter in `folder` is the recommended arm's and is kept for good (and logged to MLflow)."""
        trial = self.state.trials.get(key)
        if trial is None or trial.adapter != str(folder):
            self._append("kept", key=key, folder=str(folder))

    def noted(self, text: str) -> bool:
        """Something the procedure says on its way (a stage begins, a look decides).

        Returns whether this driver says it for the first time; an earlier one may have written it already.
        """
        if text not in self.state.notes:
            self._append("noted", text=text)
        first = text not in self._said
        self._said.add(text)
        return first

    def timed(self, timing: Mapping[str, Any]) -> None:
        """What a timing probe measured: arms, seconds per step, hardware."""
        if plain(timing) != self.state.timing:
            self._append("timed", timing=timing)

    def decided(self, dtype: str, devices: Iterable[str]) -> None:
        """The number format of all arms, and the GPUs that it was decided for, before the first trial."""
        decision = {"dtype": dtype, "devices": sorted(set(devices))}
        if decision != self.state.decided:
            self._append("decided", **decision)

    def proposed(self, proposals: Iterable[Mapping[str, Any]]) -> None:
        """Proposals of the joint search, before their trials start; known ones are left out."""
        new = [plain(proposal) for proposal in proposals if plain(proposal) not in self.state.proposals]
        if new:
            self._append("proposed", proposals=new)

    def searched(self, importance: Mapping[str, float]) -> None:
        """The joint search is over: setting -> share of what made its proposals good."""
        if plain(importance) != self.state.importance:
            self._append("searched", importance=importance)

    def verdict(self, payload: Mapping[str, Any]) -> None:
        """The verdicts now. Used by the mirror: `headline` (one line), `markdown` (table), `verdicts`."""
        if plain(payload) != self.state.verdict:
            self._append("verdict", payload=payload)

    def reported(self, files: Iterable[Path]) -> None:
        """Report files below the sweep's folder, by content; written only when a content changed."""
        hashes = {
            str(file.relative_to(self.path.parent)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(files)
        }
        if hashes != self.state.report:
            self._append("reported", files=hashes)

    def rewritten(self, files: Iterable[Path]) -> None:
        """Some of the report's files were written again, because of what another study found.

        Nobody worked on this sweep: it ended when it ended, and the entries have the time of its last one.
        """
        digests = {
            str(file.relative_to(self.path.parent)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }
        latest, reason = datetime.fromtimestamp(self.state.latest / 1000, UTC), self.state.closed
        self._append_at(latest, "reported", {"files": {**self.state.report, **digests}})
        if reason:
            self._append_at(latest, "closed", {"reason": reason})
            leave_end(self.path, self._link)

    def closed(self, reason: str) -> None:
        """The run ends: `done` with all its verdicts, else why (`stopped`, `broken`, `interrupted: ...`)."""
        if self.state.closed != reason:
            self._append("closed", reason=reason)
            leave_end(self.path, self._link)

    def _has(self, result: TrialResult) -> bool:
        trial = self.state.trials.get(result.key)
        old = None if trial is None else trial.result
        return old is not None and {**old.to_dict(), "files": None} == {**result.to_dict(), "files": None}

    def _seen(self, key: str) -> tuple[Measurement, ...]:
        trial = self.state.trials.get(key)
        return () if trial is None else trial.curve

    def _append(self, kind: str, **fields: Any) -> None:
        self._append_at(datetime.now(UTC), kind, fields)

    def _append_at(self, when: datetime, kind: str, fields: Mapping[str, Any]) -> None:
        now = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = plain({"seq": self.state.seq + 1, "time": now, "kind": kind, **fields})
        line, link = self._link.add(LINE.encode(values))
        entry = entry_of(values)
        state = advance(self.state, entry)  # refuses nonsense before it is written
        try:
            _write_all(self._file, line, self._size)
            if kind not in REPEATED or time.monotonic() - self._flushed > FLUSH_SECONDS:
                os.fsync(self._file)  # all lines before it too
                self._flushed = time.monotonic()
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise StorageError(
                f"{self.path}: cannot be written ({error.strerror}); free the disk and run again"
            ) from error
        self._size += len(line)
        self._link, self.state = link, state


def _forget_end(path: Path) -> None:
    """A journal that was moved away begins anew: the mark of the one before would call it cut off."""
    if end_file(path).exists():
        end_file(path).unlink()
        sync(path.parent)


def _write_all(descriptor: int, line: bytes, offset: int) -> None:
    """Write at `offset`; a short write is gone on with, an error leaves the rest to the caller."""
    while line:
        written = os.pwrite(descriptor, line, offset)
        line, offset = line[written:], offset + written
