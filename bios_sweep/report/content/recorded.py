"""Where a sweep is recorded: its report, its tuned defaults, its tracker; and what shows all of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.defaults import FILE_NAME
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import pasted, shell_word

HOME = "bios_runs"  # the workspace where none is named
REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """lines: one per place. full: the command that tells everything. trials: where they lie, with logs."""

    lines: tuple[str, ...]
    full: str
    trials: Path


def recorded(summary: Summary, folder: Path, link: str = "") -> Recorded:
    """Of a sweep in its folder. link: into the tracker, in a line; empty where nobody knows it."""
    report = folder / REPORT
    told = f"report: {pasted(str(report))}" if summary.final and report.is_file() else ""
    file = folder / FILE_NAME
    places = (tuned_line(summary, file), export_line(summary, file), told, link)
    root = folder.parent.parent
    full = pasted(f"bios-sweep report --full --sweep {summary.sweep_id}{where(root)}")
    return Recorded(lines=tuple(filter(None, places)), full=full, trials=Workspace(root).trials)


def where(root: Path) -> str:
    """The word that names a workspace to a command, after a space; empty for the one that needs none."""
    return "" if root.absolute() == Path.cwd() / HOME else f" workspace={shlex.quote(str(root))}"


def export_line(summary: Summary, file: Path) -> str:
    """How its values become another trainer's settings; nothing where there are none."""
    valued = summary.final and not summary.no_file and (summary.served or any(summary.profiles.values()))
    if not valued or not file.is_file():
        return ""
    return f"use them: bios-sweep defaults export {shell_word(str(file))} --to trl"


def tuned_line(summary: Summary, file: Path) -> str:
    """Where a sweep's tuned defaults lie, or why there are none; nothing where none are due yet."""
    place = pasted(str(file))
    if not summary.final:
        again = "they are written again once those have ended"
        return f"tuned defaults: {place}, as of before trials ran again; {again}" if file.is_file() else ""
    if summary.no_file:
        return f"tuned defaults: none, {summary.no_file}"
    if not file.is_file():
        return f"tuned defaults: none, {place} is gone; the same command writes it again"
    if summary.served or any(summary.profiles.values()):
        return f"tuned defaults: {place}"
    settled = any(verdict.withheld is not None for verdict in summary.verdicts)
    why = (
        "no value: what was settled is served to nobody"
        if settled
        else "no value yet: every question is open"
    )
    return f"tuned defaults: {place} ({why})"
