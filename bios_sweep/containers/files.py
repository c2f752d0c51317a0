"""Which files a path names: one, those of a pattern, or those of a folder by the names of their splits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from bios_sweep.errors import DataError
from bios_sweep.paths import expanded

PACKINGS = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".lz4", ".zip")
ENDINGS = (
    *(".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tab", ".parquet", ".pq", ".arrow", ".feather"),
    *PACKINGS,
)
TRAIN, VALIDATION, TEST = "train", "validation", "test"
# the words that people call a split, as the `datasets` library takes them too
WORDS = {
    TRAIN: ("train", "training"),
    VALIDATION: ("validation", "val", "valid", "dev", "eval", "evaluation"),
    TEST: ("test", "testing"),
}
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"  # of `save_to_disk` of the `datasets` library
INSIDE = ("", "data")  # folders that are looked into, as repositories of data have them
PATTERN = re.compile(r"[*?\[]")
ADDRESS = re.compile(r"[a-z][a-z0-9+]+://")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What one path names. validation: files of a split of that name. unread: others that lie beside."""

    train: tuple[Path, ...]
    validation: tuple[Path, ...] = ()
    unread: tuple[Path, ...] = ()


def files_of(given: str) -> Files:
    """The files of one path: a file, a folder or a pattern such as `data/*.jsonl`.

    Raises:
        DataError: nothing is there, or a folder does not say which files are meant.
    """
    path = expanded(given)
    if path.is_dir():
        return _folder(path)
    if path.exists() or not PATTERN.search(given):
        _refuse_address(given)
        return Files(train=(path,))
    found = sorted(filter(Path.is_file, map(Path, glob(str(path), recursive=True))))  # noqa: PTH207 - takes absolute ones
    if not found:
        raise DataError(f"{given}: no file fits the pattern")
    _refuse_twice(found, given)
    return Files(train=tuple(found))


def plain_name(path: Path) -> str:
    """A file's name without the endings of its container: `data.jsonl.gz` is called data."""
    name = path.name
    while Path(name).suffix in ENDINGS:
        name = name.removesuffix(Path(name).suffix)
    return name if path.suffix in PACKINGS else path.stem


def _refuse_address(given: str) -> None:
    if ADDRESS.match(given):
        way_out = (
            "use data=hub data.name=ORG/NAME" if given.startswith("hf:") or "huggingface.co" in given else ""
        )
        raise DataError(
            f"{given}: is an address, and data.path takes files; {way_out or 'download it and give the file'}"
        )


def _folder(folder: Path) -> Files:
    if (folder / SAVED_SPLITS).is_file():
        splits = _names_in(folder / SAVED_SPLITS, _listed(folder / SAVED_SPLITS, "splits"))
        return _by_split({name: _saved(folder / name) for name in splits}, folder)
    if (folder / SAVED).is_file():
        return Files(train=_saved(folder))
    for inside in INSIDE:
        found = _by_name(folder / inside)
        if found:
            return _by_split(found, folder / inside)
    there = ", ".join(sorted(one.name for one in folder.iterdir())[:5]) or "nothing"
    raise DataError(
        f"{folder}: is a folder without files of data (it has {there}); give a file, or a pattern such as "
        f"'{folder}/*.jsonl'"
    )


def _saved(folder: Path) -> tuple[Path, ...]:
    """The files of one data set as `save_to_disk` leaves it."""
    entries = _listed(folder / SAVED, "_data_files")
    given = [one["filename"] for one in entries if isinstance(one, dict) and "filename" in one]
    names = _names_in(folder / SAVED, given)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise DataError(
            f"{folder}: {SAVED} lists {missing[0] if missing else 'no file'}, which is not there; save again"
        )
    return tuple(folder / name for name in names)


def _listed(path: Path, key: str) -> list[object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    return value if isinstance(value, list) else []


def _names_in(path: Path, given: Sequence[object]) -> list[str]:
    """The names that a file of `save_to_disk` lists: of what lies beside it, and nowhere else."""
    names = [one for one in given if isinstance(one, str) and "\0" not in one]
    if names != list(given) or any(Path(name).name != name or name in ("", "..") for name in names):
        raise _damaged(path)
    return names


def _damaged(path: Path) -> DataError:
    return DataError(f"{path}: cannot be read as what save_to_disk writes; save the data set again")


def _by_name(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Split -> its files; an empty name for those that no split's word is part of."""
    if not folder.is_dir():
        return {}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.is_file() and path.suffix.lower() in ENDINGS:
            found.setdefault(_split_of(path.name), []).append(path)
        elif path.is_dir() and _split_of(path.name):
            files = [
                one for one in sorted(path.rglob("*")) if one.suffix.lower() in ENDINGS and one.is_file()
            ]
            found.setdefault(_split_of(path.name), []).extend(files)
    return {split: tuple(files) for split, files in found.items() if files}


def _split_of(name: str) -> str:
    words = re.split(r"[^a-z]+", name.lower())
    return next((split for split, known in WORDS.items() if set(words) & set(known)), "")


def _by_split(found: dict[str, tuple[Path, ...]], folder: Path) -> Files:
    """Other files beside a split of that name are not read: they may be anything."""
    named: dict[str, tuple[Path, ...]] = {}
    for name, files in found.items():
        split = _split_of(name) or name
        named[split] = named.get(split, ()) + files
    train = named.get(TRAIN) or named.get("")
    if not train:
        raise DataError(
            f"{folder}: is a folder without a training split (it has {', '.join(sorted(named))}); "
            "give the file itself as data.path"
        )
    validation = named.get(VALIDATION, ())
    for files in (train, validation):
        _refuse_twice(files, folder)
    if TRAIN not in named and len({_without_number(path.name) for path in train}) > 1:
        raise DataError(
            f"{folder}: has several files ({listed(train)}), none of which is called train; give one, or a "
            f"pattern such as '{folder}/*{train[0].suffix}'"
        )
    for split, files in ((TRAIN, train), (VALIDATION, validation)):
        _refuse_several(split, files, folder)
    read = {*train, *validation}
    return Files(
        train=train,
        validation=validation,
        unread=tuple(path for files in named.values() for path in files if path not in read),
    )


def _without_number(name: str) -> str:
    """What the shards of one split have in common; a file without a number is no shard."""
    return re.sub(r"\d+", "#", name)


def _refuse_several(split: str, files: Sequence[Path], folder: Path) -> None:
    """`train_sft` beside `train_gen` are two data sets: names of one split differ by number alone."""
    names = sorted({path.relative_to(folder).parts[0] for path in files})
    if len({_without_number(name) for name in names}) > 1:
        raise DataError(
            f"{folder}: several may be its {split} split ({', '.join(names[:5])}); say which with "
            f"data.path={folder / names[0]}, or give a list of them"
        )


def _refuse_twice(files: Sequence[Path], given: Path | str) -> None:
    """The same data in two containers would be read twice."""
    by_name: dict[Path, Path] = {}
    for path in files:
        plain = plain_name(path) if path.suffix.lower() in ENDINGS else path.name
        other = by_name.setdefault(path.with_name(plain), path)
        if other is not path:
            raise DataError(f"{given}: has both {other.name} and {path.name}; give the one that is meant")


def listed(paths: Iterable[Path], most: int = 3) -> str:
    """The names of files for a sentence."""
    names = [path.name for path in paths]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
