"""Files with a bit changed, and journals as a kill, an editor or an earlier version leaves them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bios_sweep.records.chain import CHAIN, Link, end_file, leave_end
from bios_sweep.records.workspace import Workspace

FLIPS = 300


def flipped(raw: bytes, seed: int, flips: int = FLIPS) -> list[bytes]:
    """Copies with one bit flipped each, at random places."""
    draw = random.Random(seed)
    copies = []
    for place in (draw.randrange(8 * len(raw)) for _ in range(flips)):
        copy = bytearray(raw)
        copy[place // 8] ^= 1 << place % 8
        copies.append(bytes(copy))
    return copies


def as_killed(path: Path, lines: Iterable[str]) -> None:
    """A journal or ledger whose owner came no further than these lines, which have their ends."""
    path.write_text("".join(lines), encoding="utf-8")
    end_file(path).unlink(missing_ok=True)


def without_ledger(workspace: Workspace) -> None:
    """A workspace that has no ledger, as one of a version that had none."""
    workspace.ledger_file.unlink()
    end_file(workspace.ledger_file).unlink(missing_ok=True)


def moved(path: Path, old: Path, new: Path) -> None:
    """A journal as it would be of a workspace in another folder."""
    entries = [json.loads(line.replace(str(old), str(new))) for line in path.read_text().splitlines()]
    for entry in entries:
        entry.pop(CHAIN, None)
    link = bind(path, [json.dumps(entry, separators=(",", ":")) for entry in entries])
    leave_end(path, link)


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], *, bound: bool = True) -> None:
    """A journal whose driver wrote other entries. bound: not as a version that had no checksums there."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        entry.pop(CHAIN, None)
        change(entry)
    bind(path, [json.dumps(entry, separators=(",", ":")) for entry in entries], bound=bound)


def bind(path: Path, texts: Iterable[str], *, bound: bool = True) -> Link:
    """Write JSON objects as lines of a journal, and say how far they come."""
    link, lines = Link(), []
    for text in texts:
        line, link = link.add(text)
        lines.append(line.decode() if bound else f"{text}\n")
    as_killed(path, lines)
    return link
