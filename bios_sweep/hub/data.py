"""A data set of the hub by its name: the splits that the `datasets` library has prepared, at one commit.

The library takes the latest commit of its cache where the hub does not answer; here the commit comes first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from bios_sweep.containers.files import VALIDATION, WORDS
from bios_sweep.containers.read import records
from bios_sweep.containers.record import Record
from bios_sweep.containers.source import Source
from bios_sweep.errors import DataError
from bios_sweep.hub.asking import alone, ask
from bios_sweep.hub.cache import DATASET, MAIN, Repository, hub_home, pinned

PROGRAM = "bios_sweep.hub.data_child"
INFO = "dataset_info.json"  # written last, so that a folder that has it is whole


@dataclass(frozen=True, kw_only=True)
class HubData:
    """A prepared data set. folder: of the library's cache, with a file or shards per split."""

    name: str
    commit: str
    subset: str
    splits: tuple[str, ...]
    folder: Path

    @property
    def pinned(self) -> str:
        """`ORG/NAME@COMMIT`."""
        return pinned(self.name, self.commit)

    def source(self, split: str, evaluation: str | None) -> Source:
        """The records of a split. evaluation: the split to judge on; None: one that is called so, if any.

        Raises:
            DataError: there is no such split.
        """
        words = WORDS[VALIDATION]
        held_out = evaluation or next((one for one in self.splits if one in words and one != split), None)
        for key, asked in (("data.split", split), ("data.eval_split", held_out)):
            if asked is not None and asked not in self.splits:
                there = ", ".join(self.splits)
                raise DataError(f"{key}: {self.name} has no split {asked!r}; it has {there}")
        if evaluation == split:
            raise DataError(
                f"data.eval_split: {split} is trained on; choose another of {', '.join(self.splits)}"
            )
        apart = None if held_out is None else self._source(held_out)
        return self._source(split, apart)

    def _source(self, split: str, held_out: Source | None = None) -> Source:
        shards = re.compile(rf".*-{re.escape(split)}(-\d+-of-\d+)?\.arrow")
        files = tuple(path for path in sorted(self.folder.iterdir()) if shards.fullmatch(path.name))
        about = f"{self.pinned} ({self.subset}), split {split}"
        return Source(
            name=self.name,
            label=f"{self.name}, split {split}",
            read=partial(_read, f"{self.name} {split}", files),
            held_out=held_out,
            about=about if held_out is None else f"{about}, evaluation {held_out.about.rpartition(', ')[2]}",
            files=files,
        )


def _read(label: str, files: Sequence[Path]) -> Iterator[Record]:
    every = chain.from_iterable(map(records, files))
    for number, record in enumerate(every, start=1):
        yield Record(f"{label}:row {number}", record.row)


def find_data(
    name: str, *, revision: str | None, subset: str | None, first: str | None, download: bool
) -> HubData:
    """The data set at a revision, from the cache; where it is not there and that is allowed, downloaded.

    revision: a branch, tag or commit; None: `first`, the commit that this workspace began with, else main.

    Raises:
        DataError: it is not here and must not be downloaded.
        HubError: the hub did not give it.
    """
    repository = Repository(DATASET, name)
    asked = revision or first or MAIN
    commit = repository.commit_of(asked) or _only_one(name, asked)
    found = None if commit is None else _prepared(name, commit, subset)
    if found is not None:
        return found
    if not download:
        at = f" at {asked}" if asked != MAIN else ""
        raise DataError(
            f"data set {name}{at}: the datasets library has not prepared it in {_cache()}; add "
            "data.download=true"
        )
    with alone(repository):
        answer = ask("prepare", repository, asked, subset or "", program=PROGRAM)
    found = _prepared(name, answer["commit"], answer["subset"])
    if found is None:
        raise DataError(
            f"data set {name}: was prepared, and is not in {_cache()}; set HF_DATASETS_CACHE to a folder"
        )
    return found


def _cache() -> Path:
    return Path(os.environ.get("HF_DATASETS_CACHE") or hub_home() / "datasets").expanduser()


def _folders(name: str) -> list[Path]:
    """`CACHE/org___name/SUBSET/VERSION/COMMIT`, as the library lays its cache."""
    organisation, _, own = name.partition("/")
    snake = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", own)).lower()
    return sorted(_cache().glob(f"{organisation}___{snake}/*/*/*/{INFO}"))


def _only_one(name: str, asked: str) -> str | None:
    commits = {path.parent.name for path in _folders(name)}
    return commits.pop() if asked == MAIN and len(commits) == 1 else None


def _prepared(name: str, commit: str, subset: str | None) -> HubData | None:
    found = [path for path in _folders(name) if path.parent.name == commit]
    chosen = [path for path in found if subset in (None, path.parts[-4])]
    if len(chosen) > 1:
        names = ", ".join(path.parts[-4] for path in chosen)
        raise DataError(f"data set {name}: has several subsets ({names}); choose one with data.subset=")
    if not chosen:
        return None
    try:
        splits = tuple(json.loads(chosen[0].read_text(encoding="utf-8"))["splits"])
    except (OSError, ValueError, KeyError, TypeError):  # another version's, or damaged: prepared again
        return None
    folder = chosen[0].parent
    return HubData(name=name, commit=commit, subset=folder.parts[-3], splits=splits, folder=folder)
