"""Where a data set's records come from: read again as often as asked, held in no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from bios_sweep.containers.files import PACKINGS, Files, files_of, listed, plain_name
from bios_sweep.containers.mixture import checked_weights, mixed
from bios_sweep.containers.read import records
from bios_sweep.containers.record import Record
from bios_sweep.errors import DataError
from bios_sweep.paths import expanded, resolved

Read = Callable[[], Iterator[Record]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """The records of a data set. name: to show. label: in sentences. read: begins anew at each call.

    held_out: the validation split that it brings; None where there is none.
    about: its files in words, with those that lie beside and are not read. files: all that `read` opens. how:
    what else decides its records, in JSON.
    """

    name: str
    label: str
    read: Read
    held_out: Source | None = None
    about: str = ""
    files: tuple[Path, ...] = ()
    how: Mapping[str, Any] = field(default_factory=dict)


def source_of(given: str | Path | Sequence[str], weights: object = None) -> Source:
    """The source that a path names: a file, a folder, a pattern, or several of them, mixed by weights.

    Raises:
        DataError: there are no such files, or the weights do not fit.
    """
    paths = [str(given)] if isinstance(given, str | Path) else list(given)
    if not paths or not all(isinstance(one, str) and one for one in paths):
        raise DataError("data.path: an empty list, or an entry that is no text; give [a.jsonl,b.jsonl]")
    found = [files_of(path) for path in paths]
    _refuse_same(found)
    shares = checked_weights(weights, len(paths))
    reads: list[Read] = [partial(_read, files.train) for files in found]
    return Source(
        name="+".join(map(_name, paths)),
        label=", ".join(paths),
        read=partial(_chained, reads) if shares is None else partial(mixed, reads, shares),
        held_out=_validation([path for files in found for path in files.validation]),
        about=_about(paths, found),
        files=tuple(path for files in found for path in files.train),
        how={} if shares is None else {"weights": list(shares), "files": [len(one.train) for one in found]},
    )


def _refuse_same(found: Sequence[Files]) -> None:
    """A file that is read twice falls on one side of every split and is learned twice."""
    seen: dict[Path, Path] = {}
    for path in (path for files in found for path in (*files.train, *files.validation)):
        real = _unpacked(path)
        if real in seen:
            same = "the same file" if resolved(seen[real]) == resolved(path) else "one file, packed and not"
            raise DataError(f"data.path: {seen[real]} and {path} are {same}; name it once")
        seen[real] = path


def _unpacked(path: Path) -> Path:
    """What a packed file is unpacked to, which may lie beside it."""
    real = resolved(path)
    while real.suffix.lower() in PACKINGS:
        real = real.with_suffix("")
    return real


def _validation(files: Sequence[Path]) -> Source | None:
    if not files:
        return None
    label = ", ".join(map(str, files))
    name, about = _name(str(files[0])), listed(files)
    return Source(name=name, label=label, read=partial(_read, files), about=about, files=tuple(files))


def _name(path: str) -> str:
    here = expanded(path)
    if here.is_dir():
        return resolved(here).name
    if here.exists() or not set("*?[") & set(path):
        return plain_name(here)
    return next((part for part in reversed(here.parts[:-1]) if not set("*?[") & set(part)), here.stem)


def _read(files: Sequence[Path]) -> Iterator[Record]:
    return chain.from_iterable(map(records, files))


def _chained(reads: Sequence[Read]) -> Iterator[Record]:
    for read in reads:
        yield from read()


def _about(paths: Sequence[str], found: Sequence[Files]) -> str:
    """`folder (train.jsonl), evaluation valid.jsonl, not read: test.jsonl`; a file is its path."""
    parts = [
        path if files.train == (expanded(path),) else f"{path} ({listed(files.train)})"
        for path, files in zip(paths, found, strict=True)
    ]
    validation = [path for files in found for path in files.validation]
    unread = [path for files in found for path in files.unread]
    return ", ".join(
        [
            *parts,
            *([f"evaluation {listed(validation)}"] if validation else []),
            *([f"not read: {listed(unread)}"] if unread else []),
        ]
    )
