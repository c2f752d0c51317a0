"""The user's own data: one JSON object per line, read strictly.

A line that cannot be used is an error with file and line, never skipped: a set that silently
shrinks changes every number measured on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.records import Record
from bios_sweep.engines.training.shapes.reading import read_examples
from bios_sweep.engines.training.shapes.registry import SHAPES_HELP
from bios_sweep.engines.training.split import (
    DEFAULT_EVALUATION_FRACTION,
    auto_count,
    check_options,
    first_by_hash,
    refuse_overlap,
    split_by_count,
    split_by_fraction,
)
from bios_sweep.engines.training.stored import stored_files
from bios_sweep.errors import DataError

BYTE_ORDER = b"\xef\xbb\xbf"  # what some editors begin a UTF-8 file with


def jsonl_examples(
    path: Path | str,
    *,
    eval_path: Path | str | None = None,
    eval_fraction: float | None = None,
    eval_examples: int | str | None = None,
) -> DataSet:
    """Read a JSONL file and hold examples out of it, or read them from `eval_path`.

    Without `eval_path` a hash of the normalised example decides its side: equal examples are always
    on one side, and rows added later leave the old ones where they are (exactly so with
    `eval_fraction`; with `eval_examples` a new row may take an old one's place).

    Args:
        path: the training examples, or all of them.
        eval_path: a file of evaluation examples; then `path` is for training only.
        eval_fraction: share held out of `path`, 0.1 if neither this nor `eval_examples` is given.
        eval_examples: how many to hold out of `path`, or to take from `eval_path`; `auto`: see `auto_count`.

    Raises:
        DataError: a file or line cannot be used, the options contradict each other, a side is
            empty, or an example is in both files.
    """
    check_options(eval_path, eval_fraction, eval_examples)
    examples = _stored(Path(path))
    if eval_path is not None:
        train = examples
        pool = _stored(Path(eval_path))
        evaluation = first_by_hash(pool, _count(eval_examples, len(pool), apart=True), Path(eval_path))
        refuse_overlap(train, evaluation)
    elif eval_examples is not None:
        count = _count(eval_examples, len(examples), apart=False)
        train, evaluation = split_by_count(examples, count or 0, Path(path))
    else:
        share = DEFAULT_EVALUATION_FRACTION if eval_fraction is None else eval_fraction
        train, evaluation = split_by_fraction(examples, share, Path(path))
    source = str(path) if eval_path is None else f"{path}, evaluation {eval_path}"
    return DataSet(name=Path(path).stem, train=train, evaluation=evaluation, source=source)


def _count(asked: int | str | None, available: int, *, apart: bool) -> int | None:
    return auto_count(available, apart=apart) if isinstance(asked, str) else asked


def _stored(path: Path) -> Sequence[Example]:
    return stored_files([path], lambda: read_jsonl(path))


def read_jsonl(path: Path) -> Iterator[Example]:
    """Every line of a file as an example; blank lines are passed over.

    Raises:
        DataError: no such file, no example in it, or a line that cannot be used.
    """
    number = 0
    for number, example in enumerate(read_examples(json_lines(path)), start=1):  # noqa: B007 - counted
        yield example
    if not number:
        raise DataError(f"{path}: the file is empty; write one JSON object per line: {SHAPES_HELP}")


def json_lines(path: Path) -> Iterator[Record]:
    """The records of a file of JSON lines; blank lines are passed over.

    Raises:
        DataError: no such file.
    """
    for number, line in _numbered_lines(path):
        place = f"{path}:{number}"
        try:
            yield Record(place, _object(line, place))
        except DataError as error:
            yield Record(place, error)


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 text; convert the file to UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON ({error}); is the line cut off?") from error
    if not isinstance(row, dict):
        raise DataError(f"{place}: a {type(row).__name__}, not an object; write {SHAPES_HELP}")
    return row


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                line = line.removeprefix(BYTE_ORDER) if number == 1 else line
                if line.strip():
                    yield number, line.removesuffix(b"\n")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; data.path must be a JSONL file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); data.path must be a file") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two with one name the first would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the key {twice!r} is there twice in one object; keep one of them")
    return row
