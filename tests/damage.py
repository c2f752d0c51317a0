"""Files with a bit changed, and journals as a kill, an editor or an earlier version leaves them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bios_sweep.records.chain import CHAIN, Link, end_file

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


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], *, bound: bool = True) -> None:
    """A journal whose driver wrote other entries. bound: not as a version that had no checksums there."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for entry in entries:
        entry.pop(CHAIN, None)
        change(entry)
    bind(path, [json.dumps(entry, separators=(",", ":")) for entry in entries], bound=bound)


def bind(path: Path, texts: Iterable[str], *, bound: bool = True) -> None:
    """Write JSON objects as lines of a journal."""
    link, lines = Link(), []
    for text in texts:
        line, link = link.add(text)
        lines.append(line.decode() if bound else f"{text}\n")
    as_killed(path, lines)
