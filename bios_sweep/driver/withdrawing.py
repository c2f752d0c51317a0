"""Files of sweeps that a later study has overtaken: tuned values go, reports say who answered anew.

A file travels without its workspace, so that what it may serve no more has to stand in it. Every finished
run of a workspace looks at all of them: one that was killed in between leaves this to the next.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bios_sweep import defaults
from bios_sweep.defaults import TunedDefaults, Withdrawn
from bios_sweep.driver.view import open_sweep, overtaken_in, plan_of
from bios_sweep.errors import DefaultsError, InputError, StorageError
from bios_sweep.procedure.looks import Asked, Overtaken, factors_served
from bios_sweep.records.journal import Journal
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.overtaken import how_again
from bios_sweep.report.content.wording import plural
from bios_sweep.report.text.markdown import escape
from bios_sweep.report.text.publish import write_report
from bios_sweep.study.plan import Plan

_log = logging.getLogger(__name__)


def withdrawals(plan: Plan, overtaken: Mapping[Asked, Overtaken]) -> dict[str, Withdrawn]:
    """Factor -> why a study serves it no more, where the questions that it served it by were judged again."""
    return {
        asked[0]: Withdrawn(by=one.by, why=how_again(one))
        for asked, one in overtaken.items()
        if factors_served(plan, [asked])
    }


def withdraw_overtaken(workspace: Workspace) -> tuple[tuple[Plan, int], ...]:
    """Write the files of overtaken sweeps again. Only the workspace's owner may.

    Returns the plan of each sweep whose files were written, with the last entry of its journal, which names
    them: trackers have to follow.
    """
    return tuple(
        found
        for sweep_id, asked in overtaken_in(workspace).items()
        for found in _rewritten(workspace, sweep_id, asked)
    )


def _rewritten(
    workspace: Workspace, sweep_id: str, asked: Mapping[Asked, Overtaken]
) -> Iterator[tuple[Plan, int]]:
    folder = workspace.sweep_dir(sweep_id)
    try:
        plan = plan_of(workspace, sweep_id)
        files = [
            *_tuned_again(folder / defaults.FILE_NAME, plan, asked),
            *_told_again(workspace, folder, asked),
        ]
        if not files:
            return
        file = workspace.journal_file(sweep_id)
        times = file.stat()
        with Journal(file) as journal:
            journal.rewritten(files)
        # nobody worked on this sweep: the journal's time, by which the latest one is known, stays
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield plan, journal.state.seq
    except (InputError, StorageError) as error:
        _log.warning("%s: what it says was judged again and could not be withdrawn (%s)", folder, error)


def _tuned_again(path: Path, plan: Plan, asked: Mapping[Asked, Overtaken]) -> list[Path]:
    """The tuned file, where it served what was judged again."""
    if not path.exists():
        return []
    tuned = defaults.read_tuned(path)
    after = without_withdrawn(tuned, plan, asked)
    served = {factor for factor, *_ in asked} & {*tuned.all_served, *(tuned.withdrawn or {})}
    if not served or after == tuned:
        return []
    defaults.write_tuned(path, after)
    return [path]


def _told_again(workspace: Workspace, folder: Path, asked: Mapping[Asked, Overtaken]) -> list[Path]:
    """The report, where it does not name all who answered its questions anew."""
    text = folder / "report.md"
    if not text.exists() or all(escape(one.by) in text.read_text(encoding="utf-8") for one in asked.values()):
        return []
    view = open_sweep(workspace, folder.name)
    return write_report(view.summary, view.trials, folder) if view.summary.final else []


def say_damaged(path: Path, workspace: Workspace, journal: Journal, files: Sequence[Path]) -> None:
    """A finished sweep's tuned file says what of its evidence is damaged, until the trials have run again."""
    if not path.exists():
        return
    first = files[0].relative_to(workspace.root)
    told = (
        f"{plural(len(files), 'trial')} that the values rest on {'was' if len(files) == 1 else 'were'} found "
        f"damaged on the disk ({first}); `bios-sweep run` trains them again, and says then what holds"
    )
    try:
        defaults.write_tuned(path, replace(defaults.read_tuned(path), damaged=told))
    except DefaultsError as error:  # written again when the sweep is done
        _log.warning("%s", error)
        return
    journal.rewritten([path])


def without_withdrawn(
    tuned: TunedDefaults, plan: Plan, overtaken: Mapping[Asked, Overtaken]
) -> TunedDefaults:
    """A sweep's tuned values as its file may have them."""
    return tuned.withdrawing(withdrawals(plan, overtaken))
