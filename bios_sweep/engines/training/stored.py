"""Examples of a file, read once and kept in the node's cache: of a million no process holds them all.

In memory is what a process touches of 41 bytes an example: where it begins, its identity and its kind.
Texts are read from the disk as they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from bios_sweep.engines.training.cache import content_digest, read_json_cache, write_json_cache
from bios_sweep.engines.training.data import Example, ExamplesInFile, example_of, kind_of, line_of
from bios_sweep.engines.training.kept import code_digest, keeps, kept_folder, mapped
from bios_sweep.engines.training.split import identity

FORMAT = "bios_sweep examples 2"  # raise it when the files below change their meaning
ARRAYS = {"begins": "int64", "identities": ">u8", "kinds": "uint8"}
IDENTITY = 4  # numbers of 8 bytes
SMALL_BYTES = 2**22  # of a file that is read anew each time; chosen: less than half a second
FEW = 20_000  # examples that are held in memory; chosen likewise
BLOCK = 500  # examples that are held while the others are written; chosen
PIECE_BYTES = 2**20  # read at once where lines are only passed on; chosen


class StoredExamples(ExamplesInFile):
    """All examples of a file, or those at some rows of it."""

    def __init__(self, folder: Path, rows: np.ndarray | None = None) -> None:
        self._folder, self._rows = folder, rows
        self._arrays = {name: mapped(folder / name, dtype) for name, dtype in ARRAYS.items()}

    def __len__(self) -> int:
        return len(self._arrays["kinds"]) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> StoredExamples: ...
    def __getitem__(self, index: int | slice) -> Example | StoredExamples:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return example_of(next(self.subset(np.array([index % len(self)])).lines()))

    def __iter__(self) -> Iterator[Example]:
        return map(example_of, self.lines())

    def lines(self) -> Iterator[bytes]:
        """Each example as it stands in the file."""
        with (self._folder / "lines").open("rb") as file:
            for begin, _, count in self._runs():
                file.seek(begin)
                yield from islice(file, count)

    def pieces(self) -> Iterator[bytes]:
        """What `lines` gives one behind the other, in pieces of at most `PIECE_BYTES`."""
        with (self._folder / "lines").open("rb") as file:
            for begin, end, _ in self._runs():
                file.seek(begin)
                for place in range(begin, end, PIECE_BYTES):
                    yield file.read(min(PIECE_BYTES, end - place))

    def _runs(self) -> Iterator[tuple[int, int, int]]:
        """Where examples that follow each other in the file begin and end, and how many they are."""
        begins = self._arrays["begins"]
        rows = np.arange(len(self)) if self._rows is None else self._rows
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            begin, end = begins[some], begins[some + 1]
            breaks = [0, *(np.flatnonzero(begin[1:] != end[:-1]) + 1).tolist(), len(some)]
            for first, last in pairwise(breaks):
                yield int(begin[first]), int(end[last - 1]), last - first

    def subset(self, rows: np.ndarray) -> StoredExamples:
        """The examples at these places, in their order."""
        return StoredExamples(self._folder, rows if self._rows is None else self._rows[rows])

    def remembered(self, what: str, find: Callable[[], Any]) -> Any:
        """A small value in JSON that these examples decide, found by the first who asks."""
        name = hashlib.sha256(f"{what} {self._chosen}".encode()).hexdigest()[:32]
        file = self._folder / f"{name}.json"
        kept = read_json_cache(file)
        if isinstance(kept, dict) and kept.get("what") == what:
            return kept["value"]
        value = find()
        write_json_cache(file, {"what": what, "value": value})
        return value

    @cached_property
    def _chosen(self) -> str:
        return "all" if self._rows is None else hashlib.sha256(self._rows.tobytes()).hexdigest()

    @property
    def kinds(self) -> np.ndarray:
        """`kind_of` each."""
        return self._array("kinds")

    @property
    def identities(self) -> np.ndarray:
        """`split.identity` of each."""
        return self._array("identities").reshape(-1, IDENTITY)

    def _array(self, name: str) -> np.ndarray:
        every = self._arrays[name].reshape(len(self._arrays["kinds"]), -1)
        chosen = every if self._rows is None else every[self._rows]
        return np.asarray(chosen[:, 0] if chosen.shape[1] == 1 else chosen)


def stored_files(
    paths: Sequence[Path],
    read: Callable[[], Iterable[Example]],
    facts: Callable[[], Mapping[str, Any]],
    how: Mapping[str, Any] | None = None,
) -> tuple[Sequence[Example], Mapping[str, Any]]:
    """The examples of files and what reading them found: in memory where they are few, else in the cache.

    What is kept belongs to the files' content and to this package's code, for that decides how it is read.
    What is no regular file, such as a pipe, can be read but once, and is held in memory; so is all that a
    base installation reads.

    Args:
        paths: all files that `read` opens.
        read: begins anew at each call.
        facts: what the last reading found, in JSON, asked for when it has ended; kept with the examples.
        how: what else decides the examples, in JSON.

    Raises:
        DataError: what `read` raises.
        StorageError: the cache cannot be written.
    """
    if not keeps() or not all(path.is_file() for path in paths):
        return tuple(read()), facts()
    if sum(path.stat().st_size for path in paths) <= SMALL_BYTES:
        few = tuple(islice(read(), FEW + 1))  # of a compressed file there may be more
        if len(few) <= FEW:
            return few, facts()
    try:
        contents = [[str(path), content_digest(path)] for path in paths]  # the path stands in the origins
    except OSError:
        return tuple(read()), facts()  # which says what is wrong
    what = {"format": FORMAT, "files": contents, "how": how or {}, "code": code_digest()}

    def write(fresh: Path) -> Mapping[str, Any]:
        count = _write(fresh, read())
        return {"format": FORMAT, "examples": count, "found": facts()}

    folder, kept = kept_folder("examples", "the examples", what, write)
    return StoredExamples(folder), kept["found"]


def _write(folder: Path, examples: Iterable[Example]) -> int:
    """Writes the files; how many examples."""
    files = {name: (folder / name).open("wb") for name in ("lines", *ARRAYS)}
    try:
        end, count = 0, 0
        source = ((example, identity(example)) for example in examples)
        np.zeros(1, dtype=ARRAYS["begins"]).tofile(files["begins"])
        while block := list(islice(source, BLOCK)):
            lines = [line_of(example) for example, _ in block]
            ends = end + np.cumsum([len(line) for line in lines])
            end, count = int(ends[-1]), count + len(block)
            files["lines"].writelines(lines)
            files["identities"].write(b"".join(found for _, found in block))
            files["kinds"].write(bytes(kind_of(example) for example, _ in block))
            files["begins"].write(ends.astype(ARRAYS["begins"]).tobytes())
    finally:
        for file in files.values():
            file.close()
    return count
