"""The workspace: one folder that holds every trial, every sweep and the default tracking store."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import InputError, StorageError
from bios_sweep.paths import expanded, read_regular
from bios_sweep.sealed import DamagedError, file_digest, opened_json, sealed_json
from bios_sweep.study.trials import ADAPTER_FOLDER, ANSWERS_FILE, LOGS, TrialResult

RESULT_FILE = "result.json"
SEALED_CHECKPOINTS = ("checkpoint.pt", "checkpoint.before.pt")
PLANTED_CHECKPOINT = "checkpoint.jsonl"  # of simulated trials, which compute it again and compare
CHECKPOINTS = (
    *SEALED_CHECKPOINTS,
    PLANTED_CHECKPOINT,
)  # what a trial goes on from, of no use once it is over
REMOVED_MARK = "adapter-removed-by"  # the sweep whose policy removed it: such an adapter is not lost
PLAN_FILE = "plan.json"
JOURNAL_FILE = "journal.jsonl"
SWEEPS = "sweeps"
LOGGED = "logs"  # in a result file; no part of the result
STOP_NOW = "now"
STORED = "artifacts"  # where MLflow keeps its copy of a run's files: EXPERIMENT/RUN/artifacts/FILE

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who has a workspace. sweep_id: '' where no sweep is driven, and the workspace is cleaned."""

    pid: int | None = None
    host: str = "unknown host"
    sweep_id: str = "unknown"
    started: str = "unknown time"

    def __str__(self) -> str:
        """`process 7 (sweep demo-1)`."""
        return f"process {self.pid} ({f'sweep {self.sweep_id}' if self.sweep_id else 'cleaning'})"


@dataclass(frozen=True)
class Workspace:
    """Where everything lies. `root` becomes absolute, because workers run in other folders.

    Nothing is created until something is written; reading an absent workspace finds no sweeps.
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", expanded(self.root).absolute())

    @property
    def store(self) -> Path:
        """The default tracking store, an SQLite file."""
        return self.root / "mlflow.db"

    @property
    def trials(self) -> Path:
        """The folder of all trials, shared by all sweeps."""
        return self.root / "trials"

    @property
    def ray_folder(self) -> Path:
        """What Ray Tune keeps of a run while it lasts."""
        return self.root / "ray"

    def trial_dir(self, key: str) -> Path:
        """Checkpoints, logs and result of one trial."""
        return self.trials / key

    def data_file(self, fingerprint: str) -> Path:
        """The materialised examples of a data set, named by its fingerprint."""
        return self.root / "data" / f"{fingerprint[:16]}.jsonl"

    def sweep_dir(self, sweep_id: str) -> Path:
        """Plan, journal, report and mirror cursors of one sweep."""
        return self.root / SWEEPS / sweep_id

    def journal_file(self, sweep_id: str) -> Path:
        """The sweep's journal."""
        return self.sweep_dir(sweep_id) / JOURNAL_FILE

    @property
    def ledger_file(self) -> Path:
        """Which questions were asked, and when; see `records.ledger`."""
        return self.root / "ledger.jsonl"

    @property
    def lock_file(self) -> Path:
        """Locked by the kernel for as long as a driver lives."""
        return self.root / "driver.lock"

    @property
    def owner_file(self) -> Path:
        """Who holds the lock, for people to read."""
        return self.root / "driver.json"

    @property
    def stop_file(self) -> Path:
        """Its presence asks the driver to stop."""
        return self.root / "stop"

    def sweeps(self) -> tuple[str, ...]:
        """Ids of the sweeps, the one worked on last first (a plan or a journal entry was written)."""
        folder = self.root / SWEEPS
        if not folder.is_dir():
            return ()
        times = {path.name: _last_worked_on(path) for path in folder.iterdir() if path.is_dir()}
        found = [sweep_id for sweep_id, time in times.items() if time]
        return tuple(sorted(found, key=lambda sweep_id: (-times[sweep_id], sweep_id)))

    def lost_sweeps(self) -> tuple[str, ...]:
        """Folders of sweeps that have neither plan nor journal, which every sweep begins with."""
        folder = self.root / SWEEPS
        folders = (path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else iter(())
        return tuple(sorted(path.name for path in folders if not _last_worked_on(path)))

    def worked_on(self, sweep_id: str) -> float:
        """When its plan or its journal was last written, seconds since 1970."""
        return _last_worked_on(self.sweep_dir(sweep_id)) / 1e9

    def find_sweep(self, name_or_id: str | None = None) -> str:
        """The id of the latest sweep with that id or name; of the latest at all for None.

        Raises:
            InputError: there is none; the message lists what is there.
        """
        there = self.sweeps()
        if not there:
            raise InputError(
                f"workspace {self.root}: no sweep yet; start one with `bios-sweep run sweeps=NAME`"
            )
        if name_or_id is None:
            return there[0]
        named = re.compile(re.escape(name_or_id) + r"-[0-9a-f]{8}")
        for sweep_id in there:
            if sweep_id == name_or_id or named.fullmatch(sweep_id):
                return sweep_id
        raise InputError(f"workspace {self.root}: no sweep {name_or_id!r}; there are {', '.join(there)}")

    def has_plan(self, sweep_id: str) -> bool:
        """Whether a sweep of that id has begun."""
        return (self.sweep_dir(sweep_id) / PLAN_FILE).exists()

    def write_plan(self, sweep_id: str, plan: Mapping[str, Any]) -> None:
        """Keep the plan as it was run; written again by every run, which makes the sweep the latest."""
        text = sealed_json(plan, f"plan of {sweep_id}", indent=2)
        write_atomically(self.sweep_dir(sweep_id) / PLAN_FILE, text)

    def read_plan(self, sweep_id: str) -> dict[str, Any]:
        """The plan that `write_plan` kept.

        Raises:
            StorageError: it is missing, or is not as it was written.
        """
        path = self.sweep_dir(sweep_id) / PLAN_FILE
        try:
            return opened_json(read_regular(path), f"plan of {sweep_id}", indent=2)[0]
        except (OSError, DamagedError) as error:
            what = str(error) if isinstance(error, DamagedError) else f"cannot be read ({error})"
            raise StorageError(f"{path}: {what}; run the sweep again to write it") from error

    def write_result(self, result: TrialResult) -> None:
        """Keep a trial's terminal record, sealed; whoever sees the file may rely on all of it."""
        folder = self.trial_dir(result.key)
        logs = written_beside(folder)
        values = {**result.to_dict(), "files": dict(result.files), **({LOGGED: logs} if logs else {})}
        text = sealed_json(values, _sealed_as(result.key))
        write_atomically(folder / RESULT_FILE, text)
        if any(map(_is_adapters, result.files)):
            (folder / REMOVED_MARK).unlink(missing_ok=True)

    def read_result(self, key: str) -> TrialResult | None:
        """A trial's terminal record, or None where it has none; a damaged one counts as none, with a warning.

        Of its files only this one is looked at; `results.StoredResults` looks at all.
        """
        try:
            return self.open_result(key)[0]
        except DamagedError as error:
            _log.warning("%s: %s; the trial counts as not run", self.trial_dir(key) / RESULT_FILE, error)
            return None

    def open_result(self, key: str) -> tuple[TrialResult | None, bool]:
        """A trial's terminal record, or None where it has none, and whether it is sealed.

        Raises:
            DamagedError: the file is not as it was written; writing is atomic, so it is damage from outside.
        """
        path = self.trial_dir(key) / RESULT_FILE
        try:
            values, sealed = opened_json(read_regular(path), _sealed_as(key))
            values.pop(LOGGED, None)
            result = TrialResult.from_dict(values)
        except FileNotFoundError:
            return None, False
        except DamagedError as error:
            owner = _owner_of(path)
            raise DamagedError(f"belongs to trial {owner}") if owner not in ("", key) else error from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedError(f"cannot be understood ({error})") from error
        if result.key != key:
            raise DamagedError(f"belongs to trial {result.key}")
        if not sealed and "files" in values:
            raise DamagedError("has lost its checksum")
        return result, sealed

    def logs_told(self, key: str) -> dict[str, dict[str, Any]]:
        """What a whole result says of the files for people beside it, as `written_beside` found them."""
        path = self.trial_dir(key) / RESULT_FILE
        return dict(opened_json(read_regular(path), _sealed_as(key))[0].get(LOGGED, {}))

    def files_due(self, result: TrialResult) -> dict[str, str]:
        """Name -> digest of the files that the trial's folder must hold; a removed adapter is not due."""
        removed = (self.trial_dir(result.key) / REMOVED_MARK).exists()
        return {name: digest for name, digest in result.files.items() if not (removed and _is_adapters(name))}

    def timing_file(self, key: str) -> Path:
        """What one timing probe measured; `key` is a `timing_key`."""
        return self.root / "timings" / f"{key}.json"

    def write_timing(self, key: str, timing: Mapping[str, Any]) -> None:
        """Keep a probe's `seconds` per step, shape (repeats, arms), and `hardware`, for every later sweep."""
        write_atomically(self.timing_file(key), sealed_json(timing, f"timing {key}"))

    def read_timing(self, key: str) -> dict[str, Any] | None:
        """What `write_timing` kept, or None; damage counts as absent, with a warning: timing costs little."""
        path = self.timing_file(key)
        try:
            return _whole_timing(opened_json(read_regular(path), f"timing {key}")[0])
        except FileNotFoundError:
            return None
        except DamagedError as error:
            what = str(error)
        except (OSError, ValueError, TypeError, KeyError) as error:
            what = f"cannot be understood ({error})"
        _log.warning("%s: %s; the arms are timed again", path, what)
        return None

    def request_stop(self, *, now: bool = False) -> None:
        """Ask the driver, whichever process it is, to start nothing more and end; now: without waiting."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        write_atomically(self.stop_file, f"{STOP_NOW if now else 'stop'} {when}\n")

    def stop_requested(self, *, now: bool = False) -> bool:
        """Whether a stop was asked for and not yet cleared; now: one that does not wait."""
        try:
            word = self.stop_file.read_text(encoding="utf-8")
            return word.startswith(STOP_NOW) if now else True
        except FileNotFoundError:
            return False

    def clear_stop(self) -> None:
        """Forget an old request; a driver does so once it owns the workspace."""
        self.stop_file.unlink(missing_ok=True)


def left_by_sweeps(folder: Path, name: str) -> list[Path]:
    """Files of that name, sorted; without the copies in a tracking store, which are no further sweeps."""
    found = folder.rglob(name)
    return sorted(file for file in found if STORED not in file.relative_to(folder).parts[:-1])


def written_beside(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> size and digest of what a trial wrote for people: no number is read from it after its end."""
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    there = [folder / name for name in (*LOGS, ANSWERS_FILE) if name in names]
    return {path.name: {"bytes": path.stat().st_size, "digest": file_digest(path)} for path in there}


def _whole_timing(values: Mapping[str, Any]) -> dict[str, Any]:
    if set(values) != {"seconds", "hardware"}:
        raise ValueError(f"it has {', '.join(values) or 'nothing'}")
    seconds = [[float(second) for second in row] for row in values["seconds"]]
    widths = {len(row) for row in seconds}
    if len(widths) != 1 or not all(0 < second < math.inf for row in seconds for second in row):
        raise ValueError("its seconds are no table of positive numbers")
    return {"seconds": seconds, "hardware": str(values["hardware"])}


def _sealed_as(key: str) -> str:
    return f"result of trial {key}"


def _is_adapters(name: str) -> bool:
    return name.startswith(f"{ADAPTER_FOLDER}/")


def _owner_of(path: Path) -> str:
    """The trial that a result file names, where it can be understood: a swapped file is told apart."""
    try:
        values = json.loads(read_regular(path))
        return str(values["key"]) if opened_json(read_regular(path), _sealed_as(values["key"]))[1] else ""
    except (OSError, ValueError, TypeError, KeyError, DamagedError):
        return ""


def _last_worked_on(sweep: Path) -> int:
    """Nanoseconds since 1970 of the last plan or journal entry; 0 for a folder that holds neither."""
    files = (sweep / PLAN_FILE, sweep / JOURNAL_FILE)
    return max((path.stat().st_mtime_ns for path in files if path.exists()), default=0)
