"""What `verify` found, for people: a line per kind of file, then what is damaged, each with the way out."""

from __future__ import annotations

from rich.console import Console

from bios_sweep.report.content.answers import FilesOfKind, Verification
from bios_sweep.report.content.wording import clean, plural


def print_verification(found: Verification, console: Console) -> None:
    """Words alone: they are read in logs, too."""
    for text in _lines(found):
        console.print(clean(text), markup=False, highlight=False, soft_wrap=True)


def _lines(found: Verification) -> list[str]:
    width = max((len(kind.kind) for kind in found.kinds), default=0)
    lines = [f"{kind.kind:<{width}}  {_counted(kind)}" for kind in found.kinds]
    for one in found.damaged:
        lines += [f"damaged: {one.path}: {one.wrong}", f"  -> {one.way_out}"]
    files = sum(kind.files for kind in found.kinds)
    told = f"{found.what}: {plural(files, 'file')}"
    if found.damaged:
        return [*lines, f"{told}, {len(found.damaged)} damaged"]
    return [*lines, f"{told}, none is damaged"]


def _counted(kind: FilesOfKind) -> str:
    parts = [f"{plural(kind.files, 'file')}, {kind.bytes:,} bytes"]
    if kind.unvouched:
        parts.append(f"{kind.unvouched} without a checksum")
    parts.append(
        f"{kind.damaged} damaged" if kind.damaged else "whole" if kind.unvouched < kind.files else ""
    )
    return ", ".join(filter(None, parts))
