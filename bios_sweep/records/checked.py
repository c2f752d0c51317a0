"""Every file of a workspace, held against what vouches for it. Reads, and changes nothing.

What a file's own reader would find when it needs it is found here for all at once: before a workspace is put
away, after a disk has failed, when a copy has arrived.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bios_sweep.defaults import FILE_NAME, read_tuned
from bios_sweep.errors import DefaultsError, StorageError
from bios_sweep.paths import open_regular, read_regular
from bios_sweep.records import ledger as ledgers
from bios_sweep.records import reading as journals
from bios_sweep.records.chain import end_file, is_bound, read_end
from bios_sweep.records.retention import KEPT_MARK, owners_of
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.workspace import (
    JOURNAL_FILE,
    PLAN_FILE,
    PLANTED_CHECKPOINT,
    RESULT_FILE,
    SEALED_CHECKPOINTS,
    Workspace,
)
from bios_sweep.sealed import PREFIX, DamagedError, digest, is_sealed_json, opened_json, require_whole, unlike
from bios_sweep.study.trials import ADAPTER_FOLDER, TrialResult

GONE = "is gone"
ZIP = b"PK"  # how checkpoints of versions without checksums begin


class FileKind(StrEnum):
    """What a file of a workspace is."""

    JOURNAL = "journal"
    PLAN = "plan"
    LEDGER = "ledger"
    RESULT = "result"
    EVIDENCE = "evaluation"
    ADAPTER = "adapter"
    CHECKPOINT = "checkpoint"
    LOG = "log"
    MARK = "mark"
    TIMING = "timing"
    REPORT = "report"
    TUNED = "tuned defaults"
    EXAMPLES = "examples"
    TRACKING = "tracking"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A file that was looked at. size: bytes. wrong: what is, '' where it is as it was written.

    vouched: whether anything could tell; a file of an earlier version, or of somebody else, may have nothing.
    way_out: what to do about it.
    """

    kind: FileKind
    path: Path
    size: int = 0
    wrong: str = ""
    vouched: bool = True
    way_out: str = ""


TRAIN_AGAIN = "`bios-sweep run` of its sweep trains the trial again, to the same numbers"
WRITE_AGAIN = "`bios-sweep run` of its sweep writes it again"
RESTORE_FOLDER = (
    "restore the folder from a copy, or move it away; until then `clean` frees no trial and no data"
)
FOR_PEOPLE = "no number is read from it; restore it from a copy if its text is needed"
GO_ON = "the trial goes on from the one before, or starts afresh; nothing to do"
TIME_AGAIN = "the arms are timed again; nothing to do"


def check_sweep(workspace: Workspace, sweep_id: str) -> Iterator[Checked]:
    """The files in a sweep's own folder."""
    folder = workspace.sweep_dir(sweep_id)
    yield looked(
        FileKind.PLAN, folder / PLAN_FILE, lambda path: _plan(workspace, sweep_id, path), WRITE_AGAIN
    )
    path = folder / JOURNAL_FILE
    yield from looked_if_there(
        FileKind.JOURNAL, end_file(path), lambda _: read_end(path) is not None, WRITE_AGAIN
    )
    yield looked(FileKind.JOURNAL, path, _journal, journals.WAY_OUT)
    state = _state(path)
    for name, sha256 in state.report.items():
        kind = FileKind.TUNED if name == FILE_NAME else FileKind.REPORT
        yield _of_digest(kind, folder, name, PREFIX + sha256, WRITE_AGAIN)
    if FILE_NAME not in state.report:
        yield from looked_if_there(FileKind.TUNED, folder / FILE_NAME, _tuned, WRITE_AGAIN)


def check_trial(workspace: Workspace, key: str) -> Iterator[Checked]:
    """The files in a trial's folder that we know; also those that its result says should be there."""
    folder = workspace.trial_dir(key)
    for told in looked_if_there(
        FileKind.RESULT, folder / RESULT_FILE, lambda _: workspace.open_result(key)[1], TRAIN_AGAIN
    ):
        yield told
        result = None if told.wrong else workspace.open_result(key)[0]
        if result is not None:
            yield from _evidence(workspace, folder, result)
            yield from _logs(workspace, folder, key)
    for name in SEALED_CHECKPOINTS:
        yield from looked_if_there(FileKind.CHECKPOINT, folder / name, _checkpoint, GO_ON)
    yield from looked_if_there(FileKind.CHECKPOINT, folder / PLANTED_CHECKPOINT, lambda _: False, GO_ON)
    way_out = "the adapter is kept; the next run of a sweep that wants it writes the mark again"
    yield from looked_if_there(FileKind.MARK, folder / KEPT_MARK, lambda _: _owners(folder), way_out)


def check_shared(workspace: Workspace) -> Iterator[Checked]:
    """Ledger and timings, which belong to no one sweep; and folders that are no sweeps any more."""
    path = workspace.ledger_file
    mark = end_file(path)
    yield from looked_if_there(
        FileKind.LEDGER, mark, lambda _: read_end(path) is not None, "delete it, or restore it"
    )
    if path.exists() or mark.exists():
        yield looked(FileKind.LEDGER, path, lambda path: bool(ledgers.read_ledger(path)), ledgers.WAY_OUT)
    folder = workspace.root / "timings"
    for path in sorted(folder.glob("[!.]*.json")) if folder.is_dir() else ():
        yield looked(FileKind.TIMING, path, lambda path: _timing(path.stem, path), TIME_AGAIN)
    for sweep_id in workspace.lost_sweeps():
        what = f"has neither {PLAN_FILE} nor {JOURNAL_FILE}"
        yield Checked(
            kind=FileKind.PLAN, path=workspace.sweep_dir(sweep_id), wrong=what, way_out=RESTORE_FOLDER
        )


def missing_results(workspace: Workspace, sweep_id: str) -> Iterator[Checked]:
    """Results that a journal has and the workspace has not; of trials that were put away none is due."""
    if not workspace.trials.is_dir():
        return
    for key, result in _state(workspace.journal_file(sweep_id)).results.items():
        path = workspace.trial_dir(key) / RESULT_FILE
        if result.finished and not path.exists():
            what = "is gone, though the journal has its result"
            yield Checked(kind=FileKind.RESULT, path=path, wrong=what, way_out=TRAIN_AGAIN)


def check_rest(files: Iterable[Path], known: Collection[Path]) -> Iterator[Checked]:
    """Files that nothing vouches for, and what is no file at all."""
    for path in files:
        if path not in known:
            yield from looked_if_there(FileKind.OTHER, path, lambda _: False, "move it away")


def looked_if_there(
    kind: FileKind, path: Path, look: Callable[[Path], bool], way_out: str
) -> Iterator[Checked]:
    """The same as `looked` for a file that nobody misses: a driver at work may take it away at any time."""
    if (told := looked(kind, path, look, way_out)).wrong != GONE:
        yield told


def looked(kind: FileKind, path: Path, look: Callable[[Path], bool], way_out: str) -> Checked:
    """A file that `look` reads: whether it has a checksum, or an error that says what is wrong with it."""
    size = 0
    try:
        status = path.lstat()
        size = status.st_size
        if not (stat.S_ISREG(status.st_mode) or (path.is_symlink() and path.is_file())):
            raise DamagedError("is no regular file")
        return Checked(kind=kind, path=path, size=size, vouched=look(path))
    except FileNotFoundError:
        wrong = GONE
    except OSError as error:
        wrong = f"cannot be read ({error.strerror})"
    except (DamagedError, DefaultsError, StorageError) as error:
        wrong = _without(path, str(error)).removesuffix(f"; {way_out}")
    return Checked(kind=kind, path=path, size=size, wrong=wrong, way_out=way_out)


def _without(path: Path, told: str) -> str:
    """A sentence without the file that it begins with, which is named beside it; a line of it stays."""
    of_the_file = told.removeprefix(f"{path}: ")
    return of_the_file if of_the_file != told else told.replace(f"{path}:", "line ", 1)


def _of_digest(kind: FileKind, folder: Path, name: str, wanted: str, way_out: str) -> Checked:
    def look(_: Path) -> bool:
        if told := unlike(folder, {name: wanted}):
            raise DamagedError(told[1])
        return True

    return looked(kind, folder / name, look, way_out)


def _plan(workspace: Workspace, sweep_id: str, path: Path) -> bool:
    workspace.read_plan(sweep_id)
    return is_sealed_json(read_regular(path))


def _journal(path: Path) -> bool:
    """Read up to its end. A last line that is torn is a crash's, which the next run cuts off."""
    journals.read_state(path)
    *_, last = (b"", *read_regular(path).splitlines())
    return is_bound(last) or not last


def _state(path: Path) -> SweepState:
    """What a journal adds up to; nothing of one that cannot be read, which is told where it is looked at."""
    try:
        return journals.read_state(path)
    except StorageError:
        return SweepState()


def _tuned(path: Path) -> bool:
    read_tuned(path)
    return True


def _timing(key: str, path: Path) -> bool:
    return opened_json(read_regular(path), f"timing {key}")[1]


def _owners(folder: Path) -> bool:
    owners_of(folder)
    return (folder / KEPT_MARK).read_bytes().startswith(b"{")


def _checkpoint(path: Path) -> bool:
    with open_regular(path) as file:
        if file.read(len(ZIP)) == ZIP:
            return False
    require_whole(path)
    return True


def _evidence(workspace: Workspace, folder: Path, result: TrialResult) -> Iterator[Checked]:
    for name, wanted in workspace.files_due(result).items():
        kind = FileKind.ADAPTER if name.startswith(f"{ADAPTER_FOLDER}/") else FileKind.EVIDENCE
        yield _of_digest(kind, folder, name, wanted, TRAIN_AGAIN)


def _logs(workspace: Workspace, folder: Path, key: str) -> Iterator[Checked]:
    """What was there when the trial ended; a process that it left behind may have written on."""
    for name, told in workspace.logs_told(key).items():

        def look(path: Path, told: dict[str, object] = told) -> bool:
            with open_regular(path) as file:
                if digest([file.read(int(str(told["bytes"])))]) != told["digest"]:
                    raise DamagedError("does not match its checksum")
            return True

        yield looked(FileKind.LOG, folder / name, look, FOR_PEOPLE)
